//! Errors of certificate and key files.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A certificate or key file that cannot be used: the option that names it, its path, and the
/// problem.
#[derive(Debug)]
pub struct TlsFileError {
    option: &'static str,
    path: PathBuf,
    problem: TlsFileProblem,
}

impl TlsFileError {
    pub(super) fn new(option: &'static str, path: &Path, problem: TlsFileProblem) -> TlsFileError {
        TlsFileError { option, path: path.to_owned(), problem }
    }

    /// Returns the name of the builder method that was given the file.
    #[must_use]
    pub const fn option(&self) -> &'static str {
        self.option
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the problem with the file.
    #[must_use]
    pub const fn problem(&self) -> &TlsFileProblem {
        &self.problem
    }
}

/// The problem with a certificate or key file.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsFileProblem {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// The file is larger than this many bytes.
    TooLarge(u64),
    /// The file contains no certificate in PEM.
    NoCertificate,
    /// The file contains no unencrypted private key in PEM.
    NoKey,
    /// A PEM entry is damaged.
    Malformed {
        /// The number of the entry, from 1.
        entry: usize,
        /// The problem with the entry.
        reason: String,
    },
    /// The private key is damaged, or of a type that TLS does not use.
    UnusableKey,
    /// The private key does not belong to the certificate.
    KeyMismatch,
}

impl fmt::Display for TlsFileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsFileProblem::Unreadable(error) => write!(f, "cannot be read: {error}"),
            TlsFileProblem::TooLarge(limit) => write!(f, "is larger than {limit} bytes"),
            TlsFileProblem::NoCertificate => f.write_str("has no certificate in PEM"),
            TlsFileProblem::NoKey => f.write_str("has no unencrypted private key in PEM"),
            TlsFileProblem::Malformed { entry, reason } => {
                write!(f, "entry {entry} is malformed: {reason}")
            }
            TlsFileProblem::UnusableKey => f.write_str("the key is damaged, or not one for TLS"),
            TlsFileProblem::KeyMismatch => f.write_str("the key belongs to another certificate"),
        }
    }
}

impl fmt::Display for TlsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}: {}", self.option, self.path.display(), self.problem)
    }
}

impl StdError for TlsFileError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.problem {
            TlsFileProblem::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}
