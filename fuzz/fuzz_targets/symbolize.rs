//! Any bytes as a module's own file, as its debug file and as a supplement.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::Svma;
use symbolize::{Files, Symbols, demangle, identify};

fuzz_target!(|bytes: &[u8]| {
    let identity = identify(bytes);
    let files =
        Files { image: Some(bytes), debug: Some(bytes), supplement: Some(bytes) };
    let Ok(symbols) = Symbols::new(files) else { return };
    let starts = identity.map(|id| id.segments).unwrap_or_default();
    let addresses = starts.iter().take(4).map(|s| s.svma.0).chain([0, 0x1000, u64::MAX - 64]);
    for start in addresses {
        for address in (0..64).map(|step| start.wrapping_add(step * 37)) {
            if let Ok(frames) = symbols.lookup(Svma(address)) {
                assert!(!frames.is_empty() && frames.len() <= 256);
            }
            symbols.frame_pointer(Svma(address));
        }
    }
    if let Ok(name) = std::str::from_utf8(bytes) {
        assert!(demangle(name).len() <= name.len().max(16 << 10));
    }
});
