//! Several processes and threads with kernel time: threads named `hash-N` that compute, a thread
//! `copy` that moves bytes through pipes in the kernel, a thread `pages` that faults memory in, and
//! short child processes (`/bin/true`) one after the other.
//!
//! Usage: mixed [SECONDS]; prints the CPU time of all of it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

#[inline(never)]
fn hash_blocks(end: Instant) -> u64 {
    let mut seed = 7;
    while Instant::now() < end {
        seed = workloads::churn(seed, 50_000, 0x9e37_79b9_7f4a_7c15);
        thread::sleep(Duration::from_micros(200));
    }
    seed
}

#[inline(never)]
fn copy_bytes(end: Instant) -> u64 {
    let mut zero = File::open("/dev/zero").expect("/dev/zero opens");
    let mut null = File::create("/dev/null").expect("/dev/null opens");
    let mut buffer = vec![1u8; 256 * 1024];
    let mut moved = 0;
    while Instant::now() < end {
        zero.read_exact(&mut buffer).expect("/dev/zero never ends");
        null.write_all(&buffer).expect("/dev/null takes all");
        moved += buffer.len() as u64;
    }
    moved
}

#[inline(never)]
fn touch_pages(end: Instant) -> u64 {
    let mut sum = 0;
    while Instant::now() < end {
        // Fresh from the kernel each time: larger than what allocators keep.
        let mut pages = vec![0u8; 8 << 20];
        pages.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        sum += u64::from(std::hint::black_box(&pages)[4096]);
        thread::sleep(Duration::from_millis(2));
    }
    sum
}

#[inline(never)]
fn start_children(end: Instant) {
    while Instant::now() < end {
        let status = Command::new("/bin/true").status().expect("/bin/true starts");
        assert!(status.success(), "/bin/true is true");
    }
}

fn main() {
    let end = Instant::now() + Duration::from_secs_f64(workloads::number_argument(1, 5.0));
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let threads = [
        named("hash-0").spawn(move || hash_blocks(end)),
        named("hash-1").spawn(move || hash_blocks(end)),
        named("copy").spawn(move || copy_bytes(end)),
        named("pages").spawn(move || touch_pages(end)),
    ];
    start_children(end);
    for thread in threads {
        std::hint::black_box(thread.expect("a thread starts").join().expect("a thread ends well"));
    }
    println!("cpu_s {:.3}", workloads::cpu_time().as_secs_f64());
}
