//! Lines of comma-separated values.

use std::borrow::Cow;

/// The fields of a line, without their quotes.
pub fn fields(line: &str) -> impl Iterator<Item = Cow<'_, str>> + '_ {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let blank = line.len() - line.trim_start_matches(' ').len();
        let Some(quoted) = line[blank..].strip_prefix('"') else {
            let (field, after) = line.split_once(',').map_or((line, None), |(f, a)| (f, Some(a)));
            rest = after;
            return Some(Cow::Borrowed(field));
        };
        let end = closing_quote(quoted);
        let field = quoted.get(..end).unwrap_or(quoted);
        let after = quoted.get(end + 1..).unwrap_or_default();
        rest = after.split_once(',').map(|(_, after)| after);
        // Blanks before the quote are the outline's; they stay.
        Some(if blank == 0 && !field.contains("\"\"") {
            Cow::Borrowed(field)
        } else {
            Cow::Owned(format!("{}{}", &line[..blank], field.replace("\"\"", "\"")))
        })
    })
}

/// Where a quoted field ends: at a quote that is not doubled.
fn closing_quote(quoted: &str) -> usize {
    let bytes = quoted.as_bytes();
    let mut at = 0;
    while let Some(quote) = bytes[at..].iter().position(|b| *b == b'"').map(|i| at + i) {
        if bytes.get(quote + 1) != Some(&b'"') {
            return quote;
        }
        at = quote + 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_and_blanks_before_them_stay() {
        let split = |line| fields(line).collect::<Vec<_>>();
        assert_eq!(split("a,b,,c"), ["a", "b", "", "c"]);
        assert_eq!(
            split("  \"f(int, int)\",0.5,\"a \"\"b\"\"\""),
            ["  f(int, int)", "0.5", "a \"b\""]
        );
        assert_eq!(split("  f,1,"), ["  f", "1", ""]);
        assert_eq!(split("\"open, and no end"), ["open, and no end"]);
        assert_eq!(split("\"a\"\"\",é"), ["a\"", "é"]);
        assert_eq!(split(""), [""]);
    }
}
