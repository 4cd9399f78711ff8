//! The demo: both arms under the same faults, with assertions on the results.
//!
//! Starts an upstream and scrapers as processes of their own, runs the same jobs in each arm, and
//! reads the upstream's counts:
//!
//! 1. **season**: two scrapers fetch every game day, under the same faults in both arms;
//! 2. **herd**: hundreds of clients, all rejected at one instant;
//! 3. **dead**: a thousand calls to an upstream that does not recover;
//! 4. **half-open**: two hundred calls to it at the instant when a circuit becomes half open;
//! 5. **odds**: a hundred workers call an API that allows thirty calls a minute;
//! 6. **slow**: three hosts, one of which hangs;
//! 7. **connections**: two thousand calls, and a count of their connections;
//! 8. **keys**: a circuit breaker for each of a million keys;
//! 9. **restarts**: three workers behind a balancer, restarted one after the other under load;
//! 10. **deploys**: one without a fault, and one with each of six faults.
//!
//! Every figure with a target is an assertion, and decides the exit code.

mod admission;
mod arm;
mod assertions;
mod children;
mod deploys;
mod expected;
mod options;
mod report;
mod table;

use std::fs;
use std::io::BufWriter;
use std::path::Path;

use resilience_core::clock;

pub use options::Options;

use crate::BoxError;
use crate::bad_input::BadInput;
use crate::league::League;
use crate::progress::Display;
use crate::scrape::{self, Arm};
use crate::upstream::faults::Plan;
use arm::Setup;
use expected::Expected;
use report::Report;

/// Runs the demo and prints the report. Returns `true` if every assertion holds.
///
/// # Errors
/// [`BadInput`] if an option or its file cannot be used; otherwise the error of a process.
pub async fn run(options: &Options) -> Result<bool, BoxError> {
    let started = clock::now();
    let (league, problems) = options.league()?;
    eprint!("{problems}");
    write_league(&options.out, &league)?;
    write_profiles(options)?;
    let expected = Expected::new(&league, &Plan::new(options.seed, &league));
    let setup = Setup::new(options, &league);
    let display = Display::default();
    let before = arm::run(Arm::Before, &setup, &display).await?;
    let after = arm::run(Arm::After, &setup, &display).await?;
    let assertions = assertions::all(&before, &after, &expected, options.size());
    let report = Report::new(options, &league, &problems, assertions, [before, after], started)?;
    let text = serde_json::to_string_pretty(&report)?;
    fs::write(options.out.join("report.json"), &text)?;
    if options.json {
        println!("{text}");
    } else {
        print!("{}", table::render(&report));
    }
    Ok(report.holds())
}

/// Writes the profiles for the scrapers, so that they use those that were checked.
fn write_profiles(options: &Options) -> Result<(), BoxError> {
    let (text, name) = options.profiles()?;
    scrape::profiles::check(&text).map_err(|error| BadInput::new(name, error))?;
    Ok(fs::write(options.out.join(arm::PROFILES), text)?)
}

/// Writes the league for the upstream, so that it serves the one that the assertions are on.
fn write_league(out: &Path, league: &League) -> Result<(), BoxError> {
    let unusable = |error| BadInput::new(out.display(), error);
    fs::create_dir_all(out).map_err(unusable)?;
    let file = fs::File::create(out.join("league.json")).map_err(unusable)?;
    Ok(serde_json::to_writer(BufWriter::new(file), league)?)
}
