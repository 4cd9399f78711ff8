//! State that another configuration keeps.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::observe::Event;
use resilience_core::rate::{Quota, RateLimiter, RateLimiterBuilder};
use resilience_core::{Rejection, clock};

use crate::{limiter, ms};

/// The names of the layers in the events of rejections and pauses.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn listener(&self) -> impl Fn(&Event<'_>) + Send + Sync + use<> {
        let heard = self.0.clone();
        move |event: &Event<'_>| match event {
            Event::Rejected(rejection) | Event::WouldReject(rejection) => {
                heard.lock().push(rejection.layer().to_owned());
            }
            Event::RatePaused { layer, .. } => heard.lock().push(format!("{layer} paused")),
            _ => {}
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

/// A configuration without a name and a listener.
fn other() -> RateLimiterBuilder {
    RateLimiter::builder().quota(Quota::per(1, Duration::from_secs(3_600))).reject()
}

#[tokio::test(start_paused = true)]
async fn name_and_listener_stay() {
    let heard = Heard::default();
    let one = limiter(1, 1).reject().name("mine").listen(heard.listener()).build().unwrap();
    let configs = [
        other().config().unwrap(),
        other().name("other").config().unwrap(),
        other().listen(|_: &Event<'_>| panic!("the listener of a configuration")).config().unwrap(),
    ];
    for config in configs {
        let key = one.fresh();
        one.set_config(config);
        for limiter in [&one, &key, &one.fresh()] {
            let _ = limiter.check(1);
            assert_eq!(limiter.check(1).unwrap_err().layer(), "mine");
            assert_eq!(heard.take().last().map(String::as_str), Some("mine"));
            assert!(format!("{limiter:?}").contains("mine"), "{limiter:?}");
        }
        one.pause_for(ms(1));
        assert_eq!(heard.take(), ["mine paused"]);
    }
    one.set_config(other().observe_only().config().unwrap());
    one.check(1).unwrap();
    assert_eq!(heard.take(), ["mine"]);
    one.set_quota(Quota::per_second(1)).unwrap();
    one.check(1).unwrap();
    assert_eq!(heard.take(), ["mine"]);
}

#[tokio::test(start_paused = true)]
async fn name_and_listener_stay_for_each_key() {
    let heard = Heard::default();
    let base = limiter(1, 1).reject().name("mine").listen(heard.listener()).build().unwrap();
    let each = base.clone();
    let limits = Keyed::new(KeyedLimits::default(), move |_: &&'static str| each.fresh());
    RateLimiter::check_key(&limits, &"early", 1).unwrap();
    base.set_config(other().config().unwrap());
    RateLimiter::check_key(&limits, &"late", 1).unwrap();
    for key in ["early", "late"] {
        let rejection = RateLimiter::check_key(&limits, &key, 1).unwrap_err();
        assert_eq!((rejection.layer(), rejection.key()), ("mine", Some(key)));
        assert_eq!(heard.take(), ["mine"]);
    }
}

/// The promise is one for all policies that can be configured anew.
#[tokio::test(start_paused = true)]
async fn every_policy_keeps_its_name_and_listener() {
    let heard = Heard::default();
    let rate = limiter(1, 1).reject().name("mine").listen(heard.listener()).build().unwrap();
    rate.set_config(other().config().unwrap());
    let breaker = CircuitBreaker::builder().name("mine").listen(heard.listener()).build().unwrap();
    breaker.set_config(CircuitBreaker::builder().name("other").config().unwrap());
    breaker.force_open();
    let bulkhead = Bulkhead::builder().name("mine").listen(heard.listener()).build().unwrap();
    bulkhead.set_config(Bulkhead::builder().name("other").max_concurrent(1).config().unwrap());
    let permit = bulkhead.try_acquire(1).unwrap();
    rate.check(1).unwrap();
    let rejections: [(&str, Rejection); 3] = [
        ("rate", rate.check(1).unwrap_err()),
        ("breaker", breaker.try_admit().unwrap_err()),
        ("bulkhead", bulkhead.try_acquire(1).unwrap_err()),
    ];
    for (policy, rejection) in rejections {
        assert_eq!(rejection.layer(), "mine", "{policy}");
    }
    assert_eq!(heard.take(), ["mine"; 3]);
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn pauses_places_and_numbers_stay() {
    let one = limiter(1, 1).wait().build().unwrap();
    one.check(1).unwrap();
    let waits = tokio::spawn({
        let one = one.clone();
        async move {
            one.acquire(1).await.unwrap();
            clock::now()
        }
    });
    tokio::task::yield_now().await;
    one.pause_for(ms(5_000));
    let before = one.snapshot();
    assert_eq!((before.queued, before.paused_for), (1, Some(ms(5_000))));
    // Those who come now are rejected at once; the one that waits is not.
    one.set_config(limiter(1, 1).reject().config().unwrap());
    assert_eq!(one.snapshot(), before);
    one.try_acquire(1).unwrap_err();
    let start = clock::now();
    assert_eq!(waits.await.unwrap() - start, ms(5_000));
}

/// A refund compares marks of the bucket, which only another quota makes incomparable.
#[tokio::test(start_paused = true)]
async fn tokens_taken_before_can_be_refunded() {
    let one = limiter(10, 10).reject().build().unwrap();
    let permit = one.try_acquire(4).unwrap();
    one.set_config(limiter(10, 10).wait().config().unwrap());
    permit.refund();
    assert_eq!(one.snapshot().available, 10);
    let permit = one.try_acquire(4).unwrap();
    one.set_config(limiter(10, 9).config().unwrap());
    permit.refund();
    assert_eq!(one.snapshot().available, 5, "another quota, as documented");
}

#[tokio::test(start_paused = true)]
async fn to_wait_for_no_time_is_to_be_rejected_at_once() {
    let limiter = limiter(1, 1).wait_at_most(Duration::ZERO).build().unwrap();
    limiter.check(1).unwrap();
    limiter.acquire(1).await.unwrap_err();
    assert_eq!(limiter.snapshot().queued, 0);
    let rejecting = crate::limiter(1, 1).reject().build().unwrap();
    rejecting.check(1).unwrap();
    let [zero, reject] = [&limiter, &rejecting].map(|it| it.check(1).unwrap_err());
    assert_eq!(zero, reject);
}
