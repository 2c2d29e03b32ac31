//! The crate asked about whole files: small real ones, constructed ones, damaged ones.

mod decoder_version;
mod elf_builder;
mod go;
mod go_table;
mod hostile;
mod hostile_names;
mod lookup;
mod table;
