//! Names of functions and files: as the linker wrote them, and for people.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::symbol_table::MAX_NAME_BYTES;

/// A function's name as the linker wrote it, and for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Name {
    pub raw: Arc<str>,
    pub shown: Arc<str>,
}

/// The text of a pclntab. What was asked for is kept: many addresses share few names.
#[derive(Debug)]
pub(super) struct Strings<'d> {
    names: &'d [u8],
    /// Rows of 4 bytes: a file's number in its compilation unit → its place in `files`.
    units: &'d [u8],
    files: &'d [u8],
    found_names: Mutex<FxHashMap<u32, Name>>,
    found_files: Mutex<FxHashMap<u32, Arc<str>>>,
}

impl<'d> Strings<'d> {
    pub fn new(names: &'d [u8], units: &'d [u8], files: &'d [u8]) -> Self {
        Self { names, units, files, found_names: Mutex::default(), found_files: Mutex::default() }
    }

    /// The linker's name at an offset.
    pub fn raw_name(&self, offset: u32) -> Option<&'d [u8]> {
        text_at(self.names, offset)
    }

    /// Both names at an offset.
    pub fn name(&self, offset: u32) -> Option<Name> {
        let mut found = self.found_names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = found.get(&offset) {
            return Some(name.clone());
        }
        let raw = String::from_utf8_lossy(self.raw_name(offset)?);
        let shown = for_people(&raw);
        let name = match shown {
            Cow::Borrowed(_) => {
                let raw: Arc<str> = raw.into();
                Name { shown: Arc::clone(&raw), raw }
            }
            Cow::Owned(shown) => Name { shown: shown.into(), raw: raw.into() },
        };
        found.insert(offset, name.clone());
        Some(name)
    }

    /// The file of a number that counts from a compilation unit's first row.
    pub fn file(&self, unit: u32, number: i32) -> Option<Arc<str>> {
        let row = u64::from(unit).checked_add(u64::try_from(number).ok()?)?;
        let at = usize::try_from(row.checked_mul(4)?).ok()?;
        let offset = u32::from_le_bytes(*self.units.get(at..)?.first_chunk()?);
        let mut found = self.found_files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = found.get(&offset) {
            return Some(Arc::clone(file));
        }
        let file: Arc<str> = String::from_utf8_lossy(text_at(self.files, offset)?).into();
        found.insert(offset, Arc::clone(&file));
        Some(file)
    }
}

/// The text at an offset, up to its NUL. An offset into the middle of a text is damage: the linker
/// shares no ends, and a table whose offsets did could claim more text than it has bytes.
fn text_at(table: &[u8], offset: u32) -> Option<&[u8]> {
    let at = offset as usize;
    if at.checked_sub(1).is_some_and(|before| table.get(before) != Some(&0)) {
        return None;
    }
    let tail = table.get(at..)?;
    let tail = &tail[..tail.len().min(MAX_NAME_BYTES)];
    let text = &tail[..tail.iter().position(|b| *b == 0)?];
    (!text.is_empty()).then_some(text)
}

/// Type arguments abbreviated as the runtime prints them (`F[go.shape.int]` → `F[...]`), and what
/// the linker escaped in import paths written out (`gopkg.in/inf%2ev0` → `gopkg.in/inf.v0`).
fn for_people(raw: &str) -> Cow<'_, str> {
    let abbreviated = match (raw.find('['), raw.rfind(']')) {
        (Some(open), Some(close)) if open < close && &raw[open..=close] != "[...]" => {
            Cow::Owned(format!("{}[...]{}", &raw[..open], &raw[close + 1..]))
        }
        _ => Cow::Borrowed(raw),
    };
    match unescape(&abbreviated) {
        Some(written_out) => Cow::Owned(written_out),
        None => abbreviated,
    }
}

/// `None` where nothing is escaped.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some(at) = rest.windows(3).position(|w| w[0] == b'%' && hex(w).is_some()) {
        bytes.extend(&rest[..at]);
        bytes.extend(hex(&rest[at..at + 3]));
        rest = &rest[at + 3..];
    }
    if bytes.is_empty() {
        return None;
    }
    bytes.extend(rest);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The byte that `%` and two digits stand for.
fn hex(escape: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*escape.get(at)?).to_digit(16);
    u8::try_from(digit(1)? << 4 | digit(2)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_the_runtime_prints_them() {
        for (raw, shown) in [
            ("main.main", "main.main"),
            ("main.Map[go.shape.int,go.shape.string]", "main.Map[...]"),
            ("main.(*List[go.shape.[]int]).Push.func1", "main.(*List[...]).Push.func1"),
            ("main.Map[...].func1", "main.Map[...].func1"),
            ("gopkg.in/inf%2ev0.(*Dec).Add", "gopkg.in/inf.v0.(*Dec).Add"),
            ("a%2eb/c%25d.F[go.shape.int]", "a.b/c%d.F[...]"),
            ("100%", "100%"),
            ("a%zz%2", "a%zz%2"),
            ("%2e", "."),
            ("x[", "x["),
            ("]x[", "]x["),
        ] {
            assert_eq!(for_people(raw), shown);
        }
    }

    #[test]
    fn a_name_that_needs_no_change_is_kept_once() {
        let strings = Strings::new(b"main.main\0F[int]\0", &[], &[]);
        let plain = strings.name(0).unwrap();
        assert!(Arc::ptr_eq(&plain.raw, &plain.shown));
        let generic = strings.name(10).unwrap();
        assert_eq!((&*generic.raw, &*generic.shown), ("F[int]", "F[...]"));
        assert!(Arc::ptr_eq(&generic.raw, &strings.name(10).unwrap().raw));
    }

    #[test]
    fn offsets_that_are_no_texts_beginning_are_refused() {
        let strings = Strings::new(b"main.main\0\0cut", &[], &[]);
        assert!(strings.name(0).is_some());
        for offset in [1, 9, 10, 11, 14, u32::MAX] {
            assert_eq!(strings.name(offset), None, "{offset}");
        }
    }

    #[test]
    fn files_are_found_through_their_units_rows() {
        let rows = [7u32, u32::MAX, 0].map(u32::to_le_bytes).concat();
        let strings = Strings::new(&[], &rows, b"/a/b.go\0");
        assert_eq!(strings.file(1, 1).as_deref(), Some("/a/b.go"));
        assert_eq!(strings.file(2, 0).as_deref(), Some("/a/b.go"));
        for (unit, number) in [(0, 0), (0, 1), (2, 1), (u32::MAX, i32::MAX), (2, -1)] {
            assert_eq!(strings.file(unit, number), None, "{unit} {number}");
        }
    }
}
