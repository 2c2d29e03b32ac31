//! Names, inlined calls and lines of kernel addresses from a `vmlinux` with debug information.
//!
//! Kernel addresses are recorded as offsets from where `_text` was at run time, wherever the kernel
//! was put at boot (KASLR). Added to what the file states for `_text` they are the file's addresses.
//! The file must have the recorded build-id, and the names recorded on the host must stand in it at
//! their shifted addresses: a wrong anchor would give every sample a wrong name.
//!
//! Names of loadable modules stay the host's: how a module's sections were laid out is not recorded.

use std::fmt;
use std::path::PathBuf;

use object::{Object, ObjectSymbol};
use profile::{FileOffset, HostSymbol, Module, Segment, Svma, SymbolFrom};
use rustc_hash::FxHashMap;

use crate::locate::{Located, Locator, Missing};

/// Of ten recorded names, at most one may stand elsewhere: live patches replace functions.
const AGREEING_PER_DIFFERING: usize = 9;

/// A `vmlinux` of the recorded kernel.
#[derive(Debug)]
pub struct Vmlinux {
    /// Its files.
    pub located: Located,
    /// Where it states `_text`.
    text: Svma,
}

/// Why there is none. No file at all is no reason: then the host's names are what there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The file that is not used.
    pub path: PathBuf,
    /// Why not.
    pub why: WhyNot,
}

/// Why a `vmlinux` is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyNot {
    /// It is another build.
    OtherBuild,
    /// The recording does not say where the kernel was in memory.
    NoAnchor,
    /// It does not say where its code begins.
    NoText,
    /// It has recorded names at other addresses.
    Contradicts {
        /// Names that it has elsewhere.
        differing: usize,
        /// Names that it knows at all.
        known: usize,
    },
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherBuild => write!(f, "it is another build than the recorded kernel"),
            Self::NoAnchor => write!(
                f,
                "the recording does not say where the kernel was in memory (its names were hidden)"
            ),
            Self::NoText => write!(f, "it has no symbol _text"),
            Self::Contradicts { differing, known } => write!(
                f,
                "{differing} of {known} functions that the host named stand elsewhere in it"
            ),
        }
    }
}

/// Looks for the `vmlinux` of a recorded kernel. `names` are those that the host gave for it.
///
/// # Errors
/// A file that seemed meant but is not used, and why. `Ok(None)`: there is no such file.
pub fn find(
    module: &Module,
    names: &[&HostSymbol],
    locator: &Locator,
) -> Result<Option<Vmlinux>, Refused> {
    let located = match locator.locate(module) {
        Ok(located) => located,
        Err(Missing { .. }) => {
            let other = locator.index().first_named("vmlinux");
            return other.map_or(Ok(None), |path| {
                Err(Refused { path: path.into(), why: WhyNot::OtherBuild })
            });
        }
    };
    match anchor(module, names, &located) {
        Ok(text) => Ok(Some(Vmlinux { located, text })),
        Err(why) => {
            let file = located.image.or(located.debug);
            Err(Refused { path: file.map(|file| file.path).unwrap_or_default(), why })
        }
    }
}

/// Where the file states `_text`, if the recorded names agree with that.
fn anchor(module: &Module, names: &[&HostSymbol], located: &Located) -> Result<Svma, WhyNot> {
    if module.runtime_base == 0 {
        return Err(WhyNot::NoAnchor);
    }
    let mut stated: FxHashMap<&[u8], Vec<u64>> = FxHashMap::default();
    stated.insert(b"_text", Vec::new());
    let from_kallsyms = || names.iter().filter(|name| name.from == SymbolFrom::Kallsyms);
    stated.extend(from_kallsyms().map(|name| (&*name.name.0, Vec::new())));
    for bytes in [&located.image, &located.debug].into_iter().flatten() {
        let Ok(file) = object::File::parse(&**bytes) else { continue };
        for symbol in file.symbols().filter(|symbol| !symbol.is_undefined()) {
            if let Some(known) = symbol.name_bytes().ok().and_then(|name| stated.get_mut(name)) {
                known.push(symbol.address());
            }
        }
    }
    let text = *stated[&b"_text"[..]].first().ok_or(WhyNot::NoText)?;
    // A hostile file may give one name to millions of symbols.
    stated.values_mut().for_each(|addresses| addresses.sort_unstable());
    let (mut known, mut differing) = (0, 0);
    for name in from_kallsyms() {
        let addresses = &stated[&*name.name.0];
        if !addresses.is_empty() {
            let stands_there = addresses.binary_search(&text.wrapping_add(name.start)).is_ok();
            known += 1;
            differing += usize::from(!stands_there);
        }
    }
    match agrees(known, differing) {
        true => Ok(Svma(text)),
        false => Err(WhyNot::Contradicts { differing, known }),
    }
}

/// Whether a file may be believed that has so many of the names it knows at other addresses.
fn agrees(known: usize, differing: usize) -> bool {
    differing * AGREEING_PER_DIFFERING <= known - differing
}

impl Vmlinux {
    /// The module with one segment for all of it, which leads from recorded offsets to addresses.
    #[must_use]
    pub fn anchored(&self) -> Vec<Segment> {
        vec![Segment {
            file_offset: FileOffset(0),
            svma: self.text,
            file_bytes: u64::MAX,
            memory_bytes: u64::MAX,
            flags: Segment::EXECUTE,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_in_ten_may_stand_elsewhere() {
        for (known, differing, believed) in [
            (0, 0, true),
            (1, 0, true),
            (1, 1, false),
            (9, 1, false),
            (10, 1, true),
            (20, 3, false),
        ] {
            assert_eq!(agrees(known, differing), believed, "{differing} of {known}");
        }
    }
}
