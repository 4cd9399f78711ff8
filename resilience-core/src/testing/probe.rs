//! A service that records its use.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::wakes::Wakes;

/// A service that passes calls on and records them in its [`ProbeLog`].
///
/// Stricter than most services: readiness belongs to one handle, ends with the call,
/// and is not cloned. While the probe is [closed](ProbeLog::close), no handle becomes ready.
#[derive(Debug)]
pub struct ServiceProbe<S> {
    inner: S,
    log: ProbeLog,
    /// Set while this handle was polled for readiness and not called since.
    engaged: bool,
    ready: bool,
}

/// Log of a [`ServiceProbe`] and its clones. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ProbeLog(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
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

    /// Returns the number of handles that were polled for readiness and neither called nor dropped
    /// since. Each may hold a permit or a place in a queue.
    #[must_use]
    pub fn engaged(&self) -> usize {
        self.0.engaged.load(Ordering::SeqCst)
    }

    /// Returns the number of calls under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::SeqCst)
    }

    /// Returns the largest number of calls that were under way at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::SeqCst)
    }

    /// Returns the number of calls that were dropped before they ended.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Closes the probe: no handle becomes ready from now on.
    pub fn close(&self) {
        self.0.latch.lock().closed = true;
    }

    /// Opens the probe: handles become ready again, and waiting tasks are woken.
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
    /// Creates a probe around `inner`, and its log.
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

/// Returns a separate handle, which is not ready.
impl<S: Clone> Clone for ServiceProbe<S> {
    fn clone(&self) -> ServiceProbe<S> {
        let inner = self.inner.clone();
        ServiceProbe { inner, log: self.log.clone(), engaged: false, ready: false }
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
        // Not under the lock: cloning a waker may run any code.
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

/// Counts a call as under way until it is dropped.
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
    /// A call that counts as under way until it is dropped, as the permit of a plain service would.
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
