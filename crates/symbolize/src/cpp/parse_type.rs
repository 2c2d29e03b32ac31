//! Types.

use super::ast::{Id, Node, Quals, Throws};
use super::cursor::Parser;

impl<'a> Parser<'a> {
    pub fn type_(&mut self) -> Option<Id> {
        self.nested(Self::unbounded_type)
    }

    fn unbounded_type(&mut self) -> Option<Id> {
        let code = self.peek();
        if let Some(text) = builtin(code) {
            self.advance(1)?;
            return Some(self.add(Node::Text(text)));
        }
        let id = match code {
            b'K' | b'V' | b'r' => self.qualified_type()?,
            b'P' => self.compound(Node::Pointer)?,
            b'R' => self.compound(Node::LvalueRef)?,
            b'O' => self.compound(Node::RvalueRef)?,
            b'C' => self.compound(|of| Node::Suffixed(of, " _Complex"))?,
            b'G' => self.compound(|of| Node::Suffixed(of, " _Imaginary"))?,
            b'F' => self.function_type(Quals::default(), Throws::Unsaid)?,
            b'A' => self.array_type()?,
            b'M' => {
                self.advance(1)?;
                let class = self.type_()?;
                let member = self.type_()?;
                self.add(Node::MemberPointer { class, member })
            }
            b'U' if !matches!(self.peek_second(), b'l' | b't') => self.vendor_qualified()?,
            b'u' => {
                self.advance(1)?;
                let name = self.source_name()?;
                self.add(Node::Text(name))
            }
            b'T' => match self.peek_second() {
                // struct, union, enum said by name
                b's' | b'u' | b'e' => {
                    self.advance(2)?;
                    self.name(false)?.id
                }
                _ => self.template_param_type()?,
            },
            b'S' if self.peek_second() != b't' => return self.substituted_type(),
            b'D' => match self.special_type()? {
                (id, true) => id,
                (id, false) => return Some(id),
            },
            b'N' | b'Z' | b'S' | b'0'..=b'9' | b'L' | b'U' => self.named_type()?,
            _ => return None,
        };
        Some(self.add_substitution(id))
    }

    fn named_type(&mut self) -> Option<Id> {
        let name = self.name(false)?;
        Some(if name.quals == Quals::default() {
            name.id
        } else {
            self.add(Node::QualifiedName(name.id, name.quals))
        })
    }

    fn compound(&mut self, node: impl FnOnce(Id) -> Node<'a>) -> Option<Id> {
        self.advance(1)?;
        let of = self.type_()?;
        Some(self.add(node(of)))
    }

    pub fn cv_qualifiers(&mut self) -> Quals {
        let mut quals = Quals::default();
        for (code, bit) in [("r", Quals::RESTRICT), ("V", Quals::VOLATILE), ("K", Quals::CONST)] {
            if self.take(code) {
                quals.0 |= bit;
            }
        }
        quals
    }

    fn qualified_type(&mut self) -> Option<Id> {
        let quals = self.cv_qualifiers();
        match (self.peek(), self.peek_second()) {
            // qualifiers of a member function's `this`
            (b'F', _) => self.function_type(quals, Throws::Unsaid),
            (b'D', b'o' | b'O' | b'w' | b'x') => self.throwing_function_type(quals),
            _ => {
                let of = self.type_()?;
                Some(self.add(Node::Qualified(of, quals)))
            }
        }
    }

    /// `U name [arguments] type`
    fn vendor_qualified(&mut self) -> Option<Id> {
        self.expect("U")?;
        let name = self.source_name()?;
        let mut vendor = self.add(Node::Text(name));
        if self.peek() == b'I' {
            let arguments = self.template_arguments(false)?;
            vendor = self.add(Node::Template(vendor, arguments));
        }
        let inner = self.type_()?;
        Some(self.add(Node::VendorQualified { inner, vendor }))
    }

    fn throwing_function_type(&mut self, mut quals: Quals) -> Option<Id> {
        let mut throws = Throws::Unsaid;
        match self.advance(2)? {
            "Do" => quals.0 |= Quals::NOEXCEPT,
            "DO" => {
                throws = Throws::Noexcept(self.expression()?);
                self.expect("E")?;
            }
            "Dw" => throws = Throws::Only(self.list(|p| p.take("E"), Self::type_)?),
            _ => quals.0 |= Quals::TRANSACTION_SAFE,
        }
        if self.take("Dx") {
            quals.0 |= Quals::TRANSACTION_SAFE;
        }
        self.function_type(quals, throws)
    }

    /// `F [Y] result parameter… [R|O] E`
    fn function_type(&mut self, mut quals: Quals, throws: Throws) -> Option<Id> {
        self.expect("F")?;
        self.take("Y"); // extern "C"
        let result = self.type_()?;
        let params = self.parameters(|p| {
            matches!((p.peek(), p.peek_second()), (b'E', _) | (b'R' | b'O', b'E'))
        })?;
        if self.take("R") {
            quals.0 |= Quals::LVALUE;
        } else if self.take("O") {
            quals.0 |= Quals::RVALUE;
        }
        self.expect("E")?;
        Some(self.add(Node::Function { result, params, quals, throws }))
    }

    /// `A [number | expression] _ element`
    fn array_type(&mut self) -> Option<Id> {
        self.expect("A")?;
        let dimension = self.dimension()?;
        let element = self.type_()?;
        Some(self.add(Node::Array { dimension, element }))
    }

    fn dimension(&mut self) -> Option<Option<Id>> {
        let dimension = match self.peek() {
            b'_' => None,
            b'0'..=b'9' => {
                let digits = self.digits();
                Some(self.add(Node::Text(digits)))
            }
            _ => Some(self.expression()?),
        };
        self.expect("_")?;
        Some(dimension)
    }

    fn template_param_type(&mut self) -> Option<Id> {
        let param = self.template_param()?;
        if self.peek() != b'I' || self.in_conversion {
            return Some(param);
        }
        self.add_substitution(param);
        let list = self.template_arguments(false)?;
        Some(self.add(Node::Template(param, list)))
    }

    fn substituted_type(&mut self) -> Option<Id> {
        let id = self.substitution(false)?;
        if self.peek() != b'I' || (self.in_conversion && !self.is_template_name(id)) {
            return Some(id);
        }
        let list = self.template_arguments(false)?;
        let id = self.add(Node::Template(id, list));
        Some(self.add_substitution(id))
    }

    /// A conversion operator's type may be a template's name, but never a complete type.
    fn is_template_name(&self, id: Id) -> bool {
        matches!(self.tree.node(id), Node::Text(_) | Node::Nested(..) | Node::Abbreviation { .. })
    }

    /// `D…`: the type and whether it can be substituted.
    fn special_type(&mut self) -> Option<(Id, bool)> {
        let text = match self.peek_second() {
            b'a' => "auto",
            b'c' => "decltype(auto)",
            b'n' => "decltype(nullptr)",
            b'i' => "char32_t",
            b's' => "char16_t",
            b'u' => "char8_t",
            b'd' => "decimal64",
            b'e' => "decimal128",
            b'f' => "decimal32",
            b'h' => "half",
            b't' | b'T' => return Some((self.decltype()?, true)),
            b'p' => {
                self.advance(2)?;
                let pattern = self.type_()?;
                return Some((self.add(Node::PackExpansion(pattern)), true));
            }
            b'o' | b'O' | b'w' | b'x' => {
                return Some((self.throwing_function_type(Quals::default())?, true));
            }
            b'v' => {
                self.advance(2)?;
                let dimension = self.vector_dimension()?;
                let element = self.type_()?;
                return Some((self.add(Node::Vector { dimension, element }), true));
            }
            b'F' => return Some((self.extended_float()?, false)),
            _ => return None,
        };
        self.advance(2)?;
        Some((self.add(Node::Text(text)), false))
    }

    /// `Dv 4_` or, of a template, `Dv _ expression _`
    fn vector_dimension(&mut self) -> Option<Id> {
        if self.take("_") {
            let dimension = self.expression()?;
            self.expect("_")?;
            return Some(dimension);
        }
        self.dimension()?
    }

    /// `DF16_` is _Float16, `DF32x` is _Float32x, `DF16b` is std::bfloat16_t.
    fn extended_float(&mut self) -> Option<Id> {
        self.expect("DF")?;
        let text = match (self.digits(), self.advance(1)?) {
            ("16", "b") => "std::bfloat16_t",
            ("16", "_") => "_Float16",
            ("32", "_") => "_Float32",
            ("64", "_") => "_Float64",
            ("128", "_") => "_Float128",
            ("32", "x") => "_Float32x",
            ("64", "x") => "_Float64x",
            _ => return None,
        };
        Some(self.add(Node::Text(text)))
    }

    pub fn decltype(&mut self) -> Option<Id> {
        self.advance(2)?;
        let expression = self.expression()?;
        self.expect("E")?;
        Some(self.add(Node::Decltype(expression)))
    }
}

/// Types of one letter.
pub(super) fn builtin(code: u8) -> Option<&'static str> {
    Some(match code {
        b'a' => "signed char",
        b'b' => "bool",
        b'c' => "char",
        b'd' => "double",
        b'e' => "long double",
        b'f' => "float",
        b'g' => "__float128",
        b'h' => "unsigned char",
        b'i' => "int",
        b'j' => "unsigned int",
        b'l' => "long",
        b'm' => "unsigned long",
        b'n' => "__int128",
        b'o' => "unsigned __int128",
        b's' => "short",
        b't' => "unsigned short",
        b'v' => "void",
        b'w' => "wchar_t",
        b'x' => "long long",
        b'y' => "unsigned long long",
        b'z' => "...",
        _ => return None,
    })
}
