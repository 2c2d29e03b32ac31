//! How tools spell frames: what a name says beside the name.

use profile::{Frame, FrameKind, NoName};

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

/// The markers that this program writes where something is missing of a stack.
fn is_marker(name: &str) -> bool {
    name == crate::stacks::CALLER_SKIPPED
        || name == crate::stacks::LOST
        || name == "[no stack]"
        || (name.starts_with("[truncated") && name.ends_with(']'))
}

/// "[unknown]", "[libc.so.6]", "??", an address.
fn is_nameless(name: &str) -> bool {
    let digits = name.strip_prefix("0x").unwrap_or_default();
    name.is_empty()
        || name == "??"
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
