//! Any text imports as what `perf script` prints, or says why not; all weights of what imports arrive in
//! the tree.
#![no_main]

mod named;

use libfuzzer_sys::fuzz_target;
use named::read;

fuzz_target!(|bytes: &[u8]| {
    read(bytes.to_vec());
    read([b"app 1/2 [000] 5.25: 100 cpu-clock: \n\t10 main+0x1 (/bin/app)\n", bytes].concat());
});
