//! Command-line options of the demo.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::bad_input::BadInput;
use crate::league::problems::Problems;
use crate::league::{League, generate, read};

/// Options of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Read the league from the *.csv files in this folder, instead of generating one.
    #[arg(long, value_name = "DIR")]
    pub league_data: Option<PathBuf>,
    /// Seed of the generated league and of all faults.
    #[arg(long, value_name = "N", default_value_t = 2_026)]
    pub seed: u64,
    /// Print only the report, as JSON, on stdout.
    #[arg(long)]
    pub json: bool,
    /// Folder for report.json and the stores.
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    pub out: PathBuf,
    /// Run the after arm with the profiles in this file.
    #[arg(long, value_name = "FILE")]
    pub profiles: Option<PathBuf>,
    /// Use fewer days, clients, calls and keys: for tests.
    #[arg(long)]
    pub quick: bool,
}

/// The built-in profiles, from which the assertions' bounds follow.
const PROFILES: &str = include_str!("../../profiles.toml");

/// Number of calls and other units of each job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Game days to generate.
    days: usize,
    /// Clients in the herd.
    pub(super) herd: usize,
    /// Calls to the unavailable upstream.
    pub(super) dead: usize,
    /// Calls at once to a half-open circuit.
    pub(super) half_open: usize,
    /// Boards of odds.
    pub(super) boards: usize,
    /// Calls to each host.
    pub(super) beats: usize,
    /// Calls where connections are counted.
    pub(super) players: usize,
    /// Number of times that each worker is restarted.
    pub(super) restarts: usize,
    /// Requests a second during the restarts.
    pub(super) rate: u32,
    /// Keys, each with a circuit breaker.
    pub(super) keys: usize,
}

const FULL: Size = Size {
    days: 60,
    herd: 500,
    dead: 1_000,
    half_open: 200,
    boards: 120,
    beats: 36,
    players: 2_000,
    restarts: 2,
    rate: 500,
    keys: 1_000_000,
};
const QUICK: Size = Size {
    days: 24,
    herd: 200,
    dead: 300,
    half_open: 50,
    boards: 100,
    beats: 24,
    players: 500,
    restarts: 2,
    rate: 200,
    keys: 200_000,
};

impl Options {
    pub(super) fn size(&self) -> Size {
        if self.quick { QUICK } else { FULL }
    }

    /// Returns the league, and the problems of the folder that it was read from.
    pub(super) fn league(&self) -> Result<(League, Problems), BadInput> {
        let Some(folder) = &self.league_data else {
            return Ok((generate::league(self.seed, self.size().days), Problems::default()));
        };
        let (league, problems) = read::league(folder)?;
        let league = if self.quick { league.first_days(QUICK.days) } else { league };
        Ok((league, problems))
    }

    /// Returns the text of the profiles, and the name of their source for errors.
    pub(super) fn profiles(&self) -> Result<(String, String), BadInput> {
        let Some(file) = &self.profiles else {
            return Ok((PROFILES.into(), "profiles.toml".into()));
        };
        let text =
            fs::read_to_string(file).map_err(|error| BadInput::new(file.display(), error))?;
        Ok((text, file.display().to_string()))
    }

    /// Describes the source of the league.
    pub(super) fn source(&self) -> String {
        match &self.league_data {
            Some(folder) => folder.display().to_string(),
            None => format!("generated from seed {}", self.seed),
        }
    }
}
