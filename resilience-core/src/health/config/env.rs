//! The source of variables.

use std::ffi::OsString;
use std::fmt;

use super::declared::Declared;
use super::report::EnvReport;

/// An environment that declared variables are read from.
pub struct Env<F> {
    lookup: F,
}

impl Env<fn(&str) -> Option<OsString>> {
    /// Returns the environment of this process.
    #[must_use]
    pub fn process() -> Self {
        Env { lookup: |name| std::env::var_os(name) }
    }
}

impl<F: Fn(&str) -> Option<OsString>> Env<F> {
    /// Returns an environment that looks variables up with this function.
    #[must_use]
    pub fn from_fn(lookup: F) -> Env<F> {
        Env { lookup }
    }

    /// Reads a [`Var`](super::Var), or a tuple of up to twelve declarations, each of which may be a
    /// tuple. All are read, also after a problem.
    ///
    /// # Errors
    /// If a variable is missing or malformed. The report names each of them.
    pub fn read<D: Declared>(&self, declared: D) -> Result<D::Value, EnvReport> {
        let mut problems = Vec::new();
        match declared.read(&self.lookup, &mut problems) {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(EnvReport(problems)),
        }
    }
}

impl<F> fmt::Debug for Env<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").finish_non_exhaustive()
    }
}
