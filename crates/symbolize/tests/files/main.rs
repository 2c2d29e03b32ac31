//! The crate asked about whole files: small real ones, constructed ones, damaged ones.

mod elf_builder;
mod go;
mod hostile;
mod hostile_names;
mod lookup;
