//! How long each CPU was idle, by the kernel's own account.
//!
//! Ticks that find the idle task are counted in BPF, but not every kernel delivers them: on a virtual
//! machine with Linux 6.18 the second CPU had none at all while idle (perf record neither), though its
//! timer interrupts came. Without this such a machine would look half covered.

use std::collections::BTreeMap;

use crate::host;

/// Idle time by CPU since a first reading.
#[derive(Debug)]
pub(crate) struct IdleTime {
    first_ns: BTreeMap<u32, u64>,
    now_ns: BTreeMap<u32, u64>,
}

impl IdleTime {
    /// Counts from now on.
    pub(crate) fn start() -> Self {
        let first_ns = read();
        Self { now_ns: first_ns.clone(), first_ns }
    }

    /// Reads again.
    pub(crate) fn refresh(&mut self) {
        self.now_ns = read();
        // A CPU that has come online since counts from its first reading.
        for (cpu, ns) in &self.now_ns {
            self.first_ns.entry(*cpu).or_insert(*ns);
        }
    }

    /// Idle nanoseconds of a CPU up to the last reading.
    pub(crate) fn of(&self, cpu: u32) -> u64 {
        let at = |times: &BTreeMap<u32, u64>| times.get(&cpu).copied().unwrap_or(0);
        at(&self.now_ns).saturating_sub(at(&self.first_ns))
    }
}

fn read() -> BTreeMap<u32, u64> {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    parse(&text, host::clock_ticks_hz())
}

/// Idle and I/O wait of each "cpuN" line: in both the idle task runs.
fn parse(text: &str, ticks_hz: u64) -> BTreeMap<u32, u64> {
    let ns_per_tick = 1_000_000_000 / ticks_hz.max(1);
    let line = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split(' ');
        let cpu = words.next()?.parse().ok()?;
        let ticks: Vec<u64> = words.take(5).filter_map(|word| word.parse().ok()).collect();
        Some((cpu, ticks.get(3)?.saturating_add(*ticks.get(4)?).saturating_mul(ns_per_tick)))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_io_wait_of_each_cpu_are_added() {
        let text = "cpu  9 9 9 9 9 9\ncpu0 1 2 3 50 7 5 0\ncpu11 1 2 3 4 5 6 7\nintr 5\ncpu2 1\n";
        let expected = BTreeMap::from([(0, 570_000_000), (11, 90_000_000)]);
        assert_eq!(parse(text, 100), expected);
    }

    #[test]
    fn time_counts_from_the_first_reading() {
        let mut idle = IdleTime { first_ns: BTreeMap::from([(0, 100)]), now_ns: BTreeMap::new() };
        assert_eq!(idle.of(0), 0);
        idle.now_ns = BTreeMap::from([(0, 150), (1, 500)]);
        assert_eq!(idle.of(0), 50);
    }
}
