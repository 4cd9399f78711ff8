//! Statistics of varying numbers: means with their error, medians with their spread.

/// The mean of a sample, with its standard deviation and standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) standard_error: f64,
}

impl Mean {
    /// Computes the mean of at least two values.
    pub(crate) fn of(values: &[f64]) -> Mean {
        let count = float(values.len());
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0)).sqrt();
        Mean { mean, deviation, standard_error: deviation / count.sqrt() }
    }
}

/// The median of a sample, with its 10th and 90th percentiles.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The 10th percentile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The 90th percentile.
    pub high: f64,
}

impl Spread {
    /// Computes the spread of at least one value.
    pub(crate) fn of(values: &[f64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |tenths: usize| sorted[(sorted.len() - 1) * tenths / 10];
        Spread { low: at(1), median: at(5), high: at(9) }
    }
}

/// Returns the 95 % confidence interval of the median, from a sample of independent values: two
/// values of the sample, by the normal approximation of the binomial distribution.
pub(crate) fn interval(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    // More than √n, and so at least 2 % more than 1.96 × √n / 2: never too narrow.
    let off = sorted.len().isqrt() + 1;
    let low = (last / 2).saturating_sub(off);
    [sorted[low], sorted[last - low]]
}

#[expect(clippy::cast_precision_loss, reason = "samples are far smaller than 2^53")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

/// Returns `of` divided by `each`.
#[expect(clippy::cast_precision_loss, reason = "counts are far smaller than 2^53")]
pub(crate) fn ratio(of: u64, each: u64) -> f64 {
    of as f64 / each as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_their_error() {
        let mean = Mean::of(&[2.0, 4.0, 4.0, 6.0]);
        assert_eq!(mean.mean, 4.0);
        assert!((mean.deviation - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((mean.standard_error - mean.deviation / 2.0).abs() < 1e-12);
    }

    #[test]
    fn an_outlier_does_not_move_the_spread() {
        let values: Vec<f64> = (0..20).map(f64::from).chain([1e9]).collect();
        let spread = Spread::of(&values);
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 10.0, 18.0));
    }

    /// The interval has 20 of 400 values on either side of the median; few values bound only
    /// themselves.
    #[test]
    fn the_middle_lies_within_its_interval() {
        let values: Vec<f64> = (0..401).map(f64::from).collect();
        assert_eq!(interval(&values), [179.0, 221.0]);
        assert_eq!(interval(&values[..3]), [0.0, 2.0]);
        assert_eq!(interval(&[7.0]), [7.0, 7.0]);
    }
}
