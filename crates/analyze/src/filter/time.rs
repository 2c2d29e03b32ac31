//! Times as people say them: `10:00..10:30` (of the clock), `30s..90s` (since the start), `-5m..` (the
//! last five minutes), `2026-11-21T02:00Z..`.
//!
//! Without a zone they are UTC; without a date the last such time in the recording is meant, and for the
//! end of a range the first after its beginning.

use std::fmt;
use std::ops::Range;

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Timestamp, tz::Offset};
use profile::Clock;

use crate::wording::{utc, utc_span};

const DAY_NS: i128 = 86_400 * NS;
const NS: i128 = 1_000_000_000;

/// A range of time; an end that is not given lies at the recording's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    from: Option<Moment>,
    to: Option<Moment>,
    /// As it was typed.
    given: String,
}

/// A point in time, as it was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// This long after the start, in nanoseconds.
    AfterStart(u64),
    /// This long before the end.
    BeforeEnd(u64),
    /// Unix time, nanoseconds.
    At(i128),
    /// Of any day: nanoseconds after midnight, UTC; negative or beyond a day with some zones.
    OfDay(i128),
}

/// Why a time cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadTime {
    /// It is not written as times are.
    #[error(
        "{given:?} is no time; write 10:30, 10:30:05+01:00, 2026-11-21T10:30, 90s or 1h30m after the \
         start, or -5m before the end"
    )]
    NotATime {
        /// What was given.
        given: String,
    },
    /// It ends before it begins.
    #[error("{given} ends before it begins")]
    Backwards {
        /// What was given.
        given: String,
    },
    /// Nothing was recorded then.
    #[error("{given} lies outside what was recorded: {window}")]
    Outside {
        /// What was given.
        given: String,
        /// When that was.
        window: String,
    },
    /// The recording does not know the time of day.
    #[error("{given}: this recording does not say at what time of day it was made; write 30s..90s")]
    NoClock {
        /// What was given.
        given: String,
    },
    /// Several recordings know such a time.
    #[error("{given} is ambiguous; there are {choices}. Add the date")]
    Ambiguous {
        /// What was given.
        given: String,
        /// Those there are.
        choices: String,
    },
}

/// When something was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// By `CLOCK_MONOTONIC`.
    pub covered_ns: Range<u64>,
    /// What that is in Unix time; all zeros: unknown.
    pub clock: Clock,
}

impl Window {
    fn unix_ns(&self) -> Option<Range<i128>> {
        let unix = |ns| i128::from(self.clock.to_realtime_ns(ns));
        let known = self.clock != Clock::default();
        known.then(|| unix(self.covered_ns.start)..unix(self.covered_ns.end))
    }

    fn monotonic_ns(&self, unix_ns: i128) -> u64 {
        let at = unix_ns - i128::from(self.clock.realtime_ns) + i128::from(self.clock.monotonic_ns);
        at.clamp(0, i128::from(u64::MAX)) as u64
    }

    fn describe(&self) -> String {
        match self.unix_ns() {
            Some(unix) => utc_span(unix.start as u64, unix.end as u64),
            None => {
                let length = self.covered_ns.end.saturating_sub(self.covered_ns.start);
                format!("{} s", crate::wording::seconds(length))
            }
        }
    }
}

impl Span {
    /// A range from what stands on both sides of `..`; nothing there means no bound.
    ///
    /// # Errors
    /// When one of them is no time.
    pub fn new(from: &str, to: &str) -> Result<Self, BadTime> {
        let side = |text: &str| match text.trim() {
            "" => Ok(None),
            text => Moment::parse(text).map(Some),
        };
        Ok(Self { from: side(from)?, to: side(to)?, given: format!("{from}..{to}") })
    }

    /// What `--from` and `--to` say.
    ///
    /// # Errors
    /// When one of them is no time.
    pub fn of_options(from: Option<&str>, to: Option<&str>) -> Result<Self, BadTime> {
        let mut span = Self::new(from.unwrap_or_default(), to.unwrap_or_default())?;
        let option = |name, value: Option<&str>| value.map(|value| format!("{name} {value}"));
        let given = [option("--from", from), option("--to", to)];
        span.given = given.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Ok(span)
    }

    /// The end of a recording, this long.
    ///
    /// # Errors
    /// When it is no duration.
    pub fn last(given: &str) -> Result<Self, BadTime> {
        let not_a_time = || BadTime::NotATime { given: given.into() };
        let length_ns = duration_ns(given.trim_start_matches('-')).ok_or_else(not_a_time)?;
        Ok(Self {
            from: Some(Moment::BeforeEnd(length_ns)),
            to: None,
            given: format!("--last {given}"),
        })
    }

    /// When that was, by `CLOCK_MONOTONIC`, in each of some recordings.
    ///
    /// # Errors
    /// When none of them has such a time, or they have several.
    pub fn within(&self, windows: &[Window]) -> Result<Vec<Range<u64>>, BadTime> {
        let given = || self.given.clone();
        let found = windows.iter().map(|w| self.in_one(w)).collect::<Result<Vec<_>, _>>()?;
        if self.is_dateless() {
            let mut unix: Vec<_> = found.iter().flatten().map(|at| at.unix).collect();
            unix.sort_unstable();
            unix.dedup();
            if unix.len() > 1 {
                let choice = |(from, to): &(Option<i128>, Option<i128>)| {
                    utc(from.or(*to).unwrap_or_default() as u64)
                };
                let choices: Vec<String> = unix.iter().map(choice).collect();
                return Err(BadTime::Ambiguous { given: given(), choices: choices.join(", ") });
            }
        }
        if found.iter().all(Option::is_none) && !windows.is_empty() {
            let windows: Vec<String> = windows.iter().map(Window::describe).collect();
            return Err(BadTime::Outside { given: given(), window: windows.join("; ") });
        }
        // What is outside this recording may lie in another.
        Ok(found.into_iter().map(|at| at.map_or(0..0, |at| at.monotonic_ns)).collect())
    }

    fn is_dateless(&self) -> bool {
        [self.from, self.to].iter().flatten().any(|m| matches!(m, Moment::OfDay(_)))
    }

    /// When that was in one recording; `None`: never.
    fn in_one(&self, window: &Window) -> Result<Option<Found>, BadTime> {
        let ordinary = |moment: Option<Moment>, open: u64| match moment {
            None => Some(Ok(open)),
            Some(Moment::AfterStart(ns)) => Some(Ok(window.covered_ns.start.saturating_add(ns))),
            Some(Moment::BeforeEnd(ns)) => Some(Ok(window.covered_ns.end.saturating_sub(ns))),
            Some(Moment::At(unix)) => Some(match window.unix_ns() {
                Some(_) => Ok(window.monotonic_ns(unix)),
                None => Err(BadTime::NoClock { given: self.given.clone() }),
            }),
            Some(Moment::OfDay(_)) => None,
        };
        let unix = || window.unix_ns().ok_or(BadTime::NoClock { given: self.given.clone() });
        // Unix time as it is: a time before the machine started has no monotonic one.
        let (from, from_unix) = match (self.from, ordinary(self.from, window.covered_ns.start)) {
            (Some(Moment::OfDay(time)), None) => match from_time_of_day(time, &unix()?) {
                Some(from) => (window.monotonic_ns(from), from),
                None => return Ok(None),
            },
            (_, from) => {
                let from = from.unwrap_or(Ok(window.covered_ns.start))?;
                (from, i128::from(window.clock.to_realtime_ns(from)))
            }
        };
        let to = match (self.to, ordinary(self.to, window.covered_ns.end)) {
            (_, Some(to)) => to?,
            (Some(Moment::OfDay(time)), None) if self.from.is_some() => {
                let after = from_unix;
                let to = last_before(time, after) + DAY_NS;
                // Beyond the end, and half a day behind the beginning: nobody means tomorrow.
                if to > unix()?.end && to - after > DAY_NS / 2 {
                    return Err(BadTime::Backwards { given: self.given.clone() });
                }
                window.monotonic_ns(to)
            }
            (Some(Moment::OfDay(time)), None) => {
                let covered = unix()?;
                let last = last_before(time, covered.end);
                // The end of what is shortly behind the recording is the recording's.
                if covered.start - last > last + DAY_NS - covered.end {
                    window.covered_ns.end
                } else {
                    window.monotonic_ns(last)
                }
            }
            _ => window.covered_ns.end,
        };
        if to <= window.covered_ns.start || from >= window.covered_ns.end {
            return Ok(None);
        }
        if to <= from && self.from.is_some() && self.to.is_some() {
            return Err(BadTime::Backwards { given: self.given.clone() });
        }
        let of_day = |moment, ns| match moment {
            Some(Moment::OfDay(_)) => Some(i128::from(window.clock.to_realtime_ns(ns))),
            _ => None,
        };
        let unix = (of_day(self.from, from), of_day(self.to, to));
        Ok(Some(Found { monotonic_ns: from..to, unix }))
    }
}

/// The last time of day in a recording; one shortly before it means its start, one shortly after it
/// nothing of it.
fn from_time_of_day(time: i128, covered: &Range<i128>) -> Option<i128> {
    let last = last_before(time, covered.end);
    let before = covered.start - last;
    let behind = last + DAY_NS - covered.end;
    (before <= 0 || before <= behind).then_some(last)
}

struct Found {
    monotonic_ns: Range<u64>,
    /// Unix times of the ends that were times of a day.
    unix: (Option<i128>, Option<i128>),
}

/// The last time of day at or before a time.
fn last_before(time_of_day: i128, unix_ns: i128) -> i128 {
    unix_ns - (unix_ns - time_of_day).rem_euclid(DAY_NS)
}

impl Moment {
    fn parse(text: &str) -> Result<Self, BadTime> {
        let relative = match text.strip_prefix('-') {
            Some(before) => duration_ns(before).map(Self::BeforeEnd),
            None => duration_ns(text.strip_prefix('+').unwrap_or(text)).map(Self::AfterStart),
        };
        let clock = || Self::of_clock(text);
        relative.or_else(clock).ok_or_else(|| BadTime::NotATime { given: text.into() })
    }

    fn of_clock(text: &str) -> Option<Self> {
        let (civil, offset) = split_offset(text)?;
        let offset_ns = i128::from(offset.seconds()) * NS;
        // A `Time` may be written with a date that then says nothing, and without minutes.
        if !civil.contains('-') {
            let time: Time = civil.contains(':').then(|| civil.parse().ok())??;
            let midnight: SignedDuration = time.duration_since(Time::midnight());
            return Some(Self::OfDay(midnight.as_nanos() - offset_ns));
        }
        let at: DateTime = civil.parse().ok()?;
        let at: Timestamp = offset.to_timestamp(at).ok()?;
        Some(Self::At(at.as_nanosecond()))
    }
}

/// The zone at the end of a time; none is UTC.
fn split_offset(text: &str) -> Option<(&str, Offset)> {
    if let Some(civil) = text.strip_suffix(['Z', 'z']) {
        return Some((civil, Offset::UTC));
    }
    // The `-` of a date stands before any `:`.
    let colon = text.find(':').unwrap_or(0);
    let Some(sign) = text[colon..].find(['+', '-']).map(|at| colon + at) else {
        return Some((text, Offset::UTC));
    };
    let (civil, offset) = text.split_at(sign);
    let (hours, minutes) = offset[1..].split_once(':').unwrap_or((&offset[1..], "0"));
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = (hours.checked_mul(60)?.checked_add(minutes)?).checked_mul(60)?;
    let signed = if offset.starts_with('-') { -seconds } else { seconds };
    Some((civil, Offset::from_seconds(signed).ok()?))
}

/// "1h30m", "90s", "1.5s", "250ms".
fn duration_ns(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let unit_ns = match unit {
            "d" => 86_400e9,
            "h" => 3_600e9,
            "m" | "min" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            _ => return None,
        };
        let ns = number.parse::<f64>().ok()? * unit_ns;
        // A hundred years: beyond it no sum overflows, and nothing was recorded.
        if !(0.0..3.2e18).contains(&ns) {
            return None;
        }
        sum = sum.checked_add(ns as u64)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 09:00:00 UTC.
    const NINE: u64 = 1_795_251_600_000_000_000;
    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3_600 * SECOND;

    fn window(from_unix: u64, length: u64) -> Window {
        let clock = Clock { monotonic_ns: 5 * SECOND, realtime_ns: from_unix, boottime_ns: 0 };
        Window { covered_ns: 5 * SECOND..5 * SECOND + length, clock }
    }

    /// Seconds after the start of a recording from 09:00 of the 21st to 11:00 of the 22nd.
    fn found(from: &str, to: &str) -> Result<(u64, u64), BadTime> {
        let at = Span::new(from, to)?.within(&[window(NINE, 26 * HOUR)])?.remove(0);
        let after = |ns: u64| (ns - 5 * SECOND) / SECOND;
        Ok((after(at.start), after(at.end)))
    }

    #[test]
    fn times_of_day_are_the_last_in_the_recording() {
        assert_eq!(found("10:00", "10:30"), Ok((25 * 3_600, 25 * 3_600 + 1_800)));
        assert_eq!(found("23:59:30", "00:00:10.5"), Ok((15 * 3_600 - 30, 15 * 3_600 + 10)));
        assert_eq!(found("11:00+01:00", "12:00+01:00"), Ok((25 * 3_600, 26 * 3_600)));
        assert_eq!(found("", "10:00Z"), Ok((0, 25 * 3_600)));
        assert_eq!(found("2026-11-21T10:00", "2026-11-21 11:00Z"), Ok((3_600, 7_200)));
        assert_eq!(found("2026-11-21T05:00-05:00", ""), Ok((3_600, 26 * 3_600)));
    }

    #[test]
    fn durations_count_from_the_start_or_the_end() {
        assert_eq!(found("30s", "1m30s"), Ok((30, 90)));
        assert_eq!(found("+1.5h", "2h"), Ok((5_400, 7_200)));
        assert_eq!(found("-5m", ""), Ok((26 * 3_600 - 300, 26 * 3_600)));
        let last = Span::last("90s").unwrap().within(&[window(NINE, HOUR)]).unwrap();
        assert_eq!(last[0], 5 * SECOND + HOUR - 90 * SECOND..5 * SECOND + HOUR);
    }

    #[test]
    fn times_just_outside_are_the_recordings_end_or_nothing_of_it() {
        let at = |from: &str, to: &str| {
            let found = Span::new(from, to)?.within(&[window(NINE, HOUR)])?.remove(0);
            Ok((found.start.saturating_sub(5 * SECOND) / SECOND, (found.end - 5 * SECOND) / SECOND))
        };
        assert_eq!(at("08:30", ""), Ok((0, 3_600)));
        assert_eq!(at("08:30", "09:10"), Ok((0, 600)));
        assert_eq!(at("09:50", "10:30"), Ok((3_000, 5_400)));
        assert_eq!(at("", "10:30"), Ok((0, 3_600)));
        for (from, to) in [("10:30", ""), ("10:30", "10:40"), ("", "08:30"), ("08:00", "08:30")] {
            assert!(matches!(at(from, to), Err(BadTime::Outside { .. })), "{from}..{to}");
        }
        for (from, to) in [("09:50", "09:10"), ("09:10", "09:10"), ("5m", "5m")] {
            assert!(matches!(at(from, to), Err(BadTime::Backwards { .. })), "{from}..{to}");
        }
    }

    #[test]
    fn open_ends_do_not_make_a_time_ambiguous() {
        let two = [window(NINE, HOUR), window(NINE, HOUR + 1)];
        assert!(Span::new("09:30", "").unwrap().within(&two).is_ok());
    }

    #[test]
    fn what_is_no_time_or_was_not_recorded_is_said() {
        for text in ["x", "10", "25:00", "1x", "1h2", "--5m", "10:00+99:00", "\u{e9}:+"] {
            assert!(matches!(found(text, ""), Err(BadTime::NotATime { .. })), "{text}");
        }
        assert!(matches!(found("90s", "30s"), Err(BadTime::Backwards { .. })));
        assert!(matches!(
            found("2026-11-20T10:00", "2026-11-20T11:00"),
            Err(BadTime::Outside { .. })
        ));
        let no_clock = Window { covered_ns: 0..SECOND, clock: Clock::default() };
        let at = Span::new("10:00", "").unwrap().within(std::slice::from_ref(&no_clock));
        assert!(matches!(at, Err(BadTime::NoClock { .. })));
        let all = Span::new("0s", "").unwrap().within(&[no_clock]).unwrap();
        assert_eq!(all.first(), Some(&(0..SECOND)));
    }

    #[test]
    fn a_time_that_two_recordings_have_on_two_days_is_ambiguous() {
        let two = [window(NINE, 2 * HOUR), window(NINE + 24 * HOUR, 2 * HOUR)];
        let span = Span::new("10:00", "10:30").unwrap();
        let Err(BadTime::Ambiguous { choices, .. }) = span.within(&two) else { panic!() };
        assert_eq!(choices, "2026-11-21 10:00:00, 2026-11-22 10:00:00");
        let dated = Span::new("2026-11-22T10:00", "").unwrap().within(&two).unwrap();
        assert_eq!(dated, [0..0, 5 * SECOND + HOUR..5 * SECOND + 2 * HOUR]);
    }
}
