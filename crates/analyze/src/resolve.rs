//! Gives every address that was hit its frames, each address once, modules in parallel.

use std::sync::Arc;

use profile::{
    FileOffset, Frame, FrameId, FrameKind, FrameTable, Module, ModuleId, ModuleKind, NameSource,
    NoName, Segment, Svma, SymbolFrom,
};
use rayon::prelude::*;
use symbolize::{Files, FramePointer, SourceFrame, Symbols};

use crate::addresses::{Address, AddressId, Addresses, Group, Used};
use crate::host_symbols::HostSymbols;
use crate::locate::{Located, Locator, Missing};

/// Addresses that one worker asks a module for: each piece opens the module's symbols again, so
/// smaller pieces cost more in total, larger ones leave threads without work.
const PIECE: usize = 4096;

/// What an address turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// The physical function first, what was inlined into it after it. One frame that says why when
    /// there is no name.
    pub frames: Vec<FrameId>,
    /// Index of [`Addresses::groups`].
    pub group: u32,
    /// Why there is no name.
    pub no_name: Option<NoName>,
    /// Whether a frame-pointer walk that comes through here finds the function's caller.
    pub caller: Caller,
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
    frames: &mut FrameTable,
) -> Resolution {
    let hosts: Vec<HostSymbols<'_>> = used.iter().map(|u| HostSymbols::new(u.tables)).collect();
    let files: Vec<ModuleFiles> =
        addresses.groups.par_iter().map(|group| find_files(group, locator)).collect();
    let vdsos: Vec<Option<Vec<u8>>> =
        addresses.groups.iter().map(|group| vdso_image(group.recording, group.id)).collect();

    let mut pieces: Vec<(usize, &[Address])> = Vec::new();
    for (index, group) in addresses.groups.iter().enumerate() {
        pieces.extend(group.addresses.chunks(PIECE).map(|piece| (index, piece)));
    }
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(pieces[*i].1.len()));
    let mut answers: Vec<(usize, Vec<Answer>)> = order
        .par_iter()
        .with_max_len(1)
        .map(|i| {
            let (index, piece) = pieces[*i];
            let group = &addresses.groups[index];
            let source =
                Source::of(group, &files[index], vdsos[index].as_deref(), &hosts[group.recording]);
            (*i, source.answer(piece))
        })
        .collect();
    answers.sort_unstable_by_key(|(i, _)| *i);

    let mut rows = Vec::with_capacity(addresses.count());
    for (i, answers) in answers {
        let index = pieces[i].0;
        let shape = Shape::of(&addresses.groups[index]);
        for answer in answers {
            rows.push(shape.intern(answer, index as u32, frames));
        }
    }
    Resolution { rows, files }
}

fn find_files(group: &Group, locator: &Locator) -> ModuleFiles {
    let located = match &group.module {
        Some(module) if module.kind == ModuleKind::File => Some(locator.locate(module)),
        _ => None,
    };
    ModuleFiles { located }
}

/// What one address is, before its frames are interned.
struct Answer {
    names: Result<Vec<SourceFrame>, NoName>,
    caller: Caller,
}

impl Answer {
    fn nameless(reason: NoName) -> Self {
        Self { names: Err(reason), caller: Caller::Unknown }
    }
}

/// Where a group's names come from.
enum Source<'a> {
    /// Files of the module.
    Files { symbols: Box<Symbols<'a>>, segments: Vec<Segment> },
    /// Names recorded on the host.
    Host { symbols: &'a HostSymbols<'a>, group: &'a Group, otherwise: NoName },
    /// Nowhere.
    Nowhere(NoName),
}

impl<'a> Source<'a> {
    fn of(
        group: &'a Group,
        files: &'a ModuleFiles,
        embedded: Option<&'a [u8]>,
        host: &'a HostSymbols<'a>,
    ) -> Self {
        let Some(module) = &group.module else { return Self::Nowhere(NoName::Unmapped) };
        let from_host = |otherwise| Self::Host { symbols: host, group, otherwise };
        match module.kind {
            ModuleKind::File => match &files.located {
                Some(Ok(located)) => Self::open(
                    module,
                    Files {
                        image: located.image.as_deref(),
                        debug: located.debug.as_deref(),
                        supplement: located.supplement.as_deref(),
                    },
                ),
                Some(Err(missing)) => Self::Nowhere(missing.reason),
                None => Self::Nowhere(NoName::NoFile),
            },
            ModuleKind::Vdso => match embedded {
                Some(image) => Self::open(module, Files { image: Some(image), ..Files::default() }),
                None => from_host(NoName::NoFile),
            },
            ModuleKind::Anon => from_host(NoName::Anonymous),
            ModuleKind::Kernel | ModuleKind::KernelModule | ModuleKind::Bpf => {
                let hidden = !host.has(group.id);
                from_host(if hidden { NoName::KernelHidden } else { NoName::OutOfRange })
            }
        }
    }

    fn open(module: &Module, files: Files<'a>) -> Self {
        match Symbols::new(files) {
            Ok(symbols) => {
                let segments = segments(module, files.image);
                Self::Files { symbols: Box::new(symbols), segments }
            }
            Err(_) => Self::Nowhere(NoName::BadDebugInfo),
        }
    }

    fn answer(&self, addresses: &[Address]) -> Vec<Answer> {
        addresses.iter().map(|address| self.answer_one(address.lookup())).collect()
    }

    fn answer_one(&self, address: u64) -> Answer {
        match self {
            Self::Files { symbols, segments } => {
                match Segment::to_svma(segments, FileOffset(address)) {
                    Some(at) => from_symbols(symbols, at),
                    None => Answer::nameless(NoName::OutOfRange),
                }
            }
            Self::Host { symbols, group, otherwise } => {
                let Some(symbol) = symbols.find(group.id, address) else {
                    return Answer::nameless(*otherwise);
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
            Self::Nowhere(reason) => Answer::nameless(*reason),
        }
    }
}

/// Recorded segments are those of the file that ran. Without them the file's own serve; those of a
/// separate debug file do not, their offsets are its own.
pub fn segments(module: &Module, image: Option<&[u8]>) -> Vec<Segment> {
    if module.segments.is_empty() {
        let image = image.and_then(|bytes| symbolize::identify(bytes).ok());
        image.map(|identity| identity.segments).unwrap_or_default()
    } else {
        module.segments.clone()
    }
}

fn from_symbols(symbols: &Symbols<'_>, at: Svma) -> Answer {
    let caller = match symbols.frame_pointer(at) {
        FramePointer::Set => Caller::Next,
        FramePointer::NotSet => Caller::Skipped,
        FramePointer::Outermost => Caller::Outermost,
        FramePointer::Unknown => Caller::Unknown,
    };
    Answer { names: symbols.lookup(at), caller }
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
                let ids = names.into_iter().rev().map(|n| frames.intern(self.named(n))).collect();
                Resolved { frames: ids, group, no_name: None, caller: answer.caller }
            }
            names => {
                let reason = names.err().unwrap_or(NoName::OutOfRange);
                let id = frames.intern(self.nameless(reason));
                Resolved { frames: vec![id], group, no_name: Some(reason), caller: answer.caller }
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
