//! Types as C++ declares them: what stands before a declarator's name, and what stands after.

use super::ast::{Id, Node, Quals, Throws};
use super::print::Printer;

/// What a pointer must be put in parentheses for.
#[derive(PartialEq, Eq)]
enum Shape {
    Plain,
    Function,
    Array,
}

impl Printer<'_, '_> {
    /// The left part of a type; says whether the node is one.
    pub fn type_left(&mut self, id: Id) -> Option<bool> {
        match self.tree.node(id) {
            Node::Pointer(of) => {
                self.open_declarator(of)?;
                self.push("*")?;
            }
            Node::LvalueRef(_) | Node::RvalueRef(_) => {
                let (text, of) = self.collapsed_reference(id)?;
                self.open_declarator(of)?;
                self.push(text)?;
            }
            Node::MemberPointer { class, member } => {
                self.open_declarator(member)?;
                if !self.ends_with(&['(']) {
                    self.push(" ")?;
                }
                self.print(class)?;
                self.push("::*")?;
            }
            Node::Qualified(of, quals) => self.qualified_left(of, quals)?,
            Node::Suffixed(of, text) => {
                self.left(of)?;
                self.push(text)?;
            }
            Node::VendorQualified { inner, vendor } => {
                self.left(inner)?;
                self.push(" ")?;
                self.print(vendor)?;
            }
            Node::Array { element, .. } => self.left(element)?,
            Node::Function { result, .. } => self.result_left(result)?,
            Node::Vector { dimension, element } => {
                self.print(element)?;
                self.push(" __vector(")?;
                self.print(dimension)?;
                self.push(")")?;
            }
            Node::Decltype(of) => {
                self.push("decltype (")?;
                self.print(of)?;
                self.push(")")?;
            }
            Node::Pack(list) => self.list(list)?,
            Node::PackExpansion(pattern) => self.expansion(pattern)?,
            _ => return Some(false),
        }
        Some(true)
    }

    /// What stands after a declarator's name: dimensions and parameters.
    pub fn right(&mut self, id: Id) -> Option<()> {
        let id = self.resolve(id)?;
        match self.tree.node(id) {
            Node::Pointer(of) => self.close_declarator(of),
            Node::LvalueRef(_) | Node::RvalueRef(_) => {
                let (_, of) = self.collapsed_reference(id)?;
                self.close_declarator(of)
            }
            Node::MemberPointer { member, .. } => self.close_declarator(member),
            Node::Qualified(of, _)
            | Node::Suffixed(of, _)
            | Node::VendorQualified { inner: of, .. } => self.nested(|p| p.right(of)),
            Node::Array { dimension, element } => {
                self.push(if self.ends_with(&[']']) { "[" } else { " [" })?;
                if let Some(dimension) = dimension {
                    self.print(dimension)?;
                }
                self.push("]")?;
                self.nested(|p| p.right(element))
            }
            Node::Function { result, params, quals, throws } => {
                self.push("(")?;
                self.list(params)?;
                self.push(")")?;
                self.throws(throws)?;
                self.quals(quals)?;
                self.nested(|p| p.right(result))
            }
            _ => Some(()),
        }
    }

    fn throws(&mut self, throws: Throws) -> Option<()> {
        match throws {
            Throws::Unsaid => Some(()),
            Throws::Noexcept(condition) => {
                self.push(" noexcept(")?;
                self.print(condition)?;
                self.push(")")
            }
            Throws::Only(list) => {
                self.push(" throw(")?;
                self.list(list)?;
                self.push(")")
            }
        }
    }

    /// A result type before the function's name or parentheses.
    pub fn result_left(&mut self, result: Id) -> Option<()> {
        self.left(result)?;
        if self.has_right(result)? { Some(()) } else { self.push(" ") }
    }

    fn qualified_left(&mut self, of: Id, quals: Quals) -> Option<()> {
        let inner = self.resolve(of)?;
        if let Node::Qualified(of, inner) = self.tree.node(inner) {
            // const of a T that is const is said once
            let inner = Quals(inner.0 & !quals.0);
            self.nested(|p| p.qualified_left(of, inner))?;
        } else {
            self.left(inner)?;
        }
        self.quals(quals)
    }

    fn open_declarator(&mut self, of: Id) -> Option<()> {
        self.left(of)?;
        match self.shape(of)? {
            Shape::Plain => Some(()),
            Shape::Function if self.ends_with(&['(', '*', ' ']) => self.push("("),
            Shape::Function | Shape::Array => self.push(" ("),
        }
    }

    fn close_declarator(&mut self, of: Id) -> Option<()> {
        if self.shape(of)? != Shape::Plain {
            self.push(")")?;
        }
        self.nested(|p| p.right(of))
    }

    fn shape(&mut self, mut id: Id) -> Option<Shape> {
        loop {
            self.step()?;
            id = match self.tree.node(self.resolve(id)?) {
                Node::Function { .. } => return Some(Shape::Function),
                Node::Array { .. } => return Some(Shape::Array),
                Node::Qualified(of, _)
                | Node::Suffixed(of, _)
                | Node::VendorQualified { inner: of, .. } => of,
                _ => return Some(Shape::Plain),
            };
        }
    }

    /// Does the declarator's name stand within the type?
    fn has_right(&mut self, mut id: Id) -> Option<bool> {
        loop {
            self.step()?;
            id = match self.tree.node(self.resolve(id)?) {
                Node::Function { .. } | Node::Array { .. } => return Some(true),
                Node::Pointer(of)
                | Node::LvalueRef(of)
                | Node::RvalueRef(of)
                | Node::MemberPointer { member: of, .. }
                | Node::Qualified(of, _)
                | Node::Suffixed(of, _)
                | Node::VendorQualified { inner: of, .. } => of,
                _ => return Some(false),
            };
        }
    }

    /// A reference to a T that is a reference is one reference, and `&` wins.
    fn collapsed_reference(&mut self, mut id: Id) -> Option<(&'static str, Id)> {
        let mut text = "&&";
        loop {
            self.step()?;
            id = self.resolve(id)?;
            match self.tree.node(id) {
                Node::LvalueRef(of) => (text, id) = ("&", of),
                Node::RvalueRef(of) => id = of,
                _ => return Some((text, id)),
            }
        }
    }

    fn expansion(&mut self, pattern: Id) -> Option<()> {
        let Some(length) = self.pack_length(pattern)? else {
            self.operand(pattern)?;
            return self.push("...");
        };
        let outer = self.pack_index;
        let mut printed = false;
        for index in 0..length {
            self.pack_index = Some(index);
            self.item(&mut printed, |p| p.print(pattern))?;
        }
        self.pack_index = outer;
        Some(())
    }

    /// How many elements the first pack of a pattern has; `None` within: there is no pack.
    pub fn pack_length(&mut self, pattern: Id) -> Option<Option<u32>> {
        let tree = self.tree;
        self.nested(|p| {
            if let Node::Argument { is: argument, .. } = tree.node(pattern)
                && let Node::Pack(list) = tree.node(argument)
            {
                return Some(Some(list.len));
            }
            let (children, list) = tree.children(pattern);
            for child in children.into_iter().flatten().chain(tree.items(list).iter().copied()) {
                if let Some(length) = p.pack_length(child)? {
                    return Some(Some(length));
                }
            }
            Some(None)
        })
    }
}
