//! Expressions among template arguments and in `decltype`.

use super::ast::{Id, List, LiteralKind, Node};
use super::cursor::Parser;
use super::operators::{self, Operands};
use super::parse_type::builtin;

impl<'a> Parser<'a> {
    pub fn expression(&mut self) -> Option<Id> {
        self.nested(Self::unbounded_expression)
    }

    fn unbounded_expression(&mut self) -> Option<Id> {
        match self.peek() {
            b'L' => return self.literal(),
            b'T' => return self.template_param(),
            b'0'..=b'9' => return self.unresolved_name(),
            b'f' if self.peek_second() == b'p' => return self.function_param(),
            // not a fold, whose operator follows
            b'f' if self.rest().as_bytes().get(2).is_some_and(u8::is_ascii_digit) => {
                return self.function_param();
            }
            b'u' => return self.vendor_expression(),
            _ => {}
        }
        let code = self.advance(2)?;
        match code {
            "sr" => self.scope_resolution(),
            "on" => self.unresolved_name(),
            "dn" => {
                let name = self.destructor_name()?;
                self.with_arguments(name)
            }
            "sp" => {
                let pattern = self.expression()?;
                Some(self.add(Node::PackExpansion(pattern)))
            }
            "sZ" => {
                let of = self.expression()?;
                Some(self.add(Node::PackLength(of)))
            }
            "sP" => {
                let arguments = self.list(|p| p.take("E"), Self::template_argument)?;
                Some(self.add(Node::ArgumentCount(arguments)))
            }
            "tr" => Some(self.add(Node::Text("throw"))),
            "il" => {
                let items = self.expressions()?;
                Some(self.add(Node::Braced(None, items)))
            }
            "tl" => {
                let of = self.type_()?;
                let items = self.expressions()?;
                Some(self.add(Node::Braced(Some(of), items)))
            }
            "cv" => self.conversion(),
            "gs" => {
                let name = self.expression()?;
                Some(self.add(Node::Global(name)))
            }
            "cl" => {
                let callee = self.expression()?;
                let arguments = self.expressions()?;
                Some(self.add(Node::Call(callee, arguments)))
            }
            "ix" => {
                let (of, index) = (self.expression()?, self.expression()?);
                Some(self.add(Node::Index(of, index)))
            }
            "dt" | "pt" => {
                let object = self.expression()?;
                let member = self.member()?;
                let text = if code == "dt" { "." } else { "->" };
                Some(self.add(Node::Binary(text, object, member)))
            }
            _ => self.special_operation(code),
        }
    }

    /// Operators whose operands are not just expressions.
    fn special_operation(&mut self, code: &'a str) -> Option<Id> {
        match code {
            "cc" | "dc" | "rc" | "sc" => {
                let (text, _) = operators::find(code)?;
                let (to, of) = (self.type_()?, self.expression()?);
                Some(self.add(Node::NamedCast(text, to, of)))
            }
            "nw" | "na" => self.new_expression(if code == "nw" { "new" } else { "new[]" }),
            "fl" | "fr" | "fL" | "fR" => self.fold(code),
            "di" | "dx" | "dX" => self.designated(code),
            _ => self.operation(code),
        }
    }

    fn operation(&mut self, code: &str) -> Option<Id> {
        let (text, operands) = operators::find(code)?;
        let node = match operands {
            Operands::One => Node::Unary(text, self.expression()?),
            Operands::Type => Node::Parenthesized(text, self.type_()?),
            Operands::Parenthesized => Node::Parenthesized(text, self.expression()?),
            Operands::OneEitherSide if self.take("_") => Node::Unary(text, self.expression()?),
            Operands::OneEitherSide => Node::Postfix(self.expression()?, text),
            Operands::Two => Node::Binary(text, self.expression()?, self.expression()?),
            Operands::Three => {
                Node::Conditional(self.expression()?, self.expression()?, self.expression()?)
            }
            Operands::Own => return None,
        };
        Some(self.add(node))
    }

    /// Expressions up to `E`.
    fn expressions(&mut self) -> Option<List> {
        self.list(|p| p.take("E"), Self::expression)
    }

    /// `L type value E`, or `L mangled name E`
    pub fn literal(&mut self) -> Option<Id> {
        self.expect("L")?;
        if self.take("_Z") || self.peek() == b'Z' {
            self.take("Z");
            let name = self.nested_encoding()?;
            self.expect("E")?;
            return Some(name);
        }
        let code = self.peek();
        let kind = match (builtin(code), code) {
            (Some(_), b'b') => LiteralKind::Bool,
            (Some(_), b'i') => LiteralKind::Suffix(""),
            (Some(_), b'j') => LiteralKind::Suffix("u"),
            (Some(_), b'l') => LiteralKind::Suffix("l"),
            (Some(_), b'm') => LiteralKind::Suffix("ul"),
            (Some(_), b'x') => LiteralKind::Suffix("ll"),
            (Some(_), b'y') => LiteralKind::Suffix("ull"),
            (Some(_), b'f' | b'd' | b'e' | b'g') => LiteralKind::Float,
            _ => LiteralKind::Other,
        };
        let of = self.type_()?;
        let negative = self.take("n");
        let value = self.take_while(|b| b != b'E');
        self.expect("E")?;
        Some(self.add(Node::Literal { kind, of, negative, value }))
    }

    /// A function named within another name: its template arguments are its own.
    fn nested_encoding(&mut self) -> Option<Id> {
        let in_lambda = std::mem::replace(&mut self.in_lambda, false);
        let id = self.with_own_arguments(Self::encoding)?;
        self.in_lambda = in_lambda;
        Some(id)
    }

    /// `fp_`, `fp0_`, `fL1p_`, `fpT`
    fn function_param(&mut self) -> Option<Id> {
        self.expect("f")?;
        if self.take("L") {
            self.number()?;
        }
        self.expect("p")?;
        if self.take("T") {
            return Some(self.add(Node::Text("this")));
        }
        self.cv_qualifiers();
        let number = self.sequence_number()?.checked_add(1)?;
        Some(self.add(Node::FunctionParam(number)))
    }

    /// `sr type name`, or `sr name… E name`, after `sr`.
    fn scope_resolution(&mut self) -> Option<Id> {
        if !self.peek().is_ascii_digit() {
            let scope = self.type_()?;
            return self.scoped_base(scope);
        }
        let mut scope = self.unresolved_name()?;
        loop {
            if self.peek() == b'E' && self.base_follows() {
                self.advance(1)?;
                return self.scoped_base(scope);
            }
            if !self.peek().is_ascii_digit() {
                return Some(scope); // old compilers wrote one class and its member, without the E
            }
            let name = self.unresolved_name()?;
            scope = self.add(Node::Nested(scope, name));
        }
    }

    /// Does a name come after the `E` that stands here?
    fn base_follows(&self) -> bool {
        let after = &self.rest()[1..];
        self.peek_second().is_ascii_digit() || after.starts_with("on") || after.starts_with("dn")
    }

    fn scoped_base(&mut self, scope: Id) -> Option<Id> {
        let name = if self.take("dn") {
            self.destructor_name()?
        } else {
            self.take("on");
            self.unqualified_name(Some(scope))?
        };
        let name = self.with_arguments(name)?;
        Some(self.add(Node::Nested(scope, name)))
    }

    fn unresolved_name(&mut self) -> Option<Id> {
        let name = self.unqualified_name(None)?;
        self.with_arguments(name)
    }

    fn with_arguments(&mut self, name: Id) -> Option<Id> {
        if self.peek() != b'I' {
            return Some(name);
        }
        let list = self.template_arguments(false)?;
        Some(self.add(Node::Template(name, list)))
    }

    fn destructor_name(&mut self) -> Option<Id> {
        let of = if self.peek().is_ascii_digit() { self.unresolved_name()? } else { self.type_()? };
        Some(self.add(Node::Destructor(of)))
    }

    /// What stands after `.` or `->`.
    fn member(&mut self) -> Option<Id> {
        if self.peek().is_ascii_digit() { self.unresolved_name() } else { self.expression() }
    }

    /// `type expression`, or `type _ expression… E`, after `cv`.
    fn conversion(&mut self) -> Option<Id> {
        let outer = std::mem::replace(&mut self.in_conversion, false);
        let to = self.type_()?;
        self.in_conversion = outer;
        let of = if self.take("_") {
            let arguments = self.expressions()?;
            self.add(Node::Arguments(arguments))
        } else {
            self.expression()?
        };
        Some(self.add(Node::Cast(to, of)))
    }

    /// `placement… _ type (E | pi argument… E | il item… E)`, after `nw` or `na`.
    fn new_expression(&mut self, operator: &'static str) -> Option<Id> {
        let placement = self.list(|p| p.take("_"), Self::expression)?;
        let of = self.type_()?;
        let initializer = if self.take("E") {
            None
        } else if self.take("pi") {
            let arguments = self.expressions()?;
            Some(self.add(Node::Arguments(arguments)))
        } else {
            Some(self.expression()?)
        };
        Some(self.add(Node::New { operator, placement, of, initializer }))
    }

    fn fold(&mut self, code: &str) -> Option<Id> {
        let operator = self.advance(2)?;
        let (operator, _) = operators::find(operator)?;
        let first = self.expression()?;
        let (left, right) = match code {
            "fl" => (None, Some(first)),
            "fr" => (Some(first), None),
            _ => (Some(first), Some(self.expression()?)),
        };
        Some(self.add(Node::Fold { operator, left, right }))
    }

    fn designated(&mut self, code: &str) -> Option<Id> {
        let field = code == "di";
        let first = if field { self.unqualified_name(None)? } else { self.expression()? };
        let last = if code == "dX" { Some(self.expression()?) } else { None };
        let value = self.expression()?;
        Some(self.add(Node::Designated { field, first, last, value }))
    }

    /// `u name argument… E`: an operator of one compiler.
    fn vendor_expression(&mut self) -> Option<Id> {
        self.expect("u")?;
        let name = self.source_name()?;
        let arguments = self.list(|p| p.take("E"), Self::template_argument)?;
        Some(self.add(Node::VendorExpression(name, arguments)))
    }
}
