//! One team's side of one game.
//!
//! The columns are those of a real feed. What identifies a row and what the pipeline reports on must
//! be there; the statistics around it may be missing, as they are in real ones.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The columns that a file, and each of its rows, cannot do without.
pub const NEEDED: [&str; 6] = ["GAME_DATE", "GAME_ID", "TEAM_ID", "TEAM_NAME", "WL", "PTS"];

/// A team's box score. Field names are the feed's column names.
#[expect(missing_docs, reason = "the columns of the feed, which mean what they mean in basketball")]
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
    /// What makes two rows the same row.
    #[must_use]
    pub fn key(&self) -> (&str, u64) {
        (&self.game_id, self.team_id)
    }
}
