//! A lease that is held, and the work that is done under it.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::Notify;
use tokio::task::coop::unconstrained;

use super::held_term::{HeldTerm, HolderStep};
use super::keeper::Slot;
use crate::clock;
use crate::deadline::Deadline;
use crate::flow::fence::{Fence, FencingToken};
use crate::rejection::{Rejection, RejectionKind};
use crate::timeout::within;

/// State that keeper and guard share.
pub(super) struct Held {
    state: Mutex<State>,
    /// Notified when the work has ended.
    idle: Notify,
}

struct State {
    term: HeldTerm,
    /// Wakes the work when the keeper ends the lease.
    waker: Option<Waker>,
    /// Set from before the first poll of the work until the work was dropped.
    working: bool,
}

/// Marks that work is under way. Declared before the work, and so dropped after it.
struct Working<'h>(&'h Held);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.state.lock().working = false;
        self.0.idle.notify_waiters();
    }
}

impl Held {
    pub(super) fn new(term: Duration, sent: Instant) -> Held {
        let term = HeldTerm::new(term, sent);
        let state = Mutex::new(State { term, waker: None, working: false });
        Held { state, idle: Notify::new() }
    }

    fn begin_work(&self) -> Working<'_> {
        self.state.lock().working = true;
        Working(self)
    }

    /// Waits until no work is under way. Work that begins after [`end`](Held::end) is dropped
    /// before its first poll.
    pub(super) async fn work_ended(&self) {
        loop {
            // Created before the look at the state: it receives a notification from then on.
            let ended = self.idle.notified();
            if !self.state.lock().working {
                return;
            }
            ended.await;
        }
    }

    /// Ends the lease by this process's own decision.
    pub(super) fn end(&self, now: Instant) {
        let waker = {
            let mut state = self.state.lock();
            state.term.end(now);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn step(&self) -> HolderStep {
        self.state.lock().term.step(clock::now())
    }

    /// Stores the waker of the work. A waker is user code: cloned before the lock, dropped after
    /// it.
    fn register(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let former = self.state.lock().waker.replace(waker);
        drop(former);
    }
}

/// A lease that is held. Without [`run`](Lease::run) it is not renewed and ends with its term.
///
/// Dropped, it is given back by a task of the current runtime; outside of a runtime it ends with
/// its term.
#[must_use = "a lease that is dropped is given back"]
pub struct Lease {
    slot: Slot,
    fence: Fence,
    held: Arc<Held>,
    released: bool,
}

impl Lease {
    pub(super) fn new(slot: Slot, fence: Fence, held: Arc<Held>) -> Lease {
        Lease { slot, fence, held, released: false }
    }

    /// Returns what every write under this lease has to carry.
    #[must_use]
    pub const fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Returns the fencing token.
    #[must_use]
    pub const fn token(&self) -> FencingToken {
        self.fence.token
    }

    /// Returns `true` if the lease has ended by this process's clock. `false` promises nothing: the
    /// store decides.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.held.step() == HolderStep::Lost
    }

    /// Runs `work` while the lease is renewed, and gives the lease back. If the lease is lost,
    /// `work` is dropped before its next poll. Work that blocks its thread for more than a third of
    /// the term keeps the lease from being renewed. A renewal without a response is given up after
    /// a fifth of the term and sent again.
    ///
    /// Dropped, `work` is dropped first and the lease is given back.
    ///
    /// # Errors
    /// [`LeaseLost`](RejectionKind::LeaseLost), if the lease was lost before the work was done.
    pub async fn run<F: Future>(mut self, work: F) -> Result<F::Output, Rejection> {
        let done = {
            // Unconstrained: the lease is renewed also if the work has used up the task's share.
            let mut renewing = pin!(unconstrained(self.keep()));
            let _working = self.held.begin_work();
            let mut work = pin!(work);
            poll_fn(|cx| {
                self.held.register(cx);
                if renewing.as_mut().poll(cx).is_ready() || self.is_lost() {
                    return Poll::Ready(None);
                }
                work.as_mut().poll(cx).map(Some)
            })
            .await
        };
        let Some(output) = done else { return Err(self.lost()) };
        self.release().await;
        Ok(output)
    }

    /// Gives the lease back and waits until the store has answered, at most for a term. A store
    /// that cannot be reached lets the lease end with its term.
    pub async fn give_back(mut self) {
        self.release().await;
    }

    async fn release(&mut self) {
        let shared = self.slot.0.clone();
        let _ = shared.release(self.fence.clone()).await;
        self.released = true;
        shared.forget(&self.fence);
    }

    /// Renews the lease until it is lost.
    async fn keep(&self) {
        loop {
            match self.held.step() {
                HolderStep::Lost => return,
                HolderStep::WaitUntil(then) => tokio::time::sleep_until(then.into()).await,
                HolderStep::Renew => self.renew().await,
            }
        }
    }

    async fn renew(&self) {
        let sent = clock::now();
        let held = self.held.state.lock().term;
        let renewal = self.slot.0.store.renew(self.fence.clone(), held.term());
        let renewed = within(Deadline::at(held.give_up_at(sent)), renewal).await;
        let (now, u) = (clock::now(), rand::rng().random());
        let mut state = self.held.state.lock();
        match renewed {
            // Counted from when it was sent: the store has set the end no earlier.
            Ok(Ok(true)) => state.term.renewed(sent),
            Ok(Ok(false)) => state.term.end(now),
            Ok(Err(_unreachable)) => state.term.failed(now, u),
            // A renewal that was given up may still take effect: the store then keeps the lease for
            // longer than its holder counts on.
            Err(_late) => state.term.gave_up(now, u),
        }
    }

    fn lost(&self) -> Rejection {
        Rejection::new(RejectionKind::LeaseLost, "lease")
            .with_key(self.fence.lease.clone())
            .with_limit(self.held.state.lock().term.term())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A lease that `release_all` has taken over is given back there.
        if self.released || !self.slot.0.forget(&self.fence) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (shared, fence) = (self.slot.0.clone(), self.fence.clone());
        runtime.spawn(async move {
            let _ = shared.release(fence).await;
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("fence", &self.fence).finish_non_exhaustive()
    }
}
