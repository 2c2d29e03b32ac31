//! How answers are written: as llvm-symbolizer writes them, or as JSON.

use std::io::{self, Write};

use render::safe_text::clean;
use serde::Serialize;
use symbolize::SourceFrame;

use crate::cached_symbols::Names;

/// How answers are written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// A JSON object a line.
    pub json: bool,
    /// Linkers' names, not demangled ones. (JSON has both.)
    pub raw_names: bool,
}

impl Style {
    /// Writes what one address is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn answer(self, out: &mut impl Write, address: u64, answer: &Names) -> io::Result<()> {
        if self.json {
            return write_row(out, &Row::answer(address, answer));
        }
        match answer {
            Ok(frames) => frames.iter().try_for_each(|frame| self.frame(out, frame))?,
            Err(_) => out.write_all(b"??\n??:0:0\n")?,
        }
        out.write_all(b"\n")
    }

    /// Writes a line that is no address: text as it is, with a line end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn echo(self, out: &mut impl Write, line: &[u8]) -> io::Result<()> {
        if self.json {
            return write_row(
                out,
                &Row::NotAnAddress {
                    line: &String::from_utf8_lossy(line.trim_ascii()),
                    reason: "not an address",
                },
            );
        }
        out.write_all(line)
    }

    /// The file's own words are made harmless: each stays on its line.
    fn frame(self, out: &mut impl Write, frame: &SourceFrame) -> io::Result<()> {
        let name = if self.raw_names { &frame.raw_name } else { &frame.name };
        let file = frame.file.as_deref().unwrap_or("??");
        let line = frame.line.unwrap_or(0);
        writeln!(out, "{}\n{}:{line}:0", clean(name), clean(file))
    }
}

/// One line of JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Named { address: String, frames: Vec<FrameRow<'a>> },
    Nameless { address: String, reason: &'static str },
    NotAnAddress { line: &'a str, reason: &'static str },
}

#[derive(Serialize)]
struct FrameRow<'a> {
    name: &'a str,
    raw_name: &'a str,
    file: Option<&'a str>,
    line: Option<u32>,
    start_line: Option<u32>,
    inlined: bool,
    source: &'static str,
}

impl<'a> Row<'a> {
    fn answer(address: u64, answer: &'a Names) -> Self {
        let address = format!("{address:#x}");
        match answer {
            Ok(frames) => Self::Named { address, frames: frames.iter().map(frame_row).collect() },
            Err(why) => Self::Nameless { address, reason: why.describe() },
        }
    }
}

fn frame_row(frame: &SourceFrame) -> FrameRow<'_> {
    FrameRow {
        name: &frame.name,
        raw_name: &frame.raw_name,
        file: frame.file.as_deref(),
        line: frame.line,
        start_line: frame.start_line,
        inlined: frame.inlined,
        source: frame.source.describe(),
    }
}

fn write_row(out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}
