//! What `capture` says on standard error. A terminal that is gone (a dropped ssh) is no reason to stop
//! recording, and `eprintln!` would panic.

use std::fmt;
use std::io::{self, Write as _};

/// Says something; if nobody can hear it, goes on.
pub fn narrate(text: fmt::Arguments<'_>) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_fmt(text).and_then(|()| stderr.flush());
}
