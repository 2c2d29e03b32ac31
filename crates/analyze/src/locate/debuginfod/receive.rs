//! What of a server's answer is taken: so much, so fast, and only the file that was asked for.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use profile::BuildId;

use super::{Limits, Reason};
use crate::locate::MappedFile;

/// What a server must send in [`Limits::silence`] to be listened to further.
const LEAST_BYTES: u64 = 100 << 10;

/// Copies a body into a file and returns its size. `stated` is what the server says it is.
pub(super) fn body(
    reader: &mut dyn Read,
    stated: Option<u64>,
    file: &mut impl Write,
    limits: &Limits,
    mut received: impl FnMut(u64),
) -> Result<u64, Reason> {
    if stated.is_some_and(|bytes| bytes > limits.file_bytes) {
        return Err(Reason::TooLarge(limits.file_bytes));
    }
    let mut buffer = vec![0; 64 << 10];
    let (mut total, mut window_bytes) = (0u64, 0u64);
    let begin = Instant::now();
    let mut window = begin;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(&error, limits)),
        };
        total += count as u64;
        if total > limits.file_bytes {
            return Err(Reason::TooLarge(limits.file_bytes));
        }
        if begin.elapsed() > limits.file_time {
            return Err(Reason::TooLong(limits.file_time.as_secs()));
        }
        window_bytes += count as u64;
        if window.elapsed() > limits.silence {
            if window_bytes < LEAST_BYTES {
                return Err(Reason::TooSlow(limits.silence.as_secs()));
            }
            (window, window_bytes) = (Instant::now(), 0);
        }
        let chunk = buffer.get(..count).unwrap_or_default();
        file.write_all(chunk).map_err(|error| Reason::NotWritten(error.to_string()))?;
        received(count as u64);
    }
}

fn broken(error: &io::Error, limits: &Limits) -> Reason {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<ureq::Error>());
    match cause {
        Some(ureq::Error::Timeout(_)) => Reason::Silent(limits.silence.as_secs()),
        _ => Reason::BrokeOff(error.to_string()),
    }
}

/// Whether a file is the one that was asked for.
pub(super) fn check(path: &Path, id: BuildId) -> Result<(), Reason> {
    let file = MappedFile::open(path).map_err(|_| Reason::OtherBuild)?;
    let identity = symbolize::identify(&file).map_err(|_| Reason::OtherBuild)?;
    if identity.build_id == id { Ok(()) } else { Err(Reason::OtherBuild) }
}
