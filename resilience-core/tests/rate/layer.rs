//! The Tower layer, on a paused clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::keyed::KeyedLimits;
use resilience_core::observe::Event;
use resilience_core::rate::{RateLimitLayer, RateLimiter};
use resilience_core::testing::{Reply, Script, ServiceProbe};
use resilience_core::{CarriesRejection, Outcome, Rejection, RejectionKind, clock};
use tower::{BoxError, Service, ServiceBuilder};

use crate::{limiter, ms};

fn echo() -> impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send {
    Script::new(|_, request: u64| Reply::ok(request))
}

/// Handles that are readied and dropped cost nothing, and nothing below is held in a wait.
#[tokio::test(start_paused = true)]
async fn nothing_is_reserved_by_readiness_nor_below_a_wait() {
    let limiter = limiter(1, 1).wait().build().unwrap();
    let (probe, log) = ServiceProbe::new(echo());
    let service = ServiceBuilder::new().layer(RateLimitLayer::new(limiter.clone())).service(probe);
    for _ in 0..10 {
        service.clone().ready::<u64>().await.unwrap();
    }
    assert_eq!(limiter.snapshot().available, 1);
    service.clone().oneshot(1).await.unwrap();
    let waiting = tokio::spawn(service.clone().oneshot(2));
    tokio::task::yield_now().await;
    assert_eq!((log.engaged(), log.calls(), limiter.snapshot().queued), (0, 1, 1));
    waiting.await.unwrap().unwrap();
    assert_eq!((log.calls(), log.called_unready()), (2, 0));
}

/// A circuit that is open below does not drain the bucket.
#[tokio::test(start_paused = true)]
async fn a_rejection_below_is_refunded() {
    for (kind, spent) in [
        (RejectionKind::CircuitOpen, 0),
        (RejectionKind::BulkheadFull, 0),
        (RejectionKind::RateLimited, 0),
        (RejectionKind::Shed, 0),
        (RejectionKind::ShuttingDown, 0),
        (RejectionKind::TimedOut, 5),
    ] {
        let limiter = limiter(7, 5).reject().build().unwrap();
        let script = Script::new(move |_, _: u64| {
            Reply::<u64, BoxError>::err(Rejection::new(kind, "below").into())
        });
        let service =
            ServiceBuilder::new().layer(RateLimitLayer::new(limiter.clone())).service(script);
        for _ in 0..5 {
            service.clone().oneshot(1).await.unwrap_err();
        }
        assert_eq!(limiter.snapshot().available, 5 - spent, "{kind:?}");
    }
}

/// One 429 pauses all calls, up to the longest hint, and is reported.
#[tokio::test(start_paused = true)]
async fn a_hint_pauses_every_caller() {
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let told = pauses.clone();
    let limiter = limiter(100, 100)
        .wait()
        .longest_hint(Duration::from_secs(60))
        .listen(move |event: &Event<'_>| {
            if let Event::RatePaused { pause, .. } = event {
                told.lock().push(*pause);
            }
        })
        .build()
        .unwrap();
    let layer =
        RateLimitLayer::new(limiter.clone()).classify(
            |result: Result<&u64, &BoxError>| match result {
                Ok(429) => Outcome::throttled(Duration::from_secs(2)),
                Ok(430) => Outcome::throttled(Duration::MAX),
                _ => Outcome::Success,
            },
        );
    let service = ServiceBuilder::new().layer(layer).service(echo());
    let start = clock::now();
    service.clone().oneshot(429).await.unwrap();
    assert_eq!(limiter.snapshot().paused_for, Some(Duration::from_secs(2)));
    let calls: Vec<_> = (0..20).map(|n| tokio::spawn(service.clone().oneshot(n))).collect();
    for call in calls {
        call.await.unwrap().unwrap();
        assert_eq!(clock::now() - start, Duration::from_secs(2));
    }
    service.clone().oneshot(430).await.unwrap();
    service.clone().oneshot(1).await.unwrap();
    assert_eq!(clock::now() - start, Duration::from_secs(62));
    assert_eq!(*pauses.lock(), [2, 60].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn a_limit_for_each_key() {
    let limiter = limiter(1, 1).reject().name("host").build().unwrap();
    let layer = RateLimitLayer::per_key(limiter, KeyedLimits::default(), |n: &u64| n % 2);
    let service = ServiceBuilder::new().layer(layer).service(echo());
    service.clone().oneshot(0).await.unwrap();
    service.clone().oneshot(1).await.unwrap();
    let error = service.clone().oneshot(3).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().key(), Some("1"));
}

/// The server has sent no hint.
#[tokio::test(start_paused = true)]
async fn a_rejection_of_a_layer_below_is_no_hint() {
    let limiter = limiter(100, 100).build().unwrap();
    let layer = RateLimitLayer::new(limiter.clone())
        .classify(|_: Result<&u64, &BoxError>| Outcome::throttled(Duration::from_secs(2)));
    let script = Script::new(|_, _: u64| {
        Reply::<u64, BoxError>::err(Rejection::new(RejectionKind::TimedOut, "below").into())
    });
    let service = ServiceBuilder::new().layer(layer).service(script);
    service.oneshot(1).await.unwrap_err();
    assert_eq!(limiter.snapshot().paused_for, None);
}

#[tokio::test(start_paused = true)]
async fn the_event_of_a_pause_names_the_key() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let limiter = limiter(100, 100).listen(move |event: &Event<'_>| {
        if let Event::RatePaused { key, .. } = event {
            heard.lock().push(key.map(str::to_owned));
        }
    });
    let limiter = limiter.build().unwrap();
    let layer = RateLimitLayer::per_key(limiter, KeyedLimits::default(), |n: &u64| n % 2)
        .classify(|_: Result<&u64, &BoxError>| Outcome::throttled(Duration::from_secs(2)));
    let service = ServiceBuilder::new().layer(layer).service(echo());
    service.clone().oneshot(3).await.unwrap();
    assert_eq!(*told.lock(), [Some("1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_gives_up_its_place() {
    let limiter = limiter(1, 1).wait().build().unwrap();
    let layer = RateLimitLayer::new(limiter.clone());
    let service = ServiceBuilder::new().layer(layer).service(echo());
    service.clone().oneshot(1).await.unwrap();
    let waits = tokio::spawn(service.clone().oneshot(2));
    tokio::task::yield_now().await;
    assert_eq!(limiter.snapshot().queued, 1);
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    assert_eq!(limiter.snapshot().queued, 0);
}

#[tokio::test(start_paused = true)]
async fn costs_are_read_off_requests() {
    let limiter = limiter(10, 10).reject().build().unwrap();
    let layer = RateLimitLayer::new(limiter.clone()).weigh(|n: &u64| u32::try_from(*n).unwrap());
    let service = ServiceBuilder::new().layer(layer).service(echo());
    service.clone().oneshot(7).await.unwrap();
    service.clone().oneshot(4).await.unwrap_err();
    assert_eq!(limiter.snapshot().available, 3);
    let never = service.clone().oneshot(11).await.unwrap_err();
    assert_eq!(never.rejection().unwrap().retry_after(), None);
}

/// Also one that has to wait. The closure is its user's, and may be dear.
#[tokio::test(start_paused = true)]
async fn a_call_is_weighed_once() {
    static WEIGHED: AtomicU32 = AtomicU32::new(0);
    let weigh = |n: &u64| {
        WEIGHED.fetch_add(1, Ordering::Relaxed);
        u32::try_from(*n).unwrap()
    };
    let limiter = limiter(10, 10).wait().build().unwrap();
    let layer = RateLimitLayer::new(limiter.clone()).weigh(weigh);
    let service = ServiceBuilder::new().layer(layer).service(echo());
    let start = clock::now();
    service.clone().oneshot(10).await.unwrap();
    assert_eq!(clock::now(), start);
    // Polled when it comes, when another has paused, and when it is its turn.
    let waits = tokio::spawn(service.clone().oneshot(5));
    tokio::task::yield_now().await;
    limiter.pause_for(ms(700));
    waits.await.unwrap().unwrap();
    assert_eq!(clock::now() - start, ms(700));
    assert_eq!(WEIGHED.load(Ordering::Relaxed), 2);
}

/// Polled k times and dropped, for every k: what was not sent is given back.
#[tokio::test(start_paused = true)]
async fn dropped_at_every_poll() {
    async fn dropped(polls: usize, limiter: &RateLimiter) -> bool {
        let script = Script::new(|_, n: u64| Reply::<_, BoxError>::ok(n).yielding(2));
        let (probe, log) = ServiceProbe::new(script);
        if polls.is_multiple_of(2) {
            log.close();
        }
        let mut service =
            ServiceBuilder::new().layer(RateLimitLayer::new(limiter.clone())).service(probe);
        let mut call = Box::pin(service.call(1));
        let mut ended = false;
        for poll in 0..polls {
            if poll == 2 {
                log.open();
            }
            ended = ended || tokio_test::task::spawn(call.as_mut()).poll().is_ready();
        }
        drop(call);
        assert_eq!((log.engaged(), log.in_flight()), (if ended { 0 } else { log.engaged() }, 0));
        assert_eq!(limiter.snapshot().available, 5 - u32::try_from(log.calls()).unwrap());
        ended
    }
    let mut polls = 0;
    while !dropped(polls, &limiter(10, 5).build().unwrap()).await {
        polls += 1;
        assert!(polls < 20);
    }
    assert!(polls >= 3);
}
