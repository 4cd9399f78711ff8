//! A response pauses the limiter of its caller.

use std::time::Duration;

use http::{Request, Response};
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::select::PerKey;
use resilience_http::hints::HintLayer;
use tower::{BoxError, Layer, ServiceExt, service_fn};

fn limiter() -> RateLimiter {
    RateLimiter::builder().quota(Quota::per_second(100)).build().unwrap()
}

async fn paused_by(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
) -> Option<Duration> {
    let limiter = limiter();
    let service = HintLayer::new(limiter.clone()).longest(Duration::from_secs(60)).layer(
        service_fn(move |_: Request<()>| async move {
            let response = Response::builder().status(status);
            let response = headers
                .iter()
                .fold(response, |response, (name, value)| response.header(*name, *value));
            Ok::<_, BoxError>(response.body(())?)
        }),
    );
    let _response = service.oneshot(Request::new(())).await.unwrap();
    limiter.snapshot().paused_for
}

#[tokio::test(start_paused = true)]
async fn a_success_with_an_exhausted_limit_pauses() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(paused_by(200, &[("ratelimit", "\"a\";r=0;t=30")]).await, seconds(30));
    assert_eq!(paused_by(200, &[("ratelimit", "\"a\";r=1;t=30")]).await, None);
    assert_eq!(paused_by(200, &[("ratelimit", "\"a\";r=0;t=3600")]).await, seconds(60), "limited");
    assert_eq!(paused_by(200, &[("retry-after", "30")]).await, None, "ignored");
    assert_eq!(paused_by(429, &[("retry-after", "30")]).await, seconds(30));
    assert_eq!(paused_by(503, &[("retry-after", "30")]).await, seconds(30));
    assert_eq!(paused_by(503, &[("retry-after", "0")]).await, None);
    assert_eq!(paused_by(403, &[("retry-after", "30")]).await, seconds(30));
    for status in [301, 404, 408, 413, 425, 500, 502] {
        assert_eq!(paused_by(status, &[("retry-after", "30")]).await, None, "{status}");
        assert_eq!(paused_by(status, &[("ratelimit", "\"a\";r=0;t=30")]).await, seconds(30));
    }
    assert_eq!(paused_by(403, &[("ratelimit", "\"a\";r=0;t=30")]).await, seconds(30));
    assert_eq!(paused_by(200, &[]).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_default_longest_pause_is_five_minutes() {
    let limiter = limiter();
    let service = HintLayer::new(limiter.clone()).layer(service_fn(|_: Request<()>| async {
        Ok::<_, BoxError>(Response::builder().header("ratelimit", "\"a\";r=0;t=3600").body(())?)
    }));
    let _response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(limiter.snapshot().paused_for, Some(Duration::from_secs(300)));
}

#[tokio::test(start_paused = true)]
async fn only_the_limiter_of_the_host_is_paused() {
    let first = limiter();
    let limiters = Keyed::new(KeyedLimits::default(), move |_: &String| first.fresh());
    let host = |request: &Request<()>| request.uri().host().unwrap_or("").to_owned();
    let service = HintLayer::select(PerKey::new(limiters.clone(), host)).layer(service_fn(
        |_: Request<()>| async {
            let response = Response::builder().header("x-ratelimit-remaining", "0");
            Ok::<_, BoxError>(response.header("x-ratelimit-reset", "9").body(())?)
        },
    ));
    let _response =
        service.oneshot(Request::get("http://a.example/").body(()).unwrap()).await.unwrap();
    let now = resilience_core::clock::now();
    assert!(limiters.get(&"a.example".to_owned(), now).check(1).is_err());
    assert!(limiters.get(&"b.example".to_owned(), now).check(1).is_ok());
}
