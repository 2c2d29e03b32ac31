//! Numbers as people read them: weights with three digits that matter, shares, counts.

/// A non-negative number with three significant digits and never an exponent: "0.0123", "1.23",
/// "123", "12,345".
pub(crate) fn three_digits(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return "0".into();
    }
    let decimals = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.09995 => 3,
        v if v >= 0.009995 => 4,
        _ => 5,
    };
    if decimals == 0 {
        return thousands(value.round() as u64);
    }
    let text = format!("{value:.decimals$}");
    if text.bytes().all(|b| b == b'0' || b == b'.') { "<0.00001".into() } else { text }
}

/// With its sign: "+0.11", "−0.11" (a real minus), "0".
pub(crate) fn signed(value: f64) -> String {
    if value > 0.0 {
        format!("+{}", three_digits(value))
    } else if value < 0.0 {
        format!("−{}", three_digits(-value))
    } else {
        "0".into()
    }
}

/// A weight in its unit: whole numbers stay whole when one weight is one unit.
pub(crate) fn weight(weight: u64, weight_per_unit: u64) -> String {
    if weight_per_unit <= 1 {
        thousands(weight)
    } else {
        three_digits(weight as f64 / weight_per_unit as f64)
    }
}

/// "12.3 %", "0.04 %", "<0.01 %"; of nothing, "0 %".
pub(crate) fn percent(part: f64, whole: f64) -> String {
    if part.is_nan() || whole.is_nan() || part <= 0.0 || whole <= 0.0 {
        return "0 %".into();
    }
    let percent = part / whole * 100.0;
    match percent {
        p if p >= 0.995 => format!("{p:.1} %"),
        p if p >= 0.005 => format!("{p:.2} %"),
        _ => "<0.01 %".into(),
    }
}

/// "1,234,567".
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "1 frame", "2 frames".
pub(crate) fn frames(count: u64) -> String {
    format!("{} frame{}", thousands(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_matter() {
        let cases = [
            (0.0, "0"),
            (-1.0, "0"),
            (f64::NAN, "0"),
            (0.000_001, "<0.00001"),
            (0.012_34, "0.0123"),
            (0.12345, "0.123"),
            (1.2345, "1.23"),
            (9.999, "10.0"),
            (99.96, "100"),
            (12_345.6, "12,346"),
        ];
        for (value, expected) in cases {
            assert_eq!(three_digits(value), expected, "{value}");
        }
        assert_eq!(signed(-0.25), "−0.250");
        assert_eq!(signed(0.25), "+0.250");
    }

    #[test]
    fn counts_stay_whole_and_nanoseconds_become_seconds() {
        assert_eq!(weight(1234, 1), "1,234");
        assert_eq!(weight(1234, 0), "1,234");
        assert_eq!(weight(1_500_000_000, 1_000_000_000), "1.50");
        assert_eq!(weight(u64::MAX, 1), "18,446,744,073,709,551,615");
    }

    #[test]
    fn a_share_is_never_shown_as_nothing_when_it_is_something() {
        assert_eq!(percent(1.0, 3.0), "33.3 %");
        assert_eq!(percent(1.0, 1000.0), "0.10 %");
        assert_eq!(percent(1.0, 1e9), "<0.01 %");
        assert_eq!(percent(0.0, 1.0), "0 %");
        assert_eq!(percent(1.0, 0.0), "0 %");
        assert_eq!(frames(1), "1 frame");
        assert_eq!(frames(1000), "1,000 frames");
    }
}
