//! Input that is the user's to mend.
//!
//! A demo that ends badly has either shown something or been asked for something that cannot be.
//! A script that runs it needs to know which, so the second has an error type and an exit code of
//! its own.

use std::fmt;

/// Something the user gave cannot be used. Ends the program with exit code 2.
#[derive(Debug)]
pub struct BadInput(String);

impl BadInput {
    /// Says what it is and why it cannot be used.
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
