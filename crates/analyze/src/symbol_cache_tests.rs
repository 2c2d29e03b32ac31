use super::*;
use std::ffi::OsString;

struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn directory(&self) -> PathBuf {
        self.dir.path().join("cache/symbols")
    }

    fn cache(&self) -> SymbolCache {
        SymbolCache::at(&self.directory())
    }

    /// A file in the cache's directory that was used some days ago.
    fn put(&self, name: &str, bytes: u64, days_ago: u32) {
        let file = File::create(self.directory().join(name)).unwrap();
        file.set_len(bytes).unwrap();
        file.set_modified(SystemTime::now() - DAY * days_ago).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A copy of a file of testdata, found as a module's image.
    fn located(&self, name: &str) -> Located {
        let path = self.dir.path().join(name);
        fs::copy(testdata("sysroot/usr/local/lib/flamearc-testdata/blend"), &path).unwrap();
        Located {
            image: Some(MappedFile::open(&path).unwrap()),
            debug: None,
            supplement: None,
            trust: Trust::Verified,
            stripped: true,
        }
    }
}

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/stripped").join(path)
}

fn key(name: &str) -> Key {
    Key { file_name: format!("{name}.{EXTENSION}"), bytes: name.into() }
}

#[test]
fn what_is_written_is_read_and_replaced_whole() {
    let desk = Desk::new();
    let cache = desk.cache();
    assert!(cache.read(&key("a")).is_none());
    cache.write(&key("a"), b"one");
    let one = cache.read(&key("a")).unwrap();
    cache.write(&key("a"), b"two");
    assert_eq!(&*cache.read(&key("a")).unwrap(), b"two");
    assert_eq!(&*one, b"one", "what was mapped before stays");
    assert_eq!(desk.names(), ["a.symbols"]);
    let none = SymbolCache::none();
    none.write(&key("a"), b"three");
    assert!(none.read(&key("a")).is_none());
}

#[test]
fn the_least_recently_used_tables_go_when_there_are_too_many() {
    let desk = Desk::new();
    let cache = desk.cache();
    let quarter = MAX_BYTES / 4;
    for (name, days_ago) in [("b", 3), ("c", 9), ("d", 2), ("e", 5)] {
        desk.put(&format!("{name}.symbols"), quarter, days_ago);
    }
    desk.put("notes.txt", MAX_BYTES, 99);
    cache.write(&key("a"), b"new");
    assert_eq!(desk.names(), ["a.symbols", "b.symbols", "d.symbols", "notes.txt"]);
    // The same process goes on counting.
    desk.put("f.symbols", MAX_BYTES, 1);
    *cache.used_bytes.lock().unwrap() = Some(MAX_BYTES);
    cache.write(&key("g"), b"new");
    assert_eq!(desk.names(), ["a.symbols", "g.symbols", "notes.txt"]);
}

#[test]
fn what_killed_processes_left_behind_is_removed_and_what_is_being_written_is_not() {
    let desk = Desk::new();
    let cache = desk.cache();
    desk.put(".unfinished-old", 5, 2);
    desk.put(".unfinished-now", 5, 0);
    cache.write(&key("a"), b"new");
    assert_eq!(desk.names(), [".unfinished-now", "a.symbols"]);
}

#[test]
fn a_table_that_is_used_counts_as_used() {
    let desk = Desk::new();
    let cache = desk.cache();
    let modified = |name: &str| {
        let age = fs::metadata(desk.directory().join(name)).unwrap().modified().unwrap().elapsed();
        age.unwrap()
    };
    desk.put("a.symbols", 5, 3);
    desk.put("b.symbols", 5, 3);
    cache.read(&key("a")).unwrap();
    assert!(modified("a.symbols") < DAY && modified("b.symbols") > DAY);
}

#[cfg(unix)]
#[test]
fn tables_are_their_owners_and_no_link_is_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let desk = Desk::new();
    let cache = desk.cache();
    cache.write(&key("a"), b"one");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(desk.directory()), 0o700);
    assert_eq!(mode(desk.directory().join("a.symbols")), 0o600);

    let target = desk.dir.path().join("target");
    fs::write(&target, "kept").unwrap();
    symlink(&target, desk.directory().join("b.symbols")).unwrap();
    assert!(cache.read(&key("b")).is_none());
    cache.write(&key("b"), b"two");
    assert_eq!(fs::read(&target).unwrap(), b"kept");
    assert_eq!(&*cache.read(&key("b")).unwrap(), b"two");

    let link = desk.dir.path().join("link");
    symlink(desk.directory(), &link).unwrap();
    assert!(SymbolCache::at(&link).describe().contains("not used"));
    fs::set_permissions(desk.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let open = desk.cache();
    assert!(open.describe().contains("not used") && open.describe().contains("chmod 700"));
    assert!(open.read(&key("a")).is_none());
}

#[test]
fn a_directory_that_cannot_be_made_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let cache = SymbolCache::at(&file.path().join("below"));
    assert!(cache.describe().starts_with("symbol cache: not used ("));
    assert!(!cache.is_used());
}

#[test]
fn the_users_directory_is_where_the_system_has_it() {
    let directory = |given: &[(&str, &str)]| {
        user_directory(|name| {
            given.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    };
    let (root, home) = if cfg!(windows) { ("C:\\", "LOCALAPPDATA") } else { ("/", "HOME") };
    let at = |path: &str| format!("{root}{path}");
    assert_eq!(directory(&[]), None);
    assert_eq!(
        directory(&[("XDG_CACHE_HOME", &at("x")), (home, &at("h"))]),
        Some(PathBuf::from(at("x")))
    );
    let default = directory(&[("XDG_CACHE_HOME", "relative"), (home, &at("h"))]).unwrap();
    assert!(default.starts_with(at("h")));
}

#[test]
fn a_key_is_that_of_these_very_files() {
    let desk = Desk::new();
    let image = desk.located("image");
    let key = Key::of(&image).unwrap();
    assert!(key.file_name.starts_with("9853767c27a66dbec3015f3ba7ec3ec10cb88f27-"), "{key:?}");
    assert_eq!(Key::of(&image), Some(key.clone()));

    let debug = testdata("debug/.build-id/98/53767c27a66dbec3015f3ba7ec3ec10cb88f27.debug");
    let with_debug = Located { debug: Some(MappedFile::open(&debug).unwrap()), ..image };
    let with_debug_key = Key::of(&with_debug).unwrap();
    assert_ne!(with_debug_key, key);
    assert_ne!(with_debug_key.file_name, key.file_name);

    let path = desk.dir.path().join("image");
    File::options().append(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let touched =
        Located { image: Some(MappedFile::open(&path).unwrap()), debug: None, ..with_debug };
    assert_ne!(Key::of(&touched), Some(key), "a file may be altered in place");
    let unsure = Located { trust: Trust::Unverified, ..touched };
    assert_eq!(Key::of(&unsure), None);
}
