//! Writes HTML: elements of our own, text of others.

use crate::safe_text;

/// A line of text is cut in the middle at this many characters.
const LONGEST_TEXT: usize = 2000;

/// HTML as it grows. Names of elements and attributes are ours; text is cleaned and escaped.
#[derive(Default)]
pub(super) struct Markup(pub(super) String);

impl Markup {
    /// Markup of our own.
    pub(super) fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    /// Foreign text.
    pub(super) fn text(&mut self, text: &str) {
        for c in safe_text::clean_up_to(text, LONGEST_TEXT).chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
    }

    /// An element with nothing but text in it. `open` is its start tag without brackets.
    pub(super) fn element(&mut self, open: &str, text: &str) {
        self.raw(&format!("<{open}>"));
        self.text(text);
        let name = open.split(' ').next().unwrap_or(open);
        self.raw(&format!("</{name}>"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let mut markup = Markup::default();
        markup.element("p class=\"x\"", "a<b>&\"'\u{202e}\0");
        assert_eq!(markup.0, "<p class=\"x\">a&lt;b&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}</p>");
    }
}
