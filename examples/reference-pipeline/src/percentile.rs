//! Percentiles of durations.

use std::time::Duration;

/// Returns the 99th percentile in milliseconds, 0 if there are no values.
pub(crate) fn p99(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let rank = (took.len() * 99).div_ceil(100);
    rank.checked_sub(1).map_or(0.0, |last| took[last].as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let millis = |range: std::ops::RangeInclusive<u64>| range.map(Duration::from_millis);
        assert_eq!(p99(millis(1..=200).rev().collect()), 198.0);
        assert_eq!(p99(millis(7..=7).collect()), 7.0);
        assert_eq!(p99(Vec::new()), 0.0);
    }
}
