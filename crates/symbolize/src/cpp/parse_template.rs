//! Template arguments, packs, and the `T_` that stand for them.

use super::ast::{Id, List, Node};
use super::cursor::Parser;

impl<'a> Parser<'a> {
    /// `I argument… E`. `own`: these are what `T_` stands for from here on.
    pub fn template_arguments(&mut self, own: bool) -> Option<List> {
        self.expect("I")?;
        self.nested(|p| {
            if own {
                p.begin_arguments();
            }
            // the arguments of a conversion operator's type, or of a lambda's, are ordinary names
            let in_conversion = std::mem::replace(&mut p.in_conversion, false);
            let list = p.list(
                |p| p.take("E"),
                |p| {
                    let argument = p.template_argument()?;
                    if own {
                        p.add_argument(argument);
                    }
                    Some(argument)
                },
            );
            p.in_conversion = in_conversion;
            list
        })
    }

    pub fn template_argument(&mut self) -> Option<Id> {
        match self.peek() {
            b'X' => {
                self.advance(1)?;
                let expression = self.expression()?;
                self.expect("E")?;
                Some(expression)
            }
            b'L' => self.literal(),
            // I is how old compilers wrote J
            b'J' | b'I' => {
                self.advance(1)?;
                let list = self.nested(|p| p.list(|p| p.take("E"), Self::template_argument))?;
                Some(self.add(Node::Pack(list)))
            }
            b'T' if matches!(self.peek_second(), b'n' | b'y' | b't' | b'p') => {
                let first = self.open_items.len();
                self.template_head()?;
                self.open_items.truncate(first);
                self.template_argument()
            }
            _ => self.type_(),
        }
    }

    /// `T_`, `T0_`, …
    pub fn template_param(&mut self) -> Option<Id> {
        self.expect("T")?;
        if self.take("L") {
            self.sequence_number()?; // the level; only generic lambdas within others have several
        }
        let index = self.sequence_number()?;
        Some(self.template_param_at(index))
    }

    /// What a template parameter stands for at this place.
    pub fn template_param_at(&mut self, index: u32) -> Id {
        if self.in_lambda {
            return self.add(Node::Auto(index));
        }
        match self.argument(index) {
            Some(is) if !self.in_conversion => self.add(Node::Argument { index, is }),
            _ => {
                let id = self.add(Node::Unresolved(index));
                self.unresolved.push(id);
                id
            }
        }
    }

    /// What a template lambda declares before its parameters.
    pub fn template_heads(&mut self) -> Option<List> {
        let is_head =
            |p: &Self| p.peek() == b'T' && matches!(p.peek_second(), b'n' | b'y' | b't' | b'p');
        self.list(|p| !is_head(p), Self::template_head)
    }

    /// `Ty` a type, `Tn T` a value, `Tt…E` a template, `Tp…` a pack of them.
    fn template_head(&mut self) -> Option<Id> {
        self.nested(|p| match p.advance(2)? {
            "Ty" => Some(p.add(Node::Text("typename"))),
            "Tn" => p.type_(),
            "Tt" => {
                let heads = p.template_heads()?;
                p.expect("E")?;
                Some(p.add(Node::TemplateTemplate(heads)))
            }
            "Tp" => {
                let head = p.template_head()?;
                Some(p.add(Node::PackExpansion(head)))
            }
            _ => None,
        })
    }
}
