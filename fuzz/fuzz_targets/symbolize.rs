//! Any bytes as a module's own file, as its debug file and as a supplement; split in three, three
//! files that belong to one another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::Svma;
use symbolize::{Files, Symbols, demangle, identify};

fn ask(files: Files<'_>) {
    let Ok(symbols) = Symbols::new(files) else { return };
    let identity = files.image.or(files.debug).and_then(|bytes| identify(bytes).ok());
    let segments = identity.map(|id| id.segments).unwrap_or_default();
    let starts = segments.iter().take(4).map(|s| s.svma.0).chain([0, 0x1000, u64::MAX - 64]);
    let addresses: Vec<Svma> = starts
        .flat_map(|start| (0..64).map(move |step| Svma(start.wrapping_add(step * 37))))
        .collect();
    for (address, together) in addresses.iter().zip(symbols.lookup_all(&addresses)) {
        let found = symbols.lookup_range(*address);
        assert!(found.extent.contains(&address.0) || address.0 == u64::MAX);
        assert_eq!(found.names, together.names);
        for other in [found.extent.start, found.extent.end - 1] {
            assert_eq!(symbols.lookup(Svma(other)), found.names, "{address:?} {other:#x}");
        }
        if let Ok(frames) = found.names {
            assert!(!frames.is_empty() && frames.len() <= 256);
        }
        symbols.frame_pointer(*address);
    }
}

fuzz_target!(|bytes: &[u8]| {
    ask(Files { image: Some(bytes), debug: Some(bytes), supplement: Some(bytes) });
    let third = bytes.len() / 3;
    let (image, rest) = bytes.split_at(third);
    let (debug, supplement) = rest.split_at(third);
    ask(Files { image: Some(image), debug: Some(debug), supplement: Some(supplement) });
    ask(Files { image: None, debug: Some(bytes), supplement: None });
    if let Ok(name) = std::str::from_utf8(bytes) {
        assert!(demangle(name).len() <= name.len().max(16 << 10));
    }
});
