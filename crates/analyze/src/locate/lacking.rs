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
                    let mut wanted = lacking.map(|(build_id, kind)| Wanted {
                        build_id,
                        kind,
                        weight: *weight,
                        name: module.path.file_name().as_ref().into(),
                    });
                    wanted.find(|wanted| !was_asked(wanted))
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

#[cfg(test)]
mod tests {
    use super::super::debuginfod::test_server::TestServer;
    use super::super::tests::{CODE, NOBITS, PROGBITS, debug, elf, module, note, program};
    use super::super::{Debuginfod, Limits, Search};
    use super::*;

    const ID: &[u8] = &[0xab; 8];
    const SHARED: &[u8] = &[0xcd; 8];

    fn locator(
        server: &TestServer,
        cache: &tempfile::TempDir,
        sysroot: &tempfile::TempDir,
    ) -> Locator {
        Locator::new(Search {
            sysroot: Some(sysroot.path().into()),
            debuginfod: Some(Debuginfod {
                servers: vec![server.url()],
                cache: cache.path().into(),
                limits: Limits::default(),
            }),
            ..Search::default()
        })
    }

    fn path(id: &[u8], kind: FileKind) -> String {
        format!("/buildid/{}/{}", BuildId::new(id), kind.word())
    }

    /// A debug file that shares parts with another.
    fn debug_with_link() -> Vec<u8> {
        let link = [b"shared.debug\0".as_slice(), SHARED].concat();
        let names = (".debug_info", PROGBITS, 0, vec![0; 8]);
        let code = (".text", NOBITS, CODE, vec![]);
        elf(&[note(ID), code, names, (".gnu_debugaltlink", PROGBITS, 0, link)])
    }

    fn paths(server: &TestServer) -> Vec<String> {
        let path = |head: &String| head.split(' ').nth(1).unwrap().to_owned();
        server.requests().iter().map(path).collect()
    }

    #[test]
    fn a_module_that_is_nowhere_gets_its_file_its_debug_file_and_what_that_shares() {
        let (cache, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = [
            (path(ID, FileKind::Executable), program(ID)),
            (path(ID, FileKind::Debuginfo), debug_with_link()),
            (path(SHARED, FileKind::Debuginfo), elf(&[note(SHARED)])),
        ];
        let server = TestServer::of_files(files.to_vec());
        let locator = locator(&server, &cache, &empty);
        let module = module("/bin/s", ID);
        assert!(locator.locate(&module).is_err());
        let outcomes = locator.fetch(&[(&module, 1)]);
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
        assert_eq!(paths(&server), files.map(|(path, _)| path));
        let located = locator.locate(&module).unwrap();
        let is_from = |file: Option<MappedFile>, id: &[u8], kind: FileKind| {
            let expected = cache.path().join(BuildId::new(id).to_string()).join(kind.word());
            assert_eq!(file.unwrap().path, expected);
        };
        is_from(located.image, ID, FileKind::Executable);
        is_from(located.debug, ID, FileKind::Debuginfo);
        is_from(located.supplement, SHARED, FileKind::Debuginfo);
        // What is in the cache is of no account where nobody said --debuginfod.
        let offline = Search { sysroot: Some(empty.path().into()), ..Search::default() };
        assert!(Locator::new(offline).locate(&module).is_err());
    }

    #[test]
    fn only_what_is_lacking_is_asked_for() {
        let names = || (".debug_info", PROGBITS, 0, vec![0; 8]);
        let text = || (".text", PROGBITS, CODE, vec![0xc3; 64]);
        let tables = (".gopclntab", PROGBITS, 0, vec![0; 8]);
        let debuginfo = path(ID, FileKind::Debuginfo);
        for (image, asked) in [
            (program(ID), vec![debuginfo.clone()]),
            (elf(&[note(ID), text(), names()]), vec![]),
            (elf(&[note(ID), text(), tables]), vec![]),
            // Without a build-id nobody can be asked.
            (elf(&[text()]), vec![]),
            (debug(ID), vec![path(ID, FileKind::Executable), debuginfo]),
        ] {
            let (cache, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut module = module("/s", ID);
            if symbolize::identify(&image).unwrap().build_id.is_empty() {
                module.build_id = BuildId::default();
                module.file_bytes = image.len() as u64;
            }
            if !super::super::companion::is_debug_only(&image) {
                std::fs::write(root.path().join("s"), image).unwrap();
            }
            let server = TestServer::of_files(vec![]);
            locator(&server, &cache, &root).fetch(&[(&module, 1)]);
            assert_eq!(paths(&server), asked);
        }
    }

    #[test]
    fn the_kernel_is_not_asked_for() {
        let (cache, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let server = TestServer::of_files(vec![]);
        let mut kernel = module("[kernel]", ID);
        kernel.kind = ModuleKind::Kernel;
        assert_eq!(locator(&server, &cache, &root).fetch(&[(&kernel, 1)]), []);
        assert_eq!(server.requests(), [""; 0]);
    }
}
