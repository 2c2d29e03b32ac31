//! The tree of a mangled name: nodes in one table, children by number.

/// A node's number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub u32);

/// Consecutive entries of [`Tree::lists`].
#[derive(Clone, Copy, Default)]
pub(super) struct List {
    pub start: u32,
    pub len: u32,
}

/// cv- and ref-qualifiers, of types and of member functions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Quals(pub u8);

impl Quals {
    pub const CONST: u8 = 1;
    pub const VOLATILE: u8 = 2;
    pub const RESTRICT: u8 = 4;
    pub const LVALUE: u8 = 8;
    pub const RVALUE: u8 = 16;
    pub const NOEXCEPT: u8 = 32;
    pub const TRANSACTION_SAFE: u8 = 64;

    /// In the order in which they are shown after a type or a parameter list.
    pub const SHOWN: [(u8, &'static str); 7] = [
        (Self::NOEXCEPT, " noexcept"),
        (Self::TRANSACTION_SAFE, " transaction_safe"),
        (Self::CONST, " const"),
        (Self::VOLATILE, " volatile"),
        (Self::RESTRICT, " restrict"),
        (Self::LVALUE, " &"),
        (Self::RVALUE, " &&"),
    ];
}

#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    /// Text as it is shown: identifiers, built-in types, `std`.
    Text(&'a str),
    /// A standard abbreviation whose constructor has another name than its last word.
    Abbreviation {
        full: &'a str,
        last: &'a str,
    },

    // names
    Nested(Id, Id),
    Template(Id, List),
    AbiTag(Id, &'a str),
    Constructor(Id),
    Destructor(Id),
    Conversion(Id),
    OperatorName(&'a str),
    LiteralOperator(&'a str),
    Lambda {
        heads: List,
        params: List,
        number: u32,
    },
    UnnamedType(u32),
    DefaultArgument(u32),
    StructuredBinding(List),
    Special(&'a str, Id),
    ConstructionVtable {
        base: Id,
        derived: Id,
    },
    ReferenceTemporary {
        of: Id,
        number: u32,
    },
    Encoding {
        name: Id,
        result: Option<Id>,
        params: List,
        quals: Quals,
    },
    /// A name with the qualifiers of a member function, but without its parameters.
    QualifiedName(Id, Quals),
    Clone(Id, &'a str),

    // types
    Pointer(Id),
    LvalueRef(Id),
    RvalueRef(Id),
    MemberPointer {
        class: Id,
        member: Id,
    },
    Qualified(Id, Quals),
    /// `int __restrict`-like: the type, then a vendor's or a C99 word.
    Suffixed(Id, &'a str),
    VendorQualified {
        inner: Id,
        vendor: Id,
    },
    Array {
        dimension: Option<Id>,
        element: Id,
    },
    Vector {
        dimension: Id,
        element: Id,
    },
    Function {
        result: Id,
        params: List,
        quals: Quals,
        throws: Throws,
    },
    Decltype(Id),
    PackExpansion(Id),
    /// What `T_` stands for.
    Argument {
        index: u32,
        is: Id,
    },
    /// `T_` before its arguments are known.
    Unresolved(u32),
    /// `T_` among the parameters of a generic lambda.
    Auto(u32),
    /// A template argument pack.
    Pack(List),
    /// A template lambda's parameter that is a template.
    TemplateTemplate(List),

    // expressions
    Literal {
        kind: LiteralKind,
        of: Id,
        negative: bool,
        value: &'a str,
    },
    Unary(&'a str, Id),
    /// `sizeof (T)`, `noexcept (e)`: always in parentheses.
    Parenthesized(&'a str, Id),
    Postfix(Id, &'a str),
    Binary(&'a str, Id, Id),
    Conditional(Id, Id, Id),
    Index(Id, Id),
    Call(Id, List),
    Cast(Id, Id),
    NamedCast(&'a str, Id, Id),
    Braced(Option<Id>, List),
    New {
        operator: &'a str,
        placement: List,
        of: Id,
        initializer: Option<Id>,
    },
    Fold {
        operator: &'a str,
        left: Option<Id>,
        right: Option<Id>,
    },
    /// `.field = value`, `[index] = value`, `[first ... last] = value`
    Designated {
        field: bool,
        first: Id,
        last: Option<Id>,
        value: Id,
    },
    PackLength(Id),
    ArgumentCount(List),
    FunctionParam(u32),
    /// Arguments in parentheses.
    Arguments(List),
    Global(Id),
    VendorExpression(&'a str, List),
}

/// How a literal of a type is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LiteralKind {
    /// The value and this suffix.
    Suffix(&'static str),
    Bool,
    /// The bits in hexadecimal.
    Float,
    /// `(type)value`
    Other,
}

/// Exception specification of a function type.
#[derive(Clone, Copy)]
pub(super) enum Throws {
    Unsaid,
    Noexcept(Id),
    Only(List),
}

#[derive(Default)]
pub(super) struct Tree<'a> {
    pub nodes: Vec<Node<'a>>,
    pub lists: Vec<Id>,
}

impl<'a> Tree<'a> {
    pub fn add(&mut self, node: Node<'a>) -> Id {
        // the length of a name bounds the number of its nodes far below u32
        let id = Id(self.nodes.len() as u32);
        self.nodes.push(node);
        id
    }

    pub fn add_list(&mut self, items: &[Id]) -> List {
        let start = self.lists.len() as u32;
        self.lists.extend_from_slice(items);
        List { start, len: items.len() as u32 }
    }

    pub fn node(&self, id: Id) -> Node<'a> {
        self.nodes[id.0 as usize]
    }

    pub fn items(&self, list: List) -> &[Id] {
        &self.lists[list.start as usize..(list.start + list.len) as usize]
    }

    /// The nodes below one, of names within expressions and types.
    pub fn children(&self, id: Id) -> ([Option<Id>; 3], List) {
        let none = List::default();
        match self.node(id) {
            Node::Text(_)
            | Node::Abbreviation { .. }
            | Node::OperatorName(_)
            | Node::LiteralOperator(_)
            | Node::Lambda { .. }
            | Node::UnnamedType(_)
            | Node::DefaultArgument(_)
            | Node::StructuredBinding(_)
            | Node::Argument { .. }
            | Node::Unresolved(_)
            | Node::Auto(_)
            | Node::TemplateTemplate(_)
            | Node::FunctionParam(_)
            | Node::PackExpansion(_) => ([None; 3], none),
            Node::AbiTag(a, _)
            | Node::Constructor(a)
            | Node::Destructor(a)
            | Node::Conversion(a)
            | Node::Special(_, a)
            | Node::ReferenceTemporary { of: a, .. }
            | Node::QualifiedName(a, _)
            | Node::Clone(a, _)
            | Node::Pointer(a)
            | Node::LvalueRef(a)
            | Node::RvalueRef(a)
            | Node::Qualified(a, _)
            | Node::Suffixed(a, _)
            | Node::Decltype(a)
            | Node::Literal { of: a, .. }
            | Node::Unary(_, a)
            | Node::Parenthesized(_, a)
            | Node::Postfix(a, _)
            | Node::PackLength(a)
            | Node::Global(a) => ([Some(a), None, None], none),
            Node::Nested(a, b)
            | Node::ConstructionVtable { base: a, derived: b }
            | Node::MemberPointer { class: a, member: b }
            | Node::VendorQualified { inner: a, vendor: b }
            | Node::Vector { dimension: a, element: b }
            | Node::Binary(_, a, b)
            | Node::Index(a, b)
            | Node::Cast(a, b)
            | Node::NamedCast(_, a, b) => ([Some(a), Some(b), None], none),
            Node::Conditional(a, b, c) => ([Some(a), Some(b), Some(c)], none),
            Node::Template(a, list) | Node::Call(a, list) => ([Some(a), None, None], list),
            Node::Pack(list)
            | Node::ArgumentCount(list)
            | Node::Arguments(list)
            | Node::VendorExpression(_, list) => ([None; 3], list),
            Node::Encoding { name, result, params, .. } => ([Some(name), result, None], params),
            Node::Array { dimension, element } => ([dimension, Some(element), None], none),
            Node::Function { result, params, throws, .. } => match throws {
                Throws::Noexcept(condition) => ([Some(result), Some(condition), None], params),
                _ => ([Some(result), None, None], params),
            },
            Node::Braced(of, list) => ([of, None, None], list),
            Node::New { placement, of, initializer, .. } => {
                ([Some(of), initializer, None], placement)
            }
            Node::Fold { left, right, .. } => ([left, right, None], none),
            Node::Designated { first, last, value, .. } => ([Some(first), last, Some(value)], none),
        }
    }

    /// Constructors, destructors and conversions have no result of their own.
    pub fn is_template_without_result(&self, mut id: Id) -> bool {
        loop {
            match self.node(id) {
                Node::Nested(_, last) => id = last,
                Node::Template(name, _) | Node::AbiTag(name, _) => id = name,
                Node::Constructor(_) | Node::Destructor(_) | Node::Conversion(_) => return true,
                _ => return false,
            }
        }
    }
}
