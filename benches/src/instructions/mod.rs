//! Instructions of a call.
//!
//! Times vary with the machine and its load; instructions under valgrind do not. Each subject is
//! run twice in a process of its own, with more calls the second time: the difference is the calls,
//! and the cost of entering a runtime cancels out. Counts are those of one compiler, which the
//! baseline names.

mod baseline;

use std::process::Command;

use tower::BoxError;

use crate::cost::{Batch, Inner, Role, Subject};
use crate::figures::{self, Figure};
use crate::options::Options;
use baseline::Baseline;

/// Calls of the first run, and of the second.
const CALLS: (u64, u64) = (1_000, 3_000);

/// The allowed deviation from the baseline, as a share.
const TOLERANCE: f64 = 0.03;

/// Makes the calls of one subject in the process that valgrind runs, or measures all subjects and
/// returns `true` if their counts are those of the committed baseline.
///
/// # Errors
/// If a subject is unknown or fails, or the baseline cannot be read or written.
pub fn run(options: &Options) -> Result<bool, BoxError> {
    let figures = figures::all()?;
    if let Some(name) = &options.one {
        let mut batch = subjects(&figures)
            .find(|(found, _)| found == name)
            .ok_or_else(|| format!("unknown subject `{name}`"))?
            .1
            .handle()?;
        // The first calls create the lazily created state, which is not counted.
        batch(100)?;
        return counted_calls(&mut batch, options.calls).map(|()| true);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: instruction counts: no valgrind");
        return Ok(true);
    }
    let compiler = baseline::compiler()?;
    let known = Baseline::read()?;
    if !options.bless && known.compiler != compiler {
        println!(
            "skipped: instruction counts: the baseline is of {}, this is {compiler}",
            known.compiler
        );
        return Ok(true);
    }
    let mut found = Baseline::of(compiler);
    let mut good = true;
    for (name, _) in subjects(&figures) {
        let count = count(&name)?;
        let verdict = known.verdict(&name, count, TOLERANCE);
        good &= verdict.is_ok();
        println!(
            "{count:>8.0}  {name}{}",
            verdict.err().map(|why| format!(": {why}")).unwrap_or_default()
        );
        found.set(name, count);
    }
    if options.bless {
        found.write()?;
        return Ok(true);
    }
    Ok(good)
}

/// Makes the counted calls. Setup is left out: keys are hashed with another seed each time.
#[inline(never)]
fn counted_calls(batch: &mut Batch, calls: u64) -> Result<(), BoxError> {
    batch(calls)
}

/// Returns our subjects on a service that is ready at once, each with its unique name.
fn subjects(figures: &[Figure]) -> impl Iterator<Item = (String, &Subject)> {
    let ours = |subject: &&Subject| subject.role == Role::Ours && subject.inner == Inner::Ready;
    figures.iter().flat_map(move |figure| {
        let ours = figure.subjects.iter().filter(ours);
        ours.map(move |subject| (format!("{}: {}", figure.name, subject.name), subject))
    })
}

/// Returns the instructions of one call.
#[expect(clippy::cast_precision_loss, reason = "counts are far smaller than 2^53")]
fn count(name: &str) -> Result<f64, BoxError> {
    let (few, many) = (collected(name, CALLS.0)?, collected(name, CALLS.1)?);
    Ok(many.saturating_sub(few) as f64 / (CALLS.1 - CALLS.0) as f64)
}

fn collected(name: &str, calls: u64) -> Result<u64, BoxError> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_calls*")
        .arg(std::env::current_exe()?)
        .args(["instructions", "--one", name, "--calls", &calls.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    let count = said.lines().find_map(|line| line.split("Collected :").nth(1)?.trim().parse().ok());
    count.ok_or_else(|| format!("valgrind counted nothing for `{name}`: {said}").into())
}
