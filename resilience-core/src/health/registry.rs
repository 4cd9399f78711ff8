//! The registry behind readiness and startup probes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::builder::{HealthBuilder, Startup};
use super::failure::{Failure, FailureKind};
use super::report::{CheckReport, HealthReport, NotReadyReason};
use super::run::{Pending, Runner};
use super::state::{CheckState, Criticality};
use crate::breaker::{CircuitBreaker, CircuitSnapshot, CircuitState};
use crate::clock;
use crate::name::Name;

/// Registry of the dependencies of a service. Clones share everything: results, runs, and whether
/// the service has started.
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

/// A dependency.
pub(super) struct Watched {
    pub(super) name: Name,
    pub(super) criticality: Criticality,
    pub(super) source: Source,
}

/// Source of a dependency's state.
pub(super) enum Source {
    Check(Arc<Runner>),
    Circuit(CircuitBreaker),
}

impl Health {
    /// Starts without checks: a service without dependencies is ready.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::new()
    }

    pub(super) fn new(watched: Vec<Watched>, startup: Startup, serving: Serving) -> Health {
        Health(Arc::new(Registry { watched, serving, startup, started: AtomicBool::new(false) }))
    }

    /// Reports readiness. Runs every check without a fresh result, all at once, and waits for runs
    /// in progress: at most for the longest of their timeouts.
    ///
    /// Cancelling leaves runs in progress to other callers. Must be called inside of a tokio
    /// runtime; outside of one no check can run, and a dependency that was never checked is down.
    pub async fn ready(&self) -> HealthReport {
        if let Some(reason) = self.not_ready_reason() {
            return self.known().because(reason);
        }
        self.refresh().await;
        let report = self.known();
        if report.readiness.is_ready() {
            self.set_started();
        }
        match self.not_ready_reason() {
            // The service may have stopped serving during the checks.
            Some(reason) => report.because(reason),
            None => report,
        }
    }

    /// Reports startup. Once the service has started the report is ready or degraded, whatever the
    /// state of its dependencies and of [`serving_while`](HealthBuilder::serving_while). Before
    /// that it is [`ready`](Health::ready).
    pub async fn startup(&self) -> HealthReport {
        if !self.is_started() {
            let report = self.ready().await;
            if !self.is_started() {
                return report;
            }
        }
        self.known().started()
    }

    /// Returns the report of the cached results, without running a check.
    #[must_use]
    pub fn known(&self) -> HealthReport {
        let now = clock::now();
        HealthReport::of_checks(self.0.watched.iter().map(|watched| watched.report(now)).collect())
    }

    /// Marks the service as started.
    pub fn set_started(&self) {
        self.0.started.store(true, Ordering::Release);
    }

    /// Returns `true` if the service has started.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.0.started.load(Ordering::Acquire)
    }

    /// Returns the reason for which the service is not ready whatever the checks return.
    fn not_ready_reason(&self) -> Option<NotReadyReason> {
        if !(self.0.serving)() {
            return Some(NotReadyReason::NotServing);
        }
        let waits = self.0.startup == Startup::Manual && !self.is_started();
        waits.then_some(NotReadyReason::Starting)
    }

    /// Runs every check without a fresh result.
    async fn refresh(&self) {
        let now = clock::now();
        // All are started before the first wait.
        let pending: Vec<Pending> =
            self.0.watched.iter().filter_map(|watched| watched.start_if_due(now)).collect();
        for run in pending {
            run.over().await;
        }
    }
}

impl Watched {
    fn start_if_due(&self, now: Instant) -> Option<Pending> {
        match &self.source {
            Source::Check(runner) => runner.start_if_due(now),
            Source::Circuit(_) => None,
        }
    }

    /// Returns the report, and the time after which it may have changed.
    fn report(&self, now: Instant) -> (CheckReport, Option<Duration>) {
        match &self.source {
            Source::Check(runner) => self.report_check(runner, now),
            Source::Circuit(breaker) => self.report_circuit(breaker),
        }
    }

    fn report_check(&self, runner: &Runner, now: Instant) -> (CheckReport, Option<Duration>) {
        let cached = runner.look(now);
        let age = cached.age(now);
        let wait = age.map(|age| runner.settings().ttl.saturating_sub(age));
        let (took, failure) = match cached.last() {
            Some(last) => (Some(last.took), last.failure.clone()),
            None => (None, Some(Failure::new(FailureKind::NotChecked))),
        };
        let report = CheckReport { age, took, failure, ..self.report_state(cached.state()) };
        (report, wait)
    }

    fn report_circuit(&self, breaker: &CircuitBreaker) -> (CheckReport, Option<Duration>) {
        let snapshot = breaker.snapshot();
        let (state, failure) = circuit_state(&snapshot);
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

/// Returns the state of a dependency by its circuit. Half-open is not down: a service that is not
/// ready gets no requests, and without requests the circuit could not close.
fn circuit_state(circuit: &CircuitSnapshot) -> (CheckState, Option<Failure>) {
    // See docs/decisions/0023-a-half-open-circuit-is-not-down.md.
    match circuit.state {
        CircuitState::Closed | CircuitState::ForcedClosed | CircuitState::Disabled => {
            (CheckState::Up, None)
        }
        CircuitState::HalfOpen | CircuitState::Ramping => (CheckState::Impaired, None),
        CircuitState::Open | CircuitState::ForcedOpen => {
            let open = Failure::new(FailureKind::CircuitOpen(circuit.open_for));
            (CheckState::Down, Some(open))
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
