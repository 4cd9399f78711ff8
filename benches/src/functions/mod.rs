//! Counts the functions and files of `resilience-core` that one call runs: the code that a reader
//! has to follow.
//!
//! The program runs one call of each kind under callgrind, in a debug build, where only
//! `#[inline(always)]` hides a call. The counts have limits, which fail the run if they are
//! exceeded.

mod profile;

use std::hint::black_box;
use std::process::Command;

use resilience_core::breaker::CircuitBreaker;
use resilience_core::stack::Stack;
use tower::{BoxError, service_fn};

use crate::options::Options;
use profile::Profile;

/// A kind of call through the standard stack, and its limits.
struct Kind {
    name: &'static str,
    circuit_open: bool,
    functions: usize,
    files: usize,
}

const KINDS: [Kind; 2] = [
    Kind { name: "success", circuit_open: false, functions: 55, files: 26 },
    Kind { name: "open circuit", circuit_open: true, functions: 65, files: 30 },
];

/// Counts the functions of each kind of call, or makes one call if the options name its kind.
/// Returns `true` if all counts are within their limits.
///
/// # Errors
/// If the kind is unknown, the call does not end as its kind requires, or callgrind fails.
pub fn run(options: &Options) -> Result<bool, BoxError> {
    if let Some(name) = &options.one {
        let kind = KINDS.iter().find(|kind| kind.name == name);
        return one_call(kind.ok_or_else(|| format!("no kind of call is named `{name}`"))?)
            .map(|()| true);
    }
    if !cfg!(debug_assertions) {
        println!("skipped: functions of a call: not a debug build");
        return Ok(true);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: functions of a call: no valgrind");
        return Ok(true);
    }
    let mut within_limits = true;
    for kind in &KINDS {
        let profile = profile(kind)?;
        println!(
            "{}: {} functions (at most {}) in {} files (at most {})",
            kind.name,
            profile.functions(),
            kind.functions,
            profile.files(),
            kind.files
        );
        if !options.quick {
            print!("{profile}");
        }
        within_limits &= profile.functions() <= kind.functions && profile.files() <= kind.files;
    }
    Ok(within_limits)
}

fn profile(kind: &Kind) -> Result<Profile, BoxError> {
    let path = std::env::temp_dir().join(format!("functions-{}.callgrind", std::process::id()));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*counted_call*", "--compress-strings=no"])
        .arg(format!("--callgrind-out-file={}", path.display()))
        .arg(std::env::current_exe()?)
        .args(["functions", "--one", kind.name])
        .output()?;
    if !run.status.success() {
        return Err(format!("`{}`: {}", kind.name, String::from_utf8_lossy(&run.stderr)).into());
    }
    let text = std::fs::read_to_string(&path)?;
    std::fs::remove_file(&path)?;
    Ok(Profile::parse(&text, "resilience-core/src/"))
}

fn one_call(kind: &Kind) -> Result<(), BoxError> {
    let breaker = CircuitBreaker::builder().build()?;
    let stack = Stack::standard("calls").circuit_breaker(breaker.clone()).build()?;
    let mut service = tower::Layer::layer(
        &stack,
        service_fn(|day: u32| std::future::ready(Ok::<_, BoxError>(day))),
    );
    if kind.circuit_open {
        breaker.force_open();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        // The first call creates the lazily created state, which is not counted.
        drop(service.call(1).await);
        let ended = counted_call(service.call(1)).await;
        if ended.is_err() == kind.circuit_open { Ok(()) } else { Err("unexpected result".into()) }
    })
}

/// The call that callgrind watches, from its first poll to its drop.
#[inline(never)]
async fn counted_call<F: Future>(call: F) -> F::Output {
    black_box(call.await)
}
