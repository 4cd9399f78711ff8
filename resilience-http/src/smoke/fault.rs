//! What was not as expected.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// How a response differs from what was expected.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SmokeFault {
    /// There was no response: what the transport says.
    #[non_exhaustive]
    Unreachable {
        /// In words.
        error: String,
    },
    /// The response, or the whole of it, did not come in time.
    #[non_exhaustive]
    TooSlow {
        /// How long it was given.
        limit: Duration,
    },
    /// Another status.
    #[non_exhaustive]
    Status {
        /// The one that was expected.
        expected: u16,
        /// The one that came.
        found: u16,
        /// What the response says is down or impaired, if it is a probe's.
        unwell: Vec<String>,
    },
    /// A body of more than [`MAX_BODY`](super::MAX_BODY) bytes.
    TooLarge,
    /// A body that is not JSON.
    NotJson,
    /// Another value, or none, at a place in the body.
    #[non_exhaustive]
    Value {
        /// The place, as a JSON pointer.
        pointer: String,
        /// Any of these was expected; anything at all if there are none.
        expected: Vec<Value>,
        /// The one that is there.
        found: Option<Value>,
    },
}

impl fmt::Display for SmokeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SmokeFault::Unreachable { error } => write!(f, "no response: {error}"),
            SmokeFault::TooSlow { limit } => write!(f, "no whole response within {limit:?}"),
            SmokeFault::Status { expected, found, unwell } => {
                write!(f, "status {found}, expected {expected}")?;
                for (index, name) in unwell.iter().enumerate() {
                    write!(f, "{}{name}", if index == 0 { ": " } else { ", " })?;
                }
                Ok(())
            }
            SmokeFault::TooLarge => write!(f, "a body of more than {} bytes", super::MAX_BODY),
            SmokeFault::NotJson => f.write_str("a body that is not JSON"),
            SmokeFault::Value { pointer, expected, found } => {
                match found {
                    Some(found) => write!(f, "`{pointer}` is {}", Short(found))?,
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

/// The beginning of a value: a line of a report is for reading.
struct Short<'a>(&'a Value);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        let text = self.0.to_string();
        match text.char_indices().nth(MOST) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}
