//! Any text as a linker's name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use symbolize::demangle;

fuzz_target!(|name: &str| {
    for name in [name, &format!("_Z{name}"), &format!("_R{name}")] {
        assert!(demangle(name).len() <= name.len().max(16 << 10));
    }
});
