//! Wall time, for what outlives the process.
//!
//! Policies measure with monotonic instants, which mean nothing to another process or after a
//! restart. What is stored carries a [`Timestamp`]. The wall clock is read here and nowhere else.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A point in wall time, in milliseconds since the Unix epoch. Negative before it.
///
/// Wall clocks jump: never measure a duration within one process with this.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::Timestamp;
///
/// let tip_off = Timestamp::from_millis(1_768_780_800_000);
/// assert_eq!(tip_off.to_string(), "2026-01-19T00:00:00.000Z");
/// let end = tip_off.saturating_add(Duration::from_secs(9_000));
/// assert_eq!(end.saturating_duration_since(tip_off), Duration::from_secs(9_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// Reads the wall clock.
    #[must_use]
    pub fn now() -> Timestamp {
        wall_now().into()
    }

    /// Returns the point that lies `millis` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the point `duration` later, or the last one there is. A fraction of a millisecond is
    /// dropped.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis(duration)))
    }

    /// Returns the point `duration` earlier, or the first one there is.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis(duration)))
    }

    /// Returns the time from `earlier` to this point, or zero if `earlier` is later.
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Timestamp) -> Duration {
        let millis = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Timestamp {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Timestamp(millis(after)),
            Err(before) => Timestamp(millis(before.duration()).saturating_neg()),
        }
    }
}

/// Writes the point as RFC 3339, in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(86_400_000));
        let of_day = self.0.rem_euclid(86_400_000);
        let hour = of_day / 3_600_000;
        let minute = of_day / 60_000 % 60;
        let second = of_day / 1_000 % 60;
        let millis = of_day % 1_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Returns year, month and day of a day that is counted from the epoch (Hinnant's
/// `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads the wall clock, which may be wrong and may jump: for dates, never for durations.
#[must_use]
pub fn wall_now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads wall time")]
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
        for extreme in [i64::MIN, i64::MAX] {
            assert!(Timestamp::from_millis(extreme).to_string().ends_with('Z'));
        }
    }

    #[test]
    fn no_arithmetic_overflows() {
        let first = Timestamp::from_millis(i64::MIN);
        let last = Timestamp::from_millis(i64::MAX);
        assert_eq!(last.saturating_add(Duration::MAX), last);
        assert_eq!(first.saturating_sub(Duration::MAX), first);
        assert_eq!(last.saturating_duration_since(first), Duration::from_millis(u64::MAX));
        assert_eq!(first.saturating_duration_since(last), Duration::ZERO);
    }

    #[test]
    fn a_time_of_the_system_before_the_epoch_is_negative() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(2);
        assert_eq!(Timestamp::from(before).as_millis(), -2_000);
    }
}
