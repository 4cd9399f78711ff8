//! One command that shows what the layers are for.
//!
//! It starts an upstream and its scrapers as processes of their own, lets each arm do the same jobs,
//! and asks the upstream what it saw:
//!
//! 1. **season**: two scrapers fetch every game day, under faults that are the same for both arms;
//! 2. **herd**: hundreds of clients, all refused at one instant;
//! 3. **dead**: a thousand calls to an upstream that will not come back;
//! 4. **half-open**: two hundred more, at the instant when a breaker looks whether it is back;
//! 5. **odds**: a hundred workers at an API that allows thirty calls a minute;
//! 6. **slow**: three hosts, of which one hangs;
//! 7. **connections**: two thousand calls, over connections that are counted;
//! 8. **keys**: a breaker for each of a million keys;
//! 9. **restarts**: three workers behind a balancer, restarted one after the other under load;
//! 10. **deploys**: a good one, and six with a fault each.
//!
//! What should be so is asserted, not only shown.

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

/// Runs the demo, prints the report, and says whether every assertion holds.
///
/// # Errors
/// [`BadInput`] if there is no league or no place to write to; anything else if a process broke.
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

/// Where the scrapers read their limits, so that they have the very ones that were checked.
fn write_profiles(options: &Options) -> Result<(), BoxError> {
    let (text, name) = options.profiles()?;
    scrape::profiles::check(&text).map_err(|error| BadInput::new(name, error))?;
    Ok(fs::write(options.out.join(arm::PROFILES), text)?)
}

/// Where the upstream reads the league, so that it has the very one that is asserted on.
fn write_league(out: &Path, league: &League) -> Result<(), BoxError> {
    let unusable = |error| BadInput::new(out.display(), error);
    fs::create_dir_all(out).map_err(unusable)?;
    let file = fs::File::create(out.join("league.json")).map_err(unusable)?;
    Ok(serde_json::to_writer(BufWriter::new(file), league)?)
}
