//! Where a stack starts: in the code of the C library between a thread's first instruction and the
//! program's own code.

use profile::{Frame, FrameKind, FrameTable};
use symbolize::unwind::WalkEnd;

use super::Chains;
use crate::addresses::AddressId;
use crate::paths::Unwound;

/// Functions between the first instruction of a thread or coroutine and its own code: glibc's and musl's.
const STARTS_THREADS: [&str; 11] = [
    "_start",
    "_start_c",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "libc_start_main_stage2",
    "start_thread",
    "clone",
    "__clone",
    "clone3",
    "__start_context",
];

/// A stripped program has so many functions without names before the C library's: musl's `_start` and
/// `_start_c`.
const NAMELESS: usize = 2;

impl Chains<'_> {
    /// Whether an address lies in the code that starts programs and threads. It sets no frame pointer
    /// in the C libraries, but what a walk skips there is more of the same, and nobody looks for it.
    /// Stripped libraries have no names for it; then it shows by calling the program's `main`.
    pub(super) fn starts_threads(
        &self,
        id: AddressId,
        callee: Option<&AddressId>,
        frames: &FrameTable,
    ) -> bool {
        let is_main = |id: &AddressId| {
            let frame = self.physical(*id, frames);
            frame.is_some_and(|frame| &*frame.name == "main" && frame.kind == FrameKind::User)
        };
        self.physical(id, frames).is_some_and(|frame| STARTS_THREADS.contains(&&*frame.name))
            || callee.is_some_and(is_main) && !is_main(&id)
    }

    /// Where the innermost of the functions that start the program or the thread stands; `user` begins
    /// with the root.
    ///
    /// How many of them a stack has depends on how far its walk came, and a program shall have one root.
    /// What a program itself calls (`clone`) counts no more than its own `main` called again.
    pub(super) fn innermost_start(
        &self,
        user: &[AddressId],
        unwound: Option<&Unwound>,
        frames: &FrameTable,
    ) -> usize {
        let starts = |at: usize| {
            user.get(at).is_some_and(|id| self.starts_threads(*id, user.get(at + 1), frames))
        };
        let Some(first) = (0..=NAMELESS).find(|at| starts(*at)) else {
            return usize::from(self.is_nameless_thread(user, unwound, frames));
        };
        if !user[..first].iter().all(|id| self.is_nameless(*id)) {
            return 0;
        }
        let named = (first..).take_while(|at| starts(*at)).last().unwrap_or(first);
        // A stripped library has a name for what a program calls in it, none for what that calls.
        let nameless = !self.is_nameless(user[named])
            && user.get(named + 1).is_some_and(|next| {
                self.is_nameless(*next) && self.group(*next) == self.group(user[named])
            });
        named + usize::from(nameless)
    }

    /// Whether a whole stack begins as a thread does in a C library without names: with `clone3` and
    /// `start_thread`, or what musl calls them.
    fn is_nameless_thread(
        &self,
        user: &[AddressId],
        unwound: Option<&Unwound>,
        frames: &FrameTable,
    ) -> bool {
        let [first, second, ..] = user else { return false };
        let is_library = |frame: &Frame| {
            ["libc.", "libc-", "ld-musl-"].iter().any(|name| frame.module.starts_with(name))
        };
        unwound.is_some_and(|unwound| unwound.end == WalkEnd::Root)
            && [first, second].iter().all(|id| self.is_nameless(**id))
            && self.group(*first) == self.group(*second)
            && self.physical(*first, frames).is_some_and(is_library)
    }

    fn physical<'f>(&self, id: AddressId, frames: &'f FrameTable) -> Option<&'f Frame> {
        self.resolution.get(id).frames.first().map(|frame| frames.get(*frame))
    }

    fn is_nameless(&self, id: AddressId) -> bool {
        self.resolution.get(id).no_name.is_some()
    }

    fn group(&self, id: AddressId) -> u32 {
        self.resolution.get(id).group
    }
}
