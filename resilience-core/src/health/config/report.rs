//! What is wrong with the environment, all of it.

use std::error::Error as StdError;
use std::fmt;

/// Every variable that is missing or malformed, in the order of their declaration.
///
/// `Debug` shows what `Display` does: it is what a `main` prints that returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvReport(pub(super) Vec<EnvProblem>);

/// One variable that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvProblem {
    /// The variable's name.
    pub name: String,
    /// What is wrong with it.
    pub kind: ProblemKind,
    /// What it must be.
    pub expected: String,
}

/// What is wrong with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// It is not set, or empty.
    Missing,
    /// It is not what it must be.
    #[non_exhaustive]
    Malformed {
        /// What it is, cut if it is long. None if it is secret.
        value: Option<String>,
        /// What its parser said. None if it is secret, or the parser was content.
        error: Option<String>,
    },
    /// It is not Unicode.
    NotUnicode,
}

impl EnvReport {
    /// What is wrong, in the order of declaration. At least one.
    #[must_use]
    pub fn problems(&self) -> &[EnvProblem] {
        &self.0
    }
}

impl fmt::Display for EnvReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 environment variable is not as it must be:")?,
            count => write!(f, "{count} environment variables are not as they must be:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Debug for EnvReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for EnvReport {}

impl fmt::Display for EnvProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EnvProblem { name, kind, expected } = self;
        match kind {
            ProblemKind::Missing => write!(f, "{name} is missing, must be {expected}"),
            ProblemKind::NotUnicode => write!(f, "{name} is not Unicode, must be {expected}"),
            ProblemKind::Malformed { value, error } => {
                match value {
                    Some(value) => write!(f, "{name} is `{value}`, must be {expected}")?,
                    None => write!(f, "{name} is malformed (secret), must be {expected}")?,
                }
                error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
            }
        }
    }
}
