//! Operators: their codes, how they are written, and how many operands they take.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    One,
    /// As one, but in parentheses, and the operand is a type.
    Type,
    /// As one, but in parentheses.
    Parenthesized,
    /// `++` and `--`: before the operand if the code is followed by `_`.
    OneEitherSide,
    Two,
    Three,
    /// The operand of the language has a shape of its own; see the parser of expressions.
    Own,
}

use Operands::{One, OneEitherSide, Own, Parenthesized, Three, Two, Type};

/// Sorted by code.
const OPERATORS: [(&str, &str, Operands); 71] = [
    ("aN", "&=", Two),
    ("aS", "=", Two),
    ("aa", "&&", Two),
    ("ad", "&", One),
    ("an", "&", Two),
    ("at", "alignof ", Type),
    ("aw", "co_await ", One),
    ("az", "alignof ", One),
    ("cc", "const_cast", Own),
    ("cl", "()", Own),
    ("cm", ",", Two),
    ("co", "~", One),
    ("dV", "/=", Two),
    ("dX", "[...]=", Own),
    ("da", "delete[] ", One),
    ("dc", "dynamic_cast", Own),
    ("de", "*", One),
    ("di", "=", Own),
    ("dl", "delete ", One),
    ("ds", ".*", Two),
    ("dt", ".", Own),
    ("dv", "/", Two),
    ("dx", "]=", Own),
    ("eO", "^=", Two),
    ("eo", "^", Two),
    ("eq", "==", Two),
    ("fL", "...", Own),
    ("fR", "...", Own),
    ("fl", "...", Own),
    ("fr", "...", Own),
    ("ge", ">=", Two),
    ("gs", "::", Own),
    ("gt", ">", Two),
    ("ix", "[]", Own),
    ("lS", "<<=", Two),
    ("le", "<=", Two),
    ("ls", "<<", Two),
    ("lt", "<", Two),
    ("mI", "-=", Two),
    ("mL", "*=", Two),
    ("mi", "-", Two),
    ("ml", "*", Two),
    ("mm", "--", OneEitherSide),
    ("na", "new[]", Own),
    ("ne", "!=", Two),
    ("ng", "-", One),
    ("nt", "!", One),
    ("nw", "new", Own),
    ("nx", "noexcept", Parenthesized),
    ("oR", "|=", Two),
    ("oo", "||", Two),
    ("or", "|", Two),
    ("pL", "+=", Two),
    ("pl", "+", Two),
    ("pm", "->*", Two),
    ("pp", "++", OneEitherSide),
    ("ps", "+", One),
    ("pt", "->", Own),
    ("qu", "?", Three),
    ("rM", "%=", Two),
    ("rS", ">>=", Two),
    ("rc", "reinterpret_cast", Own),
    ("rm", "%", Two),
    ("rs", ">>", Two),
    ("sc", "static_cast", Own),
    ("ss", "<=>", Two),
    ("st", "sizeof ", Type),
    ("sz", "sizeof ", One),
    ("te", "typeid ", One),
    ("ti", "typeid ", Type),
    ("tw", "throw ", One),
];

/// The operator of a two-letter code.
pub(super) fn find(code: &str) -> Option<(&'static str, Operands)> {
    let at = OPERATORS.binary_search_by(|entry| entry.0.cmp(code)).ok()?;
    Some((OPERATORS[at].1, OPERATORS[at].2))
}

#[cfg(test)]
mod tests {
    use super::OPERATORS;

    #[test]
    fn the_table_is_sorted() {
        assert!(OPERATORS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
