//! Waiting calls.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::timeout::within;
use resilience_core::{Deadline, clock};

use crate::{limiter, ms};

/// Counts its polls.
struct Polled<F>(F, Arc<AtomicUsize>);

impl<F: Future + Unpin> Future for Polled<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll(cx)
    }
}

async fn served(waiters: usize, limiter: &RateLimiter) -> (Vec<usize>, usize) {
    let (order, polls) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for n in 0..waiters {
        let (limiter, order, polls) = (limiter.clone(), order.clone(), polls.clone());
        tasks.push(tokio::spawn(async move {
            Polled(limiter.acquire(1), polls).await.unwrap();
            order.lock().push(n);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock().clone();
    (order, polls.load(Ordering::Relaxed))
}

/// FIFO, and at most the first poll and two wakes each.
#[tokio::test(start_paused = true)]
async fn ten_thousand_waiters_in_order() {
    for (count, burst) in [(100, 1), (1_000, 50)] {
        let limiter = limiter(count, burst).wait().max_queued(10_000).build().unwrap();
        let start = clock::now();
        let (order, polls) = served(10_000, &limiter).await;
        assert!(order.is_sorted(), "inversions");
        println!("{polls} polls of 10,000 waiters, in {:?}", clock::now() - start);
        assert!(polls <= 30_000, "{polls}");
        let ideal = Duration::from_secs(1) * (10_000 - burst) / count;
        assert!(clock::now() - start <= ideal + ms(2), "{:?}", clock::now() - start);
        assert_eq!(limiter.snapshot().queued, 0);
    }
}

/// No call overtakes, not even one that does not wait, nor one with a small cost.
#[tokio::test(start_paused = true)]
async fn no_call_overtakes() {
    let limiter = limiter(10, 5).wait().build().unwrap();
    limiter.check(5).unwrap();
    let old = limiter.clone();
    let old = tokio::spawn(async move { old.acquire(5).await.map(drop) });
    tokio::task::yield_now().await;
    let mut later = 0;
    while !old.is_finished() {
        tokio::time::advance(ms(10)).await;
        later += usize::from(limiter.check(1).is_ok());
        tokio::task::yield_now().await;
    }
    old.await.unwrap().unwrap();
    assert_eq!(later, 0);
}

/// A call that will not fit is rejected at once, with the time at which it would.
#[tokio::test(start_paused = true)]
async fn a_wait_that_will_not_fit_is_not_begun() {
    let limiter = limiter(1, 1).wait_at_most(ms(2_500)).build().unwrap();
    limiter.check(1).unwrap();
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(limiter.acquire(1))).collect();
    for wait in &mut waiting {
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let start = clock::now();
    let refused = limiter.acquire(1).await.unwrap_err();
    assert_eq!((clock::now(), refused.retry_after()), (start, Some(ms(3_000))));
    assert_eq!(refused.to_string(), "rate: rate limited (3 s, limit 2.5 s), retry in 3 s");
    // The caller's deadline counts too.
    drop(waiting);
    let deadline = Deadline::after(start, ms(500));
    let refused = within(deadline, limiter.acquire(1)).await.unwrap().unwrap_err();
    assert_eq!((clock::now(), refused.retry_after()), (start, Some(ms(1_000))));
    assert_eq!(limiter.snapshot().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let limiter = limiter(1, 1).wait().max_queued(2).build().unwrap();
    limiter.check(1).unwrap();
    let held = [limiter.reserve(1).unwrap(), limiter.reserve(1).unwrap()];
    let refused = limiter.acquire(1).await.unwrap_err();
    assert_eq!(refused.to_string(), "rate: rate limited (2 calls waiting, limit 2), retry in 3 s");
    drop(held);
    limiter.acquire(1).await.unwrap();
}

/// Waiters that leave give their place to those behind them.
#[tokio::test(start_paused = true)]
async fn those_behind_one_that_left_come_sooner() {
    let limiter = limiter(1, 1).wait().build().unwrap();
    limiter.check(1).unwrap();
    let start = clock::now();
    let spawn = || {
        let limiter = limiter.clone();
        tokio::spawn(async move {
            limiter.acquire(1).await.unwrap();
            clock::now()
        })
    };
    let tasks = [spawn(), spawn(), spawn(), spawn()];
    tokio::task::yield_now().await;
    tasks[0].abort();
    tasks[2].abort();
    let [_, second, _, fourth] = tasks;
    assert_eq!(second.await.unwrap() - start, ms(1_000));
    assert_eq!(fourth.await.unwrap() - start, ms(2_000));
}

/// Dropped after any number of polls, an acquisition leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn dropped_at_every_poll() {
    for polls in 0..6 {
        let limiter = limiter(10, 1).wait().build().unwrap();
        limiter.check(1).unwrap();
        let start = clock::now();
        let ahead = limiter.reserve(1).unwrap();
        let mut wait = Box::pin(limiter.acquire(1));
        for _ in 0..polls {
            if let Poll::Ready(permit) = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                permit.unwrap().refund();
                break;
            }
            tokio::time::advance(ms(60)).await;
        }
        drop((wait, ahead));
        assert_eq!(limiter.snapshot().queued, 0, "after {polls}");
        limiter.acquire(1).await.unwrap();
        let spent = clock::now() - start;
        assert!(spent <= ms(100).max(ms(60) * polls + ms(100)), "{spent:?} after {polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_quota_reaches_waiting_calls() {
    let limiter = limiter(1, 1).wait_at_most(ms(5_000)).build().unwrap();
    limiter.check(1).unwrap();
    let start = clock::now();
    let spawn = || {
        let limiter = limiter.clone();
        tokio::spawn(async move { (limiter.acquire(1).await.map(drop), clock::now()) })
    };
    let tasks = [spawn(), spawn(), spawn()];
    tokio::task::yield_now().await;
    limiter.set_quota(Quota::per_second(10).and_then(|quota| quota.with_burst(1))).unwrap();
    let [first, second, third] = tasks;
    assert_eq!(first.await.unwrap(), (Ok(()), start + ms(100)));
    // Slower again: one still fits, the other is told so now, not later.
    let quota = Quota::per(1, ms(4_000)).and_then(|quota| quota.with_burst(1));
    limiter.set_quota(quota).unwrap();
    let (refused, at) = third.await.unwrap();
    assert_eq!((refused.unwrap_err().retry_after(), at), (Some(ms(8_000)), start + ms(100)));
    assert_eq!(second.await.unwrap(), (Ok(()), start + ms(4_100)));
}

#[tokio::test(start_paused = true)]
async fn reservations_keep_their_place() {
    let limiter = limiter(10, 1).wait().build().unwrap();
    limiter.check(1).unwrap();
    let start = clock::now();
    let first = limiter.reserve(1).unwrap();
    let second = limiter.reserve(1).unwrap();
    assert_eq!((first.ready_at(), second.ready_at()), (start + ms(100), start + ms(200)));
    let behind = limiter.clone();
    let behind = tokio::spawn(async move { (behind.acquire(1).await.map(drop), clock::now()) });
    tokio::task::yield_now().await;
    let first = first.try_take().unwrap_err();
    drop(first);
    assert_eq!(second.ready_at(), start + ms(100));
    second.ready().await.unwrap();
    assert_eq!(clock::now(), start + ms(100));
    assert_eq!(behind.await.unwrap(), (Ok(()), start + ms(200)));
    // Nobody comes for this one: those behind it are not kept for ever.
    let forgotten = limiter.reserve(1).unwrap();
    limiter.acquire(1).await.unwrap();
    assert_eq!(clock::now(), start + ms(400));
    forgotten.try_take().unwrap().refund();
}

/// Another call has served the place for its owner, which gives it up: nothing is spent.
#[tokio::test(start_paused = true)]
async fn tokens_served_for_a_caller_that_gives_up_are_given_back() {
    let limiter = limiter(10, 1).wait().build().unwrap();
    limiter.check(1).unwrap();
    let reserved = limiter.reserve(1).unwrap();
    tokio::time::advance(ms(100)).await;
    let refused = limiter.check(1).unwrap_err();
    assert_eq!((refused.retry_after(), limiter.snapshot().queued), (Some(ms(100)), 0));
    drop(reserved);
    // One that was served at once and is never used is given back as well.
    drop(limiter.reserve(1).unwrap());
    limiter.check(1).unwrap();
}

/// A reservation above the new burst delays no other call, not even by the tokens that it would
/// take.
#[tokio::test(start_paused = true)]
async fn a_reservation_that_costs_too_much_delays_no_other() {
    let limiter = limiter(1, 3).wait_at_most(ms(4_500)).build().unwrap();
    limiter.check(3).unwrap();
    let start = clock::now();
    let never = limiter.reserve(3).unwrap();
    let sooner = limiter.reserve(3).unwrap_err();
    assert_eq!(sooner.retry_after(), Some(ms(6_000)));
    let behind = limiter.clone();
    let behind = tokio::spawn(async move { (behind.acquire(1).await.map(drop), clock::now()) });
    tokio::task::yield_now().await;
    limiter.set_quota(Quota::per_second(1)).unwrap();
    assert_eq!(limiter.snapshot().queued, 1);
    assert_eq!(behind.await.unwrap(), (Ok(()), start + ms(3_000)));
    // Its owner is told, however it asks, and may come again if things are as they were.
    let never = never.try_take().unwrap_err();
    let refused = never.ready().await.unwrap_err();
    assert_eq!(refused.to_string(), "rate: rate limited (3 calls, limit 1), never to be retried");
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_gone_is_not_never() {
    let limiter = limiter(1, 3).wait().build().unwrap();
    limiter.check(3).unwrap();
    let gone = limiter.reserve(3).unwrap();
    limiter.set_quota(Quota::per_second(1)).unwrap();
    limiter.set_quota(Quota::per_second(1).and_then(|quota| quota.with_burst(3))).unwrap();
    assert_eq!(gone.ready().await.unwrap_err().retry_after(), Some(ms(3_000)));
}

/// Refunded tokens serve waiting calls at once.
#[tokio::test(start_paused = true)]
async fn a_refund_wakes_waiting_calls() {
    let limiter = limiter(1, 1).wait().build().unwrap();
    let start = clock::now();
    let permit = limiter.try_acquire(1).unwrap();
    let waiting = limiter.clone();
    let waiting = tokio::spawn(async move { (waiting.acquire(1).await.is_ok(), clock::now()) });
    tokio::time::advance(ms(400)).await;
    permit.refund();
    assert_eq!(waiting.await.unwrap(), (true, start + ms(400)));
    let seen = limiter.snapshot();
    assert_eq!((seen.admitted, seen.rejected), (1, 0));
}

/// The gap is part of the wait of the calls at the back: one that is now too late is rejected
/// at once.
#[tokio::test(start_paused = true)]
async fn a_pause_reaches_those_whom_the_gap_makes_late() {
    let limiter = limiter(100, 100).min_gap(ms(1_000)).wait_at_most(ms(2_500)).build().unwrap();
    limiter.check(1).unwrap();
    let start = clock::now();
    let spawn = || {
        let limiter = limiter.clone();
        tokio::spawn(async move { (limiter.acquire(1).await.is_ok(), clock::now() - start) })
    };
    let (first, second) = (spawn(), spawn());
    tokio::task::yield_now().await;
    limiter.pause_for(ms(2_000));
    assert_eq!(second.await.unwrap(), (false, ms(0)));
    assert_eq!(first.await.unwrap(), (true, ms(2_000)));
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The task that polled last is woken.
#[tokio::test(start_paused = true)]
async fn the_latest_waker_is_woken() {
    let limiter = limiter(1, 1).wait().build().unwrap();
    limiter.check(1).unwrap();
    let (mut first, mut second) = (Box::pin(limiter.acquire(1)), Box::pin(limiter.acquire(1)));
    let wakers = [(); 2].map(|()| Arc::new(Count(AtomicUsize::new(0))));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    for waker in &wakers {
        let waker = Waker::from(waker.clone());
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(first);
    assert_eq!(wakers.map(|waker| waker.0.load(Ordering::Relaxed)), [0, 1]);
}

/// A task with a no-op waker does not stop those behind it once it is gone.
#[test]
fn a_woken_waiter_that_is_dropped_passes_it_on() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let limiter = limiter(1, 1).wait().build().unwrap();
    limiter.check(1).unwrap();
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(count.clone());
    let mut first = Box::pin(limiter.acquire(1));
    let mut second = Box::pin(limiter.acquire(1));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(first);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}
