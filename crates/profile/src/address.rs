//! Kinds of addresses as types, because a wrong kind often *seems* to work.

use std::fmt;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    };
}

address! {
    /// Actual virtual memory address: where something stood in one process at one time.
    Avma
}
address! {
    /// Stated virtual memory address: as the module's own file states it (ELF `p_vaddr`, symbol
    /// values, DWARF). Independent of where the module was loaded.
    Svma
}
address! {
    /// Offset in a module's file.
    FileOffset
}

/// A code address together with what it points at.
///
/// A call's return address is not an instruction pointer: the call may be the last instruction of
/// its function (a call that never returns), and then the return address already belongs to the
/// next function or the next line. [`CodeAddress::lookup`] is what symbol tables are asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CodeAddress<A> {
    /// The next instruction to execute: the leaf of a stack, or a frame interrupted by a signal.
    Instruction(A),
    /// The instruction after a call.
    Return(A),
}

macro_rules! lookup {
    ($($name:ident),*) => {$(
        impl CodeAddress<$name> {
            /// The address that lies inside the instruction meant: itself, or one byte before a
            /// return address.
            #[must_use]
            pub fn lookup(self) -> $name {
                match self {
                    Self::Instruction(a) => a,
                    Self::Return(a) => $name(a.0.saturating_sub(1)),
                }
            }
        }
    )*};
}
lookup!(Avma, Svma, FileOffset);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_address_is_looked_up_inside_its_call() {
        assert_eq!(CodeAddress::Return(Svma(0x1000)).lookup(), Svma(0xfff));
        assert_eq!(CodeAddress::Instruction(Svma(0x1000)).lookup(), Svma(0x1000));
        assert_eq!(CodeAddress::Return(Svma(0)).lookup(), Svma(0));
    }
}
