//! The text of a tree, within a length and a number of steps; first its names.

use super::MAX_DEPTH;
use super::ast::{Id, List, Node, Quals, Tree};

pub(super) struct Printer<'t, 'a> {
    pub tree: &'t Tree<'a>,
    out: String,
    max_bytes: usize,
    steps_left: u32,
    depth: u32,
    /// Which element packs stand for, within an expansion.
    pub pack_index: Option<u32>,
    /// The own template parameters of the lambda whose parameters are being printed.
    lambda_heads: List,
}

impl<'t, 'a> Printer<'t, 'a> {
    pub fn new(tree: &'t Tree<'a>, max_bytes: usize, max_steps: u32) -> Self {
        Self {
            tree,
            out: String::with_capacity(128),
            max_bytes,
            steps_left: max_steps,
            depth: 0,
            pack_index: None,
            lambda_heads: List::default(),
        }
    }

    pub fn text_of(mut self, id: Id) -> Option<String> {
        self.print(id)?;
        Some(self.out)
    }

    pub fn push(&mut self, text: &str) -> Option<()> {
        if self.out.len() + text.len() > self.max_bytes {
            return None;
        }
        self.out.push_str(text);
        Some(())
    }

    pub fn push_number(&mut self, number: u32) -> Option<()> {
        self.push(&number.to_string())
    }

    pub fn ends_with(&self, any_of: &[char]) -> bool {
        self.out.ends_with(any_of)
    }

    /// Counts one piece of work.
    pub fn step(&mut self) -> Option<()> {
        self.steps_left = self.steps_left.checked_sub(1)?;
        Some(())
    }

    /// A node as a whole.
    pub fn print(&mut self, id: Id) -> Option<()> {
        self.left(id)?;
        self.right(id)
    }

    /// What stands before a declarator's name: all of a node but for arrays and functions.
    pub fn left(&mut self, id: Id) -> Option<()> {
        self.nested(|p| {
            let id = p.resolve(id)?;
            match p.tree.node(id) {
                Node::Text(_) => p.name(id),
                _ if p.type_left(id)? || p.expression(id)? => Some(()),
                _ => p.name(id),
            }
        })
    }

    pub fn nested<T>(&mut self, print: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.step()?;
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let done = print(self);
        self.depth -= 1;
        done
    }

    /// What `T_` stands for here; other nodes are what they are.
    pub fn resolve(&mut self, mut id: Id) -> Option<Id> {
        loop {
            let Node::Argument { is: argument, .. } = self.tree.node(id) else { return Some(id) };
            self.step()?;
            id = match (self.tree.node(argument), self.pack_index) {
                (Node::Pack(list), Some(index)) => *self.tree.items(list).get(index as usize)?,
                _ => argument,
            };
        }
    }

    /// Items with commas between those that print anything (an empty pack prints nothing).
    pub fn list(&mut self, list: List) -> Option<()> {
        let mut printed = false;
        for &item in self.tree.items(list) {
            self.item(&mut printed, |p| p.print(item))?;
        }
        Some(())
    }

    pub fn item(
        &mut self,
        printed: &mut bool,
        print: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<()> {
        let before = self.out.len();
        if *printed {
            self.push(", ")?;
        }
        let start = self.out.len();
        print(self)?;
        if self.out.len() == start {
            self.out.truncate(before);
        } else {
            *printed = true;
        }
        Some(())
    }

    pub fn quals(&mut self, quals: Quals) -> Option<()> {
        for (bit, text) in Quals::SHOWN {
            if quals.0 & bit != 0 {
                self.push(text)?;
            }
        }
        Some(())
    }

    fn name(&mut self, id: Id) -> Option<()> {
        match self.tree.node(id) {
            Node::Text(text) | Node::Abbreviation { full: text, .. } => self.push(text),
            Node::Nested(scope, last) => {
                self.print(scope)?;
                self.push("::")?;
                self.print(last)
            }
            Node::Template(name, arguments) => {
                self.print(name)?;
                self.template_arguments(arguments)
            }
            Node::AbiTag(name, tag) => {
                self.print(name)?;
                self.push("[abi:")?;
                self.push(tag)?;
                self.push("]")
            }
            Node::Constructor(name) => self.print(name),
            Node::Destructor(name) => {
                self.push("~")?;
                self.print(name)
            }
            Node::Conversion(to) => {
                self.push("operator ")?;
                self.print(to)
            }
            Node::OperatorName(text) => {
                self.push("operator")?;
                if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    self.push(" ")?;
                }
                self.push(text)
            }
            Node::LiteralOperator(suffix) => {
                self.push("operator\"\" ")?;
                self.push(suffix)
            }
            Node::Lambda { heads, params, number } => self.lambda(heads, params, number),
            Node::UnnamedType(number) => self.numbered("{unnamed type#", number),
            Node::DefaultArgument(number) => self.numbered("{default arg#", number),
            Node::StructuredBinding(names) => {
                self.push("[")?;
                self.list(names)?;
                self.push("]")
            }
            _ => self.symbol(id),
        }
    }

    /// Whole symbols, and what only lambdas have.
    fn symbol(&mut self, id: Id) -> Option<()> {
        match self.tree.node(id) {
            Node::Special(text, of) => {
                self.push(text)?;
                self.print(of)
            }
            Node::ConstructionVtable { base, derived } => {
                self.push("construction vtable for ")?;
                self.print(base)?;
                self.push("-in-")?;
                self.print(derived)
            }
            Node::ReferenceTemporary { of, number } => {
                self.push("reference temporary #")?;
                self.push_number(number)?;
                self.push(" for ")?;
                self.print(of)
            }
            Node::Encoding { name, result, params, quals } => {
                if let Some(result) = result {
                    self.result_left(result)?;
                }
                self.print(name)?;
                self.push("(")?;
                self.list(params)?;
                self.push(")")?;
                self.quals(quals)?;
                result.map_or(Some(()), |result| self.right(result))
            }
            Node::QualifiedName(name, quals) => {
                self.print(name)?;
                self.quals(quals)
            }
            Node::Clone(of, suffix) => {
                self.print(of)?;
                self.push(" [clone ")?;
                self.push(suffix)?;
                self.push("]")
            }
            Node::Auto(index) => self.lambda_param(index),
            Node::TemplateTemplate(heads) => {
                self.push("template<")?;
                self.list(heads)?;
                self.push("> class")
            }
            _ => None, // T_ that stands for nothing
        }
    }

    fn numbered(&mut self, text: &str, number: u32) -> Option<()> {
        self.push(text)?;
        self.push_number(number)?;
        self.push("}")
    }

    fn template_arguments(&mut self, arguments: List) -> Option<()> {
        self.push(if self.ends_with(&['<']) { " <" } else { "<" })?;
        self.list(arguments)?;
        self.push(if self.ends_with(&['>']) { " >" } else { ">" })
    }

    fn lambda(&mut self, heads: List, params: List, number: u32) -> Option<()> {
        self.push("{lambda")?;
        let outer = std::mem::replace(&mut self.lambda_heads, heads);
        if heads.len > 0 {
            self.push("<")?;
            let mut printed = false;
            for index in 0..heads.len {
                self.item(&mut printed, |p| p.lambda_head(heads, index))?;
            }
            self.push(">")?;
        }
        self.push("(")?;
        self.list(params)?;
        self.lambda_heads = outer;
        self.numbered(")#", number)
    }

    /// `typename $T0`, `int $N1`, `typename ...$T2`
    fn lambda_head(&mut self, heads: List, index: u32) -> Option<()> {
        let head = *self.tree.items(heads).get(index as usize)?;
        if let Node::PackExpansion(head) = self.tree.node(head) {
            self.print(head)?;
            self.push(" ...")?;
        } else {
            self.print(head)?;
            self.push(" ")?;
        }
        self.lambda_param(index)
    }

    /// A parameter of a generic lambda: named by its kind and number, or just `auto`.
    fn lambda_param(&mut self, index: u32) -> Option<()> {
        let Some(&head) = self.tree.items(self.lambda_heads).get(index as usize) else {
            self.push("auto:")?;
            return self.push_number(index.checked_add(1)?);
        };
        let head = match self.tree.node(head) {
            Node::PackExpansion(head) => head,
            _ => head,
        };
        self.push(match self.tree.node(head) {
            Node::Text("typename") => "$T",
            Node::TemplateTemplate(_) => "$TT",
            _ => "$N",
        })?;
        self.push_number(index)
    }
}
