//! Names: nested, local, unqualified; and the substitutions that shorten them.

use super::ast::{Id, Node, Quals};
use super::cursor::Parser;
use super::operators;
use super::parse_encoding::Name;

impl<'a> Parser<'a> {
    /// A name. `own`: the name of the function that is being read, whose template arguments are
    /// what `T_` stands for from here on.
    pub fn name(&mut self, own: bool) -> Option<Name> {
        self.nested(|p| match p.peek() {
            b'N' => p.nested_name(own),
            b'Z' => p.local_name(own),
            _ => p.unscoped_name(own),
        })
    }

    fn unscoped_name(&mut self, own: bool) -> Option<Name> {
        let abbreviated = self.peek() == b'S' && self.peek_second() != b't';
        let id = if abbreviated {
            self.substitution(false)?
        } else {
            let scope = self.take("St").then(|| self.add(Node::Text("std")));
            let last = self.unqualified_name(None)?;
            self.scoped(scope, last)
        };
        let plain = |id| Name { id, quals: Quals::default(), template: false };
        if self.peek() != b'I' {
            return Some(plain(id));
        }
        if !abbreviated {
            self.add_substitution(id);
        }
        let list = self.template_arguments(own)?;
        let id = self.add(Node::Template(id, list));
        Some(Name { template: true, ..plain(id) })
    }

    fn scoped(&mut self, scope: Option<Id>, last: Id) -> Id {
        match scope {
            Some(scope) => self.add(Node::Nested(scope, last)),
            None => last,
        }
    }

    /// `N [qualifiers] prefix… name E`
    fn nested_name(&mut self, own: bool) -> Option<Name> {
        self.expect("N")?;
        let mut quals = self.cv_qualifiers();
        if self.take("R") {
            quals.0 |= Quals::LVALUE;
        } else if self.take("O") {
            quals.0 |= Quals::RVALUE;
        }
        let mut so_far: Option<Id> = None;
        let (mut template, mut is_new) = (false, false);
        while !self.take("E") {
            (template, is_new) = (false, true);
            let id = match (self.peek(), so_far) {
                (b'S', None) if self.peek_second() == b't' => {
                    self.advance(2)?;
                    is_new = false;
                    self.add(Node::Text("std"))
                }
                (b'S', None) => {
                    is_new = false;
                    self.substitution(true)?
                }
                (b'T', None) => self.template_param()?,
                (b'D', None) if matches!(self.peek_second(), b't' | b'T') => self.decltype()?,
                (b'I', Some(name)) => {
                    template = true;
                    let list = self.template_arguments(own)?;
                    self.add(Node::Template(name, list))
                }
                // the member whose initializer holds the lambda that follows
                (b'M', Some(name)) => {
                    self.advance(1)?;
                    is_new = false;
                    name
                }
                _ => {
                    let last = self.unqualified_name(so_far)?;
                    self.scoped(so_far, last)
                }
            };
            so_far = Some(id);
            if is_new {
                self.add_substitution(id);
            }
        }
        if is_new {
            // the whole name becomes a substitution as a type, not as a prefix
            self.substitutions.pop();
        }
        Some(Name { id: so_far?, quals, template })
    }

    /// `Z function E entity [discriminator]`
    fn local_name(&mut self, own: bool) -> Option<Name> {
        self.expect("Z")?;
        if own {
            // what `T_` stands for in a function it also does in the function's own
            self.within_function(own)
        } else {
            self.with_own_arguments(|p| p.within_function(own))
        }
    }

    fn within_function(&mut self, own: bool) -> Option<Name> {
        let function = self.encoding()?;
        self.expect("E")?;
        if let Node::Encoding { name, params, quals, .. } = self.tree.node(function) {
            // the result of the function around it would look like the entity's type
            self.tree.nodes[function.0 as usize] =
                Node::Encoding { name, result: None, params, quals };
        }
        if self.take("s") {
            self.discriminator()?;
            let last = self.add(Node::Text("string literal"));
            let id = self.add(Node::Nested(function, last));
            return Some(Name { id, quals: Quals::default(), template: false });
        }
        let mut scope = function;
        if self.peek() == b'd' {
            self.advance(1)?;
            let number = self.sequence_number()?;
            let argument = self.add(Node::DefaultArgument(number.checked_add(1)?));
            scope = self.add(Node::Nested(function, argument));
        }
        let entity = self.name(own)?;
        self.discriminator()?;
        let id = self.add(Node::Nested(scope, entity.id));
        Some(Name { id, ..entity })
    }

    /// `_3`, `__12_`: which of several entities of one name; not shown.
    fn discriminator(&mut self) -> Option<()> {
        if self.take("__") {
            self.number()?;
            self.expect("_")
        } else if self.peek() == b'_' && self.peek_second().is_ascii_digit() {
            self.advance(2).map(|_| ())
        } else {
            Some(())
        }
    }

    /// One part of a name; `scope` is what a constructor takes its name from.
    pub fn unqualified_name(&mut self, scope: Option<Id>) -> Option<Id> {
        self.take("L"); // internal linkage
        let mut id = match (self.peek(), self.peek_second()) {
            (b'0'..=b'9', _) => {
                let name = self.source_name()?;
                self.add(Node::Text(name))
            }
            (b'D', b'C') => {
                self.advance(2)?;
                let names = self.list(
                    |p| p.take("E"),
                    |p| p.source_name().map(|name| p.add(Node::Text(name))),
                )?;
                self.add(Node::StructuredBinding(names))
            }
            (b'C' | b'D', _) => self.structor(scope?)?,
            (b'U', b't') => {
                self.advance(2)?;
                let number = self.sequence_number()?;
                self.add(Node::UnnamedType(number.checked_add(1)?))
            }
            (b'U', b'l') => self.lambda()?,
            (b'a'..=b'z', _) => self.operator_name()?,
            _ => return None,
        };
        while self.take("B") {
            let tag = self.source_name()?;
            id = self.add(Node::AbiTag(id, tag));
        }
        Some(id)
    }

    fn structor(&mut self, scope: Id) -> Option<Id> {
        let destructor = self.advance(1)? == "D";
        let inherited = !destructor && self.take("I");
        if !matches!(self.advance(1)?, "0" | "1" | "2" | "3" | "4" | "5") {
            return None;
        }
        if inherited {
            self.type_()?;
        }
        let name = self.last_name(scope);
        Some(self.add(if destructor { Node::Destructor(name) } else { Node::Constructor(name) }))
    }

    /// The class's name without its scope, its arguments and its tags.
    fn last_name(&mut self, mut id: Id) -> Id {
        loop {
            match self.tree.node(id) {
                Node::Nested(_, last) => id = last,
                Node::Template(name, _) | Node::AbiTag(name, _) => id = name,
                Node::Abbreviation { last, .. } => return self.add(Node::Text(last)),
                _ => return id,
            }
        }
    }

    fn lambda(&mut self) -> Option<Id> {
        self.expect("Ul")?;
        let outer = std::mem::replace(&mut self.in_lambda, true);
        let heads = self.template_heads()?;
        let params = self.parameters(|p| p.take("E"))?;
        self.in_lambda = outer;
        let number = self.sequence_number()?.checked_add(1)?;
        Some(self.add(Node::Lambda { heads, params, number }))
    }

    fn operator_name(&mut self) -> Option<Id> {
        match self.advance(2)? {
            "cv" => {
                let outer = std::mem::replace(&mut self.in_conversion, true);
                let to = self.type_()?;
                self.in_conversion = outer;
                Some(self.add(Node::Conversion(to)))
            }
            "li" => {
                let suffix = self.source_name()?;
                Some(self.add(Node::LiteralOperator(suffix)))
            }
            code if code.starts_with('v') && code.as_bytes()[1].is_ascii_digit() => {
                let name = self.source_name()?;
                Some(self.add(Node::OperatorName(name)))
            }
            code => {
                let (text, _) = operators::find(code)?;
                Some(self.add(Node::OperatorName(text.trim_end())))
            }
        }
    }

    /// `S_`, `S0_`, …, or a standard abbreviation. `prefix`: a constructor's name may follow.
    pub fn substitution(&mut self, prefix: bool) -> Option<Id> {
        self.expect("S")?;
        if matches!(self.peek(), b'_' | b'0'..=b'9' | b'A'..=b'Z') {
            let index = self.base_36_number()?;
            let id = *self.substitutions.get(index as usize)?;
            return Some(match self.tree.node(id) {
                // T_ means what it means here, not where it came first: GCC shortens alike T_
                Node::Argument { index, .. } | Node::Auto(index) => self.template_param_at(index),
                _ => id,
            });
        }
        let code = self.advance(1)?;
        let is_scope_of_structor = prefix && matches!(self.peek(), b'C' | b'D');
        let (short, full, last) = match code {
            "a" => ("std::allocator", "std::allocator", "allocator"),
            "b" => ("std::basic_string", "std::basic_string", "basic_string"),
            "s" => ("std::string", STRING, "basic_string"),
            "i" => (ISTREAM, ISTREAM, "basic_istream"),
            "o" => (OSTREAM, OSTREAM, "basic_ostream"),
            "d" => (IOSTREAM, IOSTREAM, "basic_iostream"),
            _ => return None,
        };
        let in_full = is_scope_of_structor || self.peek() == b'B';
        let full = if in_full { full } else { short };
        let mut id = self.add(Node::Abbreviation { full, last });
        while self.take("B") {
            let tag = self.source_name()?;
            id = self.add(Node::AbiTag(id, tag));
            self.add_substitution(id);
        }
        Some(id)
    }

    /// `_` is 0, `0_` is 1, …, `Z_` is 36, `10_` is 37.
    pub fn base_36_number(&mut self) -> Option<u32> {
        let digits = self.take_while(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        self.expect("_")?;
        match digits {
            "" => Some(0),
            digits => u32::from_str_radix(digits, 36).ok()?.checked_add(1),
        }
    }
}

const STRING: &str = "std::basic_string<char, std::char_traits<char>, std::allocator<char> >";
const ISTREAM: &str = "std::basic_istream<char, std::char_traits<char> >";
const OSTREAM: &str = "std::basic_ostream<char, std::char_traits<char> >";
const IOSTREAM: &str = "std::basic_iostream<char, std::char_traits<char> >";
