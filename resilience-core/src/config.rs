//! What a refused configuration says.
//!
//! Every builder ends in `build() -> Result<_, InvalidConfig>`: nothing here panics on a value that
//! came from a person or a file, and nothing is silently corrected.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::retry::Backoff;
//!
//! let error = Backoff::decorrelated_jitter(Duration::from_secs(5), Duration::from_secs(1)).unwrap_err();
//! assert_eq!(error.to_string(), "invalid configuration: `base` is 5s, must be at most `cap` (1s)");
//! ```

use std::fmt;
use std::time::Duration;

use crate::clock::MAX_WAIT;

/// A configuration value out of its bounds: which field, what it was, and what it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    bound: String,
}

impl InvalidConfig {
    /// Names a `field`, the `value` it was given and the `bound` it broke ("must be …").
    pub fn new(
        field: &'static str,
        value: impl fmt::Display,
        bound: impl fmt::Display,
    ) -> InvalidConfig {
        InvalidConfig { field, value: value.to_string(), bound: bound.to_string() }
    }

    /// The field's name as the builder spells it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The refused value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What the value must be.
    #[must_use]
    pub fn bound(&self) -> &str {
        &self.bound
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid configuration: `{}` is {}, must be {}",
            self.field, self.value, self.bound
        )
    }
}

impl std::error::Error for InvalidConfig {}

/// A value, or what making it ended in: a builder takes both, so that a chain is not broken by a `?`
/// in the middle, and reports the error when it is built.
pub trait OrInvalid<T> {
    /// The value.
    ///
    /// # Errors
    /// If it was not made.
    fn or_invalid(self) -> Result<T, InvalidConfig>;
}

impl<T> OrInvalid<T> for T {
    fn or_invalid(self) -> Result<T, InvalidConfig> {
        Ok(self)
    }
}

impl<T> OrInvalid<T> for Result<T, InvalidConfig> {
    fn or_invalid(self) -> Result<T, InvalidConfig> {
        self
    }
}

/// A wait: more than nothing, at most [`MAX_WAIT`].
pub(crate) fn wait(field: &'static str, value: Duration) -> Result<Duration, InvalidConfig> {
    if value.is_zero() {
        return Err(InvalidConfig::new(field, "0s", "more than zero"));
    }
    wait_or_none(field, value)
}

/// A wait that may be zero: at most [`MAX_WAIT`].
pub(crate) fn wait_or_none(
    field: &'static str,
    value: Duration,
) -> Result<Duration, InvalidConfig> {
    if value > MAX_WAIT {
        return Err(InvalidConfig::new(field, format_args!("{value:?}"), "at most 365 days"));
    }
    Ok(value)
}

/// A finite number within `low..=high`; NaN and the infinities are refused.
pub(crate) fn number(
    field: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<f64, InvalidConfig> {
    if value.is_finite() && (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(InvalidConfig::new(field, value, format_args!("between {low} and {high}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_are_named() {
        assert_eq!(wait("t", Duration::ZERO).unwrap_err().bound(), "more than zero");
        assert_eq!(wait("t", Duration::MAX).unwrap_err().field(), "t");
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.1] {
            let error = number("ratio", bad, 0.0, 1.0).unwrap_err();
            assert_eq!(error.value(), bad.to_string());
        }
        assert_eq!(number("ratio", 0.5, 0.0, 1.0), Ok(0.5));
    }
}
