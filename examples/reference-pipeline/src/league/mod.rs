//! The data of the pipeline: a league's team box scores, by day.
//!
//! The demo must run on a laptop without a network or a licence for data, so it
//! [generates a league](generate). It must also work on real data, so it can
//! [read a folder](read) of CSV files instead.

pub mod generate;
pub mod problems;
pub mod read;
mod record;
pub mod row;
mod teams;

use std::collections::BTreeMap;
use std::hash::Hasher;

use fnv::FnvHasher;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use row::TeamGame;

use crate::BoxError;

/// Every row of a league, by game day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct League {
    days: BTreeMap<Date, Vec<TeamGame>>,
}

impl League {
    /// Creates a league. The rows of each day are sorted by key.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = TeamGame>) -> League {
        let mut days: BTreeMap<Date, Vec<TeamGame>> = BTreeMap::new();
        for row in rows {
            days.entry(row.game_date).or_default().push(row);
        }
        for rows in days.values_mut() {
            rows.sort_by(|a, b| a.key().cmp(&b.key()));
        }
        League { days }
    }

    /// Returns the game days in order.
    #[must_use]
    pub fn days(&self) -> impl ExactSizeIterator<Item = Date> {
        self.days.keys().copied()
    }

    /// Returns the rows of a day, or `None` if the day had no games.
    #[must_use]
    pub fn on(&self, day: Date) -> Option<&[TeamGame]> {
        self.days.get(&day).map(Vec::as_slice)
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.days.values().map(Vec::len).sum()
    }

    /// Returns the league's first `days` game days.
    #[must_use]
    pub fn first_days(self, days: usize) -> League {
        League { days: self.days.into_iter().take(days).collect() }
    }

    /// Returns a digest of all rows: leagues with equal digests have equal rows.
    ///
    /// # Errors
    /// If a row cannot be serialized; no row that was read causes that.
    pub fn fingerprint(&self) -> Result<String, BoxError> {
        let mut hasher = FnvHasher::default();
        for row in self.days.values().flatten() {
            hasher.write(&serde_json::to_vec(row)?);
        }
        Ok(format!("{:016x}", hasher.finish()))
    }
}
