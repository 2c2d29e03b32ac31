//! Row numbers of tables, one type per table so that they cannot be mixed.

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name(pub u32);

        impl $name {
            /// No row.
            pub const NONE: Self = Self(0);

            /// Whether this names a row at all.
            #[must_use]
            pub const fn is_some(self) -> bool {
                self.0 != 0
            }

            /// Index into a table that keeps an unused row 0.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

id! {
    /// Row of [`crate::Cgroup`].
    CgroupId,
    /// Row of [`crate::Process`]: one process image.
    ProcessId,
    /// Row of [`crate::Thread`]: one (tid, comm, process).
    ThreadId,
    /// Row of [`crate::Module`].
    ModuleId,
    /// Row of [`crate::Nodes`]: one call path.
    NodeId,
    /// Row of [`crate::Stacks`]: user path, kernel path and how the user part ended.
    StackId,
    /// Row of [`crate::Event`].
    EventId,
    /// Row of [`crate::LabelSet`].
    LabelSetId,
}

/// Process id in the initial PID namespace (what the kernel calls tgid).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Pid(pub u32);

/// Thread id in the initial PID namespace (what the kernel calls pid).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Tid(pub u32);
