//! Gives every address that was hit its frames, each address once, modules in parallel.

use std::sync::Arc;

use profile::{
    FileOffset, Frame, FrameId, FrameKind, FrameTable, Module, ModuleId, ModuleKind, NameSource,
    NoName, Segment, Svma, SymbolFrom,
};
use rayon::prelude::*;
use symbolize::{FramePointer, SourceFrame};

use crate::addresses::{Address, AddressId, Addresses, Group, Used};
use crate::cached_symbols::{self, CachedSymbols, Names};
use crate::host_symbols::HostSymbols;
use crate::kallsyms;
use crate::kernel::{self, Vmlinux};
use crate::locate::{Located, Locator, Missing};
use crate::symbol_cache::SymbolCache;

/// What an address turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The physical function first, what was inlined into it after it. One frame that says why when
    /// there is no name.
    pub frames: Vec<FrameId>,
    /// Where in each of them; empty where nothing is known.
    pub lines: Box<[Lines]>,
    /// Index of [`Addresses::groups`].
    pub group: u32,
    /// Why there is no name.
    pub no_name: Option<NoName>,
    /// Whether a frame-pointer walk that comes through here finds the function's caller.
    pub caller: Caller,
}

/// Where in a function.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lines {
    /// Line of the address, or of the inlined call; 0: not known.
    pub line: u32,
    /// Line on which the function begins; 0: not known.
    pub start_line: u32,
}

impl Lines {
    fn of(frame: &SourceFrame) -> Self {
        Self { line: frame.line.unwrap_or(0), start_line: frame.start_line.unwrap_or(0) }
    }
}

/// What a frame-pointer walk can say of a function's caller, when it stands at a given address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The next frame is the caller.
    Next,
    /// The function has not set its frame pointer: the walk skips its caller.
    Skipped,
    /// It has none: a thread's or a program's first function.
    Outermost,
    /// No unwind information: it cannot be said.
    Unknown,
}

/// Which files a module's names came from.
#[derive(Debug)]
pub struct ModuleFiles {
    /// Files, or why there are none; `None` for modules that have no files (kernel, run-time code).
    pub located: Option<Result<Located, Missing>>,
    /// The kernel's file, where one is here.
    pub vmlinux: Option<Vmlinux>,
    /// The kernel's file that is not used, and why.
    pub refused: Option<kernel::Refused>,
}

/// All answers.
#[derive(Debug)]
pub struct Resolution {
    /// By [`AddressId`].
    pub rows: Vec<Resolved>,
    /// By group.
    pub files: Vec<ModuleFiles>,
}

impl Resolution {
    /// The answer for an address.
    #[must_use]
    pub fn get(&self, id: AddressId) -> &Resolved {
        &self.rows[id.0 as usize]
    }
}

/// Names all addresses. Frames are interned in the order of addresses, whatever thread was faster.
/// `vdso_image` gives the image of a vDSO, which recordings hold themselves, by recording and module.
pub fn resolve(
    addresses: &Addresses,
    used: &[Used<'_>],
    vdso_image: impl Fn(usize, ModuleId) -> Option<Vec<u8>>,
    locator: &Locator,
    cache: &SymbolCache,
    frames: &mut FrameTable,
) -> Resolution {
    let kernels = kallsyms::symbols(addresses, used, locator);
    let hosts: Vec<HostSymbols<'_>> =
        used.iter().zip(&kernels).map(|(u, more)| HostSymbols::new(u.tables, more)).collect();
    let files: Vec<ModuleFiles> =
        addresses.groups.par_iter().map(|group| find_files(group, &hosts, locator)).collect();
    let vdsos: Vec<Option<Vec<u8>>> =
        addresses.groups.iter().map(|group| vdso_image(group.recording, group.id)).collect();

    let mut order: Vec<usize> = (0..addresses.groups.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(addresses.groups[*i].addresses.len()));
    let mut answers: Vec<(usize, Vec<Answer>)> = order
        .par_iter()
        .with_max_len(1)
        .map(|i| {
            let group = &addresses.groups[*i];
            let host = &hosts[group.recording];
            let source = Source::of(group, &files[*i], vdsos[*i].as_deref(), host, cache);
            (*i, source.answer(&group.addresses))
        })
        .collect();
    answers.sort_unstable_by_key(|(i, _)| *i);

    let mut rows = Vec::with_capacity(addresses.count());
    for (index, answers) in answers {
        let shape = Shape::of(&addresses.groups[index]);
        for answer in answers {
            rows.push(shape.intern(answer, index as u32, frames));
        }
    }
    Resolution { rows, files }
}

fn find_files(group: &Group, hosts: &[HostSymbols<'_>], locator: &Locator) -> ModuleFiles {
    let mut files = ModuleFiles { located: None, vmlinux: None, refused: None };
    let Some(module) = &group.module else { return files };
    match module.kind {
        ModuleKind::File | ModuleKind::Vdso => files.located = Some(locator.locate(module)),
        ModuleKind::Kernel => {
            let names = hosts[group.recording].of(group.id);
            match kernel::find(module, names, locator) {
                Ok(vmlinux) => files.vmlinux = vmlinux,
                Err(refused) => files.refused = Some(refused),
            }
        }
        _ => {}
    }
    files
}

/// What one address is, before its frames are interned.
struct Answer {
    names: Names,
    caller: Caller,
}

impl Answer {
    fn nameless(reason: NoName) -> Self {
        Self { names: Err(reason), caller: Caller::Unknown }
    }
}

impl From<cached_symbols::Answer> for Answer {
    fn from(answer: cached_symbols::Answer) -> Self {
        let caller = match answer.frame_pointer {
            FramePointer::Set => Caller::Next,
            FramePointer::NotSet => Caller::Skipped,
            FramePointer::Outermost => Caller::Outermost,
            FramePointer::Unknown => Caller::Unknown,
        };
        Self { names: answer.names, caller }
    }
}

/// Where a group's names come from.
enum Source<'a> {
    /// Files of the module.
    Files { symbols: CachedSymbols<'a>, segments: Vec<Segment> },
    /// Names recorded on the host.
    Host { symbols: &'a HostSymbols<'a>, group: &'a Group, otherwise: NoName },
    /// The kernel's own file, and where that has no name the host.
    Kernel { symbols: CachedSymbols<'a>, segments: Vec<Segment>, host: Box<Self> },
    /// Nowhere.
    Nowhere(NoName),
}

impl<'a> Source<'a> {
    fn of(
        group: &'a Group,
        files: &'a ModuleFiles,
        embedded: Option<&'a [u8]>,
        host: &'a HostSymbols<'a>,
        cache: &'a SymbolCache,
    ) -> Self {
        let Some(module) = &group.module else { return Self::Nowhere(NoName::Unmapped) };
        let from_host = |otherwise| Self::Host { symbols: host, group, otherwise };
        match module.kind {
            ModuleKind::File => match &files.located {
                Some(Ok(located)) => Self::Files {
                    symbols: CachedSymbols::of(located, cache),
                    segments: segments(module, located.image.as_deref()),
                },
                Some(Err(missing)) => Self::Nowhere(missing.reason),
                None => Self::Nowhere(NoName::NoFile),
            },
            ModuleKind::Vdso => match embedded {
                Some(image) => Self::Files {
                    symbols: CachedSymbols::embedded(image),
                    segments: segments(module, Some(image)),
                },
                None => match &files.located {
                    Some(Ok(located)) => Self::Files {
                        symbols: CachedSymbols::of(located, cache),
                        segments: segments(module, located.image.as_deref()),
                    },
                    _ => from_host(NoName::NoFile),
                },
            },
            ModuleKind::Anon => {
                let unmapped = host.of(group.id).is_empty();
                from_host(if unmapped { NoName::Anonymous } else { NoName::OutOfRange })
            }
            ModuleKind::Kernel | ModuleKind::KernelModule | ModuleKind::Bpf => {
                let hidden = host.of(group.id).is_empty() && files.vmlinux.is_none();
                let host = from_host(match hidden {
                    false => NoName::OutOfRange,
                    // Where the kernel was, hosts that hide its names do not say.
                    true if module.runtime_base == 0 => NoName::KernelHidden,
                    true => NoName::NoFile,
                });
                match &files.vmlinux {
                    Some(vmlinux) => Self::Kernel {
                        symbols: CachedSymbols::of(&vmlinux.located, cache),
                        segments: vmlinux.anchored(),
                        host: Box::new(host),
                    },
                    None => host,
                }
            }
        }
    }

    fn answer(&self, addresses: &[Address]) -> Vec<Answer> {
        match self {
            Self::Files { symbols, segments } => {
                let ask = |at: &[Svma]| symbols.answers(at).into_iter().map(Answer::from).collect();
                answer_stated(segments, addresses, ask)
            }
            Self::Kernel { symbols, segments, host } => {
                // The kernel unwinds itself with its own tables.
                let next = |names| Answer { names, caller: Caller::Next };
                let ask = |at: &[Svma]| symbols.names(at).into_iter().map(next).collect();
                let answers = answer_stated(segments, addresses, ask).into_iter().zip(addresses);
                answers
                    .map(|(answer, address)| match answer.names {
                        Ok(_) => answer,
                        Err(_) => host.answer_one(address.lookup()),
                    })
                    .collect()
            }
            Self::Host { .. } | Self::Nowhere(_) => {
                addresses.par_iter().map(|address| self.answer_one(address.lookup())).collect()
            }
        }
    }

    /// What needs no file.
    fn answer_one(&self, address: u64) -> Answer {
        match self {
            Self::Host { symbols, group, otherwise } => {
                from_host(symbols, group, *otherwise, address)
            }
            Self::Nowhere(reason) => Answer::nameless(*reason),
            Self::Files { .. } | Self::Kernel { .. } => Answer::nameless(NoName::OutOfRange),
        }
    }
}

/// Recorded segments are those of the file that ran. Without them the file's own serve; those of a
/// separate debug file do not, their offsets are its own.
pub fn segments(module: &Module, image: Option<&[u8]>) -> Vec<Segment> {
    if !module.segments.is_empty() {
        return module.segments.clone();
    }
    let identity = image.and_then(|bytes| symbolize::identify(bytes).ok());
    identity.map(|identity| identity.segments).unwrap_or_default()
}

/// Asks for the addresses that a file states for places in it.
fn answer_stated(
    segments: &[Segment],
    addresses: &[Address],
    ask: impl Fn(&[Svma]) -> Vec<Answer>,
) -> Vec<Answer> {
    let stated: Vec<Option<Svma>> = addresses
        .iter()
        .map(|address| Segment::to_svma(segments, FileOffset(address.lookup())))
        .collect();
    let asked: Vec<Svma> = stated.iter().copied().flatten().collect();
    let mut answers = ask(&asked).into_iter();
    stated
        .into_iter()
        .map(|at| at.and_then(|_| answers.next()))
        .map(|answer| answer.unwrap_or_else(|| Answer::nameless(NoName::OutOfRange)))
        .collect()
}

fn from_host(symbols: &HostSymbols<'_>, group: &Group, otherwise: NoName, address: u64) -> Answer {
    let Some(symbol) = symbols.find(group.id, address) else {
        return Answer::nameless(otherwise);
    };
    let raw = symbol.name.lossy();
    let source = match symbol.from {
        SymbolFrom::Kallsyms | SymbolFrom::BpfKsym => NameSource::Kallsyms,
        SymbolFrom::PerfMap | SymbolFrom::Jitdump => NameSource::PerfMap,
    };
    let frame = SourceFrame {
        name: symbolize::demangle(&raw).into(),
        raw_name: raw.as_ref().into(),
        file: None,
        line: None,
        start_line: None,
        inlined: false,
        source,
    };
    // The kernel unwinds itself with its own tables; run-time code is not known.
    let caller = match symbol.from {
        SymbolFrom::Kallsyms | SymbolFrom::BpfKsym => Caller::Next,
        SymbolFrom::PerfMap | SymbolFrom::Jitdump => Caller::Unknown,
    };
    Answer { names: Ok(vec![frame]), caller }
}

/// What a group's frames have in common.
struct Shape {
    module: Arc<str>,
    kind: FrameKind,
}

impl Shape {
    fn of(group: &Group) -> Self {
        let kind = match group.module.as_ref().map(|m| m.kind) {
            None => FrameKind::NoName(NoName::Unmapped),
            Some(ModuleKind::File) if group.is_executable => FrameKind::User,
            Some(ModuleKind::File | ModuleKind::Vdso) => FrameKind::Library,
            Some(ModuleKind::Anon) => FrameKind::Jit,
            Some(ModuleKind::Kernel | ModuleKind::KernelModule | ModuleKind::Bpf) => {
                FrameKind::Kernel
            }
        };
        let module = group.module.as_ref().map_or_else(|| "".into(), short_name);
        Self { module: module.into(), kind }
    }

    fn intern(&self, answer: Answer, group: u32, frames: &mut FrameTable) -> Resolved {
        match answer.names {
            Ok(names) if !names.is_empty() => {
                let lines: Box<[Lines]> = names.iter().rev().map(Lines::of).collect();
                let known = lines.iter().any(|line| *line != Lines::default());
                let lines = if known { lines } else { [].into() };
                let ids = names.into_iter().rev().map(|n| frames.intern(self.named(n))).collect();
                Resolved { frames: ids, lines, group, no_name: None, caller: answer.caller }
            }
            names => {
                let reason = names.err().unwrap_or(NoName::OutOfRange);
                let id = frames.intern(self.nameless(reason));
                Resolved {
                    frames: vec![id],
                    lines: [].into(),
                    group,
                    no_name: Some(reason),
                    caller: answer.caller,
                }
            }
        }
    }

    fn named(&self, source: SourceFrame) -> Frame {
        Frame {
            name: source.name,
            raw_name: source.raw_name,
            module: Arc::clone(&self.module),
            kind: self.kind,
            inlined: source.inlined,
            file: source.file,
            source: source.source,
        }
    }

    /// One frame for all addresses of a module that lack a name for the same reason: one for each
    /// address would be thousands, and none of them would say more.
    fn nameless(&self, reason: NoName) -> Frame {
        let name = match &*self.module {
            "" => format!("[{}]", reason.describe()),
            module => format!("[{}: {}]", module.trim_matches(['[', ']']), reason.describe()),
        };
        let mut frame = Frame::new(&name, &self.module, FrameKind::NoName(reason));
        frame.source = NameSource::None;
        frame
    }
}

/// A module's name in frames: what follows the last `/`; in brackets what is no file.
#[must_use]
pub fn short_name(module: &Module) -> String {
    let name = module.path.file_name().into_owned();
    match module.kind {
        ModuleKind::File => name,
        ModuleKind::Anon => "[run-time code]".into(),
        ModuleKind::Kernel if name.is_empty() => "[kernel]".into(),
        ModuleKind::Bpf if name.is_empty() => "[bpf]".into(),
        ModuleKind::Vdso if name.is_empty() => "[vdso]".into(),
        _ if name.starts_with('[') => name,
        _ => format!("[{name}]"),
    }
}
