//! Tables as columns of numbers: small, quick to read, and alike from run to run.

use rustc_hash::FxHashMap;
use serde::Serialize;

/// Where a column lies in the data.
#[derive(Serialize, Debug)]
pub(super) struct Column {
    name: &'static str,
    /// Rows, or of text lines.
    count: usize,
    bytes: usize,
}

/// Columns, one behind the other.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) list: Vec<Column>,
    pub(super) data: Vec<u8>,
    numbers: Numbers,
}

impl Columns {
    fn push(&mut self, name: &'static str, count: usize, from: usize) {
        self.list.push(Column { name, count, bytes: self.data.len() - from });
    }

    /// Whole numbers: seven bits a byte, the lowest first, the eighth says that more follow.
    pub(super) fn varints(&mut self, name: &'static str, values: impl IntoIterator<Item = u32>) {
        let from = self.data.len();
        let mut count = 0;
        for value in values {
            varint(&mut self.data, value);
            count += 1;
        }
        self.push(name, count, from);
    }

    /// Any numbers, as rows of a table in which each stands once ([`Columns::numbers`]).
    pub(super) fn values(&mut self, name: &'static str, values: impl IntoIterator<Item = f64>) {
        let rows: Vec<u32> = values.into_iter().map(|value| self.numbers.row(value)).collect();
        self.varints(name, rows);
    }

    /// The table of numbers that columns of values refer to; after the last of them.
    pub(super) fn numbers(&mut self) {
        let from = self.data.len();
        for number in &self.numbers.list {
            self.data.extend(number.to_le_bytes());
        }
        self.push("numbers", self.numbers.list.len(), from);
    }

    /// Bytes.
    pub(super) fn bytes(&mut self, name: &'static str, bytes: impl IntoIterator<Item = u8>) {
        let from = self.data.len();
        self.data.extend(bytes);
        self.push(name, self.data.len() - from, from);
    }

    /// Lines of text; breaks in them were taken out before.
    pub(super) fn lines<S: AsRef<str>>(&mut self, name: &'static str, lines: &[S]) {
        let from = self.data.len();
        for (i, line) in lines.iter().enumerate() {
            if i > 0 {
                self.data.push(b'\n');
            }
            self.data.extend(line.as_ref().as_bytes());
        }
        self.push(name, lines.len(), from);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Different numbers, in order of appearance.
#[derive(Default)]
struct Numbers {
    list: Vec<f64>,
    rows: FxHashMap<u64, u32>,
}

impl Numbers {
    fn row(&mut self, value: f64) -> u32 {
        *self.rows.entry(value.to_bits()).or_insert_with(|| {
            self.list.push(value);
            (self.list.len() - 1) as u32
        })
    }
}

/// Different texts, in order of appearance.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) list: Vec<String>,
    rows: FxHashMap<String, u32>,
}

impl Texts {
    pub(super) fn row(&mut self, text: &str) -> u32 {
        if let Some(row) = self.rows.get(text) {
            return *row;
        }
        let row = self.list.len() as u32;
        self.list.push(text.to_owned());
        self.rows.insert(text.to_owned(), row);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_one_behind_the_other() {
        let mut columns = Columns::default();
        columns.varints("depth", [0, 127, 128, u32::MAX]);
        columns.values("self", [0.5, 2.0, 0.5]);
        columns.lines("names", &["a", "", "b"]);
        columns.numbers();
        let list: Vec<(&str, usize, usize)> =
            columns.list.iter().map(|c| (c.name, c.count, c.bytes)).collect();
        assert_eq!(list, [("depth", 4, 9), ("self", 3, 3), ("names", 3, 4), ("numbers", 2, 16)]);
        assert_eq!(
            columns.data[..16],
            [0, 127, 128, 1, 255, 255, 255, 255, 15, 0, 1, 0, b'a', b'\n', b'\n', b'b']
        );
        assert_eq!(columns.data[16..24], 0.5f64.to_le_bytes());
    }
}
