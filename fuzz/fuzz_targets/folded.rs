//! Any text imports as folded stacks, or says why not; all weights of what imports arrive in the tree.
#![no_main]

mod named;

use libfuzzer_sys::fuzz_target;
use named::read;

fuzz_target!(|bytes: &[u8]| {
    read(bytes.to_vec());
    read([b"main;work 5\n", bytes].concat());
});
