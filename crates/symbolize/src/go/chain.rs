//! The functions at one address: the innermost inlined call first, the physical function last.

use profile::NameSource;

use super::function::Function;
use super::inline_tree::InlineTree;
use super::places::Places;
use super::strings::Strings;
use crate::SourceFrame;

/// Inlined calls within one another, at most: the deepest seen in real programs are some dozen.
const MAX_DEPTH: usize = 128;

/// What the functions at an address are read from.
pub(super) struct Chain<'a, 'd> {
    pub strings: &'a Strings<'d>,
    pub function: Function<'a, 'd>,
    pub places: &'a Places,
    /// `None` when the function has none, or it is not known where they are.
    pub tree: Option<InlineTree<'d>>,
    /// The `funcID` of functions that the compiler wrote to call another one.
    pub wrapper: Option<u8>,
}

/// One function of a chain.
struct Link {
    id: u8,
    name_at: u32,
    start_line: Option<u32>,
    /// Where to look for its line: bytes behind the physical function's entry.
    line_within: Option<u64>,
    inlined: bool,
}

impl Chain<'_, '_> {
    /// The frames `within` bytes behind the function's entry; `None` when the function has no name.
    ///
    /// Wrappers are left out as the runtime does in its own stack traces (a method called through an
    /// interface has one around it), unless nothing else is there. The runtime keeps a wrapper that
    /// called `gopanic`, `sigpanic` or `panicwrap`; those are never inlined, so it makes no
    /// difference within one address.
    pub fn frames(&self, within: u64) -> Option<Vec<SourceFrame>> {
        let physical = |line_within| {
            Some(Link {
                id: self.function.id()?,
                name_at: self.function.name_at()?,
                start_line: self.function.start_line(),
                line_within,
                inlined: false,
            })
        };
        let mut links = match self.inlined_calls(within) {
            Some((mut links, call_within)) => {
                links.push(physical(Some(call_within))?);
                links
            }
            // Which calls were inlined is not known, so neither is whose line it is.
            None => vec![physical(None)?],
        };
        if links.iter().any(|link| Some(link.id) != self.wrapper) {
            links.retain(|link| Some(link.id) != self.wrapper);
        }
        if let Some(last) = links.last_mut() {
            last.inlined = false;
        }
        links.iter().map(|link| self.frame(link)).collect()
    }

    /// The inlined calls around an address, and where to look for the physical function's line.
    /// `None` when the tree contradicts itself.
    fn inlined_calls(&self, mut within: u64) -> Option<(Vec<Link>, u64)> {
        let mut links = Vec::new();
        while let Some(number) = self.places.inlined.value(within).filter(|number| *number >= 0) {
            let call = self.tree.as_ref()?.call(number)?;
            let next = u64::from(call.call_within);
            if links.len() == MAX_DEPTH || next >= self.function.size_bytes() {
                return None;
            }
            self.strings.raw_name(call.name_at)?;
            links.push(Link {
                id: call.id,
                name_at: call.name_at,
                start_line: call.start_line,
                line_within: Some(within),
                inlined: true,
            });
            within = next;
        }
        Some((links, within))
    }

    fn frame(&self, link: &Link) -> Option<SourceFrame> {
        let name = self.strings.name(link.name_at)?;
        let positive = |line: i32| u32::try_from(line).ok().filter(|line| *line > 0);
        let line = link.line_within.and_then(|at| positive(self.places.lines.value(at)?));
        let file = link
            .line_within
            .filter(|_| line.is_some())
            .and_then(|at| self.strings.file(self.function.unit()?, self.places.files.value(at)?));
        Some(SourceFrame {
            name: name.shown,
            raw_name: name.raw,
            file,
            line,
            start_line: link.start_line.and_then(|line| positive(line as i32)),
            inlined: link.inlined,
            source: NameSource::Pclntab,
        })
    }
}
