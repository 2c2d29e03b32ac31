//! Brings names of two builds together: what compilers number or hash anew at every build is no part of a
//! function's name here.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// Endings of copies that compilers make of a function, and of Go's calling conventions; also as perf and
/// c++filt write them (`f [clone .isra.0]`).
static CLONE: LazyLock<Regex> = LazyLock::new(|| {
    let endings =
        "isra|constprop|part|cold|llvm|lto_priv|localalias|warm|hot|unlikely|abi0|abiinternal";
    compile(&format!(r"(?:(?: \[clone )?\.(?:{endings})(?:\.\d+)*\]?)+$"))
});
/// The hash at the end of Rust's older symbols.
static RUST_HASH: LazyLock<Regex> = LazyLock::new(|| compile("::h[0-9a-f]{16}$"));
/// Numbers of closures and lambdas: `{closure#3}`, `{lambda(int)#2}`, `{unnamed type#1}`, `$_4`.
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| compile(r"(\{[^{}#]*#)\d+|(\$)_\d+"));
/// Functions without a name in Go: `main.serve.func1.2`, `main.serve.gowrap1`, `main.serve-range2`.
static GO_CLOSURE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(\.(?:func|gowrap|deferwrap)|-range)\d+(?:\.\d+)*"));

fn compile(expression: &str) -> Regex {
    Regex::new(expression).expect("a constant expression")
}

/// A function's name without what changes from build to build.
#[must_use]
pub fn aligned(name: &str) -> Cow<'_, str> {
    // Most names have none of it, and a look is cheaper than four expressions.
    if !name.bytes().any(|b| matches!(b, b'.' | b'#' | b'$' | b'-')) && !name.contains("::h") {
        return Cow::Borrowed(name);
    }
    let mut aligned = Cow::Borrowed(name);
    for (expression, with) in
        [(&*RUST_HASH, ""), (&*CLONE, ""), (&*NUMBERED, "${1}${2}_"), (&*GO_CLOSURE, "${1}_")]
    {
        if let Cow::Owned(changed) = expression.replace_all(&aligned, with) {
            aligned = Cow::Owned(changed);
        }
    }
    aligned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_build_to_build_is_no_part_of_a_name() {
        for (name, expected) in [
            ("server::parse::h0123456789abcdef", "server::parse"),
            ("parse.isra.0.cold", "parse"),
            ("parse(int) [clone .part.1] [clone .cold]", "parse(int)"),
            ("deallocate.llvm.1234567890", "deallocate"),
            ("runtime.memmove.abi0", "runtime.memmove"),
            ("serve::{closure#3}", "serve::{closure#_}"),
            ("run(int)::{lambda(char)#2}::operator()", "run(int)::{lambda(char)#_}::operator()"),
            ("main.serve.func1.2", "main.serve.func_"),
            ("main.Each-range1", "main.Each-range_"),
            ("f::$_4", "f::$_"),
        ] {
            assert_eq!(aligned(name), expected, "{name}");
        }
        for name in ["memcpy", "std::vector<int>::push_back", "main.funcs", "a.b.c", "x#1"] {
            assert_eq!(aligned(name), name);
        }
    }
}
