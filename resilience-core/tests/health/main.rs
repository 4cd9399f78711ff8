//! Health: the reports of probes, and the runs of checks.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod asking;
mod cancel;
mod circuits;
mod config;
mod env;
mod failing;
mod phases;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resilience_core::health::{Check, CheckReport, Criticality, Failure, Health, HealthReport};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A dependency with a scripted state, which counts its runs. Clones share both.
#[derive(Clone)]
struct Dependency(Arc<Inner>);

struct Inner {
    does: parking_lot::Mutex<Does>,
    runs: AtomicUsize,
    under_way: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Does {
    Answer(Duration),
    Refuse,
    Hang,
    Panic,
}

impl Dependency {
    fn new(does: Does) -> Dependency {
        let (runs, under_way) = Default::default();
        Dependency(Arc::new(Inner { does: does.into(), runs, under_way }))
    }

    fn becomes(&self, does: Does) {
        *self.0.does.lock() = does;
    }

    /// Returns the number of runs.
    fn runs(&self) -> usize {
        self.0.runs.load(Ordering::Relaxed)
    }

    /// Returns the number of runs that exist.
    fn under_way(&self) -> usize {
        self.0.under_way.load(Ordering::Relaxed)
    }

    fn check(&self, name: &'static str, criticality: Criticality) -> Check {
        let this = self.clone();
        Check::new(name, criticality, move || this.clone().asked())
    }

    async fn asked(self) -> Result<(), std::io::Error> {
        self.0.runs.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        let _leaves = Leaves(self.clone());
        let does = *self.0.does.lock();
        match does {
            Does::Answer(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Does::Refuse => Err(std::io::Error::other("refused by 10.0.0.7")),
            Does::Hang => std::future::pending().await,
            Does::Panic => panic!("a check panics, as it is told to"),
        }
    }
}

struct Leaves(Dependency);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn healthy() -> Dependency {
    Dependency::new(Does::Answer(Duration::ZERO))
}

/// A registry of one critical check.
fn of(check: Check) -> Health {
    Health::builder().check(check).build().unwrap()
}

fn critical(dependency: &Dependency) -> Check {
    dependency.check("it", Criticality::Critical)
}

fn only(report: &HealthReport) -> &CheckReport {
    let [check] = &report.checks[..] else { panic!("{report:?}") };
    check
}

fn failure(check: &CheckReport) -> &Failure {
    check.failure.as_ref().unwrap_or_else(|| panic!("{check:?}"))
}
