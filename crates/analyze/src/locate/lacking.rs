//! What a server could add to the files of a module that are here.

use profile::{BuildId, Module, ModuleKind};
use symbolize::Identity;

use super::{FetchOutcome, FileKind, Located, Locator, MappedFile, Wanted, recorded_id};

/// Questions about one module build on each other: its file, its debug file, what that shares.
const ROUNDS: usize = 3;

impl Locator {
    /// Asks the servers, if any were named, for what these modules lack, the heaviest first. What comes
    /// is found by [`Locator::locate`] from then on. Outcomes stand in the order of the questions.
    pub fn fetch(&self, modules: &[(&Module, u64)]) -> Vec<FetchOutcome> {
        let Some(fetcher) = &self.fetcher else { return Vec::new() };
        let mut outcomes: Vec<FetchOutcome> = Vec::new();
        for _ in 0..ROUNDS {
            let was_asked = |wanted: &Wanted| {
                outcomes.iter().any(|known| {
                    (known.wanted.build_id, known.wanted.kind) == (wanted.build_id, wanted.kind)
                })
            };
            let wanted: Vec<Wanted> = modules
                .iter()
                .filter_map(|(module, weight)| {
                    let lacking = self.lacking(module).into_iter();
                    let next = lacking.map(|(build_id, kind)| Wanted {
                        build_id,
                        kind,
                        weight: *weight,
                        name: module.path.file_name().as_ref().into(),
                    });
                    next.filter(|wanted| !was_asked(wanted)).next()
                })
                .collect();
            if wanted.is_empty() {
                break;
            }
            outcomes.extend(fetcher.fetch(&wanted));
        }
        outcomes
    }

    /// Files that would add to a module's names, the one that may make the others needless first.
    fn lacking(&self, module: &Module) -> Vec<(BuildId, FileKind)> {
        if module.kind != ModuleKind::File {
            return Vec::new(); // the kernel's names are recorded with the samples
        }
        let recorded = recorded_id(module);
        let Ok(located) = self.locate(module) else {
            return askable(vec![
                (recorded, FileKind::Executable),
                (recorded, FileKind::Debuginfo),
            ]);
        };
        let Located { image, debug, supplement, .. } = &located;
        let identity = |file: &Option<MappedFile>| symbolize::identify(file.as_deref()?).ok();
        let (image, debug) = (identity(image), identity(debug));
        let mut lacking = Vec::new();
        let own_id = match &image {
            Some(image) if recorded.is_empty() => image.build_id,
            _ => recorded,
        };
        if image.is_none() {
            lacking.push((own_id, FileKind::Executable));
        }
        let tells_all = |i: &Identity| i.has_debug_info || i.has_pclntab;
        if debug.is_none() && !image.as_ref().is_some_and(tells_all) {
            lacking.push((own_id, FileKind::Debuginfo));
        }
        if supplement.is_none() {
            let link = debug.or(image).and_then(|identity| identity.alt_link);
            lacking.extend(link.map(|link| (link.build_id, FileKind::Debuginfo)));
        }
        askable(lacking)
    }
}

/// A file without a build-id cannot be asked for.
fn askable(mut files: Vec<(BuildId, FileKind)>) -> Vec<(BuildId, FileKind)> {
    files.retain(|(build_id, _)| !build_id.is_empty());
    files
}
