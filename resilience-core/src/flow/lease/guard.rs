//! A lease that is held, and the work that is done under it.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::task::coop::unconstrained;

use super::held_term::{HeldTerm, HolderStep};
use super::keeper::Slot;
use crate::clock;
use crate::deadline::Deadline;
use crate::flow::fence::{Fence, FencingToken};
use crate::rejection::{Rejection, RejectionKind};
use crate::timeout::within;

/// State that keeper and guard share.
pub(super) struct Held(Mutex<State>);

struct State {
    term: HeldTerm,
    /// Wakes the work when the keeper gives the lease back.
    waker: Option<Waker>,
}

impl Held {
    pub(super) fn new(term: Duration, sent: Instant) -> Held {
        Held(Mutex::new(State { term: HeldTerm::new(term, sent), waker: None }))
    }

    /// Ends the lease by this process's own decision.
    pub(super) fn end(&self, now: Instant) {
        let waker = {
            let mut state = self.0.lock();
            state.term.end(now);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn step(&self) -> HolderStep {
        self.0.lock().term.step(clock::now())
    }

    /// Stores the waker of the work. A waker is user code: cloned before the lock, dropped after it.
    fn register(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let former = self.0.lock().waker.replace(waker);
        drop(former);
    }
}

/// A lease that is held. Without [`run`](Lease::run) it is not renewed and ends with its term.
///
/// Dropped, it is given back by a task of the current runtime; outside of a runtime it ends with its term.
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

    /// Returns `true` if the lease has ended by this process's clock. `false` promises nothing: the store decides.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.held.step() == HolderStep::Lost
    }

    /// Runs `work` while the lease is renewed, and gives the lease back. If the lease is lost, `work` is dropped
    /// before its next poll. Work that blocks its thread for more than a third of the term keeps the lease from being
    /// renewed.
    ///
    /// Dropped, `work` is dropped first and the lease is given back.
    ///
    /// # Errors
    /// [`LeaseLost`](RejectionKind::LeaseLost), if the lease was lost before the work was done.
    pub async fn run<F: Future>(mut self, work: F) -> Result<F::Output, Rejection> {
        let done = {
            // Unconstrained: the lease is renewed also if the work has used up the task's share.
            let mut renewing = pin!(unconstrained(self.keep()));
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

    /// Gives the lease back and waits until the store has answered, at most for a term. A store that cannot be
    /// reached lets the lease end with its term.
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
        let (term, ends_at) = {
            let state = self.held.0.lock();
            (state.term.term(), state.term.ends_at())
        };
        let sent = clock::now();
        let renewal = self.slot.0.store.renew(self.fence.clone(), term);
        let renewed = within(Deadline::at(ends_at), renewal).await;
        let now = clock::now();
        let mut state = self.held.0.lock();
        match renewed {
            Ok(Ok(true)) => state.term.renewed(sent),
            Ok(Ok(false)) => state.term.end(now),
            Ok(Err(_unreachable)) => state.term.failed(now, rand::rng().random()),
            Err(_late) => state.term.end(now),
        }
    }

    fn lost(&self) -> Rejection {
        Rejection::new(RejectionKind::LeaseLost, "lease")
            .with_key(self.fence.lease.clone())
            .with_limit(self.held.0.lock().term.term())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        self.slot.0.forget(&self.fence);
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
