//! Wakers that panic: no token is lost or given back twice, and no other call waits for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use resilience_core::rate::{Acquire, Quota, RateLimitLayer, RateLimiter};
use resilience_core::{Rejection, RejectionKind};
use tower::{BoxError, Layer, Service, service_fn};

use crate::ms;

/// Panics when it is woken, once it is armed.
#[derive(Default)]
struct Bomb(AtomicBool);

impl Bomb {
    fn arm(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        assert!(!self.0.swap(false, Ordering::SeqCst), "on purpose");
    }
}

/// A call that waits, and the waker of its task.
struct Caller {
    call: Pin<Box<Acquire>>,
    bomb: Arc<Bomb>,
}

impl Caller {
    fn queued(limiter: &RateLimiter) -> Caller {
        let mut caller = Caller { call: Box::pin(limiter.acquire(1)), bomb: Arc::default() };
        assert!(caller.poll().is_pending());
        caller
    }

    fn poll(&mut self) -> Poll<bool> {
        let waker = Waker::from(self.bomb.clone());
        self.call.as_mut().poll(&mut Context::from_waker(&waker)).map(|it| it.is_ok())
    }
}

fn panics(body: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(body)).is_err(), "a waker panics");
}

/// A quota of this count a day, without a gap.
fn limiter(burst: u32) -> RateLimiter {
    let day = Duration::from_secs(24 * 60 * 60);
    RateLimiter::builder().quota(Quota::per(burst, day)).wait().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_token_comes_back_if_its_grant_wakes_a_waker_that_panics() {
    let limiter = RateLimiter::builder().quota(Quota::per_minute(60)).min_gap(ms(5)).wait();
    let limiter = limiter.build().unwrap();
    limiter.check(1).unwrap();
    let mut first = Caller::queued(&limiter);
    let mut second = Caller::queued(&limiter);
    tokio::time::advance(ms(6)).await;
    second.bomb.arm();
    let before = limiter.snapshot().available;
    panics(|| assert!(first.poll().is_ready()));
    drop(first);
    assert_eq!((limiter.snapshot().available, limiter.snapshot().queued), (before, 1));
    // As much later as the grant of the first has moved the gap.
    tokio::time::advance(ms(6)).await;
    assert_eq!(second.poll(), Poll::Ready(true));
}

#[tokio::test(start_paused = true)]
async fn a_token_comes_back_once_though_that_wakes_a_waker_that_panics() {
    let limiter = limiter(2);
    let refused = || BoxError::from(Rejection::new(RejectionKind::CircuitOpen, "below"));
    let below = service_fn(move |_: u64| async move {
        tokio::task::yield_now().await;
        Err::<u64, _>(refused())
    });
    let mut service = RateLimitLayer::new(limiter.clone()).layer(below);
    limiter.check(1).unwrap();
    let mut call = Box::pin(Service::call(&mut service, 1));
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(noop).is_pending());
    let waits = Caller::queued(&limiter);
    assert_eq!(limiter.snapshot().available, 0);
    waits.bomb.arm();
    panics(|| drop(call.as_mut().poll(noop)));
    drop((call, waits));
    assert_eq!(limiter.snapshot().available, 1);
}

/// The first call after a change of the configuration applies it before anything is granted.
#[tokio::test(start_paused = true)]
async fn a_change_that_wakes_a_waker_that_panics_costs_no_token() {
    let model = RateLimiter::builder().quota(Quota::per(1, ms(1_000))).wait_at_most(ms(5_000));
    let model = model.build().unwrap();
    let limiter = model.fresh();
    limiter.check(1).unwrap();
    let mut first = Caller::queued(&limiter);
    let second = Caller::queued(&limiter);
    tokio::time::advance(ms(1_000)).await;
    // The second would now wait for longer than it may, and is told.
    model.set_quota(Quota::per(1, ms(10_000))).unwrap();
    second.bomb.arm();
    panics(|| assert!(first.poll().is_ready()));
    drop((first, second));
    assert_eq!((limiter.snapshot().available, limiter.snapshot().queued), (1, 0));
}
