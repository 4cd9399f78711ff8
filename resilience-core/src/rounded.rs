//! Lengths of time as a person reads them.

use std::fmt;
use std::time::Duration;

/// A length of time, rounded for people: `250 ms`, `4.6 s`, `90 s`, `5 min`.
///
/// Shown in the largest unit of which there are at least two (one, for a second and less). A length
/// that three digits show exactly is exact; any other has two significant digits.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::observe::Rounded;
///
/// assert_eq!(Rounded(Duration::from_micros(4_587_123)).to_string(), "4.6 s");
/// assert_eq!(Rounded(Duration::from_millis(1_250)).to_string(), "1.25 s");
/// assert_eq!(Rounded(Duration::from_secs(3_600)).to_string(), "60 min");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a way to show a duration, and nothing else")]
pub struct Rounded(pub Duration);

/// Units in nanoseconds, and where each begins to be used.
const UNITS: [(&str, u128, u128); 7] = [
    ("days", DAY, 2 * DAY),
    ("h", HOUR, 2 * HOUR),
    ("min", MINUTE, 2 * MINUTE),
    ("s", SECOND, SECOND),
    ("ms", SECOND / 1_000, SECOND / 1_000),
    ("µs", 1_000, 1_000),
    ("ns", 1, 0),
];
const SECOND: u128 = 1_000_000_000;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;
const DAY: u128 = 24 * HOUR;

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0 s");
        }
        let unit = UNITS.iter().copied().find(|&(.., from)| nanos >= from);
        let (name, unit, _) = unit.unwrap_or(("ns", 1, 0));
        // A carry (999.9 ms) may fill the next larger unit.
        let hundredths = hundredths(nanos, unit);
        if hundredths * unit / 100 > nanos && hundredths * unit / 100 >= next(unit) {
            let rounded = u64::try_from(hundredths * unit / 100).unwrap_or(u64::MAX);
            return Rounded(Duration::from_nanos(rounded)).fmt(f);
        }
        let whole = hundredths / 100;
        match hundredths % 100 {
            0 => write!(f, "{whole} {name}"),
            part if part % 10 == 0 => write!(f, "{whole}.{} {name}", part / 10),
            part => write!(f, "{whole}.{part:02} {name}"),
        }
    }
}

/// Returns where the next larger unit begins.
fn next(unit: u128) -> u128 {
    let larger = UNITS.iter().rev().find(|&&(_, size, _)| size > unit);
    larger.map_or(u128::MAX, |&(.., from)| from)
}

/// Returns `nanos` in hundredths of `unit`: exact if three digits are enough, else rounded to two
/// digits.
fn hundredths(nanos: u128, unit: u128) -> u128 {
    let exact = nanos * 100;
    let whole = nanos / unit;
    // The third digit of 1 to 9 is a hundredth, of 10 to 99 a tenth; from 100 on, and for whole
    // numbers, a one.
    let third = if whole < 10 {
        1
    } else if whole < 100 {
        10
    } else {
        100
    };
    if exact.is_multiple_of(unit * third) {
        return exact / unit;
    }
    let step = third * 10;
    // From 100 on there are three digits before the point, and none of them is dropped.
    let step = step.min(100);
    (exact + unit * step / 2) / (unit * step) * step
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_a_person_reads_it() {
        for (nanos, expected) in [
            (0, "0 s"),
            (1, "1 ns"),
            (1_500, "1.5 µs"),
            (1_234_567, "1.2 ms"),
            (250_000_000, "250 ms"),
            (999_900_000, "1 s"),
            (1_250_000_000, "1.25 s"),
            (4_587_123_456, "4.6 s"),
            (9_960_000_001, "10 s"),
            (20_300_000_000, "20.3 s"),
            (20_312_000_000, "20 s"),
            (60_000_000_000, "60 s"),
            (90_000_000_000, "90 s"),
            (119_999_000_000, "2 min"),
            (300_000_000_000, "5 min"),
            (5_400_000_000_000, "90 min"),
            (86_400_000_000_000, "24 h"),
            (31_536_000_000_000_000, "365 days"),
        ] {
            assert_eq!(Rounded(Duration::from_nanos(nanos)).to_string(), expected, "{nanos}");
        }
        assert_eq!(Rounded(Duration::MAX).to_string(), "213503982334601 days");
    }

    proptest! {
        #[test]
        fn never_off_by_more_than_a_twentieth(nanos in 1_u64..) {
            let text = Rounded(Duration::from_nanos(nanos)).to_string();
            let (number, unit) = text.split_once(' ').unwrap();
            let unit = UNITS.iter().find(|&&(name, ..)| name == unit).unwrap().1 as f64;
            let shown = number.parse::<f64>().unwrap() * unit;
            let off = (shown - nanos as f64).abs() / nanos as f64;
            prop_assert!(off <= 0.05 + 1e-9, "{nanos}: {text}");
            prop_assert!(number.len() <= 6, "{text}");
        }
    }
}
