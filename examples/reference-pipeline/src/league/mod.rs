//! What the pipeline is about: a league's team box scores, day by day.
//!
//! The demo must run on a laptop without a network, and must not depend on anybody's data, so it
//! [makes a league up](generate). It must also hold on data that nobody made for it, so it
//! [reads a folder](read) of real ones when it is given one.

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
    /// These rows, each day's in the order of their keys whatever order they came in.
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

    /// The game days, in order.
    #[must_use]
    pub fn days(&self) -> impl ExactSizeIterator<Item = Date> {
        self.days.keys().copied()
    }

    /// The rows of a day, if there were games.
    #[must_use]
    pub fn on(&self, day: Date) -> Option<&[TeamGame]> {
        self.days.get(&day).map(Vec::as_slice)
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.days.values().map(Vec::len).sum()
    }

    /// Only the first game days.
    #[must_use]
    pub fn first_days(self, days: usize) -> League {
        League { days: self.days.into_iter().take(days).collect() }
    }

    /// A digest of all rows: two leagues with the same one are the same league.
    ///
    /// # Errors
    /// If a row cannot be written down, which no row that was read can cause.
    pub fn fingerprint(&self) -> Result<String, BoxError> {
        let mut hasher = FnvHasher::default();
        for row in self.days.values().flatten() {
            hasher.write(&serde_json::to_vec(row)?);
        }
        Ok(format!("{:016x}", hasher.finish()))
    }
}
