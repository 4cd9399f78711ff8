//! Contention of many processes for one critical section: a naive lock beside a fenced lease.
//!
//! The naive lock is that of the motivating system: a row with an end, polled at fixed intervals,
//! deleted on release by any process, and no token in the writes. Some processes are stopped inside
//! the section for longer than their lease. Figures come from the store's own log, not from the
//! processes.

mod arena;
mod judge;
pub mod worker;

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::task::JoinSet;

use crate::BoxError;
use crate::bad_input::BadInput;
use crate::process::{Child, words};
use arena::Arena;
use judge::Judged;

/// Options of `contend`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Number of processes that contend.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    processes: u32,
    /// Number of critical sections in all.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sections: u32,
    /// Processes that are stopped once, inside a section, for longer than their lease.
    #[arg(long, value_name = "N", default_value_t = 5)]
    stops: u32,
    /// Term of the lease, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    term_ms: u64,
    /// The store; by default a new SQLite file.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
}

/// Form of mutual exclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Arm {
    /// A row with an end.
    Naive,
    /// A lease with a fencing token.
    Fenced,
}

impl Arm {
    const fn as_str(self) -> &'static str {
        match self {
            Arm::Naive => "naive",
            Arm::Fenced => "fenced",
        }
    }
}

/// Runs both arms and prints their figures side by side. Returns `true` if the lease held.
///
/// # Errors
/// If the store cannot be used, or a process ends too soon.
pub async fn run(options: &Options) -> Result<bool, BoxError> {
    let folder = tempfile::tempdir()?;
    let url = options.store.clone();
    let url =
        url.unwrap_or_else(|| format!("sqlite:{}", folder.path().join("contend.db").display()));
    let arena = Arena::open(&url).await.map_err(|error| BadInput::new("--store", error))?;
    arena.prepare().await?;
    let naive = contend(options, &url, &arena, Arm::Naive).await?;
    let fenced = contend(options, &url, &arena, Arm::Fenced).await?;
    println!("{}", Table { naive: &naive, fenced: &fenced });
    let sections = u64::from(options.sections);
    let kept = fenced.interleaved == 0
        && fenced.late_accepted == 0
        && fenced.sections == sections
        && fenced.late_rejected >= u64::from(options.stops.min(options.processes));
    println!("{}", if kept { "the lease held" } else { "the lease FAILED" });
    Ok(kept)
}

async fn contend(
    options: &Options,
    url: &str,
    arena: &Arena,
    arm: Arm,
) -> Result<Judged, BoxError> {
    let began = resilience_core::clock::now();
    let mut children = JoinSet::new();
    for number in 0..options.processes {
        let share = options.sections / options.processes
            + u32::from(number < options.sections % options.processes);
        let stops = number < options.stops;
        let arguments = arguments(options, url, arm, number, share, stops);
        let pause = Duration::from_millis(options.term_ms * 3);
        children.spawn(async move { attend(Child::start(arguments)?, pause).await });
    }
    while let Some(ended) = children.join_next().await {
        ended??;
    }
    let took = resilience_core::clock::now().saturating_duration_since(began);
    Ok(judge::judge(&arena.log(arm).await?, took))
}

fn arguments(
    options: &Options,
    url: &str,
    arm: Arm,
    number: u32,
    share: u32,
    stops: bool,
) -> Vec<OsString> {
    let term = options.term_ms.to_string();
    let share = share.to_string();
    let name = format!("worker-{number}");
    let mut arguments = words([
        "contender",
        "--store",
        url,
        "--arm",
        arm.as_str(),
        "--name",
        &name,
        "--sections",
        &share,
        "--term-ms",
        &term,
    ]);
    if stops {
        arguments.push("--stops".into());
    }
    arguments
}

/// Stops a child when it is inside a section, and resumes it after its lease has ended.
async fn attend(mut child: Child, pause: Duration) -> Result<(), BoxError> {
    loop {
        match child.line().await?.as_str() {
            worker::INSIDE => {
                child.signal("STOP").await?;
                tokio::time::sleep(pause).await;
                child.signal("CONT").await?;
            }
            worker::END => break,
            other => return Err(format!("unexpected line of a contender: {other}").into()),
        }
    }
    let status = child.wait().await?;
    if status.success() { Ok(()) } else { Err(format!("a contender ended with {status}").into()) }
}

struct Table<'j> {
    naive: &'j Judged,
    fenced: &'j Judged,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: fn(&Judged) -> String| {
            writeln!(f, "{name:<32}{:>12}{:>14}", value(self.naive), value(self.fenced))
        };
        row("from the store's log", |_| String::new())?;
        row("sections", |judged| judged.sections.to_string())?;
        row("two inside at once", |judged| judged.interleaved.to_string())?;
        row("late writes accepted", |judged| judged.late_accepted.to_string())?;
        row("late writes rejected", |judged| judged.late_rejected.to_string())?;
        row("seconds", |judged| format!("{:.1}", judged.took.as_secs_f64()))
            .and_then(|()| write!(f, "{:<32}{:>12}{:>14}", "", "naive lock", "fenced lease"))
    }
}
