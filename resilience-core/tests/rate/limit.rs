//! What a limiter says without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use resilience_core::observe::Event;
use resilience_core::rate::Quota;
use resilience_core::{RejectionKind, clock};

use crate::{limiter, ms};

/// D-RL6, D-RL8: a refusal says when to come back, and a snapshot knows that time has passed.
#[tokio::test(start_paused = true)]
async fn refusals_and_snapshots_tell_the_time() {
    let limiter = limiter(10, 2).name("odds").reject().build().unwrap();
    limiter.check(2).unwrap();
    let refused = limiter.check(1).unwrap_err();
    assert_eq!(refused.kind(), RejectionKind::RateLimited);
    assert_eq!(refused.to_string(), "odds: rate limited (3, limit 2), retry in 100ms");
    assert_eq!(limiter.snapshot().available, 0);
    tokio::time::advance(ms(100)).await;
    assert_eq!(limiter.snapshot().available, 1);
    limiter.check(1).unwrap();
    let never = limiter.check(3).unwrap_err();
    assert_eq!(never.to_string(), "odds: rate limited (3, limit 2), never to be retried");
    let seen = limiter.snapshot();
    assert_eq!((seen.admitted, seen.rejected, seen.queued), (2, 2, 0));
}

/// D-RL7: the largest numbers there are neither allocate nor overflow.
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
async fn a_refund_is_whole_if_nobody_came_since() {
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
    assert_eq!(refused.to_string(), "rate: rate limited (0ns, limit 250ms), retry in 250ms");
}
