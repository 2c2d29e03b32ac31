//! Whole symbols: functions with their parameters, data, and what compilers make beside them.

use super::ast::{Id, List, Node, Quals};
use super::cursor::Parser;

/// A name as it stands before a function's parameters.
pub(super) struct Name {
    pub id: Id,
    /// Of the member function.
    pub quals: Quals,
    /// The last part has template arguments.
    pub template: bool,
}

impl<'a> Parser<'a> {
    /// What follows `_Z`, to the end of the text.
    pub fn symbol(&mut self) -> Option<Id> {
        let mut id = self.encoding()?;
        while self.peek() == b'.' {
            id = self.clone_suffix(id)?;
        }
        self.rest().is_empty().then_some(id)
    }

    /// `.cold`, `.part.0`, `.llvm.123`: parts and copies of functions.
    fn clone_suffix(&mut self, of: Id) -> Option<Id> {
        let from = self.rest();
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !is_word(self.peek_second()) {
            return None;
        }
        self.advance(1)?;
        self.take_while(is_word);
        while self.peek() == b'.' && self.peek_second().is_ascii_digit() {
            self.advance(1)?;
            self.digits();
        }
        let suffix = from.get(..from.len() - self.rest().len())?;
        Some(self.add(Node::Clone(of, suffix)))
    }

    pub fn encoding(&mut self) -> Option<Id> {
        self.nested(|p| match p.peek() {
            b'G' | b'T' => p.special_name(),
            _ => p.function_or_data(),
        })
    }

    fn function_or_data(&mut self) -> Option<Id> {
        let outer_unresolved = self.unresolved.len();
        let Name { id: name, quals, template } = self.name(true)?;
        self.resolve_arguments(outer_unresolved);
        if self.at_end_of_encoding() {
            return Some(if quals == Quals::default() {
                name
            } else {
                self.add(Node::QualifiedName(name, quals))
            });
        }
        let has_result = template && !self.tree.is_template_without_result(name);
        let result = if has_result { Some(self.type_()?) } else { None };
        let params = self.parameters(|p| p.at_end_of_encoding())?;
        Some(self.add(Node::Encoding { name, result, params, quals }))
    }

    fn at_end_of_encoding(&self) -> bool {
        matches!(self.peek(), 0 | b'E' | b'.')
    }

    /// Parameter types, at least one; `v` alone means none.
    pub fn parameters(&mut self, end: impl Fn(&mut Self) -> bool) -> Option<List> {
        if self.peek() == b'v' {
            self.advance(1)?;
            return end(self).then(List::default);
        }
        let params = self.list(end, Self::type_)?;
        (params.len > 0).then_some(params)
    }

    /// Gives `T_` of a conversion operator's type what its template arguments say.
    fn resolve_arguments(&mut self, first: usize) {
        for id in self.unresolved.split_off(first) {
            let Node::Unresolved(index) = self.tree.node(id) else { continue };
            if let Some(argument) = self.argument(index) {
                self.tree.nodes[id.0 as usize] = Node::Argument { index, is: argument };
            }
        }
    }

    fn special_name(&mut self) -> Option<Id> {
        let code = self.advance(2)?;
        let of_type = match code {
            "TV" => Some("vtable for "),
            "TT" => Some("VTT for "),
            "TI" => Some("typeinfo for "),
            "TS" => Some("typeinfo name for "),
            "TF" => Some("typeinfo fn for "),
            "TJ" => Some("java Class for "),
            _ => None,
        };
        if let Some(text) = of_type {
            let of = self.type_()?;
            return Some(self.add(Node::Special(text, of)));
        }
        let (text, of) = match code {
            "Th" => {
                self.call_offset(b'h')?;
                ("non-virtual thunk to ", self.encoding()?)
            }
            "Tv" => {
                self.call_offset(b'v')?;
                ("virtual thunk to ", self.encoding()?)
            }
            "Tc" => {
                for _ in 0..2 {
                    let kind = self.advance(1)?.as_bytes()[0];
                    self.call_offset(kind)?;
                }
                ("covariant return thunk to ", self.encoding()?)
            }
            "TC" => {
                let derived = self.type_()?;
                self.number()?;
                self.expect("_")?;
                let base = self.type_()?;
                return Some(self.add(Node::ConstructionVtable { base, derived }));
            }
            "TA" => ("template parameter object for ", self.template_argument()?),
            "TH" => ("TLS init function for ", self.name(false)?.id),
            "TW" => ("TLS wrapper function for ", self.name(false)?.id),
            "GV" => ("guard variable for ", self.name(false)?.id),
            "GA" => ("hidden alias for ", self.encoding()?),
            "GR" => {
                let of = self.name(false)?.id;
                let number = self.lifetime_number()?;
                return Some(self.add(Node::ReferenceTemporary { of, number }));
            }
            "GT" => match self.advance(1)? {
                "n" => ("non-transaction clone for ", self.encoding()?),
                _ => ("transaction clone for ", self.encoding()?),
            },
            _ => return None,
        };
        Some(self.add(Node::Special(text, of)))
    }

    /// Which temporary of one declaration: base 36, the first without a number.
    fn lifetime_number(&mut self) -> Option<u32> {
        if self.rest().is_empty() { Some(0) } else { self.base_36_number() }
    }

    fn call_offset(&mut self, kind: u8) -> Option<()> {
        let offsets = match kind {
            b'h' => 1,
            b'v' => 2,
            _ => return None,
        };
        for _ in 0..offsets {
            self.take("n");
            if self.digits().is_empty() {
                return None;
            }
            self.expect("_")?;
        }
        Some(())
    }
}
