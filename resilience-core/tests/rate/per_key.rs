//! Limiters of a store, used by key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use resilience_core::clock;
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::observe::Event;
use resilience_core::rate::{Quota, RateLimiter};

use crate::{limiter, ms};

fn store(each: RateLimiter) -> Keyed<u32, RateLimiter> {
    Keyed::new(KeyedLimits::default(), move |_| each.fresh())
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_tokens_and_its_name() {
    let limits = store(limiter(10, 2).name("odds").build().unwrap());
    RateLimiter::check_key(&limits, &7, 2).unwrap();
    let refused = RateLimiter::check_key(&limits, &7, 1).unwrap_err();
    assert_eq!((refused.key(), refused.retry_after()), (Some("7"), Some(ms(100))));
    RateLimiter::check_key(&limits, &8, 2).unwrap();
    tokio::time::advance(ms(100)).await;
    RateLimiter::check_key(&limits, &7, 1).unwrap();
    let seen = limits.with(&7, clock::now(), RateLimiter::snapshot);
    assert_eq!((seen.admitted, seen.rejected), (2, 1));
}

#[test]
fn a_change_is_for_all_keys() {
    let each = limiter(1, 1).build().unwrap();
    let limits = store(each.clone());
    RateLimiter::check_key(&limits, &7, 1).unwrap();
    RateLimiter::check_key(&limits, &7, 1).unwrap_err();
    each.set_quota(Quota::per_second(9)).unwrap();
    // Used by then: one, and it is not forgiven.
    assert_eq!((0..9).filter(|_| RateLimiter::check_key(&limits, &7, 1).is_ok()).count(), 8);
}

/// The listener uses the store: an event under a lock of the store would deadlock.
#[test]
fn rejections_are_reported_outside_of_locks() {
    let asked: Arc<Mutex<Option<Keyed<u32, RateLimiter>>>> = Arc::default();
    let (told, asking) = (Arc::new(AtomicUsize::new(0)), asked.clone());
    let telling = told.clone();
    let each = limiter(1, 1).listen(move |event: &Event<'_>| {
        assert_eq!(event.key(), Some("7"));
        let store = asking.lock().clone();
        assert!(
            store.is_some_and(|store| store.remove(&7).is_some() && store.snapshot().keys == 0)
        );
        telling.fetch_add(1, Ordering::Relaxed);
    });
    let limits = store(each.build().unwrap());
    *asked.lock() = Some(limits.clone());
    RateLimiter::check_key(&limits, &7, 1).unwrap();
    assert!(RateLimiter::check_key(&limits, &7, 1).is_err());
    assert_eq!(told.load(Ordering::Relaxed), 1);
    *asked.lock() = None;
}

/// A key that is asked for every eleven minutes is idle each time, and its hour is not over.
#[tokio::test(start_paused = true)]
async fn an_hourly_quota_outlives_the_idle_time() {
    const MINUTES: u64 = 11;
    let quota = Quota::per(10, ms(3_600_000));
    let limits = store(RateLimiter::builder().quota(quota).reject().build().unwrap());
    let mut passed = 0;
    for visit in 0..24 * 60 / MINUTES {
        passed += (0..10).filter(|_| RateLimiter::check_key(&limits, &7, 1).is_ok()).count();
        // Others come by meanwhile, and evict what may go.
        (0..100).for_each(|other| {
            drop(RateLimiter::check_key(&limits, &(1_000 + visit as u32 * 100 + other), 1))
        });
        tokio::time::advance(ms(MINUTES * 60_000)).await;
    }
    // Ten at first, and one every six minutes until the last visit: all of those, and no more.
    let most = 10 + (24 * 60 / MINUTES - 1) * MINUTES / 6;
    println!("{passed} of {} in a day, at most {most}", 24 * 60 / MINUTES * 10);
    assert!(passed as u64 <= most && most <= 248 && passed >= 240, "{passed} of {most}");
}

/// However many ask, at whatever time they think that it is: the tokens there are, and no more.
#[test]
fn threads_get_what_there_is() {
    let limits =
        store(RateLimiter::builder().quota(Quota::per(1_000, ms(86_400_000))).build().unwrap());
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for call in 0..4_000 {
                    admitted.fetch_add(
                        RateLimiter::check_key(&limits, &(call % 4), 1).is_ok().into(),
                        Ordering::Relaxed,
                    );
                }
            });
        }
    });
    assert_eq!((admitted.into_inner(), limits.len()), (4_000, 4));
}
