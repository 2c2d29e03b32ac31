//! Names as shells write them: `*` stands for anything, `?` for one character.

use std::fmt;

/// A name, or many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Vec<char>);

impl Pattern {
    /// From what was typed.
    #[must_use]
    pub fn new(given: &str) -> Self {
        Self(given.chars().collect())
    }

    /// Whether all of a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut rest) = (0, 0);
        // Where the last `*` stands and what it has taken so far: on a mismatch it takes one more. Only
        // the last has to, so this ends after at most (pattern × name) steps.
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.0.get(rest) {
                Some('*') => {
                    star = Some((rest, at));
                    rest += 1;
                }
                Some(c) if *c == '?' || *c == name[at] => {
                    at += 1;
                    rest += 1;
                }
                _ => {
                    let Some((star_at, taken)) = star else { return false };
                    star = Some((star_at, taken + 1));
                    (rest, at) = (star_at + 1, taken + 1);
                }
            }
        }
        self.0[rest..].iter().all(|c| *c == '*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|c| write!(f, "{c}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_what_shells_let_them() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        for (pattern, name) in [
            ("nginx", "nginx"),
            ("*", ""),
            ("work*", "worker-1"),
            ("*er-?", "worker-1"),
            ("a*b*c", "a1b2b3c"),
            ("**", "x"),
            ("tokio-*-?", "tokio-runtime-7"),
            ("grün?", "grüné"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("nginx", "nginx2"),
            ("", "x"),
            ("?", ""),
            ("a*b", "a1b2"),
            ("*x", "xy"),
            ("a?c", "ac"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
