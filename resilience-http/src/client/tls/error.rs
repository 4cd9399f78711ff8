//! What a file of certificates or of a key says when it cannot be used.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be used: which option named it, which file it is, and what is wrong.
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

    /// The builder's method that named it.
    #[must_use]
    pub const fn option(&self) -> &'static str {
        self.option
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> &TlsFileProblem {
        &self.problem
    }
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsFileProblem {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is larger than this many bytes.
    TooLarge(u64),
    /// It has no certificate in PEM.
    NoCertificate,
    /// It has no private key in PEM that is not encrypted.
    NoKey,
    /// An entry is damaged.
    Malformed {
        /// Which one, from 1.
        entry: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key is damaged, or of a kind that is not used in TLS.
    UnusableKey,
    /// The private key belongs to another certificate.
    OtherKey,
}

impl fmt::Display for TlsFileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsFileProblem::Unreadable(error) => write!(f, "cannot be read: {error}"),
            TlsFileProblem::TooLarge(most) => write!(f, "is larger than {most} bytes"),
            TlsFileProblem::NoCertificate => f.write_str("has no certificate in PEM"),
            TlsFileProblem::NoKey => f.write_str("has no unencrypted private key in PEM"),
            TlsFileProblem::Malformed { entry, reason } => {
                write!(f, "entry {entry} is malformed: {reason}")
            }
            TlsFileProblem::UnusableKey => f.write_str("the key is damaged, or not one for TLS"),
            TlsFileProblem::OtherKey => f.write_str("the key belongs to another certificate"),
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
