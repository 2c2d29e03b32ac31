//! Expressions, in parentheses wherever they are not names.

use super::ast::{Id, List, LiteralKind, Node};
use super::print::Printer;

impl Printer<'_, '_> {
    /// Prints an expression; says whether the node is one.
    pub fn expression(&mut self, id: Id) -> Option<bool> {
        match self.tree.node(id) {
            Node::Literal { kind, of, negative, value } => {
                self.literal(kind, of, negative, value)?;
            }
            Node::Unary(text, of) => self.unary(text, of)?,
            Node::Parenthesized(text, of) => {
                self.push(text)?;
                self.in_parentheses(of)?;
            }
            Node::Postfix(of, text) => {
                self.operand(of)?;
                self.push(text)?;
            }
            Node::Binary(text, a, b) => self.binary(text, a, b)?,
            Node::Conditional(condition, then, or) => {
                self.operand(condition)?;
                self.push("?")?;
                self.operand(then)?;
                self.push(" : ")?;
                self.operand(or)?;
            }
            Node::Index(of, index) => {
                self.operand(of)?;
                self.push("[")?;
                self.print(index)?;
                self.push("]")?;
            }
            Node::Call(callee, arguments) => {
                match self.tree.node(callee) {
                    // which overload it is would read like arguments
                    Node::Encoding { name, .. } => self.operand(name)?,
                    _ => self.operand(callee)?,
                }
                self.list_between("(", arguments, ")")?;
            }
            Node::Cast(to, of) => {
                self.in_parentheses(to)?;
                self.operand(of)?;
            }
            _ => return self.written_out_expression(id),
        }
        Some(true)
    }

    /// Expressions that have more than operators and operands.
    fn written_out_expression(&mut self, id: Id) -> Option<bool> {
        match self.tree.node(id) {
            Node::NamedCast(text, to, of) => {
                self.push(text)?;
                self.push("<")?;
                self.print(to)?;
                self.push(">")?;
                self.in_parentheses(of)?;
            }
            Node::Braced(of, items) => {
                if let Some(of) = of {
                    self.print(of)?;
                }
                self.list_between("{", items, "}")?;
            }
            Node::New { operator, placement, of, initializer } => {
                self.push(operator)?;
                self.push(" ")?;
                if placement.len > 0 {
                    self.list_between("(", placement, ") ")?;
                }
                self.print(of)?;
                if let Some(initializer) = initializer {
                    self.operand(initializer)?;
                }
            }
            Node::Fold { operator, left, right } => self.fold(operator, left, right)?,
            Node::Designated { field, first, last, value } => {
                self.designated(field, first, last, value)?;
            }
            Node::PackLength(of) => self.length_of(of)?,
            Node::ArgumentCount(list) => self.count(list)?,
            Node::FunctionParam(number) => {
                self.push("{parm#")?;
                self.push_number(number)?;
                self.push("}")?;
            }
            Node::Arguments(list) => self.list(list)?,
            Node::Global(name) => {
                self.push("::")?;
                self.print(name)?;
            }
            Node::VendorExpression(name, list) => {
                self.push(name)?;
                self.list_between("(", list, ")")?;
            }
            _ => return Some(false),
        }
        Some(true)
    }

    fn in_parentheses(&mut self, of: Id) -> Option<()> {
        self.push("(")?;
        self.print(of)?;
        self.push(")")
    }

    fn list_between(&mut self, open: &str, list: List, close: &str) -> Option<()> {
        self.push(open)?;
        self.list(list)?;
        self.push(close)
    }

    /// A part of an expression.
    pub fn operand(&mut self, id: Id) -> Option<()> {
        let is_name = match self.tree.node(id) {
            Node::Text(_) | Node::Braced(..) | Node::FunctionParam(_) => true,
            Node::Nested(_, last) => !matches!(self.tree.node(last), Node::Template(..)),
            _ => false,
        };
        if is_name { self.print(id) } else { self.in_parentheses(id) }
    }

    fn unary(&mut self, text: &str, of: Id) -> Option<()> {
        self.push(text)?;
        if text == "&"
            && let Node::Encoding { name, .. } = self.tree.node(of)
            && let Node::Nested(..) = self.tree.node(name)
        {
            return self.print(name);
        }
        self.operand(of)
    }

    fn binary(&mut self, text: &str, a: Id, b: Id) -> Option<()> {
        // a bare > would look like the end of the template arguments
        let is_greater = text == ">";
        if is_greater {
            self.push("(")?;
        }
        self.operand(a)?;
        self.push(text)?;
        self.operand(b)?;
        if is_greater { self.push(")") } else { Some(()) }
    }

    fn fold(&mut self, operator: &str, left: Option<Id>, right: Option<Id>) -> Option<()> {
        let outer = self.pack_index.take();
        self.push("(")?;
        if let Some(left) = left {
            self.operand(left)?;
            self.push(operator)?;
        }
        self.push("...")?;
        if let Some(right) = right {
            self.push(operator)?;
            self.operand(right)?;
        }
        self.pack_index = outer;
        self.push(")")
    }

    fn designated(&mut self, field: bool, first: Id, last: Option<Id>, value: Id) -> Option<()> {
        self.push(if field { "." } else { "[" })?;
        self.print(first)?;
        if let Some(last) = last {
            self.push(" ... ")?;
            self.print(last)?;
        }
        if !field {
            self.push("]")?;
        }
        if let Node::Designated { .. } = self.tree.node(value) {
            return self.print(value);
        }
        self.push("=")?;
        self.operand(value)
    }

    /// `sizeof...(T)`
    fn length_of(&mut self, of: Id) -> Option<()> {
        match self.pack_length(of)? {
            Some(length) => self.push_number(length),
            None => {
                self.push("sizeof...")?;
                self.in_parentheses(of)
            }
        }
    }

    /// `sizeof...` of arguments, some of which are expansions.
    fn count(&mut self, list: List) -> Option<()> {
        let mut count = 0u32;
        for &item in self.tree.items(list) {
            let length = match self.tree.node(item) {
                Node::PackExpansion(pattern) => self.pack_length(pattern)?.unwrap_or(1),
                _ => 1,
            };
            count = count.checked_add(length)?;
        }
        self.push_number(count)
    }

    fn literal(&mut self, kind: LiteralKind, of: Id, negative: bool, value: &str) -> Option<()> {
        match (kind, value) {
            (LiteralKind::Bool, "0") if !negative => return self.push("false"),
            (LiteralKind::Bool, "1") if !negative => return self.push("true"),
            (LiteralKind::Other, "") => return self.print(of), // the one value of nullptr_t
            (LiteralKind::Suffix(_), _) => {}
            _ => self.in_parentheses(of)?,
        }
        if negative {
            self.push("-")?;
        }
        match kind {
            LiteralKind::Float => {
                self.push("[")?;
                self.push(value)?;
                self.push("]")
            }
            LiteralKind::Suffix(suffix) => {
                self.push(value)?;
                self.push(suffix)
            }
            LiteralKind::Bool | LiteralKind::Other => self.push(value),
        }
    }
}
