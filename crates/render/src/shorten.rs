//! Makes a function's name fit without losing what tells it apart.
//!
//! In this order, and only as far as needed: source locations and argument lists go, then the template arguments,
//! then components from the left (`…` stands for them), and at last the end of the last component.
//! `svg/flamegraph.js` does the same when a zoom gives a box another width; a browser test compares
//! the two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Fewer cells than this say nothing.
const LEAST_CELLS: usize = 3;

/// A clean name in at most `cells` columns of a monospaced font; `None` when there is no room for
/// anything readable.
pub(crate) fn fit(name: &str, cells: usize) -> Option<String> {
    if name.width() <= cells {
        return (!name.is_empty()).then(|| name.to_owned());
    }
    if cells < LEAST_CELLS {
        return None;
    }
    let name = without_arguments(without_location(name));
    if name.width() <= cells {
        return Some(name);
    }
    let name = without_template_arguments(&name);
    if name.width() <= cells {
        return Some(name);
    }
    let mut last = name.as_str();
    let mut width = name.width();
    for start in components(&name) {
        let (gone, rest) = last.split_at(start - (name.len() - last.len()));
        width -= gone.width();
        last = rest;
        if width < cells {
            return Some(format!("…{last}"));
        }
    }
    Some(cut(last, cells))
}

/// The start of a clean file name in at most `cells` columns: `librustc_driver-4f…`, of which the end
/// (`.so`) says least.
pub(crate) fn start(name: &str, cells: usize) -> Option<String> {
    if name.width() <= cells {
        return (!name.is_empty()).then(|| name.to_owned());
    }
    (cells >= LEAST_CELLS).then(|| cut(name, cells))
}

/// As much of the start as fits, and `…`.
fn cut(name: &str, cells: usize) -> String {
    let mut room = cells - 1;
    let kept: String = name
        .chars()
        .take_while(|c| {
            let width = c.width().unwrap_or(0);
            let fits = width <= room;
            room = room.saturating_sub(width);
            fits
        })
        .collect();
    format!("{kept}…")
}

/// Removes where a just-in-time compiler says the source is: `LazyCompile:*f /srv/x.js:12`,
/// `py::f:/srv/x.py`.
fn without_location(name: &str) -> &str {
    let end = [" /", " file:", " node:", ":/"].iter().filter_map(|mark| name.find(mark)).min();
    match end {
        Some(end) if end > 0 => &name[..end],
        _ => name,
    }
}

fn ends_an_identifier(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '>' | ']' | '}')
}

/// Removes `(…)` after an identifier, and qualifiers after the last one. Go's receivers
/// (`main.(*T).f`) and `(anonymous namespace)` are no arguments and stay; so does `operator()`.
fn without_arguments(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut depth = 0usize;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '(' if depth > 0 => depth += 1,
            ')' if depth > 0 => depth -= 1,
            '(' if out.ends_with("operator") && chars.peek() == Some(&')') => {
                chars.next();
                out.push_str("()");
            }
            '(' if out.ends_with("operator()")
                || out.chars().next_back().is_some_and(ends_an_identifier) =>
            {
                depth = 1;
            }
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    if depth > 0 {
        return name.to_owned(); // unbalanced: not what we think it is
    }
    while let Some(shorter) =
        [" const", " volatile", " &", " &&"].iter().find_map(|q| out.strip_suffix(q))
    {
        out.truncate(shorter.len());
    }
    out
}

/// Removes `<…>` after an identifier or `::`. Rust's leading `<T as Trait>` stays, without the
/// arguments inside; so do operators (`operator<<`, `->`).
fn without_template_arguments(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut depth = 0usize;
    let mut before = '\0';
    for c in name.chars() {
        let arrow = c == '>' && matches!(before, '-' | '=');
        let operator = depth == 0
            && matches!(c, '<' | '>')
            && out.trim_end_matches(['<', '>', '=', '-']).ends_with("operator");
        match c {
            '<' if depth > 0 => depth += 1,
            '>' if depth > 0 && !arrow => depth -= 1,
            '<' if !operator
                && out.chars().next_back().is_some_and(|c| ends_an_identifier(c) || c == ':') =>
            {
                depth = 1;
                out.truncate(out.trim_end_matches("::").len());
            }
            _ if depth == 0 => out.push(c),
            _ => {}
        }
        before = c;
    }
    if depth > 0 || out.is_empty() { name.to_owned() } else { out }
}

/// Where components after the first begin: behind `::`, `.` and `/`, but not within `{{closure}}`
/// or `[libc.so.6]`.
fn components(name: &str) -> impl Iterator<Item = usize> + '_ {
    let mut braces = 0i32;
    name.char_indices()
        .filter(move |(i, c)| {
            braces += i32::from(*c == '{') - i32::from(*c == '}');
            let separates = matches!(c, '.' | '/') || (*c == ':' && name[..*i].ends_with(':'));
            separates && braces <= 0 && !name.starts_with('[')
        })
        .map(|(i, _)| i + 1)
        .filter(|start| *start < name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_first_then_template_arguments_then_the_left_then_the_end() {
        let name = "ns::Map<int, std::vector<A>>::insert(std::pair<int, A> const&) const";
        let cases = [
            (100, Some(name)),
            (40, Some("ns::Map<int, std::vector<A>>::insert")),
            (15, Some("ns::Map::insert")),
            (14, Some("…Map::insert")),
            (11, Some("…insert")),
            (6, Some("inser…")),
            (3, Some("in…")),
            (2, None),
        ];
        for (cells, expected) in cases {
            assert_eq!(fit(name, cells).as_deref(), expected, "{cells} cells");
        }
    }

    #[test]
    fn what_looks_like_arguments_but_is_not_stays() {
        assert_eq!(without_arguments("main.(*Server).serve"), "main.(*Server).serve");
        assert_eq!(without_arguments("(anonymous namespace)::f(int)"), "(anonymous namespace)::f");
        assert_eq!(without_arguments("F::operator()(int) const"), "F::operator()");
        assert_eq!(without_arguments("nginx (1234)"), "nginx (1234)");
        assert_eq!(without_arguments("f(int)::{lambda(int)#1}::operator()(int)"), {
            "f::{lambda#1}::operator()"
        });
        assert_eq!(without_arguments("broken(int"), "broken(int");
    }

    #[test]
    fn what_looks_like_template_arguments_but_is_not_stays() {
        let cases = [
            ("operator<< <char>", "operator<< <char>"),
            ("std::operator<<", "std::operator<<"),
            ("A::operator-><B>", "A::operator-><B>"),
            ("Vec::<u8>::push", "Vec::push"),
            ("<Vec<T> as Extend<T>>::extend", "<Vec as Extend>::extend"),
            ("f<fn(A) -> B>::g", "f::g"),
            ("broken<int", "broken<int"),
            ("<unknown>", "<unknown>"),
        ];
        for (name, expected) in cases {
            assert_eq!(without_template_arguments(name), expected);
        }
    }

    #[test]
    fn a_location_goes_before_anything_else_and_braces_hold_together() {
        let cases = [
            ("LazyCompile:*handle /srv/app/server.js:120", 20, "LazyCompile:*handle"),
            ("py::decode:/srv/app/decode.py", 12, "py::decode"),
            ("[libvendor.so]", 8, "[libven…"),
            ("/usr/bin/env", 8, "…bin/env"),
            ("FnOnce::call_once{{vtable.shim}}", 20, "call_once{{vtable.s…"),
        ];
        for (name, cells, expected) in cases {
            assert_eq!(fit(name, cells).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn wide_characters_take_two_cells() {
        assert_eq!(fit("函数函数", 8).as_deref(), Some("函数函数"));
        assert_eq!(fit("函数函数", 6).as_deref(), Some("函数…"));
        assert_eq!(fit("", 8), None);
    }

    #[test]
    fn a_hostile_name_never_outgrows_its_box() {
        for piece in ["<", "(", ">", ")", "operator", "operator<", "::", "a<(", "…", "::<"] {
            let name = piece.repeat(2_000);
            let short = fit(&name, 30).unwrap();
            assert!(short.width() <= 30, "{piece}: {short}");
        }
    }
}
