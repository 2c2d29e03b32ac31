//! Opens a file in the browser, with the system's own command for it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// What opens files: macOS has `open`, the others freedesktop.org's `xdg-open`.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Opens it, and does not wait for the browser to end.
///
/// # Errors
/// When there is no such command.
pub fn open(path: &Path) -> Result<(), Error> {
    // A name that begins with `-` is no option.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut command = Command::new(OPENER);
    command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::NotOpened { path, opener: OPENER, source }),
    }
}
