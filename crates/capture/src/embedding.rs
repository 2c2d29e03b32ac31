//! Puts the unwind tables of the modules hit into the archive, once a build: for hosts whose files
//! nobody can bring.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::Write;

use archive::Writer;
use profile::{BuildId, Module, ModuleId, ModuleKind};
use rustc_hash::FxHashSet;

use crate::open_mapped::read_fully;
use crate::unwind_image::UnwindImage;

/// What readers ask the archive for.
const SECTION: &str = "unwind";
/// Files held open until their turn comes.
const MAX_WAITING: usize = 128;
/// No further module is begun at a flush, if it is not the last of its epoch, when so much was read: rings fill
/// meanwhile.
const BYTES_A_FLUSH: u64 = 4 << 20;
/// Of the whole recording, before compression.
const MAX_BYTES: u64 = 256 << 20;

/// Build-id, or device and inode where there is none.
type Build = (BuildId, (u32, u32), u64);

/// What came of it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Embedded {
    modules: u64,
    /// Before compression.
    bytes: u64,
    /// Without tables of their own (programs of Go), or not readable any more.
    without: u64,
    /// More than there was room for.
    left_out: u64,
}

/// The modules whose turn is to come, and those that are done.
#[derive(Default, Debug)]
pub(crate) struct Embedding {
    waiting: VecDeque<(ModuleId, Build, File)>,
    /// Waiting, or embedded.
    seen: FxHashSet<Build>,
    done: Embedded,
}

impl Embedding {
    /// Notes a module that was hit, the first time its build is seen.
    pub(crate) fn want(&mut self, id: ModuleId, module: &Module, file: File) {
        let place =
            if module.build_id.is_empty() { (module.dev, module.inode) } else { ((0, 0), 0) };
        let is_program = module.kind == ModuleKind::File && !module.segments.is_empty();
        let build = (module.build_id, place.0, place.1);
        if !is_program || self.seen.contains(&build) {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.done.left_out += 1;
        } else {
            self.seen.insert(build);
            self.waiting.push_back((id, build, file));
        }
    }

    /// Embeds what waits: some of it, or at the end of an epoch, with which the modules' numbers end, all.
    pub(crate) fn embed<W: Write>(
        &mut self,
        writer: &mut Writer<W>,
        all: bool,
    ) -> Result<(), archive::Error> {
        let until = self.done.bytes + BYTES_A_FLUSH;
        while all || self.done.bytes < until {
            let Some((id, build, file)) = self.waiting.pop_front() else { break };
            let plan = UnwindImage::plan(|offset, length| read_fully(&file, offset, length));
            let Some(image) = plan else {
                self.without(build);
                continue;
            };
            if self.done.bytes + image.bytes() > MAX_BYTES {
                self.done.left_out += 1;
            } else if writer.embed_from(id, SECTION, image.bytes(), image.reader(&file))? {
                self.done.modules += 1;
                self.done.bytes += image.bytes();
            } else {
                self.without(build);
            }
        }
        Ok(())
    }

    /// Another file may say that it is of the same build, and be right.
    fn without(&mut self, build: Build) {
        self.seen.remove(&build);
        self.done.without += 1;
    }

    /// What came of it so far.
    pub(crate) fn done(&self) -> Embedded {
        self.done
    }
}

impl fmt::Display for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modules = if self.modules == 1 { "module" } else { "modules" };
        let kib = self.bytes.div_ceil(1024);
        write!(
            f,
            "embedded unwind tables of {} {modules} ({kib} KiB before compression)",
            self.modules
        )?;
        if self.without > 0 {
            write!(f, "; {} have none that could be read", self.without)?;
        }
        if self.left_out > 0 {
            write!(f, "; {} left out: too many, or too large", self.left_out)?;
        }
        Ok(())
    }
}
