//! How tools spell frames: what a name says beside the name.

use profile::{Frame, FrameId, FrameKind, NoName};
use rustc_hash::FxHashMap;

use super::named::{NamedStacks, TooMuch};

/// The frames that were met, by all that the input says of them.
#[derive(Debug, Default)]
pub struct Spellings {
    ids: FxHashMap<String, FrameId>,
    /// Kept for its memory.
    key: String,
}

impl Spellings {
    /// The number of a frame: of the one that was spelled the same before, or else of `frame`.
    ///
    /// # Errors
    /// [`TooMuch::Memory`].
    pub fn id(
        &mut self,
        stacks: &mut NamedStacks,
        spelled: &[&str],
        frame: impl FnOnce() -> Frame,
    ) -> Result<FrameId, TooMuch> {
        self.key.clear();
        for part in spelled {
            self.key.push_str(part);
            self.key.push('\n');
        }
        if let Some(id) = self.ids.get(&self.key) {
            return Ok(*id);
        }
        let id = stacks.frame(frame())?;
        self.ids.insert(self.key.clone(), id);
        Ok(id)
    }
}

/// What stands for a stack of which nothing is known.
pub const NO_STACK: &str = "[no stack]";

/// A frame as folded stacks spell it: `_[k]` kernel, `_[j]` compiled at run time, `_[i]` inlined; what
/// stands in brackets is a marker of ours, or code without a name.
#[must_use]
pub fn frame_of(spelled: &str) -> Frame {
    let marks = [("_[k]", FrameKind::Kernel), ("_[j]", FrameKind::Jit)];
    let (mut name, mut kind, mut inlined) = (spelled, FrameKind::User, false);
    if let Some(rest) = name.strip_suffix("_[i]") {
        (name, inlined) = (rest, true);
    }
    for (mark, marked) in marks {
        if let Some(rest) = name.strip_suffix(mark) {
            (name, kind) = (rest, marked);
        }
    }
    if is_marker(name) {
        kind = FrameKind::Marker;
    } else if is_nameless(name) {
        kind = FrameKind::NoName(NoName::NotGiven);
        inlined = false;
    }
    let shown = if name.is_empty() { "[unknown]" } else { name };
    Frame { inlined, ..Frame::new(shown, "", kind) }
}

/// A frame of code in a module. What has no name is called by its module.
#[must_use]
pub fn frame_in(spelled: &str, module: &str, kind: FrameKind) -> Frame {
    let frame = frame_of(spelled);
    match frame.kind {
        FrameKind::NoName(_) if module.is_empty() => frame,
        FrameKind::NoName(_) => {
            let name = format!("[{}]", module.trim_matches(['[', ']']));
            Frame::new(&name, module, frame.kind)
        }
        _ => Frame { module: module.into(), kind, ..frame },
    }
}

/// What code in a module is, as far as the module's name says it.
#[must_use]
pub fn kind_of_module(module: &str) -> FrameKind {
    let is_library = [".so", ".dylib", ".dll", ".DLL"].iter().any(|end| module.contains(end));
    if is_library { FrameKind::Library } else { FrameKind::User }
}

/// The markers that this program writes where something is missing of a stack.
fn is_marker(name: &str) -> bool {
    name == crate::stacks::CALLER_SKIPPED
        || name == crate::stacks::LOST
        || name == NO_STACK
        || (name.starts_with("[truncated") && name.ends_with(']'))
}

/// "[unknown]", "[libc.so.6]", "??", macOS' "???", an address.
fn is_nameless(name: &str) -> bool {
    let digits = name.strip_prefix("0x").unwrap_or_default();
    name.is_empty()
        || name == "??"
        || name == "???"
        || (name.starts_with('[') && name.ends_with(']'))
        || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_say_what_kind_of_code_it_is() {
        let kind = |spelled| {
            let frame = frame_of(spelled);
            (frame.name.to_string(), frame.kind, frame.inlined)
        };
        let nameless = FrameKind::NoName(NoName::NotGiven);
        assert_eq!(kind("do_syscall_64_[k]"), ("do_syscall_64".into(), FrameKind::Kernel, false));
        assert_eq!(kind("Foo.bar_[j]"), ("Foo.bar".into(), FrameKind::Jit, false));
        assert_eq!(kind("mix_[k]_[i]"), ("mix".into(), FrameKind::Kernel, true));
        assert_eq!(kind("[unknown]"), ("[unknown]".into(), nameless, false));
        assert_eq!(kind("[libc.so.6]_[k]"), ("[libc.so.6]".into(), nameless, false));
        assert_eq!(kind("0x7f001234"), ("0x7f001234".into(), nameless, false));
        assert_eq!(kind("0xyz"), ("0xyz".into(), FrameKind::User, false));
        assert_eq!(kind(""), ("[unknown]".into(), nameless, false));
        assert_eq!(kind("main.sum[...]"), ("main.sum[...]".into(), FrameKind::User, false));
        assert_eq!(kind("[caller may be missing]").1, FrameKind::Marker);
    }
}
