//! One client for many hosts.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, StreamBody};
use parking_lot::Mutex;
use resilience_core::breaker::CircuitState;
use resilience_core::keyed::KeyedLimits;
use resilience_core::observe::{Event, Gauges};
use resilience_core::profiles::Profiles;
use resilience_core::{CarriesRejection, Error, RejectionKind, clock};
use resilience_http::classify::{TransportError, TransportFailure};
use resilience_http::client::{Authority, ResilientClient, ResilientLayer, ResilientService};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::profile;
use crate::server::{Reply, serve, status};

const TEXT: &str = r#"
deadline = "1m"
retry = { max_attempts = 2, backoff = { base = "1ms", cap = "1ms" }, budget = { ratio = "10%", reserve = 10 } }
circuit_breaker = { consecutive_failures = 4, break_for = "1m" }
bulkhead = { max_concurrent = 10 }
"#;

type Request = http::Request<Empty<bytes::Bytes>>;
type Response = http::Response<Empty<bytes::Bytes>>;

fn to(host: &str) -> Request {
    http::Request::get(format!("http://{host}/")).body(Empty::new()).unwrap()
}

/// Hosts whose names begin with `down` refuse connections.
fn service(
    limits: KeyedLimits,
) -> ResilientService<
    impl Service<Request, Response = Response, Error = std::io::Error, Future: Send> + Clone,
> {
    let layer = ResilientLayer::builder(&profile(TEXT)).authorities(limits).build().unwrap();
    layer.layer(service_fn(async |request: Request| {
        let down = request.uri().host().is_some_and(|host| host.starts_with("down"));
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        if down { Err(refused) } else { Ok(http::Response::new(Empty::new())) }
    }))
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hosts_use_bounded_memory_and_do_not_affect_others() {
    let limits = KeyedLimits::new(1_000, 4 << 20, Duration::from_secs(600)).unwrap();
    let service = service(limits);
    for _ in 0..2 {
        service.clone().oneshot(to("down.example")).await.unwrap_err();
    }
    let authority = Authority::new("http", "down.example", None).unwrap();
    for host in 0..10_000 {
        service.clone().oneshot(to(&format!("host-{host}.example"))).await.unwrap();
    }
    let known = service.layer().authorities();
    assert!(known.keys <= 1_000 && known.bytes <= 4 << 20, "{known:?}");
    assert_eq!(known.overflowed, 0);
    // The circuit is open, and its entry is still in the store.
    let state = service.layer().snapshot(&authority).unwrap().circuit_breaker.unwrap().state;
    assert_eq!(state, CircuitState::Open);
    let rejected = service.clone().oneshot(to("DOWN.example:80")).await.unwrap_err();
    let rejected = rejected.rejection().unwrap();
    assert_eq!(rejected.kind(), RejectionKind::CircuitOpen);
    assert_eq!(rejected.key(), Some("http://down.example"));
    service.oneshot(to("host-1.example")).await.unwrap();
}

/// The handles of an authority show its calls; the template has none; the layer has the totals.
#[tokio::test(start_paused = true)]
async fn handles_and_gauges_show_the_calls() {
    let model = profile(TEXT);
    let layer = ResilientLayer::new(&model).unwrap();
    let gauges = || {
        let mut seen = BTreeMap::new();
        layer.gauges(&mut |name, value| {
            seen.insert(name, value);
        });
        (seen["resilience.keyed.keys"], seen["resilience.circuit.open"])
    };
    assert_eq!(gauges(), (0.0, 0.0));
    let service = layer.layer(service_fn(async |_: Request| {
        Err::<Response, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    }));
    let authority = Authority::new("http", "down.example", None).unwrap();
    service.clone().oneshot(to("down.example")).await.unwrap_err();
    let known = layer.profile(&authority).unwrap();
    let breaker = known.circuit_breaker().unwrap();
    let budget = known.budget().unwrap();
    assert_eq!((breaker.state(), gauges()), (CircuitState::Closed, (1.0, 0.0)));
    let left = budget.available(clock::now());
    for host in ["down.example", "other.example"] {
        service.clone().oneshot(to(host)).await.unwrap_err();
    }
    assert_eq!((breaker.state(), gauges()), (CircuitState::Open, (2.0, 1.0)));
    assert!(budget.available(clock::now()) < left);
    let paid = known.retry().unwrap().budget().unwrap().available(clock::now());
    assert_eq!(paid, budget.available(clock::now()));
    assert!(model.circuit_breaker().is_none() && model.bulkhead().is_none());
    assert!(model.retry().is_none() && model.budget().is_none());
    assert!(model.snapshot().circuit_breaker.is_none());
}

#[tokio::test(start_paused = true)]
async fn retries_to_a_server_that_is_down_use_its_own_budget() {
    let service = service(KeyedLimits::default());
    service.clone().oneshot(to("up.example")).await.unwrap();
    for _ in 0..2 {
        service.clone().oneshot(to("down.example")).await.unwrap_err();
    }
    let budget = |host| {
        let authority = Authority::new("http", host, None).unwrap();
        service.layer().snapshot(&authority).unwrap().budget.unwrap()
    };
    assert!(budget("down.example") < budget("up.example"));
}

#[tokio::test]
async fn an_address_without_a_host_is_a_named_error() {
    let client = ResilientClient::new(&profile(TEXT)).unwrap();
    let failure = |error: Error<TransportError>| error.into_service().unwrap().failure();
    for url in ["no scheme", "/relative", "http://"] {
        let error = client.get(url).await.unwrap_err();
        assert_eq!(failure(error), TransportFailure::Builder, "{url}");
    }
    for url in ["file:///etc/passwd", "data:text/plain,hello", "ftp://a.example/"] {
        let request = reqwest::Request::new(http::Method::GET, url.parse().unwrap());
        let error = client.execute(request).await.unwrap_err();
        assert_eq!(failure(error), TransportFailure::NoHost, "{url}");
    }
    assert_eq!(client.layer().authorities().keys, 0);
}

#[tokio::test]
async fn a_response_keeps_its_address_and_body() {
    let (address, _) = serve(|_, _| status(200)).await;
    let client = ResilientClient::new(&profile(TEXT)).unwrap();
    let url = format!("http://{address}/a?b=c");
    let response = client.get(&url).await.unwrap();
    assert_eq!((response.url().as_str(), response.content_length()), (url.as_str(), Some(2)));
    assert_eq!(response.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn hostile_heads_are_errors_and_not_panics() {
    let (address, _) = serve(|number, _| {
        let head = match number {
            0 => "HTTP/1.1 200 OK\r\nretry-after: \u{0}\r\n\r\n".to_owned(),
            1 => format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(1 << 20)),
            2 => "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(),
            3 => "not HTTP at all\r\n\r\n".to_owned(),
            _ => "HTTP/1.1 99999 No\r\n\r\n".to_owned(),
        };
        Reply::SendAndClose(head)
    })
    .await;
    let client = ResilientClient::new(&profile("deadline = \"5s\"")).unwrap();
    for _ in 0..5 {
        let error = client.get(format!("http://{address}/")).await.unwrap_err();
        let failure = error.into_service().unwrap().failure();
        assert!(failure.may_have_run(), "{failure}");
    }
}

/// Events after the end of the call have the authority, too.
#[tokio::test(start_paused = true)]
async fn events_have_the_authority_as_their_key() {
    const TEXT: &str = r#"
        [api]
        deadline = "5s"
        retry = { max_attempts = 2, backoff = { base = "1ms", cap = "1ms" }, without_budget = true }
        rate_limit = { per_second = 100 }
        circuit_breaker = { consecutive_failures = 1, break_for = "1m" }
    "#;
    let events = Arc::<Mutex<Vec<(&str, Option<String>)>>>::default();
    let sink = events.clone();
    let profiles = Profiles::builder()
        .listen(move |event: &Event<'_>| {
            sink.lock().push((event.name(), event.key().map(str::to_owned)));
        })
        .from_toml(TEXT)
        .unwrap();
    // The body breaks off, and the quota is used up.
    let service = service_fn(async |_: Request| {
        let broken = Err::<http_body::Frame<Bytes>, _>(io::Error::other("broken"));
        let body = StreamBody::new(futures_util::stream::iter([broken]));
        let quota = [("ratelimit-remaining", "0"), ("ratelimit-reset", "1")];
        let response =
            quota.into_iter().fold(http::Response::builder(), |response, (name, value)| {
                response.header(name, value)
            });
        Ok::<_, io::Error>(response.body(body).unwrap())
    });
    let service = ResilientLayer::new(&profiles.profile("api").unwrap()).unwrap().layer(service);
    let response = service.clone().oneshot(to("a.example")).await.unwrap();
    response.into_body().collect().await.unwrap_err();
    // The pause of the limiter is over; the break of the circuit is not.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let rejected = service.clone().oneshot(to("a.example")).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    let key = || Some("http://a.example".to_owned());
    let expected = ["rate_paused", "circuit_changed", "rejected", "retry_stopped"];
    assert_eq!(*events.lock(), expected.map(|name| (name, key())));
}
