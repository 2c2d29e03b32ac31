//! A command that spends its time in many short children: a profiler that follows tasks one by one
//! never sees them (an inherited event restarts its period with every child).
//!
//! Usage: burst [CHILDREN] [MILLISECONDS]; prints the CPU time of all of them together.

use std::process::Command;
use std::time::Duration;

#[inline(never)]
fn brief_child(budget: Duration) -> u64 {
    let until = workloads::thread_cpu_time() + budget;
    let mut seed = 1;
    while workloads::thread_cpu_time() < until {
        seed = workloads::churn(seed, 5_000, 0xd6e8_feb8_6659_fd93);
    }
    seed
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--child") {
        let budget = Duration::from_secs_f64(workloads::number_argument(2, 3.0) / 1e3);
        std::hint::black_box(brief_child(budget));
        return;
    }
    let children = workloads::number_argument(1, 1000.0) as u32;
    let milliseconds = workloads::number_argument(2, 3.0);
    let me = std::env::current_exe().expect("this program has a path");
    for _ in 0..children {
        let status = Command::new(&me)
            .args(["--child", &milliseconds.to_string()])
            .status()
            .expect("a child starts");
        assert!(status.success(), "a child failed: {status}");
    }
    println!("children {children} cpu_s {:.3}", workloads::cpu_time().as_secs_f64());
}
