//! Why a file cannot be used at all. (Why one address has no name is [`profile::NoName`].)

/// A file that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// None of the files was given.
    #[error("neither the module's file nor its debug file was given")]
    NoFile,
    /// Not an ELF file, or its header is cut off.
    #[error("not an ELF file, or its header is cut off")]
    NotElf,
    /// ELF, but big-endian or of an unknown class.
    #[error("big-endian and other unusual ELF files are not supported")]
    UnsupportedElf,
}
