//! How much of something there was on one side and how far that may be from the truth; whether two sides
//! differ.
//!
//! Ratio of sums over units (Cochran, Sampling Techniques, chapter 6): with `x` the weight and `n` the
//! exposure of each of `B` units, `p = Σx/Σn` and `Var(p) = B/(B−1) · Σ(x − p·n)² / (Σn)²`. Neighbouring
//! units that still resemble each other (lag-1 autocorrelation ρ) say less than their number: the variance
//! grows by `(1+ρ)/(1−ρ)`. In short blocks the dice of sampling hide what changes slowly, so the variance is
//! estimated from a dozen long ones, too, and the larger holds (a load that swings by a quarter in minutes
//! looked independent in blocks of 250 ms). It is never less than what counting samples leaves open.

use std::cell::RefCell;

use rustc_hash::FxHashMap;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::units::Units;

/// Beyond this resemblance of neighbours nothing is made of it: no interval would be wide enough.
const MOST_ALIKE: f64 = 0.8;

/// What is measured on one side, for all that is tested there.
#[derive(Clone, Debug)]
pub struct SideUnits {
    /// Which cells make which unit.
    pub units: Units,
    /// Which units make which long block; `None` where units are few or no blocks.
    pub long: Option<Units>,
    /// Exposure of each unit: nanoseconds observed, or the weight of everything.
    pub exposure: Vec<f64>,
    /// Turns weight by exposure into the scale of the comparison.
    pub factor: f64,
    /// Weight of one sample.
    pub period: f64,
    /// Weight by exposure that is never exceeded: CPUs, or 1 for shares.
    pub capacity: f64,
}

/// What of each unit is more or less than its share.
#[must_use]
pub fn residuals(weights: &[f64], exposure: &[f64]) -> Vec<f64> {
    let (whole, exposed): (f64, f64) = (weights.iter().sum(), exposure.iter().sum());
    let p = if exposed > 0.0 { whole / exposed } else { 0.0 };
    weights.iter().zip(exposure).map(|(x, n)| x - p * n).collect()
}

/// A difference and how sure it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Difference {
    /// After less before.
    pub delta: f64,
    /// Its standard error.
    pub error: f64,
    /// Degrees of freedom of the error.
    pub freedom: f64,
    /// How likely a difference as large is where there is none.
    pub p: f64,
}

impl SideUnits {
    /// Sum of all units' exposure.
    #[must_use]
    pub fn exposed(&self) -> f64 {
        self.exposure.iter().sum()
    }

    /// Weights by unit as one value in the scale of the comparison.
    fn value(&self, weights: &[f64]) -> f64 {
        let exposed = self.exposed();
        if exposed > 0.0 { weights.iter().sum::<f64>() / exposed * self.factor } else { 0.0 }
    }

    /// Variance of a value, in the scale of the comparison, and its degrees of freedom.
    fn variance(&self, weights: &[f64]) -> (f64, f64) {
        let short = self.between(&self.units, weights, &self.exposure);
        let Some(long) = &self.long else { return short };
        let long = self.between(long, &long.sum(weights), &long.sum(&self.exposure));
        if long.0 > short.0 { long } else { short }
    }

    fn between(&self, units: &Units, weights: &[f64], exposure: &[f64]) -> (f64, f64) {
        // A unit that was not exposed says nothing.
        let count = exposure.iter().filter(|n| **n > 0.0).count() as f64;
        let exposed = self.exposed();
        if count < 2.0 || exposed <= 0.0 {
            return (0.0, 1.0);
        }
        let residuals = residuals(weights, exposure);
        let squares: f64 = residuals.iter().map(|e| e * e).sum();
        let alike = units.resemblance(std::slice::from_ref(&residuals));
        // The estimate is low by about 1/B. Units that nothing follows, captures, are not alike at all.
        let low = if units.follows.contains(&true) { 1.0 / count } else { 0.0 };
        let alike = (alike + low).clamp(0.0, MOST_ALIKE);
        let widened = (1.0 + alike) / (1.0 - alike);
        let p = count / (count - 1.0) * squares / (exposed * exposed);
        (p * self.factor.powi(2) * widened, count - 1.0)
    }

    /// Variance that counting samples alone leaves, of something that is `value` in truth.
    fn counting(&self, value: f64) -> f64 {
        let exposed = self.exposed();
        if exposed <= 0.0 || self.factor <= 0.0 {
            return 0.0;
        }
        let p = value / self.factor;
        let rest = (1.0 - p / self.capacity).clamp(0.0, 1.0);
        self.period * p * rest / exposed * self.factor.powi(2)
    }
}

/// Compares two sides that have nothing to do with each other.
#[must_use]
pub fn unpaired(before: &SideUnits, b: &[f64], after: &SideUnits, a: &[f64]) -> Difference {
    let (old, new) = (before.value(b), after.value(a));
    // If nothing changed, both sides are samples of the same.
    let scaled = |side: &SideUnits| {
        if side.factor > 0.0 { side.exposed() / side.factor } else { 0.0 }
    };
    let exposed = scaled(before) + scaled(after);
    let weight = b.iter().sum::<f64>() + a.iter().sum::<f64>();
    let pooled = if exposed > 0.0 { weight / exposed } else { 0.0 };
    let ((v0, f0), (v1, f1)) = (before.variance(b), after.variance(a));
    let (v0, v1) = (v0.max(before.counting(pooled)), v1.max(after.counting(pooled)));
    let sum = v0 + v1;
    let parts = v0 * v0 / f0 + v1 * v1 / f1;
    let freedom = if parts > 0.0 { sum * sum / parts } else { 1.0 };
    Difference::new(new - old, sum.sqrt(), freedom)
}

/// Compares units with themselves: machines, before and after.
#[must_use]
pub fn paired(before: &SideUnits, b: &[f64], after: &SideUnits, a: &[f64]) -> Difference {
    let (old, new) = (before.value(b), after.value(a));
    let scaled = |side: &SideUnits, weights: &[f64]| -> Vec<f64> {
        let exposed = side.exposed();
        let times = if exposed > 0.0 { side.factor / exposed } else { 0.0 };
        residuals(weights, &side.exposure).iter().map(|e| e * times).collect()
    };
    let (old_residuals, new_residuals) = (scaled(before, b), scaled(after, a));
    let squares: f64 =
        old_residuals.iter().zip(&new_residuals).map(|(e0, e1)| (e1 - e0).powi(2)).sum();
    let count = b.len() as f64;
    let between = count / (count - 1.0).max(1.0) * squares;
    let pooled = (old + new) / 2.0;
    let counted = before.counting(pooled) + after.counting(pooled);
    Difference::new(new - old, between.max(counted).sqrt(), (count - 1.0).max(1.0))
}

impl Difference {
    fn new(delta: f64, error: f64, freedom: f64) -> Self {
        let p = if error > 0.0 {
            2.0 * student(freedom).cdf(-(delta / error).abs())
        } else if delta == 0.0 {
            1.0
        } else {
            0.0
        };
        Self { delta, error, freedom, p }
    }

    /// Between what the true difference lies, with 95 % confidence.
    #[must_use]
    pub fn interval(&self, quantiles: &Quantiles) -> (f64, f64) {
        let reach = quantiles.get(0.975, self.freedom) * self.error;
        (self.delta - reach, self.delta + reach)
    }

    /// The smallest difference that would have been found four times out of five, as one of `tests`.
    #[must_use]
    pub fn smallest_seen(&self, tests: usize, quantiles: &Quantiles) -> f64 {
        let strict = 1.0 - 0.025 / tests.max(1) as f64;
        (quantiles.get(strict, self.freedom) + quantiles.get(0.8, self.freedom)) * self.error
    }
}

fn student(freedom: f64) -> StudentsT {
    let usual = || StudentsT::new(0.0, 1.0, 1.0).expect("one degree of freedom is enough");
    StudentsT::new(0.0, 1.0, freedom.clamp(1.0, 1e6)).unwrap_or_else(|_| usual())
}

/// Quantiles of Student's t, which are searched for and therefore kept. Degrees of freedom are rounded
/// down to tenths.
#[derive(Default, Debug)]
pub struct Quantiles(RefCell<FxHashMap<(u64, u64), f64>>);

impl Quantiles {
    /// Where this part of the distribution lies below.
    #[must_use]
    pub fn get(&self, part: f64, freedom: f64) -> f64 {
        let tenths = (freedom.clamp(1.0, 1e4) * 10.0).floor();
        let key = (part.to_bits(), tenths as u64);
        *self.0.borrow_mut().entry(key).or_insert_with(|| student(tenths / 10.0).inverse_cdf(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use profile::{TimeCell, Timeline};

    fn side(count: usize, period: f64) -> SideUnits {
        let cells = (0..count)
            .map(|i| TimeCell { capture: 0, start_ns: i as u64, observed_ns: 1 })
            .collect();
        SideUnits {
            long: None,
            units: Units::blocks(&Timeline { cells, ..Timeline::default() }, 1),
            exposure: vec![10.0; count],
            factor: 1.0,
            period,
            capacity: 100.0,
        }
    }

    /// Checked by hand: Σ(x − p·n)² = 10 for 1,2,3,4,5 of five units.
    #[test]
    fn the_variance_between_units_is_that_of_a_ratio() {
        let mut side = side(5, 0.0);
        side.units.follows = vec![false; 5]; // no neighbours, so nothing resembles
        let (variance, freedom) = side.variance(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(freedom, 4.0);
        let hand = 5.0 / 4.0 * 10.0 / 2500.0;
        assert!((variance - hand).abs() < 1e-12);
        // 1, 2, 3 resemble their neighbours as −1·0 + 0·1 = 0 does; of that the estimate is low by 1/3.
        let mut three = self::side(3, 0.0);
        let (variance, _) = three.variance(&[1.0, 2.0, 3.0]);
        let widened = (1.0 + 1.0 / 3.0) / (1.0 - 1.0 / 3.0);
        assert!((variance - 3.0 / 2.0 * 2.0 / 900.0 * widened).abs() < 1e-12);
        three.units.follows = vec![false; 3];
        assert!((three.variance(&[1.0, 2.0, 3.0]).0 - 3.0 / 2.0 * 2.0 / 900.0).abs() < 1e-12);
        assert!((side.value(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn the_error_is_never_less_than_counting_leaves() {
        let side = side(20, 1.0);
        let even = vec![1.0; 20];
        let difference = unpaired(&side, &even, &side, &even);
        // 20 samples of weight 1 on each side of an exposure of 200: √(2·0.1·0.999/200).
        assert!((difference.error - (2.0 * 0.1 * 0.999 / 200.0_f64).sqrt()).abs() < 1e-12);
        assert_eq!((difference.delta, difference.p), (0.0, 1.0));
    }

    #[test]
    fn what_changes_slowly_shows_in_long_blocks() {
        let mut side = side(240, 0.0);
        // A slow swing below dice: neighbours hardly resemble each other.
        let weights: Vec<f64> = (0..240u64)
            .map(|i| 10.0 + 1.5 * (i as f64 / 38.0).sin() + (i * i * 7919 % 101) as f64 / 10.0)
            .collect();
        let short = side.variance(&weights);
        side.long = side.units.long_blocks();
        let long = side.variance(&weights);
        assert!(long.0 > 3.0 * short.0, "{short:?} {long:?}");
        assert_eq!((short.1, long.1), (239.0, 11.0));
    }

    #[test]
    fn machines_are_compared_with_themselves() {
        let side = side(4, 0.0);
        let (before, after) = ([1.0, 5.0, 9.0, 20.0], [2.0, 6.1, 9.9, 21.0]);
        let apart = unpaired(&side, &before, &side, &after);
        let together = paired(&side, &before, &side, &after);
        assert!(apart.p > 0.5 && together.p < 0.01, "{} {}", apart.p, together.p);
        assert_eq!(apart.delta, together.delta);
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        let quantiles = Quantiles::default();
        for (part, freedom, expected) in
            [(0.975, 10.0, 2.228), (0.975, 22.0, 2.074), (0.8, 10.0, 0.879), (0.9995, 10.0, 4.587)]
        {
            assert!((quantiles.get(part, freedom) - expected).abs() < 1e-3, "{part} {freedom}");
        }
        let difference = Difference { delta: 1.0, error: 0.5, freedom: 10.0, p: 0.07 };
        let (low, high) = difference.interval(&quantiles);
        assert!((low + 0.114).abs() < 1e-3 && (high - 2.114).abs() < 1e-3);
        assert!((difference.smallest_seen(1, &quantiles) - 0.5 * (2.228 + 0.879)).abs() < 1e-3);
    }
}
