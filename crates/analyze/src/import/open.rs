//! Opens inputs, whatever they are: what one is, its content decides, never its name.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use archive::Archive;
use flate2::read::MultiGzDecoder;

use super::named::Named;
use super::perf_data::{self, Imported, PerfDataError};
use super::{Recording, dtrace, folded, outline, perf_script, pprof};
use crate::Error;
use crate::locate::is_packed;

/// An opened input.
#[derive(Debug)]
pub enum Opened {
    /// Addresses, which `analyze` names: an archive, or what perf recorded.
    Recording(Box<Recording>),
    /// Stacks that have names already.
    Named(Box<Named>),
}

/// Enough to recognise every input there is.
const HEAD_BYTES: u64 = 64 << 10;

/// Bytes of a pprof profile at most, inflated: what it becomes takes three times as much memory.
const MOST_PPROF_BYTES: u64 = 128 << 20;

/// What an input begins with.
enum Content {
    Archive,
    PerfData,
    Gzip,
    Folded,
    PerfScript,
    Dtrace,
    Outline(outline::Tool),
    Packed,
    Other(&'static str),
}

impl Content {
    /// Whether it is read as `named` reads: texts, and whatever is compressed with gzip.
    fn has_names(&self) -> bool {
        matches!(
            self,
            Self::Gzip | Self::Folded | Self::PerfScript | Self::Dtrace | Self::Outline(_)
        )
    }
}

fn recognise(head: &[u8]) -> Content {
    match head {
        [] => Content::Other("is empty"),
        // A skippable zstd frame: archives begin with one. What is in it, the reader judges.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Content::Archive,
        [0x1f, 0x8b, ..] => Content::Gzip,
        _ if perf_data::is_perf_data(head) => Content::PerfData,
        _ if is_packed(head) => Content::Packed,
        _ if is_xctrace(head) => {
            Content::Other("is an export of Instruments, which `inferno-collapse-xctrace` folds")
        }
        _ if head.starts_with(b"<svg") || head.starts_with(b"<?xml") => {
            Content::Other("is a picture")
        }
        _ if is_text(head) => {
            let text = String::from_utf8_lossy(head);
            let mut lines = text.lines().filter(|line| !line.trim().is_empty());
            let first = lines.find(|line| !line.starts_with('#')).unwrap_or_default();
            if perf_script::is_header(first) {
                Content::PerfScript
            } else if let Some(tool) = outline::recognise(&text) {
                Content::Outline(tool)
            } else if dtrace::is_dtrace(&text) {
                Content::Dtrace
            } else if folded::is_folded(first) {
                Content::Folded
            } else {
                Content::Other("is text, and no stacks are in it")
            }
        }
        _ => Content::Other("begins like none"),
    }
}

/// Whether there are no control characters but those of text.
fn is_text(head: &[u8]) -> bool {
    head.iter().all(|b| *b >= 0x20 || matches!(b, b'\t' | b'\n' | b'\r' | 0x1b))
}

/// Instruments' tables as `xctrace export` writes them.
fn is_xctrace(head: &[u8]) -> bool {
    let name = b"<trace-query-result>";
    head.starts_with(b"<?xml") && head.windows(name.len()).take(1024).any(|bytes| bytes == name)
}

fn read_head(input: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

fn buffered<R: Read>(input: R) -> BufReader<R> {
    BufReader::with_capacity(256 << 10, input)
}

impl Opened {
    /// Opens a file; `-` reads standard input to its end.
    ///
    /// # Errors
    /// When it cannot be read, is nothing that is known, or nothing in it is whole.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == "-" {
            return Self::from_stream(Path::new("standard input"), std::io::stdin().lock());
        }
        let failed = |source| Error::Read { path: path.into(), source };
        let mut file = File::open(path).map_err(failed)?;
        // A pipe has no length and cannot be read at a place.
        if !file.metadata().map_err(failed)?.is_file() {
            return Self::from_stream(path, file);
        }
        let head = read_head(&mut file).map_err(failed)?;
        file.rewind().map_err(failed)?;
        match recognise(&head) {
            Content::PerfData => imported(path, perf_data::import_file(buffered(file))),
            content if content.has_names() => named(path, &head, &mut file),
            content => {
                let mut again = file.try_clone().map_err(failed)?;
                match archive_or(path, content, Archive::open(file)) {
                    Err(Error::NotARecording { .. }) if pprof::is_pprof(&head) => {
                        again.rewind().map_err(failed)?;
                        pprof_from(path, &mut again)
                    }
                    other => other,
                }
            }
        }
    }

    /// Opens what was read from somewhere; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub fn from_bytes(name: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let head = &bytes[..bytes.len().min(HEAD_BYTES as usize)];
        match recognise(head) {
            Content::PerfData => imported(name, perf_data::import_file(Cursor::new(bytes))),
            content if content.has_names() => named(name, head, &mut Cursor::new(&bytes)),
            Content::Other(_)
                if pprof::is_pprof(head) && Archive::from_bytes(bytes.clone()).is_err() =>
            {
                pprof_from(name, &mut Cursor::new(bytes))
            }
            content => archive_or(name, content, Archive::from_bytes(bytes)),
        }
    }

    /// What perf writes into a pipe is imported while it comes, and so are texts; anything else is read
    /// first.
    fn from_stream(name: &Path, mut stream: impl Read) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: name.into(), source };
        let head = read_head(&mut stream).map_err(failed)?;
        let mut whole = Cursor::new(head.clone()).chain(stream);
        if perf_data::is_perf_pipe(&head) {
            return imported(name, perf_data::import_pipe(buffered(whole)));
        }
        if recognise(&head).has_names() {
            return named(name, &head, &mut whole);
        }
        let mut bytes = Vec::new();
        whole.read_to_end(&mut bytes).map_err(failed)?;
        Self::from_bytes(name, bytes)
    }

    /// What messages call it.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Recording(recording) => recording.path(),
            Self::Named(named) => &named.path,
        }
    }
}

fn imported(path: &Path, imported: Result<Imported, PerfDataError>) -> Result<Opened, Error> {
    let path = path.to_path_buf();
    match imported {
        Ok(Imported { archive, statements }) => {
            Ok(Opened::Recording(Box::new(Recording::new(path, archive, statements))))
        }
        Err(source) => Err(Error::PerfData { path, source }),
    }
}

/// An archive that lost its beginning still opens: its reader has the last word, the first bytes only say
/// what else it may be.
fn archive_or(
    path: &Path,
    content: Content,
    opened: Result<Archive, archive::Error>,
) -> Result<Opened, Error> {
    let path = path.to_path_buf();
    match (opened, content) {
        (Ok(archive), _) => {
            Ok(Opened::Recording(Box::new(Recording::new(path, archive, Vec::new()))))
        }
        (Err(_), Content::Packed) => Err(Error::Packed { path }),
        (Err(_), Content::Other(found)) => Err(Error::NotARecording { path, found }),
        (Err(source), _) => Err(Error::Archive { path, source }),
    }
}

fn named(path: &Path, head: &[u8], input: &mut dyn Read) -> Result<Opened, Error> {
    let text = |source| Error::Text { path: path.into(), source };
    let imported = match recognise(head) {
        Content::Folded => folded::import(path, buffered(input)).map_err(text)?,
        Content::PerfScript => perf_script::import(path, buffered(input)).map_err(text)?,
        Content::Dtrace => dtrace::import(path, buffered(input)).map_err(text)?,
        Content::Outline(tool) => outline::import(path, tool, buffered(input)).map_err(text)?,
        Content::Gzip => return inflated(path, input),
        Content::Other(found) => return Err(Error::NotARecording { path: path.into(), found }),
        Content::Packed => return Err(Error::Packed { path: path.into() }),
        Content::Archive | Content::PerfData => {
            let found = "is compressed with gzip; inflate it";
            return Err(Error::NotARecording { path: path.into(), found });
        }
    };
    Ok(Opened::Named(Box::new(imported)))
}

fn inflated(path: &Path, input: &mut dyn Read) -> Result<Opened, Error> {
    let failed = |source| Error::Inflate { path: path.into(), source };
    let mut inflater = MultiGzDecoder::new(buffered(input));
    let head = read_head(&mut inflater).map_err(failed)?;
    match recognise(&head) {
        Content::Gzip => Err(Error::NotARecording {
            path: path.into(),
            found: "is compressed with gzip more than once",
        }),
        Content::Other(_) if pprof::is_pprof(&head) => {
            pprof_from(path, &mut Cursor::new(head).chain(inflater))
        }
        _ => named(path, &head, &mut Cursor::new(&head).chain(inflater)),
    }
}

fn pprof_from(path: &Path, input: &mut dyn Read) -> Result<Opened, Error> {
    let mut profile = Vec::new();
    let read = input.take(MOST_PPROF_BYTES + 1).read_to_end(&mut profile);
    read.map_err(|source| Error::Inflate { path: path.into(), source })?;
    if profile.len() as u64 > MOST_PPROF_BYTES {
        return Err(Error::TooLarge { path: path.into(), most_bytes: MOST_PPROF_BYTES });
    }
    let imported = pprof::import(path, &profile);
    imported
        .map(|named| Opened::Named(Box::new(named)))
        .map_err(|source| Error::Pprof { path: path.into(), source })
}
