//! Any bytes import as a pprof profile, or say why not; all weights of what imports arrive in the tree.
//!
//! Mutations rarely keep a compressed file whole and references in range. So the input is tried twice: as
//! it is, and as fields behind tables that are made here.
#![no_main]

mod named;

use libfuzzer_sys::fuzz_target;
use named::read;

fuzz_target!(|bytes: &[u8]| {
    read(bytes.to_vec());
    read([TABLES, bytes].concat());
});

/// Strings, one sample type, mapping 1, function 1 and location 1.
const TABLES: &[u8] = b"\x32\x00\x32\x03cpu\x32\x0bnanoseconds\x32\x03app\x0a\x04\x08\x01\x10\x02\
    \x1a\x04\x08\x01\x28\x03\x2a\x04\x08\x01\x10\x03\x22\x08\x08\x01\x10\x01\x22\x02\x08\x01";
