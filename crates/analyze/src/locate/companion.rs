//! Separate debug files and their supplements: where they lie, and whether they belong.

use std::path::{Path, PathBuf};

use object::{Object, ObjectSection, SectionFlags};
use profile::{BuildId, Module};
use symbolize::Identity;

use super::{FileKind, Locator, MappedFile, recorded_id};

/// `sh_flags` bit of sections with code.
const SHF_EXECINSTR: u64 = 4;

/// Whether a file holds names for code that is elsewhere.
pub(super) fn is_debug_only(bytes: &[u8]) -> bool {
    let Ok(file) = object::File::parse(bytes) else { return false };
    let is_code = |flags| match flags {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0 & SHF_EXECINSTR != 0,
        _ => false,
    };
    let mut code = file.sections().filter(|section| is_code(section.flags()));
    let mut any = false;
    code.all(|section| {
        any = true;
        section.file_range().is_none()
    }) && any
}

/// The separate debug file of a module: by build-id, or by the image's `.gnu_debuglink`.
pub(super) fn debug_file(
    locator: &Locator,
    module: &Module,
    image: Option<(&MappedFile, &Identity)>,
) -> Option<MappedFile> {
    if image.is_some_and(|(_, identity)| identity.has_debug_info) {
        return None;
    }
    let own = image.map(|(file, _)| file.path.as_path());
    let recorded = recorded_id(module);
    let id = match image {
        Some((_, identity)) if recorded.is_empty() => identity.build_id,
        _ => recorded,
    };
    by_build_id(locator, id)
        .into_iter()
        .filter(|path| Some(path.as_path()) != own)
        .find_map(|path| {
            accept(&path, |_, identity| {
                let fits = identity.build_id == id;
                if fits && identity.is_cut {
                    locator.note_refused(&path, "it is cut off");
                }
                fits && names(identity)
            })
        })
        .or_else(|| by_link(locator, image?))
}

/// The file that a debug file (or an image with debug information) shares parts with.
pub(super) fn supplement(locator: &Locator, file: Option<&MappedFile>) -> Option<MappedFile> {
    let file = file?;
    let link = symbolize::identify(file).ok()?.alt_link?;
    let beside = super::path_of(&link.name.0).and_then(|name| Some(file.path.parent()?.join(name)));
    by_build_id(locator, link.build_id)
        .into_iter()
        .chain(beside)
        .find_map(|path| accept(&path, |_, identity| identity.build_id == link.build_id))
}

/// Whether a file names its functions, not only those it exports.
pub(super) fn names(identity: &Identity) -> bool {
    identity.has_debug_info || identity.has_symtab
}

fn accept(path: &Path, fits: impl Fn(&[u8], &Identity) -> bool) -> Option<MappedFile> {
    let file = MappedFile::open(path).ok()?;
    let identity = symbolize::identify(&file).ok()?;
    fits(&file, &identity).then_some(file)
}

/// Paths that a build-id leads to: whatever `--debug-dir` holds, then the system's debug files, then
/// what servers sent.
fn by_build_id(locator: &Locator, id: BuildId) -> Vec<PathBuf> {
    let hex = id.to_string();
    if hex.len() < 4 {
        return Vec::new();
    }
    let mut paths = Vec::new();
    if !locator.search.debug_dirs.is_empty() {
        // Files without code first: they are what we look for.
        let (debug, whole): (Vec<_>, Vec<_>) =
            locator.index().by_build_id(id).iter().cloned().partition(|p| super::is_debug_file(p));
        paths.extend(debug);
        paths.extend(whole);
    }
    paths.extend(locator.in_perf_cache(id, &["debug"]));
    let standard = format!(".build-id/{}/{}.debug", &hex[..2], &hex[2..]);
    paths.extend(system_roots(locator).map(|root| root.join(&standard)));
    paths.extend(locator.fetched_path(id, FileKind::Debuginfo));
    paths
}

/// The system's roots of debug files, inside `--sysroot` when there is one.
fn system_roots(locator: &Locator) -> impl Iterator<Item = PathBuf> + '_ {
    let sysroot = locator.search.sysroot.as_deref();
    locator.search.system_debug.iter().map(move |root| match sysroot {
        Some(sysroot) => sysroot.join(root.strip_prefix("/").unwrap_or(root)),
        None => root.clone(),
    })
}

/// The file that the image's `.gnu_debuglink` names, if its checksum is the one stated there.
fn by_link(locator: &Locator, image: (&MappedFile, &Identity)) -> Option<MappedFile> {
    let (image, identity) = image;
    let link = identity.debug_link.as_ref()?;
    // The name comes from the file: one that leads elsewhere is refused.
    if link.name.0.contains(&b'/') || matches!(&*link.name.0, b"." | b"..") {
        return None;
    }
    let name = super::path_of(&link.name.0)?;
    let directory = image.path.parent()?;
    let root = locator.search.sysroot.as_deref().unwrap_or(Path::new("/"));
    let inside =
        directory.strip_prefix(root).or_else(|_| directory.strip_prefix("/")).unwrap_or(directory);
    let mut paths = vec![directory.join(&name), directory.join(".debug").join(&name)];
    paths.extend(system_roots(locator).map(|root| root.join(inside).join(&name)));
    if !locator.search.debug_dirs.is_empty() {
        paths.extend(locator.index().by_name(name.as_os_str()).iter().cloned());
    }
    paths.retain(|path| *path != image.path);
    paths.into_iter().find_map(|path| {
        accept(&path, |bytes, _| {
            let fits = crc32fast::hash(bytes) == link.crc;
            if !fits {
                locator.note_refused(&path, "its checksum is not the one that the program states");
            }
            fits
        })
    })
}
