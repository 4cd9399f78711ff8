//! The bulkhead: what it promises to calls, to those that wait, and to the service below.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod config;
mod keyed;
mod layer;
mod order;
mod panics;
mod random;
mod threads;
mod wait;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use resilience_core::bulkhead::{Acquire, Bulkhead, BulkheadBuilder, BulkheadPermit};
use resilience_core::{Rejection, RejectionKind};

fn builder(max_concurrent: u32) -> BulkheadBuilder {
    Bulkhead::builder().name("b").max_concurrent(max_concurrent)
}

fn rejecting(max_concurrent: u32) -> Bulkhead {
    builder(max_concurrent).build().unwrap()
}

fn waiting(max_concurrent: u32) -> Bulkhead {
    builder(max_concurrent).wait().build().unwrap()
}

/// A waiting call that is polled by hand, and counts how often it is woken.
struct Caller {
    future: Pin<Box<Acquire>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Caller {
    fn new(bulkhead: &Bulkhead, weight: u32) -> Caller {
        Caller { future: Box::pin(bulkhead.acquire_owned(weight)), wakes: Arc::default() }
    }

    /// Polls a call that waits in the queue.
    fn queued(bulkhead: &Bulkhead, weight: u32) -> Caller {
        let mut caller = Caller::new(bulkhead, weight);
        assert!(caller.poll().is_pending());
        caller
    }

    fn poll(&mut self) -> Poll<Result<BulkheadPermit, Rejection>> {
        let waker = Waker::from(self.wakes.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }

    fn served(&mut self) -> BulkheadPermit {
        let Poll::Ready(Ok(permit)) = self.poll() else { panic!("not served") };
        permit
    }

    fn rejected(&mut self) -> Rejection {
        let Poll::Ready(Err(rejection)) = self.poll() else { panic!("not rejected") };
        rejection
    }
}

/// Returns the free permits when no call waits and no permit is in use.
fn assert_at_rest(bulkhead: &Bulkhead) {
    let seen = bulkhead.snapshot();
    assert_eq!((seen.in_use, seen.queued), (0, 0), "{seen:?}");
    let all = bulkhead.try_acquire(seen.limit).unwrap();
    assert_eq!(bulkhead.try_acquire(1).unwrap_err().kind(), RejectionKind::BulkheadFull);
    drop(all);
}
