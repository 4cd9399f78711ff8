//! For how long a call waits, in paused time.

use std::time::Duration;

use resilience_core::timeout::within;
use resilience_core::{Deadline, Quantity, clock};

use crate::*;

const SECOND: Duration = Duration::from_secs(1);

fn patient(wait: Duration) -> Bulkhead {
    builder(1).wait_at_most(wait).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_it_was_to_end() {
    let bulkhead = patient(SECOND);
    let held = bulkhead.try_acquire(1).unwrap();
    let start = clock::now();
    let rejection = bulkhead.acquire(1).await.unwrap_err();
    let waited = clock::now() - start;
    assert!((SECOND..=SECOND + Duration::from_millis(1)).contains(&waited), "{waited:?}");
    assert_eq!(rejection.kind(), RejectionKind::BulkheadFull);
    assert_eq!(rejection.limit(), Some(Quantity::Count(1)));
    assert_eq!(rejection.observed(), Some(Quantity::Count(1)));
    assert_eq!(bulkhead.snapshot().queued, 0);
    drop(held);
    assert_at_rest(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_comes_in_time_is_taken() {
    let bulkhead = patient(SECOND);
    let held = bulkhead.try_acquire_owned(1).unwrap();
    let start = clock::now();
    let release = async {
        tokio::time::sleep(SECOND / 2).await;
        drop(held);
    };
    let (permit, ()) = tokio::join!(bulkhead.acquire(1), release);
    assert_eq!(clock::now() - start, SECOND / 2);
    drop(permit.unwrap());
    assert_at_rest(&bulkhead);
}

/// Both in the same poll: what was granted is taken.
#[tokio::test(start_paused = true)]
async fn a_permit_that_comes_at_the_last_moment_is_taken() {
    let bulkhead = patient(SECOND);
    let held = bulkhead.try_acquire(1).unwrap();
    let mut caller = Caller::queued(&bulkhead, 1);
    tokio::time::advance(SECOND * 2).await;
    drop(held);
    drop(caller.served());
    assert_at_rest(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_lets_those_behind_it_pass() {
    let bulkhead = builder(2).wait_at_most(SECOND).build().unwrap();
    let held = bulkhead.try_acquire(1).unwrap();
    let mut big = Caller::queued(&bulkhead, 2);
    tokio::time::advance(SECOND / 2).await;
    let mut small = Caller::queued(&bulkhead, 1);
    tokio::time::advance(SECOND).await;
    big.rejected();
    drop((small.served(), held));
    assert_at_rest(&bulkhead);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_call_around_it_ends_the_wait() {
    for bulkhead in [patient(SECOND * 60), waiting(1)] {
        let held = bulkhead.try_acquire(1).unwrap();
        let start = clock::now();
        let outcome = within(Deadline::after(start, SECOND), bulkhead.acquire(1)).await;
        assert_eq!(outcome.unwrap_err().kind(), RejectionKind::DeadlineExceeded);
        assert!(clock::now() - start <= SECOND + Duration::from_millis(1));
        drop(held);
        assert_at_rest(&bulkhead);
    }
}

/// A call that a surrounding deadline was to end is polled on after that deadline.
#[tokio::test(start_paused = true)]
async fn a_wait_that_outlives_a_deadline_has_its_own_end() {
    let bulkhead = patient(SECOND * 5);
    let held = bulkhead.try_acquire(1).unwrap();
    let start = clock::now();
    let mut call = std::pin::pin!(bulkhead.acquire(1));
    assert!(within(Deadline::after(start, SECOND), call.as_mut()).await.is_err());
    let ended = tokio::time::timeout(SECOND * 60, call).await.expect("it ends");
    assert_eq!(ended.unwrap_err().kind(), RejectionKind::BulkheadFull);
    assert!(clock::now() - start <= SECOND * 5 + Duration::from_millis(1));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_late_already_does_not_wait() {
    let bulkhead = waiting(1);
    let held = bulkhead.try_acquire(1).unwrap();
    let call = within(Deadline::after(clock::now(), SECOND), async {
        tokio::time::sleep(SECOND - Duration::from_millis(1)).await;
        // What keeps the thread: the deadline passes, and nobody has noticed.
        tokio::time::advance(Duration::from_millis(5)).await;
        bulkhead.acquire(1).await.map(drop)
    });
    let rejection = call.await.unwrap().unwrap_err();
    assert_eq!((rejection.kind(), rejection.layer()), (RejectionKind::DeadlineExceeded, "b"));
    assert_eq!(bulkhead.snapshot().waited, 0);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn polls_are_few() {
    let bulkhead = patient(SECOND);
    let held = bulkhead.try_acquire_owned(1).unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (polls, bulkhead) = (polls.clone(), bulkhead.clone());
            tokio::spawn(async move {
                let mut call = std::pin::pin!(bulkhead.acquire(1));
                let counted = std::future::poll_fn(|cx| {
                    polls.fetch_add(1, Ordering::SeqCst);
                    call.as_mut().poll(cx)
                });
                counted.await.map(drop)
            })
        })
        .collect();
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(polls.load(Ordering::SeqCst), 100);
    drop(held);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(polls.load(Ordering::SeqCst), 200, "one to queue and one to be served");
    assert_at_rest(&bulkhead);
}

/// Nothing is acquired before the first poll, and a poll after completion stays pending.
#[test]
fn a_future_is_lazy_and_silent() {
    let bulkhead = waiting(1);
    let idle = bulkhead.acquire(1);
    let mut caller = Caller::new(&bulkhead, 1);
    drop(caller.served());
    assert!(caller.poll().is_pending());
    drop(idle);
    assert_at_rest(&bulkhead);
}
