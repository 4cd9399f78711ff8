//! What everybody else holds.

use std::fmt;
use std::sync::Arc;

use super::Phase;
use super::ambient;
use super::reached::Reached;
use super::scope::Scope;
use super::shared::Shared;
use super::work::{InFlight, Tracker};
use crate::name::Name;
use crate::observe::{Gauges, names};
use crate::rejection::Rejection;

/// Knows whether the process is on its way out, and counts what is under way until it is.
///
/// Clones share everything.
#[derive(Clone)]
pub struct ShutdownToken(Arc<Shared>);

impl ShutdownToken {
    pub(super) fn new(shared: Shared) -> ShutdownToken {
        ShutdownToken(Arc::new(shared))
    }

    #[inline]
    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(super) fn is_same(&self, other: &ShutdownToken) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// That of the call that is polled on this thread, if it is one: of what is run by
    /// [`run`](ShutdownToken::run) or called through a `ShutdownLayer`. If one is
    /// inside of another, the inner one.
    ///
    /// It does not cross `tokio::spawn`: use `run` in the task.
    #[must_use]
    pub fn current() -> Option<ShutdownToken> {
        ambient::current()
    }

    /// Where the process is on its way out.
    #[must_use]
    #[inline]
    pub fn phase(&self) -> Phase {
        self.0.phase()
    }

    /// Whether health checks say yes: nobody has asked for an end.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Running
    }

    /// Whether nothing new is taken any more.
    #[must_use]
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.phase() >= Phase::Draining
    }

    /// Waits until somebody has asked for an end.
    pub fn not_ready(&self) -> Reached {
        self.reached(Phase::NotReady)
    }

    /// Waits until nothing new is taken any more: the time to finish.
    pub fn draining(&self) -> Reached {
        self.reached(Phase::Draining)
    }

    /// Waits until the time to finish is over: because it was, because somebody asked a second time, or
    /// because nothing is left to finish.
    pub fn forced(&self) -> Reached {
        self.reached(Phase::Forced)
    }

    /// Waits until hooks have run and the report is written.
    pub fn stopped(&self) -> Reached {
        self.reached(Phase::Stopped)
    }

    /// Waits for this phase, or a later one if it was left out.
    pub fn reached(&self, phase: Phase) -> Reached {
        Reached::new(self.clone(), phase)
    }

    /// Asks for an end, for a reason that the [report](super::Report) repeats. Asked a second time, nothing
    /// is waited for but the hooks; a third time, not even those.
    ///
    /// Returns at once. [`Shutdown::run`](super::Shutdown::run) does the rest.
    pub fn begin(&self, reason: impl Into<Name>) {
        self.0.begin(reason.into());
    }

    /// Counts something as under way until what this returns is dropped: see [`Tracker::track`]. What is tracked under more than 31
    /// different names shares one more, `other`.
    ///
    /// # Errors
    /// [`ShuttingDown`](crate::RejectionKind::ShuttingDown), if nothing new is taken any more.
    pub fn track(&self, name: impl Into<Name>) -> Result<InFlight, Rejection> {
        self.tracker(name).track()
    }

    /// For tracking often under one name, without looking it up.
    pub fn tracker(&self, name: impl Into<Name>) -> Tracker {
        let index = self.0.index(name.into());
        Tracker::new(self.clone(), index)
    }

    /// Runs `future` as something that is under way: counted from its first poll on, with this as the
    /// [current](ShutdownToken::current) token, and cut when the time to finish is over. See [`Scope`].
    pub fn run<F: Future>(&self, name: impl Into<Name>, future: F) -> Scope<F> {
        self.tracker(name).run(future)
    }

    /// How much is under way.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight()
    }
}

/// [`names::SHUTDOWN_IN_FLIGHT`].
impl Gauges for ShutdownToken {
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit(names::SHUTDOWN_IN_FLIGHT, self.in_flight() as f64);
    }
}

impl fmt::Debug for ShutdownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownToken")
            .field("name", self.0.name())
            .field("phase", &self.phase())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}
