//! The registry that probes ask.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::builder::{HealthBuilder, Startup};
use super::circuit;
use super::failure::{Failure, FailureKind};
use super::report::{CheckReport, NotReadyReason, Report};
use super::run::{Pending, Runner};
use super::state::{CheckState, Criticality};
use crate::breaker::CircuitBreaker;
use crate::clock;
use crate::name::Name;

/// What a service's health depends on. Clones share everything: verdicts, runs, and whether it has
/// started.
///
/// See the [module](super) for an example.
#[derive(Clone)]
pub struct Health(Arc<Registry>);

struct Registry {
    watched: Vec<Watched>,
    serving: Serving,
    startup: Startup,
    started: AtomicBool,
}

pub(super) type Serving = Box<dyn Fn() -> bool + Send + Sync>;

/// One dependency.
pub(super) struct Watched {
    pub(super) name: Name,
    pub(super) criticality: Criticality,
    pub(super) source: Source,
}

/// How it is watched.
pub(super) enum Source {
    Check(Arc<Runner>),
    Circuit(CircuitBreaker),
}

impl Health {
    /// Starts with no checks: a service that depends on nothing is ready.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::new()
    }

    pub(super) fn new(watched: Vec<Watched>, startup: Startup, serving: Serving) -> Health {
        Health(Arc::new(Registry { watched, serving, startup, started: AtomicBool::new(false) }))
    }

    /// Whether to send requests. Runs every check whose result is not recent enough, all at once, and
    /// waits for those that others run already: at most for the longest of their timeouts.
    ///
    /// Dropped, it leaves the runs under way to the others who wait, and to the next who asks. To be
    /// called inside of a tokio runtime; outside of one no check can run, and what was never checked
    /// is down.
    pub async fn ready(&self) -> Report {
        if let Some(reason) = self.refusal() {
            return self.known().because(reason);
        }
        self.checked().await;
        let report = self.known();
        // Where it is told, it was by now.
        if report.readiness.is_ready() {
            self.set_started();
        }
        match self.refusal() {
            // It was told while it waited.
            Some(reason) => report.because(reason),
            None => report,
        }
    }

    /// Whether the service has started: ready or degraded from then on, whatever becomes of its
    /// dependencies and of [`serving`](HealthBuilder::serving). Before, as [`ready`](Health::ready).
    pub async fn startup(&self) -> Report {
        if !self.is_started() {
            let report = self.ready().await;
            if !self.is_started() {
                return report;
            }
        }
        self.known().started()
    }

    /// What is known, without running anything.
    #[must_use]
    pub fn known(&self) -> Report {
        let now = clock::now();
        Report::of_checks(self.0.watched.iter().map(|watched| watched.report(now)).collect())
    }

    /// Says that the service has started.
    pub fn set_started(&self) {
        self.0.started.store(true, Ordering::Release);
    }

    /// Whether it has.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.0.started.load(Ordering::Acquire)
    }

    /// Why it is not ready whatever the checks say.
    fn refusal(&self) -> Option<NotReadyReason> {
        if !(self.0.serving)() {
            return Some(NotReadyReason::NotServing);
        }
        let waits = self.0.startup == Startup::Told && !self.is_started();
        waits.then_some(NotReadyReason::Starting)
    }

    /// Has every check run whose result is too old.
    async fn checked(&self) {
        let now = clock::now();
        // All of them before the first wait: they run at once.
        let pending: Vec<Pending> =
            self.0.watched.iter().filter_map(|watched| watched.ask(now)).collect();
        for run in pending {
            run.over().await;
        }
    }
}

impl Watched {
    fn ask(&self, now: Instant) -> Option<Pending> {
        match &self.source {
            Source::Check(runner) => runner.ask(now),
            Source::Circuit(_) => None,
        }
    }

    /// How it stands, and when that may have changed.
    fn report(&self, now: Instant) -> (CheckReport, Option<Duration>) {
        match &self.source {
            Source::Check(runner) => self.report_check(runner, now),
            Source::Circuit(breaker) => self.report_circuit(breaker),
        }
    }

    fn report_check(&self, runner: &Runner, now: Instant) -> (CheckReport, Option<Duration>) {
        let verdict = runner.look(now);
        let age = verdict.age(now);
        let wait = age.map(|age| runner.terms().ttl.saturating_sub(age));
        let (took, failure) = match verdict.last() {
            Some(last) => (Some(last.took), last.failure.clone()),
            None => (None, Some(Failure::new(FailureKind::NotChecked))),
        };
        let report = CheckReport { age, took, failure, ..self.report_state(verdict.state()) };
        (report, wait)
    }

    fn report_circuit(&self, breaker: &CircuitBreaker) -> (CheckReport, Option<Duration>) {
        let snapshot = breaker.snapshot();
        let (state, failure) = circuit::judge(&snapshot);
        let circuit = Some(snapshot.state);
        (CheckReport { failure, circuit, ..self.report_state(state) }, snapshot.open_for)
    }

    fn report_state(&self, state: CheckState) -> CheckReport {
        CheckReport {
            name: self.name.clone(),
            criticality: self.criticality,
            state,
            failure: None,
            age: None,
            took: None,
            circuit: None,
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.watched.iter().map(|watched| &watched.name).collect();
        f.debug_struct("Health")
            .field("checks", &names)
            .field("startup", &self.0.startup)
            .field("started", &self.is_started())
            .finish_non_exhaustive()
    }
}
