//! What weights measure. Weights of different measures are never added.

use std::fmt;

/// One kind of weight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Measure {
    /// What the input calls it: "cpu", "inuse_space", "cycles"; empty where it has no name.
    pub name: String,
    /// What it is.
    pub quantity: Quantity,
}

/// What a weight is a number of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quantity {
    /// Nanoseconds running on a CPU.
    CpuTime,
    /// Nanoseconds of anything else: waiting for a lock, passing.
    Time,
    /// Bytes.
    Bytes,
    /// Samples taken.
    Samples,
    /// Occurrences of something.
    Count,
    /// The input does not say.
    Unstated,
}

impl Quantity {
    /// Unit of figures, for people; figures are weights divided by [`Quantity::weight_per_unit`].
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::CpuTime => "CPU-seconds",
            Self::Time => "seconds",
            Self::Bytes => "bytes",
            Self::Samples => "samples",
            Self::Count => "occurrences",
            Self::Unstated => "weight",
        }
    }

    /// Weight of one unit.
    #[must_use]
    pub fn weight_per_unit(self) -> u64 {
        match self {
            Self::CpuTime | Self::Time => 1_000_000_000,
            Self::Bytes | Self::Samples | Self::Count | Self::Unstated => 1,
        }
    }

    /// What all of it together is called: "97 % of the CPU time".
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::CpuTime => "CPU time",
            Self::Time => "time",
            Self::Bytes => "bytes",
            Self::Samples => "samples",
            Self::Count => "occurrences",
            Self::Unstated => "weight",
        }
    }
}

impl Measure {
    /// CPU time, whatever took the samples.
    #[must_use]
    pub fn cpu_time() -> Self {
        Self { name: "cpu".into(), quantity: Quantity::CpuTime }
    }

    /// Whether weights of both may be added. CPU time is CPU time whatever interrupted it; anything else
    /// is only what it is called.
    #[must_use]
    pub fn adds_to(&self, other: &Self) -> bool {
        let cpu_time = self.quantity == Quantity::CpuTime && other.quantity == Quantity::CpuTime;
        cpu_time || self == other
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.quantity, self.name.as_str()) {
            (Quantity::Unstated, _) => f.write_str("weight without a unit"),
            (quantity, "") => f.write_str(quantity.noun()),
            (quantity, name) if name == quantity.noun() => f.write_str(name),
            (quantity, name) => write!(f, "{name} ({})", quantity.noun()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_adds_up() {
        let measure = |name: &str, quantity| Measure { name: name.into(), quantity };
        let clock = measure("cpu-clock", Quantity::CpuTime);
        assert!(clock.adds_to(&Measure::cpu_time()));
        let (space, objects) =
            (measure("inuse_space", Quantity::Bytes), measure("inuse_objects", Quantity::Count));
        assert!(space.adds_to(&space) && !space.adds_to(&objects));
        assert!(!space.adds_to(&measure("alloc_space", Quantity::Bytes)));
        assert!(!measure("", Quantity::Unstated).adds_to(&clock));
        assert_eq!(space.to_string(), "inuse_space (bytes)");
    }
}
