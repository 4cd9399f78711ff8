//! A team's box score of one game.
//!
//! The columns are those of a real feed. Columns that identify a row or appear in the report are
//! required; other statistics may be missing, as they are in real feeds.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Columns that a file, and each of its rows, must have.
pub const NEEDED: [&str; 6] = ["GAME_DATE", "GAME_ID", "TEAM_ID", "TEAM_NAME", "WL", "PTS"];

/// A team's box score. Field names are the feed's column names.
#[expect(missing_docs, reason = "the columns of the feed, with their usual meaning in basketball")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct TeamGame {
    pub season_year: Option<String>,
    pub team_id: u64,
    pub team_abbreviation: Option<String>,
    pub team_name: String,
    pub game_id: String,
    pub game_date: Date,
    pub matchup: Option<String>,
    pub wl: String,
    pub min: Option<f64>,
    pub fgm: Option<f64>,
    pub fga: Option<f64>,
    pub fg_pct: Option<f64>,
    pub fg3m: Option<f64>,
    pub fg3a: Option<f64>,
    pub fg3_pct: Option<f64>,
    pub ftm: Option<f64>,
    pub fta: Option<f64>,
    pub ft_pct: Option<f64>,
    pub oreb: Option<f64>,
    pub dreb: Option<f64>,
    pub reb: Option<f64>,
    pub ast: Option<f64>,
    pub tov: Option<f64>,
    pub stl: Option<f64>,
    pub blk: Option<f64>,
    pub blka: Option<f64>,
    pub pf: Option<f64>,
    pub pfd: Option<f64>,
    pub pts: u32,
    pub plus_minus: Option<f64>,
}

impl TeamGame {
    /// Returns the key of the row: rows with equal keys are duplicates.
    #[must_use]
    pub fn key(&self) -> (&str, u64) {
        (&self.game_id, self.team_id)
    }
}
