//! What a server could add to the files of a module that are here.

use std::collections::BTreeSet;
use std::path::Path;

use profile::{BuildId, Module, ModuleKind, Text};
use symbolize::Identity;

use super::{FetchOutcome, FileKind, Located, Locator, MappedFile, Wanted, recorded_id};

/// Questions about one module build on each other: its file, its debug file, what that shares.
const ROUNDS: usize = 3;

/// A file by build-id.
type Lacking = (BuildId, FileKind);

impl Locator {
    /// Asks the servers, if any were named, for what these modules lack, the heaviest first. What comes
    /// is found by [`Locator::locate`] from then on. Outcomes stand in the order of the questions.
    pub fn fetch(&self, modules: &[(&Module, u64)]) -> Vec<FetchOutcome> {
        let name = |module: &Module| Text::from(module.path.file_name().as_ref());
        let rows: Vec<(Text, u64)> =
            modules.iter().map(|(module, weight)| (name(module), *weight)).collect();
        self.ask(&rows, |row| modules.get(row).map_or(Vec::new(), |(m, _)| self.lacking(m)))
    }

    /// The same for one file that was given itself. `locate` finds it with those of its companions that
    /// are here.
    pub fn fetch_companions(
        &self,
        file: &Path,
        locate: impl Fn() -> Option<Located>,
    ) -> Vec<FetchOutcome> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.ask(&[(name.as_ref().into(), 1)], |_| {
            locate().map_or(Vec::new(), |located| lacking(&located, BuildId::default()))
        })
    }

    /// Asks for what each row lacks, one file of each at a time, until nothing new is lacking.
    fn ask(
        &self,
        rows: &[(Text, u64)],
        lacking: impl Fn(usize) -> Vec<Lacking>,
    ) -> Vec<FetchOutcome> {
        let Some(fetcher) = &self.fetcher else { return Vec::new() };
        let mut outcomes: Vec<FetchOutcome> = Vec::new();
        let mut asked: BTreeSet<Lacking> = BTreeSet::new();
        for _ in 0..ROUNDS {
            let next = |(row, (name, weight)): (usize, &(Text, u64))| {
                let lacking = lacking(row).into_iter();
                let (build_id, kind) =
                    lacking.filter(|(id, _)| !id.is_empty()).find(|l| !asked.contains(l))?;
                Some(Wanted { build_id, kind, weight: *weight, name: name.clone() })
            };
            let wanted: Vec<Wanted> = rows.iter().enumerate().filter_map(next).collect();
            if wanted.is_empty() {
                break;
            }
            asked.extend(wanted.iter().map(|wanted| (wanted.build_id, wanted.kind)));
            outcomes.extend(fetcher.fetch(&wanted));
        }
        outcomes
    }

    fn lacking(&self, module: &Module) -> Vec<Lacking> {
        if module.kind != ModuleKind::File {
            // The kernel's names are recorded with the samples. Where they were hidden, so was the
            // address that its file would be of use with.
            return Vec::new();
        }
        let recorded = recorded_id(module);
        match self.locate(module) {
            Ok(located) => lacking(&located, recorded),
            Err(_) => vec![(recorded, FileKind::Executable), (recorded, FileKind::Debuginfo)],
        }
    }
}

/// Files that would add to the names of those that are here, the one that may make the others needless
/// first. Those without a build-id cannot be asked for.
fn lacking(located: &Located, recorded: BuildId) -> Vec<Lacking> {
    let identity = |file: &Option<MappedFile>| symbolize::identify(file.as_deref()?).ok();
    let (image, debug) = (identity(&located.image), identity(&located.debug));
    let own_id = match &image {
        Some(image) if recorded.is_empty() => image.build_id,
        _ => recorded,
    };
    let mut lacking = Vec::new();
    if image.is_none() {
        lacking.push((own_id, FileKind::Executable));
    }
    let tells_all = |i: &Identity| i.has_debug_info || i.has_pclntab;
    if debug.is_none() && !image.as_ref().is_some_and(tells_all) {
        lacking.push((own_id, FileKind::Debuginfo));
    }
    if located.supplement.is_none() {
        let link = debug.or(image).and_then(|identity| identity.alt_link);
        lacking.extend(link.map(|link| (link.build_id, FileKind::Debuginfo)));
    }
    lacking
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
    fn a_file_that_is_given_gets_its_companions() {
        let (cache, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let server = TestServer::of_files(vec![(path(ID, FileKind::Debuginfo), debug_with_link())]);
        let locator = locator(&server, &cache, &root);
        std::fs::write(root.path().join("s"), program(ID)).unwrap();
        let module = module("/s", ID);
        let outcomes =
            locator.fetch_companions(Path::new("some/s"), || locator.locate(&module).ok());
        let came: Vec<bool> = outcomes.iter().map(|outcome| outcome.result.is_ok()).collect();
        assert_eq!(came, [true, false], "the debug file, not what it shares: {outcomes:?}");
        assert_eq!(outcomes[0].wanted.name, "s".into());
        assert!(locator.locate(&module).unwrap().debug.is_some());
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
