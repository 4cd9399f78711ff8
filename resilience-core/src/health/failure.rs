//! Failure of a check: a public text, and a detail for the log.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::observe::{ErrorText, Rounded};

/// Maximum bytes of an error's text that are stored.
pub const MAX_DETAIL: usize = 512;

/// Failure of a check.
///
/// `Display` shows a text that may be public. The text of the error is the
/// [`detail`](Failure::detail), which may contain hosts, users and secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    kind: FailureKind,
    detail: Option<Arc<str>>,
}

/// Kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The check returned an error.
    Failed,
    /// The check exceeded this timeout.
    TimedOut(Duration),
    /// The check panicked.
    Panicked,
    /// No run has ended yet.
    NotChecked,
    /// The circuit is open, for this time if it is known.
    CircuitOpen(Option<Duration>),
}

impl Failure {
    /// Creates a failure without detail.
    #[must_use]
    pub const fn new(kind: FailureKind) -> Failure {
        Failure { kind, detail: None }
    }

    /// Adds a detail for the log, cut after [`MAX_DETAIL`] bytes.
    #[must_use]
    pub fn with_detail(self, detail: impl fmt::Display) -> Failure {
        let mut kept = Bounded(String::new());
        // An error means that the text was cut.
        let _ = write!(kept, "{detail}");
        Failure { detail: Some(kept.0.into()), ..self }
    }

    /// Creates a failure from the error of a check. The detail is the [text](ErrorText) of the
    /// error and its sources.
    #[must_use]
    pub fn of_error(error: &(dyn StdError + 'static)) -> Failure {
        Failure::new(FailureKind::Failed).with_detail(ErrorText::of(error))
    }

    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the text of the error, for the log and not for the response to a probe.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::Failed => f.write_str("failed"),
            FailureKind::TimedOut(limit) => write!(f, "timed out (limit {})", Rounded(limit)),
            FailureKind::Panicked => f.write_str("panicked"),
            FailureKind::NotChecked => f.write_str("not checked yet"),
            FailureKind::CircuitOpen(_) => f.write_str("circuit open"),
        }
    }
}

/// A string of at most [`MAX_DETAIL`] bytes, cut between characters.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() + character.len_utf8() > MAX_DETAIL {
                return Err(fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_text_does_not_contain_the_text_of_the_error() {
        let error = std::io::Error::other("password of db-7 is hunter2");
        let failure = Failure::of_error(&error);
        assert_eq!(failure.to_string(), "failed");
        assert_eq!(failure.detail(), Some("password of db-7 is hunter2"));
    }

    #[test]
    fn details_are_cut_between_characters() {
        let long = "ß".repeat(MAX_DETAIL);
        let detail = Failure::new(FailureKind::Failed).with_detail(format_args!("x{long}y"));
        let kept = detail.detail().unwrap();
        assert_eq!(kept.len(), MAX_DETAIL - 1);
        assert!(kept.starts_with("xß") && kept.ends_with('ß'));
        let fits = "x".repeat(MAX_DETAIL);
        let detail = Failure::new(FailureKind::Failed).with_detail(format_args!("{fits}y"));
        assert_eq!(detail.detail(), Some(&*fits));
    }

    #[test]
    fn causes_are_part_of_the_detail() {
        let cause = std::io::Error::other("refused");
        let error = std::io::Error::other(cause);
        assert_eq!(Failure::of_error(&error).detail(), Some("refused"));
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no connection")
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let outer = Outer(std::io::Error::other("refused"));
        assert_eq!(Failure::of_error(&outer).detail(), Some("no connection: refused"));
    }
}
