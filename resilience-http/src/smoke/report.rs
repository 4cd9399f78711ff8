//! What came of a suite.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use super::fault::SmokeFault;

/// What each check came to, in order. Shown (`Display`), it is a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SmokeReport {
    /// What was asked.
    pub base: String,
    /// One for each check.
    pub results: Vec<SmokeResult>,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SmokeResult {
    /// What it is called.
    pub name: String,
    /// What was asked for.
    pub path: String,
    /// How long it took.
    pub took: Duration,
    /// What was wrong, if something was.
    pub fault: Option<SmokeFault>,
}

impl SmokeReport {
    /// Whether everything was as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// What was not as expected.
    pub fn failed(&self) -> impl Iterator<Item = &SmokeResult> {
        self.results.iter().filter(|result| result.fault.is_some())
    }

    /// Success if everything was as expected, failure otherwise.
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
        let (names, paths) = (width(|result| &result.name), width(|result| &result.path));
        writeln!(f, "smoke test of {}", self.base)?;
        for SmokeResult { name, path, took, fault } in &self.results {
            let verdict = if fault.is_none() { "ok  " } else { "FAIL" };
            let took = took.as_millis();
            write!(f, "  {verdict}  {name:names$}  {path:paths$}  {took:>6} ms")?;
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
