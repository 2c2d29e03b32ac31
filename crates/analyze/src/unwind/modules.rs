//! The unwind tables of a recording's modules, each opened once, when the first stack needs it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use profile::{FileOffset, Module, ModuleId, ModuleKind, Segment};
use rustc_hash::FxHashMap;
use symbolize::Files;
use symbolize::unwind::{NoRule, Rule, Rules, UnwindTables};

use crate::addresses::only_build;
use crate::import::Recording;
use crate::locate::{Located, Locator};

/// Where a module's tables come from.
enum Source {
    Files(Located),
    /// What the recording holds: a vDSO's image, or the tables alone; and a debug file, where there is one.
    Embedded(Vec<u8>, Option<Located>),
    Nowhere(NoRule),
}

/// What recorders embed at most; a forged recording may hold any number of images that compress well.
const MAX_EMBEDDED_BYTES: usize = 256 << 20;

/// The files of all modules, found when they are asked for.
pub struct ModuleFiles<'r> {
    recording: &'r Recording,
    locator: &'r Locator,
    /// By id.
    sources: Vec<OnceLock<Source>>,
    /// Of images that are held.
    embedded_bytes: AtomicUsize,
}

impl<'r> ModuleFiles<'r> {
    /// Opens nothing yet.
    pub fn new(recording: &'r Recording, locator: &'r Locator) -> Self {
        let count = recording.tables().modules.len() + 1;
        let sources = std::iter::repeat_with(OnceLock::new).take(count).collect();
        Self { recording, locator, sources, embedded_bytes: AtomicUsize::new(0) }
    }

    fn module(&self, id: ModuleId) -> Option<&'r Module> {
        let tables = self.recording.tables();
        let module = tables.module(id)?;
        Some(only_build(module, tables).unwrap_or(module))
    }

    fn source(&self, id: ModuleId) -> Option<&Source> {
        let module = self.module(id)?;
        Some(self.sources.get(id.index())?.get_or_init(|| match module.kind {
            ModuleKind::File => self.of_file(id, module),
            ModuleKind::Vdso => match self.hold(|| self.recording.vdso_image(id)) {
                Some(image) => Source::Embedded(image, None),
                None => self.of_file(id, module),
            },
            _ => Source::Nowhere(NoRule::NoTables),
        }))
    }
}

impl ModuleFiles<'_> {
    fn hold(&self, image: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let is_room = self.embedded_bytes.load(Ordering::Relaxed) < MAX_EMBEDDED_BYTES;
        let image = is_room.then(image).flatten()?;
        self.embedded_bytes.fetch_add(image.len(), Ordering::Relaxed);
        Some(image)
    }

    /// The file itself, else what was embedded of it.
    fn of_file(&self, id: ModuleId, module: &Module) -> Source {
        let located = self.locator.locate(module).ok();
        if located.as_ref().is_some_and(|found| found.image.is_some()) {
            return located.map_or(Source::Nowhere(NoRule::NoFile), Source::Files);
        }
        match (self.hold(|| self.recording.unwind_image(id)), located) {
            (Some(image), located) => Source::Embedded(image, located),
            (None, Some(located)) => Source::Files(located),
            (None, None) => Source::Nowhere(NoRule::NoFile),
        }
    }
}

/// One module, ready.
struct Opened<'f> {
    tables: UnwindTables<'f>,
    segments: Vec<Segment>,
}

/// The tables of all modules; several threads share them.
pub struct ModuleTables<'f> {
    files: &'f ModuleFiles<'f>,
    /// By id.
    opened: Vec<OnceLock<Result<Opened<'f>, NoRule>>>,
}

impl<'f> ModuleTables<'f> {
    /// Opens nothing yet.
    pub fn new(files: &'f ModuleFiles<'f>) -> Self {
        let count = files.sources.len();
        Self { files, opened: std::iter::repeat_with(OnceLock::new).take(count).collect() }
    }

    fn rule(&self, id: ModuleId, address: u64) -> Result<Rule, NoRule> {
        let opened = self.opened.get(id.index()).ok_or(NoRule::NoTables)?;
        let opened = opened.get_or_init(|| self.open(id)).as_ref().map_err(|why| *why)?;
        let address = Segment::to_svma(&opened.segments, FileOffset(address));
        opened.tables.rule(address.ok_or(NoRule::NotCovered)?)
    }

    fn open(&self, id: ModuleId) -> Result<Opened<'f>, NoRule> {
        let module = self.files.module(id).ok_or(NoRule::NoTables)?;
        let files = match self.files.source(id).ok_or(NoRule::NoTables)? {
            Source::Files(located) => Files {
                image: located.image.as_deref(),
                debug: located.debug.as_deref(),
                supplement: None,
            },
            Source::Embedded(image, located) => Files {
                image: Some(image),
                debug: located.as_ref().and_then(|found| found.debug.as_deref()),
                supplement: None,
            },
            Source::Nowhere(why) => return Err(*why),
        };
        let tables = UnwindTables::open(files).map_err(|_| NoRule::Damaged)?;
        let segments = crate::resolve::segments(module, files.image);
        Ok(Opened { tables, segments })
    }
}

/// Rules that were asked for before: of one thread, so that stacks need no lock.
pub struct KnownRules<'t, 'f> {
    tables: &'t ModuleTables<'f>,
    rules: FxHashMap<(ModuleId, u64), Result<Rule, NoRule>>,
}

impl<'t, 'f> KnownRules<'t, 'f> {
    /// Knows none yet.
    pub fn new(tables: &'t ModuleTables<'f>) -> Self {
        Self { tables, rules: FxHashMap::default() }
    }
}

impl Rules for KnownRules<'_, '_> {
    fn rule(&mut self, module: ModuleId, address: u64) -> Result<&Rule, NoRule> {
        let known = self.rules.entry((module, address));
        let rule = known.or_insert_with(|| self.tables.rule(module, address));
        rule.as_ref().map_err(|why| *why)
    }
}
