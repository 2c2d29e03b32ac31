//! The functions at one address: the innermost inlined call first, the physical function last.

use profile::NameSource;

use super::function::Function;
use super::inline_tree::InlineTree;
use super::pc_value::{Budget, Run};
use super::strings::Strings;
use crate::SourceFrame;
use crate::span::Span;

/// Inlined calls within one another, at most: the deepest seen in real programs are some dozen.
const MAX_DEPTH: usize = 128;

/// What the functions at an address are read from.
pub(super) struct Chain<'a, 'd> {
    pub strings: &'a Strings<'d>,
    pub function: Function<'a, 'd>,
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
    /// The frames `within` bytes behind the function's entry, which stands at address `entry`; `None`
    /// when the function has no name.
    ///
    /// Wrappers are left out as the runtime does in its own stack traces (a method called through an
    /// interface has one around it), unless nothing else is there. The runtime keeps a wrapper that
    /// called `gopanic`, `sigpanic` or `panicwrap`; those are never inlined, so it makes no
    /// difference within one address.
    pub fn frames(&self, entry: u64, within: u64, span: &mut Span) -> Option<Vec<SourceFrame>> {
        let mut budget = Budget::new();
        let narrow = |run: Option<Run>, span: &mut Span| {
            let Run { value, extent } = run?;
            span.narrow(entry.saturating_add(extent.start), entry.saturating_add(extent.end));
            Some(value)
        };
        narrow(self.function.file(within, &mut budget), span);
        narrow(self.function.line(within, &mut budget), span);
        let number = narrow(self.function.inline_index(within, &mut budget), span);
        let physical = Link {
            id: self.function.id()?,
            name_at: self.function.name_at()?,
            start_line: self.function.start_line(),
            line_within: Some(within),
            inlined: false,
        };
        let mut links = match self.walk(within, number.unwrap_or(-1), &mut budget) {
            Some((mut links, call_within)) => {
                links.push(Link { line_within: Some(call_within), ..physical });
                links
            }
            // Which calls were inlined is not known, so neither is whose line it is.
            None => vec![Link { line_within: None, ..physical }],
        };
        if links.iter().any(|link| Some(link.id) != self.wrapper) {
            links.retain(|link| Some(link.id) != self.wrapper);
        }
        if let Some(last) = links.last_mut() {
            last.inlined = false;
        }
        links.iter().map(|link| self.frame(link, &mut budget)).collect()
    }

    /// The inlined calls around an address, and where to look for the physical function's line.
    /// `None` when the tree contradicts itself.
    fn walk(&self, within: u64, number: i32, budget: &mut Budget) -> Option<(Vec<Link>, u64)> {
        let (mut within, mut number) = (within, number);
        let mut links = Vec::new();
        while number >= 0 {
            let call = self.tree.as_ref()?.call(number)?;
            let next = u64::from(call.call_within);
            let in_function = next < self.function.extent.end - self.function.extent.start;
            if links.len() == MAX_DEPTH || !in_function {
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
            number = self.function.inline_index(within, budget).map_or(-1, |run| run.value);
        }
        Some((links, within))
    }

    fn frame(&self, link: &Link, budget: &mut Budget) -> Option<SourceFrame> {
        let name = self.strings.name(link.name_at)?;
        let positive = |line: i32| u32::try_from(line).ok().filter(|line| *line > 0);
        let line = link.line_within.and_then(|at| self.function.line(at, budget));
        let line = line.and_then(|run| positive(run.value));
        let file = link.line_within.filter(|_| line.is_some()).and_then(|at| {
            let run = self.function.file(at, budget)?;
            self.strings.file(self.function.unit()?, run.value)
        });
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
