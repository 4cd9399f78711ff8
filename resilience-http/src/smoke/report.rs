//! The report of a suite.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use super::fault::SmokeFault;

/// The results of the checks, in order. `Display` formats them as a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SmokeReport {
    /// The URL of the service.
    pub base: String,
    /// One result for each check.
    pub results: Vec<SmokeResult>,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SmokeResult {
    /// The name of the check.
    pub name: String,
    /// The requested path.
    pub path: String,
    /// The duration of the check.
    pub took: Duration,
    /// The fault, or `None` if the check passed.
    pub fault: Option<SmokeFault>,
}

impl SmokeReport {
    /// Returns `true` if every check passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// Returns the results of the checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &SmokeResult> {
        self.results.iter().filter(|result| result.fault.is_some())
    }

    /// Returns success if every check passed, and failure otherwise.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl fmt::Display for SmokeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&SmokeResult) -> &str| {
            self.results.iter().map(|result| of(result).chars().count()).max().unwrap_or(0)
        };
        let names = width(|result| &result.name);
        let paths = width(|result| &result.path);
        writeln!(f, "smoke test of {}", self.base)?;
        for SmokeResult { name, path, took, fault } in &self.results {
            let outcome = if fault.is_none() { "ok  " } else { "FAIL" };
            let took = took.as_millis();
            write!(f, "  {outcome}  {name:names$}  {path:paths$}  {took:>6} ms")?;
            match fault {
                Some(fault) => writeln!(f, "  {fault}")?,
                None => writeln!(f)?,
            }
        }
        let failed: Vec<_> = self.failed().map(|result| result.name.as_str()).collect();
        match failed.len() {
            0 => write!(f, "passed: all of {}", self.results.len()),
            count => {
                write!(f, "failed: {count} of {}: {}", self.results.len(), failed.join(", "))
            }
        }
    }
}
