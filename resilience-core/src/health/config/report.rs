//! The report of all invalid variables.

use std::error::Error as StdError;
use std::fmt;

/// All variables that are missing or malformed, in the order of their declaration.
///
/// `Debug` is the same as `Display`, since a `main` that returns the report prints it by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvReport(pub(super) Vec<EnvProblem>);

/// An invalid variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvProblem {
    /// The name of the variable.
    pub name: String,
    /// The problem.
    pub kind: ProblemKind,
    /// The valid values, in words.
    pub expected: String,
}

/// Kinds of problems with a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The variable is not set, or empty.
    Missing,
    /// The value is not valid.
    #[non_exhaustive]
    Malformed {
        /// The value, cut after 64 characters. `None` for a secret.
        value: Option<String>,
        /// The message of the parser. `None` for a secret, and for a value that breaks a bound
        /// only.
        error: Option<String>,
    },
    /// The value is not Unicode.
    NotUnicode,
}

impl EnvReport {
    /// Returns the problems in the order of declaration. There is at least one.
    #[must_use]
    pub fn problems(&self) -> &[EnvProblem] {
        &self.0
    }
}

impl fmt::Display for EnvReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 environment variable is invalid:")?,
            count => write!(f, "{count} environment variables are invalid:")?,
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
