//! Errors in the user's input.
//!
//! A failed run has either found something or had unusable input. Scripts need to distinguish the
//! two, so bad input has its own error type and exit code.

use std::fmt;

/// Input that cannot be used. Ends the program with exit code 2.
#[derive(Debug)]
pub struct BadInput(String);

impl BadInput {
    /// Creates an error that names the input and the reason for its rejection.
    #[must_use]
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> BadInput {
        BadInput(format!("{what}: {why}"))
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}
