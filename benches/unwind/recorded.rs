//! The stacks of a recording, and the files of its modules that are here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use archive::Archive;
use profile::{ModuleId, ModuleKind};
use rayon::iter::ParallelIterator as _;

use crate::Stack;

/// Opens a recording.
pub fn open(path: &Path) -> Archive {
    Archive::open(File::open(path).expect("a recording")).expect("a recording")
}

/// Where each module's file is, if it has one; in the order of ids, from 1 on.
pub fn files(archive: &Archive) -> Vec<Option<PathBuf>> {
    let modules = archive.tables().modules.iter();
    let file = |module: &profile::Module| {
        (module.kind == ModuleKind::File).then(|| PathBuf::from(&*module.path.lossy()))
    };
    modules.map(file).collect()
}

/// Each stack that was recorded with registers and words.
pub fn stacks(archive: &Archive) -> Vec<Stack> {
    let nodes = &archive.tables().nodes;
    let stacks = Mutex::new(Vec::new());
    archive.slice_blocks().for_each(|block| {
        let mut rows = stacks.lock().expect("no other thread failed");
        block.expect("a whole recording").for_each(|stack, slice| {
            let user = nodes.walk(archive.tables().stacks.get(stack).user);
            let path: Vec<(ModuleId, u64)> =
                user.map(|(_, node)| (node.module, node.address)).collect();
            rows.push(Stack { path, slice: slice.clone() });
        });
    });
    stacks.into_inner().expect("no other thread failed")
}
