//! Really records: needs root, a kernel with BPF, and `cc`. Without them these tests fail, they do not
//! pass. Run by `cargo xtask test`, or alone:
//! `cargo test -p capture --features live --test live -- --test-threads=1`.

mod accounting;
mod attribution;
mod command;
mod ending;
mod jit;
mod recording;
mod secrecy;
mod slices;
