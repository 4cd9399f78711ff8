//! Limits without waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use proptest::prelude::*;
use resilience_core::observe::Event;
use resilience_core::rate::Quota;
use resilience_core::{RejectionKind, clock};

use crate::{limiter, ms};

/// A rejection has the time to come back, and a snapshot counts the passed time.
#[tokio::test(start_paused = true)]
async fn rejections_and_snapshots_have_the_time() {
    let limiter = limiter(10, 2).name("odds").reject().build().unwrap();
    limiter.check(2).unwrap();
    let refused = limiter.check(1).unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::RateLimited);
    assert_eq!(refused.to_string(), "odds: rate limited (3 calls, limit 2), retry in 100 ms");
    assert_eq!(limiter.snapshot().available, 0);
    tokio::time::advance(ms(100)).await;
    assert_eq!(limiter.snapshot().available, 1);
    limiter.check(1).unwrap();
    let never = limiter.check(3).unwrap_err();
    assert_eq!(never.to_string(), "odds: rate limited (3 calls, limit 2), never to be retried");
    let seen = limiter.snapshot();
    assert_eq!((seen.admitted, seen.rejected, seen.queued), (2, 2, 0));
}

/// The largest numbers there are neither allocate nor overflow.
#[test]
fn the_largest_limit_is_as_small_as_any() {
    let limiter = limiter(u32::MAX, u32::MAX).reject().build().unwrap();
    let now = clock::now();
    limiter.check_at(now, u32::MAX).unwrap();
    limiter.check_at(now, u32::MAX).unwrap_err();
    limiter.check_at(now + ms(1_000), u32::MAX).unwrap();
}

#[tokio::test(start_paused = true)]
async fn observes_only() {
    let would = Arc::new(AtomicUsize::new(0));
    let count = would.clone();
    let limiter = limiter(1, 1)
        .observe_only()
        .listen(move |event: &Event<'_>| {
            if let Event::WouldReject(_) = event {
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
        .build()
        .unwrap();
    for _ in 0..3 {
        limiter.check(1).unwrap();
        limiter.acquire(1).await.unwrap();
    }
    assert_eq!(would.load(Ordering::Relaxed), 5);
}

#[tokio::test(start_paused = true)]
async fn tokens_stay_used_when_the_quota_changes() {
    let limiter = limiter(10, 10).reject().build().unwrap();
    let other = limiter.fresh();
    limiter.check(8).unwrap();
    limiter.set_quota(Quota::per_second(100)).unwrap();
    assert_eq!(limiter.snapshot().available, 92);
    limiter.set_quota(Quota::per_second(10).and_then(|quota| quota.with_burst(9))).unwrap();
    assert_eq!(limiter.snapshot().available, 1);
    // It reaches what shares the configuration.
    assert_eq!(other.snapshot().available, 9);
    tokio::time::advance(ms(100)).await;
    assert_eq!(limiter.snapshot().available, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refund_is_whole_without_calls_since() {
    let limiter = limiter(7, 1).reject().build().unwrap();
    for _ in 0..1_000 {
        limiter.try_acquire(1).unwrap().refund();
    }
    drop(limiter.try_acquire(1).unwrap());
    limiter.check(1).unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn gap_between_any_two() {
    let limiter = limiter(100, 100).min_gap(ms(250)).wait().build().unwrap();
    let start = clock::now();
    for n in 0..5 {
        limiter.acquire(1 + n % 3).await.unwrap();
        assert_eq!(clock::now() - start, ms(250) * n);
    }
    let refused = limiter.check(1).unwrap_err();
    assert_eq!(refused.to_string(), "rate: rate limited (0 s, limit 250 ms), retry in 250 ms");
}

#[derive(Debug, Clone)]
enum Step {
    Advance(u16),
    Take(u8),
    Wait(u8),
    Reserve(u8),
    LeaveOldest,
    Pause(u8),
    Burst(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<u16>().prop_map(Step::Advance),
        (0..8_u8).prop_map(Step::Take),
        (1..8_u8).prop_map(Step::Wait),
        (1..8_u8).prop_map(Step::Reserve),
        Just(Step::LeaveOldest),
        any::<u8>().prop_map(Step::Pause),
        (1..10_u8).prop_map(Step::Burst),
    ]
}

proptest! {
    /// A new call gets exactly the tokens that a snapshot shows as available; reading changes
    /// nothing.
    #[test]
    fn available_is_what_a_new_call_gets(
        steps in prop::collection::vec(step(), 0..24),
        gap in prop_oneof![Just(0_u64), 1..400_u64],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let limiter = limiter(10, 5).min_gap(ms(gap)).wait().build().unwrap();
            let (mut waits, mut places) = (VecDeque::new(), VecDeque::new());
            let nothing = &mut Context::from_waker(Waker::noop());
            for step in steps {
                match step {
                    Step::Advance(time) => tokio::time::advance(ms(time.into()) / 100).await,
                    Step::Take(cost) => drop(limiter.check(cost.into())),
                    Step::Wait(cost) => {
                        let mut wait = Box::pin(limiter.acquire(cost.into()));
                        if wait.as_mut().poll(nothing).is_pending() {
                            waits.push_back(wait);
                        }
                    }
                    Step::Reserve(cost) => places.extend(limiter.reserve(cost.into()).ok()),
                    Step::LeaveOldest => drop((waits.pop_front(), places.pop_front())),
                    Step::Pause(pause) => limiter.pause_for(ms(pause.into())),
                    Step::Burst(burst) => {
                        let quota = Quota::per_second(10);
                        let burst = |quota: Quota| quota.with_burst(burst.into());
                        limiter.set_quota(quota.and_then(burst)).unwrap();
                    }
                }
                assert_eq!(limiter.snapshot(), limiter.snapshot());
            }
            let free = limiter.snapshot().available;
            limiter.check(free + 1).unwrap_err();
            if free > 0 {
                limiter.check(free).unwrap();
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_available_behind_others_in_a_pause_or_in_a_gap() {
    let limiter = limiter(1, 5).min_gap(ms(100)).wait().build().unwrap();
    let available = || limiter.snapshot().available;
    assert_eq!(available(), 5);
    limiter.check(1).unwrap();
    assert_eq!(available(), 0, "a gap");
    tokio::time::advance(ms(100)).await;
    assert_eq!(available(), 4);
    limiter.pause_for(ms(10));
    assert_eq!(available(), 0, "a pause");
    limiter.resume();
    let mut waits = Box::pin(limiter.acquire(5));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(available(), 0, "behind one who waits");
    drop(waits);
    assert_eq!(available(), 4);
}
