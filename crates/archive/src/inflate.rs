//! One stored frame becomes its content, or the reason why not.

use std::io::ErrorKind;

use zstd::bulk::Decompressor;
use zstd::zstd_safe;

use crate::header::MAX_INFLATED_BYTES;
use crate::scan::Frame;
use crate::source::{Source, Window};

/// Why the content of a frame is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LostReason {
    /// The file ends inside the frame.
    #[error("the file ends inside it")]
    CutOff,
    /// The stored bytes are not those that were written.
    #[error("its checksum does not hold")]
    Checksum,
    /// The frame does not inflate, or to something other than it states.
    #[error("it does not inflate")]
    Inflate,
    /// The checksums hold, but the content breaks a rule of the format.
    #[error("{0}")]
    Content(&'static str),
    /// The file is not any more what it was when it was opened.
    #[error("the file has changed")]
    Changed,
    /// The system could not read it.
    #[error("it cannot be read ({0})")]
    Read(ErrorKind),
}

/// A decompressor and its window, used again for frame after frame.
pub(crate) struct Inflater {
    decompressor: Option<Decompressor<'static>>,
    window: Window,
}

impl Inflater {
    pub fn new() -> Self {
        Self { decompressor: Decompressor::new().ok(), window: Window::default() }
    }

    /// Reads the header of a frame that was found before.
    pub fn frame(&mut self, source: &Source, header_at: u64) -> Result<Frame, LostReason> {
        Frame::read(source, &mut self.window, header_at)
            .map_err(|error| LostReason::Read(error.kind()))?
            .ok_or(LostReason::Changed)
    }

    /// The frame's content. Memory is at most 1 MiB, whatever the frame says.
    pub fn inflate(&mut self, source: &Source, frame: &Frame) -> Result<Vec<u8>, LostReason> {
        let stored = checked(source, frame, &mut self.window)?;
        let bytes = match zstd_safe::get_frame_content_size(stored) {
            Ok(Some(bytes)) if bytes <= MAX_INFLATED_BYTES as u64 => bytes as usize,
            _ => return Err(LostReason::Inflate),
        };
        let mut content = Vec::with_capacity(bytes);
        let decompressor = self.decompressor.as_mut().ok_or(LostReason::Inflate)?;
        match decompressor.decompress_to_buffer(stored, &mut content) {
            Ok(inflated) if inflated == bytes => Ok(content),
            _ => Err(LostReason::Inflate),
        }
    }
}

/// Whether a frame is stored as it was written, without inflating it.
pub(crate) fn check(source: &Source, frame: &Frame) -> Result<(), LostReason> {
    checked(source, frame, &mut Window::default()).map(|_| ())
}

fn checked<'a>(
    source: &'a Source,
    frame: &Frame,
    window: &'a mut Window,
) -> Result<&'a [u8], LostReason> {
    if !frame.whole {
        return Err(LostReason::CutOff);
    }
    let bytes = frame.header.frame_bytes as usize;
    let stored =
        window.read(source, frame.at, bytes).map_err(|error| LostReason::Read(error.kind()))?;
    if crc32fast::hash(stored) != frame.header.frame_crc {
        return Err(LostReason::Checksum);
    }
    Ok(stored)
}
