//! Linker names for people: Rust (legacy and v0) without its hash, C++ (Itanium).
//!
//! Names come from hostile files. Length in and out, recursion and work are bounded; a name that
//! goes beyond is shown as it is.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use crate::cpp;

/// Longer names are not demangled: the longest seen in real programs have some 10 KiB.
const MAX_RAW_BYTES: usize = 16 << 10;
/// Longer results are not shown: substitutions let a short name expand exponentially.
const MAX_SHOWN_BYTES: usize = 16 << 10;
/// Pieces of work before a name is given up: nested packs can do much work and write little.
const MAX_STEPS: u32 = 16 << 10;

/// The name for people. What is not mangled, or cannot be demangled within bounds, is returned as
/// it is. Compilers' suffixes of split and cloned functions stay visible (`.cold`, `.part.0`).
#[must_use]
pub fn demangle(raw: &str) -> Cow<'_, str> {
    if raw.len() > MAX_RAW_BYTES {
        return Cow::Borrowed(raw);
    }
    let shown = if raw.starts_with("_R") || raw.starts_with("_ZN") {
        rust(raw).or_else(|| cpp::demangle(raw, MAX_SHOWN_BYTES, MAX_STEPS))
    } else if raw.starts_with("_Z") || raw.starts_with("_GLOBAL__") {
        cpp::demangle(raw, MAX_SHOWN_BYTES, MAX_STEPS)
    } else {
        None
    };
    shown.map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// Both names for keeping; one allocation where they are equal.
pub(crate) fn raw_and_shown(text: &str) -> (Arc<str>, Arc<str>) {
    let raw: Arc<str> = text.into();
    let shown = match demangle(text) {
        Cow::Borrowed(_) => Arc::clone(&raw),
        Cow::Owned(shown) => shown.into(),
    };
    (raw, shown)
}

fn rust(raw: &str) -> Option<String> {
    let name = rustc_demangle::try_demangle(raw).ok()?;
    let mut shown = Bounded::default();
    write!(shown, "{name:#}").ok()?;
    Some(shown.text)
}

/// Text that refuses to grow without end.
#[derive(Default)]
struct Bounded {
    text: String,
    writes: u32,
}

impl Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.writes += 1;
        if self.text.len() + piece.len() > MAX_SHOWN_BYTES || self.writes > MAX_STEPS {
            return Err(fmt::Error);
        }
        self.text.push_str(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_is_shown_for_people() {
        for (raw, shown) in [
            ("main", "main"),
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            ("_ZN3foo3barEv.cold", "foo::bar() [clone .cold]"),
            ("parse.part.0", "parse.part.0"),
            ("net/http.(*Client).Do", "net/http.(*Client).Do"),
            ("_Zzzz", "_Zzzz"),
            ("_R", "_R"),
        ] {
            assert_eq!(demangle(raw), shown);
        }
    }

    #[test]
    fn cpp_names_read_as_in_their_source() {
        for (raw, shown) in [
            ("_Z1fPFPiPFvcEE", "f(int* (*)(void (*)(char)))"),
            ("_Z1fPFPFvcEiE", "f(void (*(*)(int))(char))"),
            ("_Z1fRA3_A4_Ki", "f(int const (&) [3][4])"),
            ("_Z1fM1AKFviEMS_i", "f(void (A::*)(int) const, int A::*)"),
            ("_ZNKR1A1fEv", "A::f() const &"),
            ("_Z1fIJicEEvDpRT_", "void f<int, char>(int&, char&)"),
            ("_Z1fIJEiEvv", "void f<int>()"),
            ("_Z1fIRiEvOT_", "void f<int&>(int&)"),
            ("_ZN1AcvT_IiEEv", "A::operator int<int>()"),
            ("_ZltIiEvv", "void operator< <int>()"),
            ("_ZZ3fooIiEvvE1x", "foo<int>()::x"),
            (
                "_ZZ1fvENKUlT_E_clIiEEDaS_",
                "auto f()::{lambda(auto:1)#1}::operator()<int>(int) const",
            ),
            ("_ZZ1fvEd0_NKUlvE_clEv", "f()::{default arg#2}::{lambda()#1}::operator()() const"),
            ("_ZN12_GLOBAL__N_11fB5cxx11Ev", "(anonymous namespace)::f[abi:cxx11]()"),
            ("_ZTC1A0_1B", "construction vtable for B-in-A"),
            ("_ZThn16_N1A1fEv", "non-virtual thunk to A::f()"),
            ("_ZGVZ1fvE1x", "guard variable for f()::x"),
            ("_Z1fILb1ELc97ELln5EEvv", "void f<true, (char)97, -5l>()"),
            ("_Z1fIXgtLi1ELi2EEEvv", "void f<((1)>(2))>()"),
            ("_Z1fIiEDTclL_Z1gT_Efp_EES0_", "decltype (g({parm#1})) f<int>(int)"),
            ("_Z1fIJiiEEDTfLplLi1Efp_EDpT_", "decltype (((1)+...+{parm#1})) f<int, int>(int, int)"),
            ("_Z1fILDnEEvv", "void f<decltype(nullptr)>()"),
            ("_Z1fv.part.0.cold", "f() [clone .part.0] [clone .cold]"),
            ("_GLOBAL__I__Z1fv", "global constructors keyed to f()"),
        ] {
            assert_eq!(demangle(raw), shown, "{raw}");
        }
    }

    #[test]
    fn a_name_that_stands_for_itself_stays_as_it_is() {
        // The conversion's type is its own template argument.
        let cyclic = "_ZN1AcvT_IPS0_EEv";
        let recursive = "_ZN1AcvT_IT_EEv";
        for raw in [cyclic, recursive] {
            assert!(demangle(raw).len() <= MAX_SHOWN_BYTES);
        }
    }

    #[test]
    fn a_name_that_would_grow_without_end_stays_as_it_is() {
        // Every substitution doubles the one before it.
        let mut bomb = String::from("_Z1fSt4pairIiiE");
        for i in 0..40 {
            let s = char::from_digit(i % 36, 36).unwrap().to_ascii_uppercase();
            bomb.push_str(&format!("St4pairIS{s}_S{s}_E"));
        }
        assert!(demangle(&bomb).len() <= MAX_SHOWN_BYTES);
        let deep = format!("_Z1f{}i", "P".repeat(10_000));
        assert_eq!(demangle(&deep), deep);
        let long = format!("_Z{}", "1".repeat(MAX_RAW_BYTES));
        assert_eq!(demangle(&long), long);
    }
}
