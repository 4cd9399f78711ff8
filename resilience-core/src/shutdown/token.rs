//! Token of a shutdown, and the wait for a phase.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Phase;
use super::ambient;
use super::run_future::RunFuture;
use super::shared::Shared;
use super::wakers::WakerSlot;
use super::work::{InFlight, Tracker};
use crate::name::Name;
use crate::observe::{Gauges, names};
use crate::rejection::Rejection;

/// Reads the phase of a shutdown, begins it, and counts work in flight. Clones share everything.
#[derive(Clone)]
pub struct ShutdownToken(Arc<Shared>);

impl ShutdownToken {
    pub(super) fn new(shared: Shared) -> ShutdownToken {
        ShutdownToken(Arc::new(shared))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(super) fn is_same(&self, other: &ShutdownToken) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the token of the future that is polled on this thread: of
    /// [`run`](ShutdownToken::run) or a `ShutdownLayer`, the innermost if they are nested. `None`
    /// outside of these.
    ///
    /// The token does not cross `tokio::spawn`: use `run` in the task.
    #[must_use]
    pub fn current() -> Option<ShutdownToken> {
        ambient::current()
    }

    /// Returns the current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.phase()
    }

    /// Returns `true` until the shutdown begins. For readiness checks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Running
    }

    /// Returns `true` once new work is rejected.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() >= Phase::Draining
    }

    /// Waits until the shutdown begins.
    pub fn not_ready(&self) -> Reached {
        self.reached(Phase::NotReady)
    }

    /// Waits until new work is rejected.
    pub fn draining(&self) -> Reached {
        self.reached(Phase::Draining)
    }

    /// Waits until the time for work is over, the shutdown is begun a second time, or no work is in
    /// flight.
    pub fn forced(&self) -> Reached {
        self.reached(Phase::Forced)
    }

    /// Waits until the hooks have run.
    pub fn stopped(&self) -> Reached {
        self.reached(Phase::Stopped)
    }

    /// Waits for this phase, or a later one if it is skipped.
    pub fn reached(&self, phase: Phase) -> Reached {
        Reached { token: self.clone(), phase, slot: WakerSlot::default() }
    }

    /// Begins the shutdown, for a reason that the [report](super::ShutdownReport) shows. A second
    /// call skips the wait for work, a third one also the hooks.
    ///
    /// Returns at once. [`Shutdown::run`](super::Shutdown::run) carries the shutdown out.
    pub fn begin(&self, reason: impl Into<Name>) {
        self.0.begin(reason.into());
    }

    /// Counts work as in flight until the guard is dropped: see [`Tracker::track`]. Beyond 31
    /// different names, work is counted as `other`.
    ///
    /// # Errors
    /// [`ShuttingDown`](crate::RejectionKind::ShuttingDown), once new work is rejected.
    pub fn track(&self, name: impl Into<Name>) -> Result<InFlight, Rejection> {
        self.tracker(name).track()
    }

    /// Returns a tracker for one name, which saves the lookup of the name.
    pub fn tracker(&self, name: impl Into<Name>) -> Tracker {
        let index = self.0.index(name.into());
        Tracker::new(self.clone(), index)
    }

    /// Runs `future` as work in flight: counted from its first poll, with this as the
    /// [current](ShutdownToken::current) token, and cancelled when the time for work is over. See
    /// [`RunFuture`].
    pub fn run<F: Future>(&self, name: impl Into<Name>, future: F) -> RunFuture<F> {
        self.tracker(name).run(future)
    }

    /// Returns the amount of work in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight()
    }
}

/// Waits for a phase. Made by [`ShutdownToken::reached`] and its siblings. Dropping it ends the
/// wait.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
#[doc(hidden)]
pub struct Reached {
    token: ShutdownToken,
    phase: Phase,
    slot: WakerSlot,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Reached { token, phase, slot } = &mut *self;
        let shared = token.shared();
        slot.wait(&shared.wakers, *phase, || shared.phase(), cx)
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        self.slot.release(&self.token.shared().wakers);
    }
}

/// Visits [`names::SHUTDOWN_IN_FLIGHT`].
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
