//! What colours of a flamegraph tell apart: kinds of code, modules, or languages.

use std::borrow::Cow;
use std::sync::Arc;

use profile::{CallTree, Frame, FrameKind, NameSource};

use crate::palette::Paint;
use crate::safe_text;

/// What the colour of a bar says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Coloring {
    /// Program, inlined, library, kernel and the like.
    #[default]
    Kind,
    /// Which program or library: the heaviest have a colour each.
    Module,
    /// What the code was written in, as far as its names and files show.
    Language,
}

/// Modules that have a colour of their own, beside the kernel.
const MODULE_PAINTS: [Paint; 5] =
    [Paint::User, Paint::Library, Paint::Inlined, Paint::Jit, Paint::Marker];
/// What has none.
const OTHERS: Paint = Paint::Noise;
const LONGEST_MODULE: usize = 40;

/// Colours of one tree's frames.
pub(crate) struct Colors {
    coloring: Coloring,
    /// The heaviest first.
    modules: Vec<Arc<str>>,
}

impl Colors {
    pub(crate) fn new(coloring: Coloring, tree: &CallTree) -> Self {
        let modules = match coloring {
            Coloring::Module => heaviest_modules(tree),
            Coloring::Kind | Coloring::Language => Vec::new(),
        };
        Self { coloring, modules }
    }

    pub(crate) fn paint(&self, frame: &Frame) -> Paint {
        let is_code = matches!(frame.kind, FrameKind::User | FrameKind::Library | FrameKind::Jit);
        match (self.coloring, frame.kind) {
            (Coloring::Kind, _) => Paint::of_frame(frame),
            (_, FrameKind::Process) => Paint::Process,
            (_, FrameKind::Kernel) => Paint::Kernel,
            (Coloring::Language, _) if is_code => language(frame).0,
            (Coloring::Module, _) if is_code || matches!(frame.kind, FrameKind::NoName(_)) => {
                let place = self.modules.iter().position(|module| *module == frame.module);
                place.map_or(OTHERS, |place| MODULE_PAINTS[place])
            }
            _ => OTHERS,
        }
    }

    /// What a colour says, for the legend.
    pub(crate) fn describe(&self, paint: Paint) -> Cow<'_, str> {
        let special = matches!(paint, Paint::Process | Paint::Kernel | Paint::Merged);
        match self.coloring {
            Coloring::Kind => paint.describe().into(),
            _ if special => paint.describe().into(),
            Coloring::Module => {
                let place = MODULE_PAINTS.iter().position(|known| *known == paint);
                let module = place.and_then(|place| self.modules.get(place));
                module.map_or("others".into(), |module| {
                    safe_text::clean_up_to(module, LONGEST_MODULE)
                })
            }
            Coloring::Language => LANGUAGES
                .iter()
                .find(|(known, _)| *known == paint)
                .map_or("not known", |(_, words)| words)
                .into(),
        }
    }
}

fn heaviest_modules(tree: &CallTree) -> Vec<Arc<str>> {
    let mut weights: Vec<(Arc<str>, u64)> = Vec::new();
    let mut places: rustc_hash::FxHashMap<Arc<str>, usize> = rustc_hash::FxHashMap::default();
    for node in tree.nodes().iter().skip(1).filter(|node| node.self_weight > 0) {
        let frame = tree.frames.get(node.frame);
        if frame.kind == FrameKind::Kernel || frame.module.is_empty() {
            continue;
        }
        let place = *places.entry(Arc::clone(&frame.module)).or_insert_with(|| {
            weights.push((Arc::clone(&frame.module), 0));
            weights.len() - 1
        });
        weights[place].1 += node.self_weight;
    }
    weights.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    weights.truncate(MODULE_PAINTS.len());
    weights.into_iter().map(|(module, _)| module).collect()
}

const GO: (Paint, &str) = (Paint::Library, "Go");
const RUST: (Paint, &str) = (Paint::User, "Rust");
const CPP: (Paint, &str) = (Paint::Marker, "C++");
const C: (Paint, &str) = (Paint::Inlined, "C or assembly");
const AT_RUN_TIME: (Paint, &str) = (Paint::Jit, "compiled at run time");
const UNKNOWN: (Paint, &str) = (OTHERS, "not known");
const LANGUAGES: [(Paint, &str); 6] = [GO, RUST, CPP, C, AT_RUN_TIME, UNKNOWN];

fn language(frame: &Frame) -> (Paint, &'static str) {
    let extension = frame.file.as_deref().and_then(|file| file.rsplit_once('.')).map(|(_, e)| e);
    let raw = &*frame.raw_name;
    match (frame.kind, extension) {
        (FrameKind::Jit, _) => AT_RUN_TIME,
        (_, Some("go")) => GO,
        (_, Some("rs")) => RUST,
        (_, Some("cc" | "cpp" | "cxx" | "hpp" | "hh" | "tcc" | "C")) => CPP,
        _ if frame.source == NameSource::Pclntab => GO,
        _ if raw.starts_with("_R") || is_legacy_rust(raw) => RUST,
        _ if raw.starts_with("_Z") => CPP,
        (_, Some("c" | "h" | "s" | "S")) => C,
        // What has the linker's plain name: C, or assembly.
        _ if !raw.is_empty()
            && raw.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.@".contains(&b)) =>
        {
            C
        }
        _ => UNKNOWN,
    }
}

/// `_ZN…17h` and 16 hexadecimal digits, `E`.
fn is_legacy_rust(raw: &str) -> bool {
    let hash = raw.strip_prefix("_ZN").and_then(|rest| rest.strip_suffix('E'));
    hash.and_then(|rest| rest.get(rest.len().checked_sub(19)?..)).is_some_and(|hash| {
        hash.starts_with("17h") && hash[3..].bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(raw: &str, file: Option<&str>) -> Frame {
        Frame {
            raw_name: raw.into(),
            file: file.map(Into::into),
            ..Frame::new("f", "program", FrameKind::User)
        }
    }

    #[test]
    fn languages_show_in_files_and_linkers_names() {
        for (raw, file, language_words) in [
            ("_ZN4core3fmt5write17h0123456789abcdefE", None, "Rust"),
            ("_RNvCs1234_7mycrate3foo", None, "Rust"),
            ("{closure#0}", Some("src/main.rs"), "Rust"),
            ("_ZN5Class6methodEv", None, "C++"),
            ("_ZN5Class6methodEv", Some("class.h"), "C++"),
            ("memcpy", None, "C or assembly"),
            ("main.serve", Some("/srv/service.go"), "Go"),
            ("operator new(unsigned long)", None, "not known"),
        ] {
            assert_eq!(language(&frame(raw, file)).1, language_words, "{raw} {file:?}");
        }
        let go = Frame { source: NameSource::Pclntab, ..frame("runtime.mallocgc", None) };
        assert_eq!(language(&go).1, "Go");
    }

    #[test]
    fn the_heaviest_modules_have_colours_of_their_own() {
        let mut tree = CallTree::new();
        for (module, weight) in [("a", 1), ("b", 7), ("c", 3), ("d", 4), ("e", 5), ("f", 6)] {
            let f = tree.frames.intern(Frame::new("f", module, FrameKind::Library));
            tree.add(&[f], weight);
        }
        let colors = Colors::new(Coloring::Module, &tree);
        let of = |module: &str| colors.paint(&Frame::new("g", module, FrameKind::User));
        assert_eq!(["b", "f", "e", "d", "c"].map(of), MODULE_PAINTS);
        assert_eq!((of("a"), colors.describe(of("a")).as_ref()), (OTHERS, "others"));
        assert_eq!(colors.describe(of("f")), "f");
        let kernel = colors.paint(&Frame::new("k", "[kernel]", FrameKind::Kernel));
        assert_eq!(colors.describe(kernel), "kernel");
    }

    #[test]
    fn every_language_has_a_colour_of_its_own() {
        let mut paints: Vec<Paint> = LANGUAGES.iter().map(|(paint, _)| *paint).collect();
        paints.sort_unstable();
        paints.dedup();
        assert_eq!(paints.len(), LANGUAGES.len());
    }
}
