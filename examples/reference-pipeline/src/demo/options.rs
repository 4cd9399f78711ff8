//! What the demo can be told.

use std::path::PathBuf;

use clap::Args;

use crate::bad_input::BadInput;
use crate::league::problems::Problems;
use crate::league::{League, generate, read};

/// The demo's options.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Read the league from the *.csv files in this folder, instead of making one up.
    #[arg(long, value_name = "DIR")]
    pub league_data: Option<PathBuf>,
    /// What the made-up league and all faults are drawn from.
    #[arg(long, value_name = "N", default_value_t = 2_026)]
    pub seed: u64,
    /// Print the report as JSON, and nothing else, on stdout.
    #[arg(long)]
    pub json: bool,
    /// Where to write report.json and the stores.
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    pub out: PathBuf,
    /// Fewer days, clients and calls: for tests.
    #[arg(long)]
    pub quick: bool,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Game days to make up.
    days: usize,
    /// Clients in the herd.
    pub(super) herd: usize,
    /// Calls to the dead upstream.
    pub(super) dead: usize,
}

const FULL: Size = Size { days: 60, herd: 500, dead: 1_000 };
const QUICK: Size = Size { days: 24, herd: 200, dead: 300 };

impl Options {
    pub(super) fn size(&self) -> Size {
        if self.quick { QUICK } else { FULL }
    }

    /// The league, and what was wrong with the folder that it came from.
    pub(super) fn league(&self) -> Result<(League, Problems), BadInput> {
        let Some(folder) = &self.league_data else {
            return Ok((generate::league(self.seed, self.size().days), Problems::default()));
        };
        let (league, problems) = read::league(folder)?;
        let league = if self.quick { league.first_days(QUICK.days) } else { league };
        Ok((league, problems))
    }

    /// Where the league is from, in words.
    pub(super) fn source(&self) -> String {
        match &self.league_data {
            Some(folder) => folder.display().to_string(),
            None => format!("made up from seed {}", self.seed),
        }
    }
}
