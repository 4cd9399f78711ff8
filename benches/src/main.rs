//! `resilience-benches contention|compare|scale|instructions|functions`: prints a table, writes it
//! to `target/benches`, and exits with 1 if a check of it fails.

use std::process::ExitCode;

use resilience_benches::options::Options;
use resilience_benches::{compare, contention, functions, instructions, scale};
use tower::BoxError;

const USAGE: &str = "usage: resilience-benches contention [--trials N] [--seed N] [--quick]
       resilience-benches compare [--quick] [--only SUBSTRING] [--against REPORT] [--docs]
       resilience-benches scale [--quick] [--only SUBSTRING] [--docs]
       resilience-benches instructions [--bless]
       resilience-benches functions [--quick]
       each of them: [--out DIR]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs an experiment. Returns `true` if every check holds.
fn run(mut args: impl Iterator<Item = String>) -> Result<bool, BoxError> {
    let experiment = args.next().unwrap_or_default();
    let options = Options::parse(args)?;
    match experiment.as_str() {
        "contention" => contention::run(&options),
        "compare" => compare::run(&options),
        "scale" => scale::run(&options),
        "instructions" => instructions::run(&options),
        "functions" => functions::run(&options),
        other => Err(format!("unknown experiment `{other}`").into()),
    }
}
