//! Errors of configurations.
//!
//! Every builder ends in `build() -> Result<_, InvalidConfig>`: no value from a user or a file
//! panics, and none is silently corrected.
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

/// A configuration value out of its bounds: field, value and bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConfig {
    field: &'static str,
    value: String,
    bound: String,
}

impl InvalidConfig {
    /// Creates an error from a `field`, its `value` and the `bound` that it violates ("must be …").
    pub fn new(
        field: &'static str,
        value: impl fmt::Display,
        bound: impl fmt::Display,
    ) -> InvalidConfig {
        InvalidConfig { field, value: value.to_string(), bound: bound.to_string() }
    }

    /// Returns the field, named as in the builder.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// Returns the rejected value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns the bound.
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

/// A value, or the result of making it: builders take both, so that a chain needs no `?` in the
/// middle, and return the error from `build`.
pub trait OrInvalid<T> {
    /// Returns the value.
    ///
    /// # Errors
    /// The error of making it.
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

/// Validates a wait: more than zero, at most [`MAX_WAIT`].
pub(crate) fn wait(field: &'static str, value: Duration) -> Result<Duration, InvalidConfig> {
    if value.is_zero() {
        return Err(InvalidConfig::new(field, "0s", "more than zero"));
    }
    wait_or_none(field, value)
}

/// Validates a wait that may be zero: at most [`MAX_WAIT`].
pub(crate) fn wait_or_none(
    field: &'static str,
    value: Duration,
) -> Result<Duration, InvalidConfig> {
    if value > MAX_WAIT {
        return Err(InvalidConfig::new(field, format_args!("{value:?}"), "at most 365 days"));
    }
    Ok(value)
}

/// Validates a finite number within `low..=high`. Rejects NaN and the infinities.
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
