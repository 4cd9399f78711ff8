//! The faults that a check can find.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// The first difference between a response and the expected one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SmokeFault {
    /// No response, because of an error of the transport.
    #[non_exhaustive]
    Unreachable {
        /// The text of the innermost error.
        error: String,
    },
    /// No complete response in time.
    #[non_exhaustive]
    TooSlow {
        /// The time limit.
        limit: Duration,
    },
    /// Another status.
    #[non_exhaustive]
    Status {
        /// The expected status.
        expected: u16,
        /// The status of the response.
        found: u16,
        /// The checks that a probe response reports as down or impaired; empty for other responses.
        unhealthy: Vec<String>,
    },
    /// A body of more than [`MAX_BODY`](super::MAX_BODY) bytes.
    TooLarge,
    /// A body that is not JSON.
    NotJson,
    /// Another value, or none, at a JSON pointer of the body.
    #[non_exhaustive]
    Value {
        /// The JSON pointer.
        pointer: String,
        /// The expected values, of which any passes. Empty: any value passes.
        expected: Vec<Value>,
        /// The value in the body.
        found: Option<Value>,
    },
}

impl fmt::Display for SmokeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SmokeFault::Unreachable { error } => write!(f, "no response: {error}"),
            SmokeFault::TooSlow { limit } => write!(f, "no whole response within {limit:?}"),
            SmokeFault::Status { expected, found, unhealthy } => {
                write!(f, "status {found}, expected {expected}")?;
                for (index, name) in unhealthy.iter().enumerate() {
                    write!(f, "{}{name}", if index == 0 { ": " } else { ", " })?;
                }
                Ok(())
            }
            SmokeFault::TooLarge => write!(f, "a body of more than {} bytes", super::MAX_BODY),
            SmokeFault::NotJson => f.write_str("a body that is not JSON"),
            SmokeFault::Value { pointer, expected, found } => {
                match found {
                    Some(found) => write!(f, "`{pointer}` is {}", Truncated(found))?,
                    None => write!(f, "`{pointer}` is missing")?,
                }
                for (index, value) in expected.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { ", expected " } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

/// The first characters of a value, so that a line of the report stays readable.
struct Truncated<'a>(&'a Value);

impl fmt::Display for Truncated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_CHARS: usize = 80;
        let text = self.0.to_string();
        match text.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}
