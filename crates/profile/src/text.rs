//! Bytes that are usually, but not necessarily, UTF-8.

use std::borrow::Cow;
use std::fmt;

/// Text as a host stated it. Compared and stored as bytes; shown lossily.
///
/// Showing is not escaping: whoever writes it into XML, HTML, a terminal, Markdown or CSV escapes
/// for that place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(pub Box<[u8]>);

impl Text {
    /// The text with invalid UTF-8 replaced by U+FFFD.
    #[must_use]
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What follows the last `/`: a path's file name, lossily.
    #[must_use]
    pub fn file_name(&self) -> Cow<'_, str> {
        let start = self.0.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
        String::from_utf8_lossy(&self.0[start..])
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}

impl From<&str> for Text {
    fn from(s: &str) -> Self {
        Self(s.as_bytes().into())
    }
}

impl From<String> for Text {
    fn from(s: String) -> Self {
        Self(s.into_bytes().into())
    }
}

impl From<&[u8]> for Text {
    fn from(b: &[u8]) -> Self {
        Self(b.into())
    }
}

impl From<Vec<u8>> for Text {
    fn from(b: Vec<u8>) -> Self {
        Self(b.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_what_follows_the_last_slash() {
        assert_eq!(Text::from("/usr/lib/libc.so.6").file_name(), "libc.so.6");
        assert_eq!(Text::from("[vdso]").file_name(), "[vdso]");
        assert_eq!(Text::from(&b"/x/\xff"[..]).file_name(), "\u{fffd}");
    }
}
