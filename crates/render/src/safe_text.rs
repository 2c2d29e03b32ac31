//! The one place that makes foreign text harmless to show.
//!
//! Function names, thread names, paths and labels are chosen by the profiled process. A name may
//! hold an escape sequence that rewrites a terminal, a bidirectional override that makes text read
//! as something else, or a character that no XML parser accepts. [`clean`] removes all of these;
//! what stays special to a place (`<` in XML, `;` in folded stacks) is escaped where it is written.

use std::borrow::Cow;

/// Shown where a character was taken out, so that nothing disappears unseen.
pub const REPLACEMENT: char = '\u{fffd}';

/// What becomes of one character.
enum Verdict {
    Keep,
    Space,
    Replace,
}

fn judge(c: char) -> Verdict {
    match c {
        // Line and paragraph breaks: one name is one line.
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
            Verdict::Space
        }
        // C0, DEL, C1: escape sequences; most are not XML characters either.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Verdict::Replace,
        // Bidirectional marks, embeddings, overrides, isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => {
            Verdict::Replace
        }
        // Invisible: two different names must not look the same.
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}' => {
            Verdict::Replace
        }
        '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => Verdict::Replace,
        // Noncharacters: U+FFFE and U+FFFF are forbidden in XML, the others are of no use.
        '\u{fdd0}'..='\u{fdef}' => Verdict::Replace,
        c if (c as u32) & 0xfffe == 0xfffe => Verdict::Replace,
        _ => Verdict::Keep,
    }
}

/// Text without control characters, bidirectional controls, invisible characters and
/// noncharacters. Breaks become spaces, everything else [`REPLACEMENT`].
///
/// ```
/// assert_eq!(render::safe_text::clean("a\x1b[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
/// ```
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    // All bytes, not only up to the first that is special: a loop without an exit is vectorised.
    if text.bytes().fold(true, |plain, b| plain & (0x20..0x7f).contains(&b)) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| match judge(c) {
            Verdict::Keep => c,
            Verdict::Space => ' ',
            Verdict::Replace => REPLACEMENT,
        })
        .collect::<String>()
        .into()
}

/// [`clean`], cut in the middle to at most `most` characters: a hostile name of a megabyte must not
/// make the output as large. Beginning and end are what tells C++ instances apart.
#[must_use]
pub fn clean_up_to(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return clean(text); // a character has at least one byte
    }
    let count = text.chars().count();
    if count <= most {
        return clean(text);
    }
    let kept = most.saturating_sub(1);
    let head: String = text.chars().take(kept.div_ceil(2)).collect();
    let tail: String = text.chars().skip(count - kept / 2).collect();
    Cow::Owned(format!("{}…{}", clean(&head), clean(&tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_bidi_and_noncharacter_is_taken_out() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let clean = clean(&text);
            let category_cc = c.is_control();
            let bidi = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let nonchar = (c as u32) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
            if category_cc || bidi || nonchar {
                assert!(clean == " " || clean == "\u{fffd}", "U+{:04X} -> {clean:?}", c as u32);
            }
        }
    }

    #[test]
    fn names_that_people_really_have_pass_unchanged() {
        for name in ["main", "std::vec::Vec<u8>::push", "größe", "函数", "Ж::я", "𝛌", "a b"]
        {
            assert_eq!(clean(name), name);
            assert_eq!(clean_up_to(name, 1000), name);
        }
    }

    #[test]
    fn a_long_name_keeps_both_ends() {
        let name = format!("begin{}end", "x".repeat(1_000_000));
        let cut = clean_up_to(&name, 21);
        assert_eq!(cut, "beginxxxxx…xxxxxxxend");
        assert_eq!(cut.chars().count(), 21);
        assert_eq!(clean_up_to("ééé", 3), "ééé", "counted in characters, not bytes");
    }
}
