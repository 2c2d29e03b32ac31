//! Draws invented profiles, to look at: `cargo run --release -p render --example pictures DIR`.
//! Says how long each took.

use std::path::Path;
use std::time::Instant;

use profile::{
    CallTree, Caption, DiffNode, DiffTree, Frame, FrameId, FrameKind, Grade, NoName, Warning,
};
use render::html::{self, Report, Subject};
use render::{Direction, SvgOptions, svg};

/// xorshift64: the same pictures every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

const MODULES: [(&str, &str, FrameKind); 4] = [
    ("gateway", "gateway", FrameKind::User),
    ("libc", "libc.so.6", FrameKind::Library),
    ("kernel", "[kernel]", FrameKind::Kernel),
    ("python", "", FrameKind::Jit),
];

const NAMES: [&[&str]; 4] = [
    &[
        "main",
        "gateway::server::Connection<T>::poll",
        "<tokio::net::tcp::stream::TcpStream as tokio::io::async_read::AsyncRead>::poll_read",
        "serde_json::de::Deserializer<serde_json::read::StrRead>::parse_object_colon",
        "core::ops::function::FnOnce::call_once{{vtable.shim}}",
        "std::vector<std::pair<std::string, int>, std::allocator<std::pair<std::string, int>>>\
         ::_M_realloc_insert(__gnu_cxx::__normal_iterator<std::pair<std::string, int>*>)",
        "absl::lts_20220623::container_internal::raw_hash_set<Policy, Hash, Eq>::find(long const&)",
        "github.com/example/router/middleware.(*Chain).ServeHTTP",
        "net/http.(*conn).serve",
        "encoding/json.(*decodeState).object",
        "runtime.mallocgc",
        "gateway::auth::verify_token",
        "rocksdb::DBImpl::Get(rocksdb::ReadOptions const&, rocksdb::Slice const&)",
    ],
    &["malloc", "_int_malloc", "__memmove_avx_unaligned_erms", "epoll_wait", "__libc_start_main"],
    &[
        "do_syscall_64",
        "__x64_sys_epoll_wait",
        "ep_poll",
        "schedule_hrtimeout_range",
        "tcp_recvmsg",
    ],
    &["LazyCompile:*handle /srv/app/server.js:120", "py::decode:/srv/app/decode.py"],
];

/// Weight of a sample at 99 Hz.
const PERIOD_NS: u64 = 10_101_010;

/// What a function is, by its number; and with the number, what it calls.
fn frame(function: u64) -> Frame {
    let module = [0, 0, 0, 1, 0, 0, 1, 0, 3, 0, 2][(function % 11) as usize];
    if function % 41 == 9 {
        return Frame::new("[libvendor.so]", "libvendor.so", FrameKind::NoName(NoName::NoFile));
    }
    let (_, name, kind) = MODULES[module];
    let names = NAMES[module];
    let own = names[(function / 11) as usize % names.len()];
    let own = if function < 300 { own.to_owned() } else { format!("{own}_{function}") };
    Frame { inlined: module == 0 && function % 4 == 1, ..Frame::new(&own, name, kind) }
}

/// Walks down an invented call graph, as samples do: few paths are hot.
fn service(stacks: usize, seed: u64) -> CallTree {
    let mut dice = Dice(seed);
    let mut tree = CallTree::new();
    let processes = ["gateway (2114)", "gateway (2114)", "postgres (911)", "[kernel threads]"]
        .map(|name| tree.frames.intern(Frame::new(name, "", FrameKind::Process)));
    let cut = tree.frames.intern(Frame::new("[truncated]", "", FrameKind::Marker));
    for _ in 0..stacks {
        let process = dice.below(10).min(3).abs_diff(3) as usize;
        let mut stack = vec![processes[process]];
        if dice.below(30) == 0 {
            stack.push(cut);
        }
        let mut function = process as u64 * 7 + dice.below(3);
        while stack.len() < 3 || dice.below(8) > 0 {
            stack.push(tree.frames.intern(frame(function)));
            let choice = dice.below(6).min(dice.below(6)).min(dice.below(6));
            function = (function * 31 + choice * choice * 17 + 5) % 997;
        }
        if dice.below(4) == 0 {
            for name in &NAMES[2][..=dice.below(4) as usize] {
                stack.push(tree.frames.intern(Frame::new(name, "[kernel]", FrameKind::Kernel)));
            }
        }
        tree.add(&stack, PERIOD_NS);
    }
    tree
}

/// Pairs two trees path by path and grades by plain counting error.
fn diff(before: &CallTree, after: &CallTree) -> DiffTree {
    let mut union = CallTree::new();
    let mut place = |tree: &CallTree| -> Vec<u32> {
        let mut at = vec![0];
        for node in &tree.nodes()[1..] {
            let frame = union.frames.intern(tree.frames.get(node.frame).clone());
            at.push(union.child(at[node.parent as usize], frame));
        }
        at
    };
    let places = [place(before), place(after)];
    let mut sides = vec![[0.0; 4]; union.nodes().len()];
    for (side, tree) in [before, after].into_iter().enumerate() {
        let totals = tree.totals();
        for (i, node) in tree.nodes().iter().enumerate() {
            let row = &mut sides[places[side][i] as usize];
            row[side * 2] = node.self_weight as f64 / 60e9;
            row[side * 2 + 1] = totals[i] as f64 / 60e9;
        }
    }
    let nodes = union.nodes().iter().zip(sides).map(|(node, s)| {
        let error = ((s[1] + s[3]) * PERIOD_NS as f64 / 60e9).sqrt();
        DiffNode {
            parent: node.parent,
            frame: node.frame,
            before_self: s[0],
            before_total: s[1],
            after_self: s[2],
            after_total: s[3],
            grade: match s[3] - s[1] {
                delta if delta > 2.0 * error => Grade::Grew,
                delta if delta < -2.0 * error => Grade::Shrank,
                _ => Grade::Noise,
            },
        }
    });
    DiffTree {
        nodes: nodes.collect(),
        frames: union.frames.clone(),
        unit: "cores",
        judged_by: profile::JudgedBy::Counting,
    }
}

fn caption(title: &str, subtitle: String) -> Caption {
    Caption {
        title: title.into(),
        subtitle,
        warnings: vec![
            Warning {
                incomplete: false,
                text: "2.1 % of CPU time has no names: libvendor.so (build-id 5f3a…91) was not found"
                    .into(),
            },
            Warning {
                incomplete: true,
                text: "INCOMPLETE: the recording ends in the middle of a block; the last 0.4 s are \
                       missing"
                    .into(),
            },
        ],
        footer: vec![
            "gateway-7 · Linux 6.1.0-31-amd64 x86_64 · 8 CPUs · cgroup /system.slice/gateway.service"
                .into(),
            "2026-03-14 02:11:07 – 02:12:07 UTC (60.0 s) · cpu-clock at 99 Hz · frame pointers".into(),
            "fired 30,214 = written 30,102 + dropped 112 (ring buffer full) · coverage 99.6 % · \
             complete stacks 91.2 %"
                .into(),
            "flamearc 0.1.0".into(),
        ],
        unit: "CPU-seconds",
        weight_per_unit: 1_000_000_000,
    }
}

fn write(directory: &Path, name: &str, draw: impl FnOnce() -> String) {
    let start = Instant::now();
    let picture = draw();
    let took = start.elapsed();
    let path = directory.join(name);
    std::fs::write(&path, &picture).expect("the directory is there and writable");
    let bars = picture.matches("data-d=").count();
    eprintln!("{}: {bars} bars, {} bytes, {took:.0?}", path.display(), picture.len());
}

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let directory = Path::new(&directory);
    let options = SvgOptions::default();
    let after = service(6000, 7);
    let about = caption(
        "gateway: 60 s of CPU time",
        "42.9 CPU-seconds in 3 processes; 0.71 of 8 cores".into(),
    );
    write(directory, "service.svg", || svg::flamegraph(&after, &about, &options));
    let flame = SvgOptions { direction: Direction::Flame, ..options.clone() };
    write(directory, "service.flame.svg", || svg::flamegraph(&after, &about, &flame));

    let mut before = service(5000, 13);
    let own = before.frames.intern(Frame::new("gateway (2114)", "", FrameKind::Process));
    let old = before.frames.intern(Frame::new("json::parse_slowly", "gateway", FrameKind::User));
    before.add(&[own, old], 5_000_000_000);
    let pair = diff(&before, &after);
    let words = Caption {
        warnings: Vec::new(),
        ..caption(
            "gateway: before and after the release",
            "CPU 0.58 → 0.72 cores: grew, not tested against noise. Most: \
             encoding/json.(*decodeState).object +0.05 cores."
                .into(),
        )
    };
    write(directory, "diff.svg", || svg::diff_flamegraph(&pair, &words, &options));

    let mut hostile = CallTree::new();
    for name in [
        "</title><script>alert(1)</script>",
        "]]><script>alert(1)</script>",
        "\" onload=\"alert(1)",
        "&lt;img src=x onerror=alert(1)&gt;",
        "\u{1b}[2J\u{202e}gnp.exe\0\u{ffff}",
        "(((((((((((((((((((((((((((((((a+)+)+$",
        "函数::größe<🔥>::𝛌",
    ] {
        let outer = hostile.frames.intern(Frame::new(name, name, FrameKind::User));
        let inner = hostile.frames.intern(Frame::new(&name.repeat(9), "", FrameKind::Jit));
        hostile.add(&[outer, inner], PERIOD_NS);
        hostile.add(&[outer], PERIOD_NS);
    }
    let evil = caption("</title><script>alert(1)</script>", "<b>]]>&amp;\u{202e}".into());
    write(directory, "hostile.svg", || svg::flamegraph(&hostile, &evil, &options));

    let mut deep = CallTree::new();
    let stack: Vec<FrameId> = (0..10_000)
        .map(|i| deep.frames.intern(Frame::new(&format!("level_{i}"), "deep", FrameKind::User)))
        .collect();
    deep.add(&stack, 5);
    write(directory, "deep.svg", || svg::flamegraph(&deep, &about, &options));

    let of = |tree| Subject::Profile { tree, times: None, sample_weight: PERIOD_NS };
    let page = |caption, subject| {
        html::report(&Report { caption, findings: &[], subject, provenance: &[], modules: &[] })
    };
    write(directory, "service.html", || page(&about, of(&after)));
    let (verdicts, judged) = (&[], "Not tested against noise.");
    let compared = Subject::Diff { tree: &pair, verdicts, judged };
    write(directory, "diff.html", || page(&words, compared));
    write(directory, "hostile.html", || page(&evil, of(&hostile)));
    write(directory, "deep.html", || page(&about, of(&deep)));
}
