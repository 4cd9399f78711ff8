//! A service that watches how it is treated.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::wakes::Wakes;

/// Passes calls on and keeps account of them in its [`ProbeLog`].
///
/// Strict where services are usually lenient: readiness belongs to one handle, ends with the call,
/// and is not cloned. While it is [closed](ProbeLog::close), no handle becomes ready.
#[derive(Debug)]
pub struct ServiceProbe<S> {
    inner: S,
    log: ProbeLog,
    /// This handle was polled for readiness and not called since.
    engaged: bool,
    ready: bool,
}

/// Log of a [`ServiceProbe`] and its clones. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ProbeLog(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    calls: AtomicUsize,
    called_unready: AtomicUsize,
    engaged: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    cancelled: AtomicUsize,
    latch: Mutex<Latch>,
}

#[derive(Debug, Default)]
struct Latch {
    closed: bool,
    waiting: Vec<Waker>,
}

impl ProbeLog {
    /// Returns the number of calls.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Returns the number of calls on a handle whose last `poll_ready` was not `Ready`, which
    /// breaks the contract of [`Service`].
    #[must_use]
    pub fn called_unready(&self) -> usize {
        self.0.called_unready.load(Ordering::SeqCst)
    }

    /// Live handles that were polled for readiness and neither called nor dropped since: each could
    /// be holding a permit or a place in a queue.
    #[must_use]
    pub fn engaged(&self) -> usize {
        self.0.engaged.load(Ordering::SeqCst)
    }

    /// Calls under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// The most calls that were under way at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    /// Calls that were dropped before they ended.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// No handle becomes ready from now on.
    pub fn close(&self) {
        self.0.latch.lock().closed = true;
    }

    /// Handles become ready again; those that wait are woken.
    pub fn open(&self) {
        let waiting = {
            let mut latch = self.0.latch.lock();
            latch.closed = false;
            std::mem::take(&mut latch.waiting)
        };
        let mut wakes = Wakes::default();
        waiting.into_iter().for_each(|waker| wakes.add(Some(waker)));
        wakes.wake();
    }
}

impl<S> ServiceProbe<S> {
    /// A probe around `inner`, and the log of what it sees.
    pub fn new(inner: S) -> (ServiceProbe<S>, ProbeLog) {
        let log = ProbeLog::default();
        (ServiceProbe { inner, log: log.clone(), engaged: false, ready: false }, log)
    }

    fn disengage(&mut self) {
        if std::mem::take(&mut self.engaged) {
            self.log.0.engaged.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A clone is a handle of its own, and not ready.
impl<S: Clone> Clone for ServiceProbe<S> {
    fn clone(&self) -> ServiceProbe<S> {
        let (inner, log) = (self.inner.clone(), self.log.clone());
        ServiceProbe { inner, log, engaged: false, ready: false }
    }
}

impl<S> Drop for ServiceProbe<S> {
    fn drop(&mut self) {
        self.disengage();
    }
}

impl<S: Service<Req>, Req> Service<Req> for ServiceProbe<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = ProbeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if !std::mem::replace(&mut self.engaged, true) {
            self.log.0.engaged.fetch_add(1, Ordering::SeqCst);
        }
        self.ready = false;
        // Not under the lock: a waker may be anything.
        let waker = cx.waker().clone();
        let mut latch = self.log.0.latch.lock();
        if latch.closed {
            latch.waiting.push(waker);
            return Poll::Pending;
        }
        drop(latch);
        let polled = ready!(self.inner.poll_ready(cx));
        self.ready = polled.is_ok();
        Poll::Ready(polled)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let log = &self.log.0;
        log.calls.fetch_add(1, Ordering::SeqCst);
        if !std::mem::take(&mut self.ready) {
            log.called_unready.fetch_add(1, Ordering::SeqCst);
        }
        let now = log.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        log.peak.fetch_max(now, Ordering::SeqCst);
        self.disengage();
        let guard = InFlight { log: self.log.clone(), ended: false };
        ProbeFuture { inner: self.inner.call(request), guard }
    }
}

/// Counts a call as under way for as long as it lives.
#[derive(Debug)]
struct InFlight {
    log: ProbeLog,
    ended: bool,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.log.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        if !self.ended {
            self.log.0.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pin_project! {
    /// A call that is counted as under way until this is dropped, as a permit of a plain service
    /// would be held.
    #[derive(Debug)]
    #[doc(hidden)]
    pub struct ProbeFuture<F> {
        #[pin]
        inner: F,
        guard: InFlight,
    }
}

impl<F: Future> Future for ProbeFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.inner.poll(cx));
        this.guard.ended = true;
        Poll::Ready(output)
    }
}
