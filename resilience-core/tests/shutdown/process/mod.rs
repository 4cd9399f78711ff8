//! Child processes with blocked threads, real signals, and the real clock.

mod children;
mod parent;

use std::time::Duration;

use self::children::CHILDREN;
use self::parent::{Ended, Scenario, Stderr};
use crate::SECOND;

/// Set in a child, to the name of what it does.
const CHILD: &str = "RESILIENCE_SHUTDOWN_CHILD";

/// After which a child ends itself.
const TOTAL: Duration = SECOND;

/// For a machine that is busy with something else.
const SLACK: Duration = Duration::from_secs(8);

/// Not a test but a child, where it is run as one.
#[test]
fn child() {
    let Ok(name) = std::env::var(CHILD) else { return };
    let (_, run) = CHILDREN.iter().find(|(child, _)| *child == name).unwrap();
    run();
}

/// Signals, and the line that the child prints when it has received them.
type Signals = &'static [(&'static str, &'static str)];

const TERM: Signals = &[("TERM", "")];

const THREE: Signals = &[("TERM", "phase not ready"), ("TERM", "phase forced"), ("TERM", "")];

const MIXED: Signals = &[("INT", "phase not ready"), ("TERM", "phase forced"), ("INT", "")];

/// Ended by its own thread at `total`.
fn at_total(child: &'static str, code: i32, printed: &'static [&'static str]) -> Scenario {
    Scenario {
        child,
        code: Some(code),
        printed,
        at_least: TOTAL,
        at_most: TOTAL,
        ..Scenario::DEFAULT
    }
}

/// Ended by a third signal.
fn at_once(child: &'static str, signals: Signals) -> Scenario {
    let printed = &["a third signal was received; exit code 6", "hook goodbye: skipped"];
    Scenario { child, code: Some(6), printed, signals, ..Scenario::DEFAULT }
}

const LATE: &str = "shutdown: the process still runs ";

const SCENARIOS: fn() -> Vec<Scenario> = || {
    vec![
        at_total(
            "handler before",
            7,
            &[
                "its shutdown began; exit code 7, the report so far:",
                "shutdown (SIGTERM): 1 cut, 2 of 2 hooks not done, after ",
                "  not ready ",
                "  handler: 1 cut, which did not end",
                "  hook flush: skipped",
                "  hook goodbye: skipped",
            ],
        ),
        at_total("handler after", 7, &["  draining ", "handler: 1 cut, which did not end"]),
        at_total("never polled", 6, &[LATE, "(SIGTERM): 2 of 2 hooks not done"]),
        at_total("all workers", 7, &["handler: 2 cut, which did not end", "hook flush: skipped"]),
        at_total(
            "hook",
            6,
            &["hook first: done in ", "hook blocks: unfinished after ", "hook last: skipped"],
        ),
        at_total("hook drop", 6, &["hook blocks: unfinished after ", "hook last: skipped"]),
        at_total("runtime", 4, &[LATE, "(SIGTERM): clean", "hook goodbye: done in "]),
        Scenario {
            signals: &[],
            ..at_total("token", 7, &["(test): 1 cut", "work: 1 cut", "hook flush: skipped"])
        },
        at_total("run dropped", 6, &["hook flush: skipped"]),
        Scenario { signals: &[], ..at_total("paused clock", 4, &["(test): clean"]) },
        at_total("two", 6, &["hasty (SIGTERM): 2 of 2"]),
        at_total("listener", 6, &["hook flush: skipped"]),
        at_total("waker", 6, &["hook flush: skipped"]),
        at_total("stderr locked", 6, &[LATE, "hook flush: skipped"]),
        Scenario { stderr: Stderr::Closed, ..at_total("never polled", 6, &[]) },
        Scenario {
            stderr: Stderr::Unread,
            at_most: TOTAL + SECOND,
            ..at_total("stderr full", 6, &[])
        },
        // Aborted.
        Scenario {
            code: None,
            at_least: TOTAL + SECOND,
            at_most: TOTAL + SECOND,
            ..at_total("stdout full", 6, &["exit code 6"])
        },
        at_total("hooks done", 4, &["(SIGTERM): clean"]),
        at_once("signals", THREE),
        at_once("signals", MIXED),
        at_once("signals, listener", THREE),
        at_once("signals, listener", MIXED),
        Scenario {
            child: "finishes",
            code: Some(2),
            printed: &["(SIGTERM): 1 of 3 hooks not done", "handler: 1 finished"],
            ..Scenario::DEFAULT
        },
        Scenario {
            child: "not opted in",
            code: Some(0),
            printed: &["shutdown (SIGTERM): clean"],
            signals: &[("TERM", ""), ("TERM", ""), ("TERM", ""), ("TERM", "")],
            released_after: Some(TOTAL * 2),
            at_least: TOTAL * 2,
            at_most: TOTAL * 3,
            ..Scenario::DEFAULT
        },
    ]
};

/// A process ends at its total and at the third signal if it was built to, whatever blocks, and
/// never otherwise.
#[test]
fn a_blocked_process_ends_in_time() {
    let running = SCENARIOS().into_iter().map(|scenario| (scenario, scenario.start()));
    let failed: Vec<_> = running
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|(scenario, running)| {
            let ended = running.join().unwrap();
            println!("{:18} {:?} after {:?}", scenario.child, ended.status, ended.took);
            wrong(&scenario, &ended).map(|why| format!("{}: {why}: {ended:?}", scenario.child))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn wrong(scenario: &Scenario, ended: &Ended) -> Option<String> {
    if ended.status != scenario.code {
        return Some(format!("not {:?}", scenario.code));
    }
    if ended.took < scenario.at_least || ended.took > scenario.at_most + SLACK {
        return Some(format!("not within {:?} to {:?}", scenario.at_least, scenario.at_most));
    }
    let missing = scenario.printed.iter().find(|text| !ended.stderr.contains(**text));
    missing.map(|text| format!("no {text:?}"))
}
