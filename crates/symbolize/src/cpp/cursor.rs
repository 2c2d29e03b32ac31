//! The reader's place in a mangled name, and the grammar's smallest pieces.

use super::MAX_DEPTH;
use super::ast::{Id, List, Node, Tree};

pub(super) struct Parser<'a> {
    rest: &'a str,
    pub tree: Tree<'a>,
    pub substitutions: Vec<Id>,
    /// Template arguments of this function and of those around it.
    arguments: Vec<Id>,
    /// From here on they are what `T_`, `T0_`, … stand for.
    own_arguments: usize,
    /// `T_` seen before the arguments were known.
    pub unresolved: Vec<Id>,
    /// Items of the lists that are being read.
    pub open_items: Vec<Id>,
    depth: u32,
    /// Among a lambda's parameters `T_` is `auto`.
    pub in_lambda: bool,
    /// The type of a conversion operator takes no template arguments: they are the operator's.
    pub in_conversion: bool,
}

impl<'a> Parser<'a> {
    pub fn new(rest: &'a str) -> Self {
        Self {
            rest,
            tree: Tree {
                nodes: Vec::with_capacity(rest.len() / 2),
                lists: Vec::with_capacity(rest.len() / 8),
            },
            substitutions: Vec::with_capacity(16),
            arguments: Vec::with_capacity(8),
            own_arguments: 0,
            unresolved: Vec::new(),
            open_items: Vec::with_capacity(16),
            depth: 0,
            in_lambda: false,
            in_conversion: false,
        }
    }

    pub fn rest(&self) -> &'a str {
        self.rest
    }

    pub fn peek(&self) -> u8 {
        self.rest.as_bytes().first().copied().unwrap_or(0)
    }

    pub fn peek_second(&self) -> u8 {
        self.rest.as_bytes().get(1).copied().unwrap_or(0)
    }

    pub fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub fn expect(&mut self, prefix: &str) -> Option<()> {
        self.take(prefix).then_some(())
    }

    /// The next `bytes` bytes; none where they end within a character.
    pub fn advance(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    /// The bytes that satisfy `wanted`, which must be ASCII.
    pub fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|b| !wanted(b)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    pub fn digits(&mut self) -> &'a str {
        self.take_while(|b| b.is_ascii_digit())
    }

    pub fn number(&mut self) -> Option<u32> {
        self.digits().parse().ok()
    }

    /// `_` is 0, `0_` is 1, …
    pub fn sequence_number(&mut self) -> Option<u32> {
        let number = match self.digits() {
            "" => 0,
            digits => digits.parse::<u32>().ok()?.checked_add(1)?,
        };
        self.expect("_")?;
        Some(number)
    }

    /// `4name`
    pub fn source_name(&mut self) -> Option<&'a str> {
        let bytes = self.number()?;
        let name = self.advance(bytes as usize)?;
        if name.is_empty() {
            return None;
        }
        // the compilers' name of an anonymous namespace: _GLOBAL__N_, with '.' or '$' on some hosts
        let anonymous = name
            .strip_prefix("_GLOBAL_")
            .is_some_and(|end| matches!(end.as_bytes(), [b'_' | b'.' | b'$', b'N', ..]));
        Some(if anonymous { "(anonymous namespace)" } else { name })
    }

    pub fn add(&mut self, node: Node<'a>) -> Id {
        self.tree.add(node)
    }

    pub fn add_substitution(&mut self, id: Id) -> Id {
        self.substitutions.push(id);
        id
    }

    /// Reads one part of the grammar that can contain itself.
    pub fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let part = read(self);
        self.depth -= 1;
        part
    }

    pub fn argument(&self, index: u32) -> Option<Id> {
        self.arguments.get(self.own_arguments..)?.get(index as usize).copied()
    }

    pub fn begin_arguments(&mut self) {
        self.own_arguments = self.arguments.len();
    }

    pub fn add_argument(&mut self, id: Id) {
        self.arguments.push(id);
    }

    /// Reads a function within another name; afterwards `T_` stands for what it did before.
    pub fn with_own_arguments<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let (own, all) = (self.own_arguments, self.arguments.len());
        let part = read(self);
        self.arguments.truncate(all);
        self.own_arguments = own;
        part
    }

    /// Items until `end` says that they are over (and has taken what ends them).
    pub fn list(
        &mut self,
        mut end: impl FnMut(&mut Self) -> bool,
        mut item: impl FnMut(&mut Self) -> Option<Id>,
    ) -> Option<List> {
        let first = self.open_items.len();
        while !end(self) {
            let id = item(self)?;
            self.open_items.push(id);
        }
        Some(self.close_list(first))
    }

    /// The open items from `first` on become a list of the tree.
    pub fn close_list(&mut self, first: usize) -> List {
        let list = self.tree.add_list(&self.open_items[first..]);
        self.open_items.truncate(first);
        list
    }
}
