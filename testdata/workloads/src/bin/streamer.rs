//! The story: a streaming server that burns a CPU with no clients connected.
//!
//! `streamer spin` calls `epoll_wait` with a timeout of 0: it asks the kernel for news millions of
//! times a minute although there is none. `streamer fixed` waits up to 1 ms. Both encode the same
//! standby frame at the same rate, so that a diff has something that did not change.
//!
//! A profile of `spin` must show a whole core in `epoll_wait` and the kernel below it, of `fixed`
//! next to nothing.
//!
//! Usage: streamer spin|fixed [SECONDS]

#![allow(unsafe_code)] // epoll

use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

struct EventLoop {
    epoll: RawFd,
    timeout_ms: i32,
}

impl EventLoop {
    fn new(listener: &TcpListener, timeout_ms: i32) -> Self {
        // SAFETY: no pointers are passed.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0, "epoll_create1: {}", std::io::Error::last_os_error());
        let mut interest = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: `interest` lives through the call; both descriptors are open.
        let status = unsafe {
            libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), &raw mut interest)
        };
        assert_eq!(status, 0, "epoll_ctl: {}", std::io::Error::last_os_error());
        Self { epoll, timeout_ms }
    }

    /// The culprit's home. With a timeout of 0 this returns at once, always.
    #[inline(never)]
    fn wait_for_clients(&self) -> usize {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 16];
        // SAFETY: `events` has room for the 16 entries promised.
        let ready = unsafe {
            libc::epoll_wait(self.epoll, events.as_mut_ptr(), events.len() as i32, self.timeout_ms)
        };
        usize::try_from(ready).unwrap_or(0)
    }
}

struct StandbyScreen {
    next: Instant,
    frame: u64,
}

impl StandbyScreen {
    /// About 2 ms of work, 25 times a second: 5 % of a core, in both variants.
    #[inline(never)]
    fn encode_if_due(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        self.next += Duration::from_millis(40);
        let until = workloads::thread_cpu_time() + Duration::from_millis(2);
        while workloads::thread_cpu_time() < until {
            self.frame = encode_macroblocks(self.frame);
        }
    }
}

#[inline(never)]
fn encode_macroblocks(seed: u64) -> u64 {
    workloads::churn(seed, 20_000, 0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn serve(events: &EventLoop, screen: &mut StandbyScreen, until: Option<Instant>) -> u64 {
    let mut turns = 0;
    while until.is_none_or(|end| Instant::now() < end) {
        // A few turns between looks at the clock, as servers do.
        for _ in 0..8 {
            events.wait_for_clients();
            turns += 1;
        }
        screen.encode_if_due();
    }
    turns
}

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let timeout_ms = match mode.as_str() {
        "spin" => 0,
        "fixed" => 1,
        _ => {
            eprintln!("usage: streamer spin|fixed [SECONDS]");
            std::process::exit(2);
        }
    };
    let seconds = workloads::number_argument(2, 0.0);
    let until = (seconds > 0.0).then(|| Instant::now() + Duration::from_secs_f64(seconds));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let events = EventLoop::new(&listener, timeout_ms);
    let mut screen = StandbyScreen { next: Instant::now(), frame: 1 };
    let turns = serve(&events, &mut screen, until);
    println!("turns {turns} cpu_s {:.3}", workloads::cpu_time().as_secs_f64());
}
