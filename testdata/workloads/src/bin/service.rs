//! A service under load, for what noise looks like: requests arrive at random, each endpoint runs steps of
//! its own and steps that all share. What a step costs is a number of turns, never a time, so that a
//! slower step is slower by a known part.
//!
//! Usage: service steady|bursty|drifting [SECONDS [LOAD [POINTS [SEED]]]]. LOAD 1.0 is a fifth of a CPU or
//! so. POINTS makes one step (`endpoint_3::step_1`) cost that many percent of the whole service more. Prints the
//! requests it served.

use std::hint::black_box;
use std::time::{Duration, Instant};

use workloads::churn;

/// Turns of [`churn`] that a step takes, on average.
const TURNS: u64 = 24_000;
const ENDPOINTS: usize = 12;
const STEPS: usize = 8;
/// Of the service's turns, those of one endpoint's one step: what a point is reckoned from.
const PART_OF_ONE_STEP: f64 = 1.0 / (ENDPOINTS as f64 * (STEPS as f64 + 2.0));
/// The load changes this often.
const TICK: Duration = Duration::from_millis(100);

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        // xorshift64*: enough for arrivals, and the same on every run.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }
}

/// What the service is asked for, over time.
struct Load {
    kind: String,
    random: Random,
    level: f64,
    mix: [f64; ENDPOINTS],
}

impl Load {
    /// A tick later: how much is asked for, and of what.
    fn next(&mut self, at: Duration) {
        match self.kind.as_str() {
            "bursty" => {
                // Gamma-like innovations with a memory of some ticks: bursts of a second or so.
                let burst = (0..3).map(|_| self.random.exponential()).sum::<f64>() / 3.0;
                self.level = 0.8 * self.level + 0.2 * burst * burst;
                for weight in &mut self.mix {
                    *weight = 0.9 * *weight + 0.1 * self.random.exponential();
                }
            }
            "drifting" => {
                let turn = at.as_secs_f64() / 150.0 * std::f64::consts::TAU;
                self.level = 1.0 + 0.25 * turn.sin();
                for (index, weight) in self.mix.iter_mut().enumerate() {
                    *weight = 1.0 + 0.25 * (turn * 0.7 + index as f64).sin();
                }
            }
            _ => {}
        }
    }

    fn endpoint(&mut self) -> usize {
        let mut at = self.random.unit() * self.mix.iter().sum::<f64>();
        let below = |weight: &f64| {
            at -= weight;
            at < 0.0
        };
        self.mix.iter().position(below).unwrap_or(0)
    }
}

#[inline(never)]
fn decode(seed: u64) -> u64 {
    black_box(churn(seed, TURNS, 0xbf58_476d_1ce4_e5b9))
}

#[inline(never)]
fn encode(seed: u64) -> u64 {
    black_box(churn(seed, TURNS, 0x94d0_49bb_1331_11eb))
}

/// An endpoint: a module with its steps, so that each has a name of its own.
macro_rules! endpoint {
    ($name:ident, $number:literal: $($step:ident $place:literal),*) => {
        mod $name {
            use super::{STEPS, TURNS, churn, decode, encode};
            use std::hint::black_box;

            $(#[inline(never)]
            fn $step(seed: u64, turns: u64) -> u64 {
                let own = ($number * STEPS + $place) as u64;
                black_box(churn(seed, turns, 0x9e37_79b9_7f4a_7c15 ^ own))
            })*

            #[inline(never)]
            pub fn handle(mut seed: u64, slower: u64) -> u64 {
                seed = decode(seed);
                $(seed = $step(
                    seed,
                    TURNS + if $number == 3 && $place == 1 { slower } else { 0 },
                );)*
                black_box(encode(seed))
            }
        }
    };
    ($($name:ident $number:literal),*) => {
        $(endpoint!($name, $number: step_0 0, step_1 1, step_2 2, step_3 3, step_4 4, step_5 5,
            step_6 6, step_7 7);)*
        const ROUTES: [Endpoint; ENDPOINTS] = [$($name::handle),*];
    };
}

type Endpoint = fn(u64, u64) -> u64;

endpoint!(
    endpoint_0 0, endpoint_1 1, endpoint_2 2, endpoint_3 3, endpoint_4 4, endpoint_5 5, endpoint_6 6,
    endpoint_7 7, endpoint_8 8, endpoint_9 9, endpoint_10 10, endpoint_11 11
);

#[inline(never)]
fn serve(route: Endpoint, seed: u64, slower: u64) -> u64 {
    black_box(route(seed, slower))
}

fn main() {
    let kind = std::env::args().nth(1).unwrap_or_else(|| "steady".into());
    let (seconds, load) = (workloads::number_argument(2, 10.0), workloads::number_argument(3, 1.0));
    let (points, seed) = (workloads::number_argument(4, 0.0), workloads::number_argument(5, 1.0));
    let slower = (points / 100.0 / PART_OF_ONE_STEP * TURNS as f64) as u64;
    let random = Random((seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut load_now = Load { kind, random, level: 1.0, mix: [1.0; ENDPOINTS] };
    let per_second = 800.0 * load;
    let (start, mut state, mut served) = (Instant::now(), 7u64, 0u64);
    let mut due = Duration::ZERO;
    let mut next_tick = TICK;
    while due.as_secs_f64() < seconds {
        while due >= next_tick {
            load_now.next(next_tick);
            next_tick += TICK;
        }
        if let Some(early) = due.checked_sub(start.elapsed()) {
            std::thread::sleep(early);
        }
        let route = ROUTES[load_now.endpoint()];
        state = serve(route, state, slower);
        served += 1;
        let rate = (per_second * load_now.level).max(1.0);
        due += Duration::from_secs_f64(load_now.random.exponential() / rate);
    }
    println!("{served}");
    black_box(state);
}
