//! The report of a run, written to `report.json`.

use std::time::Instant;

use resilience_core::clock;
use serde::Serialize;

use super::arm::Run;
use super::assertions::Assertion;
use super::options::Options;
use crate::BoxError;
use crate::league::League;
use crate::league::problems::Problems;

/// A report. Scripts rely on its field names.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seed: u64,
    pub(super) league: LeagueFacts,
    pub(super) assertions: Vec<Assertion>,
    before: Run,
    pub(super) after: Run,
    pub(super) seconds: f64,
}

/// Facts on the league of the run.
#[derive(Debug, Serialize)]
pub(super) struct LeagueFacts {
    pub(super) source: String,
    pub(super) days: usize,
    pub(super) rows: usize,
    pub(super) fingerprint: String,
    skipped: usize,
    duplicates: usize,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        league: &League,
        problems: &Problems,
        assertions: Vec<Assertion>,
        [before, after]: [Run; 2],
        started: Instant,
    ) -> Result<Report, BoxError> {
        let league = LeagueFacts {
            source: options.source(),
            days: league.days().len(),
            rows: league.rows(),
            fingerprint: league.fingerprint()?,
            skipped: problems.count(),
            duplicates: problems.duplicates(),
        };
        let seconds = clock::now().saturating_duration_since(started).as_secs_f64();
        Ok(Report { seed: options.seed, league, assertions, before, after, seconds })
    }

    /// Returns `true` if every assertion holds.
    pub(super) fn holds(&self) -> bool {
        self.assertions.iter().all(|assertion| assertion.holds)
    }
}
