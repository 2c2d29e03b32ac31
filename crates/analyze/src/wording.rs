//! Numbers as people read them. One place, so that every output words them alike.

use jiff::Timestamp;
pub use render::thousands as count;

/// Nanoseconds as seconds, with as many digits as mean something.
#[must_use]
pub fn seconds(ns: u64) -> String {
    number(ns as f64 / 1e9)
}

/// A number with three significant digits where it is small, and no fraction where it is large.
#[must_use]
pub fn number(value: f64) -> String {
    if value < 0.0 {
        return format!("−{}", number(-value));
    }
    match value {
        0.0 => "0".into(),
        v if v < 0.000_5 => "<0.001".into(),
        v if v < 0.095 => format!("{value:.3}"),
        v if v < 9.95 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => count(value.round() as u64),
    }
}

/// A number with its sign (a real minus): what a difference is printed as.
#[must_use]
pub fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

/// "12.3 %". Never "100.0 %" or "0.0 %" of what is not all or nothing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".into();
    }
    if part == whole {
        return "100 %".into();
    }
    let value = 100.0 * part as f64 / whole as f64;
    match value {
        v if v < 0.05 => "< 0.1 %".into(),
        v if v > 99.9 && v < 100.0 => "> 99.9 %".into(),
        v => format!("{v:.1} %"),
    }
}

/// Splits `whole` (tenths of a percent, say) by weights so that the shares add up to it: each is
/// rounded down, and the largest remainders are rounded up instead.
#[must_use]
pub fn apportion(weights: &[u64], whole: u64) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|w| u128::from(*w)).sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: u64| u128::from(weight) * u128::from(whole);
    let mut shares: Vec<u64> = weights.iter().map(|w| (exact(*w) / sum) as u64).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(exact(weights[*i]) % sum));
    let left = whole - shares.iter().sum::<u64>();
    for index in order.into_iter().take(left as usize) {
        shares[index] += 1;
    }
    shares
}

/// A share of [`apportion`] as [`percent`] words it, given what it is the share of what of.
#[must_use]
pub fn share_of_tenths(tenths: u64, part: u64, whole: u64) -> String {
    match tenths {
        0 if part > 0 => "< 0.1 %".into(),
        0 => "0 %".into(),
        1_000 if part < whole => "> 99.9 %".into(),
        1_000 => "100 %".into(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// "1 sample", "2 samples".
#[must_use]
pub fn counted(n: u64, one: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(n))
}

/// Unix time as "2026-11-21 02:21:28".
#[must_use]
pub fn utc(realtime_ns: u64) -> String {
    Timestamp::from_nanosecond(i128::from(realtime_ns)).map_or_else(
        |_| "an impossible time".into(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// "2026-11-21 02:21:28 to 02:21:58 UTC"; the second date only where it is another day.
#[must_use]
pub fn utc_span(from_realtime_ns: u64, to_realtime_ns: u64) -> String {
    let (from, to) = (utc(from_realtime_ns), utc(to_realtime_ns));
    let same_day = from.get(..10).is_some() && from.get(..10) == to.get(..10);
    let to = if same_day { &to[11..] } else { &to };
    format!("{from} to {to} UTC")
}

/// A rate of an event that fires every `period_ns`.
#[must_use]
pub fn hertz(period_ns: u64) -> String {
    if period_ns == 0 {
        return "an unknown rate".into();
    }
    format!("{} Hz", number(1e9 / period_ns as f64).trim_end_matches(".0").trim_end_matches(".00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_mean_something() {
        let cases = [
            (0.0, "0"),
            (0.000_1, "<0.001"),
            (0.0123, "0.012"),
            (0.98, "0.98"),
            (12.34, "12.3"),
            (1234.5, "1,235"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(signed(0.97), "+0.97");
        assert_eq!(signed(-0.97), "−0.97");
        assert_eq!(number(-1234.5), "−1,235");
    }

    #[test]
    fn a_part_is_never_called_the_whole_or_nothing() {
        assert_eq!(percent(1, 3), "33.3 %");
        assert_eq!(percent(999_999, 1_000_000), "> 99.9 %");
        assert_eq!(percent(1, 1_000_000), "< 0.1 %");
        assert_eq!(percent(5, 5), "100 %");
        assert_eq!(percent(0, 0), "0 %");
    }

    #[test]
    fn shares_add_up() {
        assert_eq!(apportion(&[1, 1, 1], 1_000), [334, 333, 333]);
        assert_eq!(apportion(&[5, 0, 1], 1_000), [833, 0, 167]);
        assert_eq!(apportion(&[u64::MAX, u64::MAX], 1_000), [500, 500]);
        assert_eq!(apportion(&[0], 1_000), [0]);
        assert_eq!(apportion(&[], 0), [0; 0]);
    }

    #[test]
    fn counts_separate_thousands_and_agree_in_number() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(999), "999");
        assert_eq!(counted(1, "sample"), "1 sample");
        assert_eq!(counted(2_000, "sample"), "2,000 samples");
    }

    #[test]
    fn times_are_utc_and_name_the_second_day_only_when_it_is_another() {
        let base = 1_795_228_888_000_000_000;
        assert_eq!(utc_span(base, base + 30_000_000_000), "2026-11-21 02:41:28 to 02:41:58 UTC");
        assert_eq!(
            utc_span(base, base + 86_400_000_000_000),
            "2026-11-21 02:41:28 to 2026-11-22 02:41:28 UTC"
        );
        assert_eq!(utc(u64::MAX), "2554-07-21 23:34:33");
    }

    #[test]
    fn rates_are_readable() {
        assert_eq!(hertz(1_000_000_000 / 99), "99 Hz");
        assert_eq!(hertz(1_000_000), "1,000 Hz");
        assert_eq!(hertz(1_000_000_000), "1 Hz");
        assert_eq!(hertz(0), "an unknown rate");
    }
}
