//! Any text imports as what other profilers print, or says why not; all weights of what imports arrive in
//! the tree.
//!
//! Mutations rarely keep the line by which a tool is recognised. So the input is tried behind each.
#![no_main]

mod named;

use libfuzzer_sys::fuzz_target;
use named::read;

fuzz_target!(|bytes: &[u8]| {
    read(bytes.to_vec());
    for begins in BEGINNINGS {
        read([begins.as_bytes(), bytes].concat());
    }
});

const BEGINNINGS: [&str; 5] = [
    "Call graph:\n    5 Thread_1\n      3 main  (in app)\n",
    "Function Stack,CPU Time:Self,Module\nTotal,0,\n main,1.5,app\n",
    "Level,Function Name,Number of Calls,Module Name,\n1,\"main\",\"1,000\",\"app\",\n",
    "COST CENTRE MODULE SRC no. entries %time %alloc %time %alloc ticks bytes\n\n\
     MAIN MAIN <built-in> 85 0 0.3 0.1 100.0 100.0 1 4096\n",
    "\n  app\n    libc.so.6`write+0xa\n    app`main+0x1\n    5\n",
];
