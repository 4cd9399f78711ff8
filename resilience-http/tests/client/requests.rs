//! Requests that are built and sent with `ResilientClient`.

use std::sync::OnceLock;
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Client, Request, retry};
use resilience_core::health::{CheckState, Health};
use resilience_core::keyed::KeyedLimits;
use resilience_core::observe::{Gauges, names};
use resilience_core::profiles::{Profile, Profiles};
use resilience_core::retry::{Backoff, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::{CarriesRejection, Classify, Error, Outcome, RejectionKind};
use resilience_http::classify::{HttpClassifier, TransportError, TransportFailure};
use resilience_http::client::{
    BuildError, CloneCall, RecordedRequest, RequestBuilder, RequestWithIdempotency,
    ReqwestTransport, ResilientClient, ResponseHead,
};
use resilience_http::idempotency::{Idempotency, IdempotencyKey};
use resilience_http::propagate::InjectContextLayer;
use tower::{Layer, ServiceExt};

use crate::profile;
use crate::server::{Reply, serve, status};

const ONE_FAILURE: &str = r#"
deadline = "5s"
retry = { max_attempts = 2, backoff = { base = "1ms", cap = "1ms" }, without_budget = true }
circuit_breaker = { consecutive_failures = 1, break_for = "1m" }
"#;

const RETRIES: &str = r#"
deadline = "5s"
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "1ms" }, without_budget = true }
"#;

type Verb = fn(&ResilientClient, &str) -> RequestBuilder;

const VERBS: [(&str, Verb); 7] = [
    ("GET", |client, url| client.get(url)),
    ("HEAD", |client, url| client.head(url)),
    ("POST", |client, url| client.post(url)),
    ("PUT", |client, url| client.put(url)),
    ("PATCH", |client, url| client.patch(url)),
    ("DELETE", |client, url| client.delete(url)),
    ("REPORT", |client, url| client.request(Method::from_bytes(b"REPORT").unwrap(), url)),
];

/// Uses an open circuit, the policy that is easiest to observe: no request reaches the server.
#[tokio::test]
async fn every_method_is_under_every_policy() {
    for (method, verb) in VERBS {
        let (address, seen) = serve(|_, _| status(500)).await;
        let (url, client) =
            (format!("http://{address}/"), ResilientClient::new(&profile(ONE_FAILURE)).unwrap());
        let send = || verb(&client, &url).json(&["a"]).send();
        match send().await {
            Ok(response) => assert_eq!(response.status(), 500, "{method}"),
            Err(error) => {
                let kind = error.rejection().unwrap().kind();
                assert_eq!(kind, RejectionKind::CircuitOpen, "{method}: at the retry");
            }
        }
        let rejected = send().await.unwrap_err();
        assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::CircuitOpen, "{method}");
        let rejected = verb(&client, &url).await.unwrap_err();
        assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::CircuitOpen, "{method}");
        assert_eq!(seen.requests(), 1, "{method}");
    }
}

#[tokio::test]
async fn a_request_is_retried_as_its_method_allows() {
    for (method, verb) in VERBS {
        let (address, seen) = serve(|_, _| status(503)).await;
        let client = ResilientClient::new(&profile(RETRIES)).unwrap();
        let url = format!("http://{address}/");
        verb(&client, &url).send().await.unwrap();
        let once = matches!(method, "POST" | "PATCH" | "REPORT");
        assert_eq!(seen.requests(), if once { 1 } else { 3 }, "{method}");
        // The declared value overrides every method.
        verb(&client, &url).idempotency(Idempotency::NotIdempotent).send().await.unwrap();
        assert_eq!(seen.requests(), if once { 2 } else { 4 }, "{method}");
        let key = Idempotency::Keyed(IdempotencyKey::from_bits(7));
        client.send(verb(&client, &url).idempotency(key)).await.unwrap();
        assert_eq!(seen.requests(), if once { 5 } else { 7 }, "{method}");
    }
}

#[tokio::test]
async fn a_request_is_sent_as_built() {
    let (address, _) = serve(|_, head| {
        let head = head.to_lowercase();
        let all = ["post /bets http", "content-type: application/json", "x-one: 1", "x-two: 2"]
            .into_iter()
            .chain(["authorization: bearer t", "idempotency-key: \"0000000000000000000000000000"])
            .all(|it| head.contains(it));
        status(if all { 200 } else { 400 })
    })
    .await;
    let client = ResilientClient::new(&profile(RETRIES)).unwrap();
    let headers = http::HeaderMap::from_iter([("x-two".parse().unwrap(), "2".parse().unwrap())]);
    let request = client
        .post(format!("http://{address}/bets"))
        .header("x-one", 1)
        .headers(headers)
        .bearer_auth("t")
        .timeout(Duration::from_secs(4))
        .idempotency(Idempotency::Keyed(IdempotencyKey::from_bits(7)))
        .json(&[2.35]);
    let response = request.map(|it| it.version(http::Version::HTTP_11)).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn an_invalid_request_is_an_error_of_the_call() {
    let client = ResilientClient::new(&profile(RETRIES)).unwrap();
    let failure = |error: Error<TransportError>| error.into_service().unwrap().failure();
    for request in [
        client.post("no scheme"),
        client.post("http://a.example/").header("no name", "x"),
        client.post("http://a.example/").header("x", "\n"),
        client.post("http://a.example/").json(&std::collections::HashMap::from([((1, 2), 3)])),
    ] {
        assert_eq!(failure(request.send().await.unwrap_err()), TransportFailure::Builder);
    }
}

const QUOTA: &str = "deadline = \"5s\"\nrate_limit = { per_minute = 2, burst = 2 }";

#[tokio::test]
async fn clients_of_one_profile_share_the_state_of_an_authority() {
    let (address, seen) = serve(|_, _| status(200)).await;
    let url = format!("http://{address}/");
    let profile = profile(QUOTA);
    let new = |profile: &Profile| ResilientClient::new(profile).unwrap();
    let one = new(&profile);
    let two = new(&profile);
    one.get(&url).await.unwrap();
    two.get(&url).await.unwrap();
    for client in [&one, &two, &new(&profile)] {
        let rejected = client.get(&url).await.unwrap_err();
        assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::RateLimited);
    }
    assert_eq!(seen.requests(), 2);
    // Fresh profiles do not share a state, with the first or with each other.
    for _ in 0..2 {
        new(&profile.fresh()).get(&url).await.unwrap();
    }
    assert_eq!(seen.requests(), 4);
}

/// Each call has its own client, which is dropped before the next.
#[tokio::test]
async fn a_state_outlives_its_clients() {
    let (address, seen) = serve(|_, _| status(200)).await;
    let profile = profile(QUOTA);
    let mut passed = 0;
    for _ in 0..6 {
        let client = ResilientClient::new(&profile).unwrap();
        passed += usize::from(client.get(format!("http://{address}/")).await.is_ok());
    }
    assert_eq!((passed, seen.requests()), (2, 2));
}

#[test]
fn different_authority_limits_of_one_profile_are_a_named_error() {
    let profile = profile(QUOTA);
    let limits = |keys| KeyedLimits::new(keys, 1 << 20, Duration::from_secs(60)).unwrap();
    let build = |limits| ResilientClient::builder(&profile).authorities(limits).build();
    let _first = build(limits(10)).unwrap();
    let _same = build(limits(10)).unwrap();
    let BuildError::Config(error) = build(limits(11)).unwrap_err() else { panic!() };
    assert_eq!(error.field(), "authorities");
    let text = error.to_string();
    assert!(
        text.contains("11 keys") && text.contains("10 keys") && text.contains("`api`"),
        "{text}"
    );
    ResilientClient::builder(&profile.fresh()).authorities(limits(11)).build().unwrap();
}

/// The store in a profile must not keep the profile alive.
#[tokio::test]
async fn a_profile_whose_clients_are_gone_can_be_removed() {
    let profiles = Profiles::from_toml("[a]\ndeadline = \"5s\"\n[b]\ndeadline = \"5s\"").unwrap();
    let (address, _) = serve(|_, _| status(200)).await;
    let client = ResilientClient::new(&profiles.profile("a").unwrap()).unwrap();
    client.get(format!("http://{address}/")).await.unwrap().text().await.unwrap();
    profiles.reload("[b]\ndeadline = \"5s\"").unwrap_err();
    drop(client);
    profiles.reload("[b]\ndeadline = \"5s\"").unwrap();
}

#[tokio::test]
async fn a_client_checks_a_server_before_the_first_call() {
    let (address, _) = serve(|_, _| status(500)).await;
    let url = format!("http://{address}/path");
    let client = ResilientClient::new(&profile(ONE_FAILURE)).unwrap();
    let health = Health::builder().check(client.check(&url).unwrap()).build().unwrap();
    let state = async || health.ready().await.checks[0].state;
    assert_eq!(state().await, CheckState::Up);
    client.post(&url).send().await.unwrap();
    assert_eq!(state().await, CheckState::Down);
    client.profile_of(&url).unwrap().circuit_breaker().unwrap().force_closed();
    assert_eq!(state().await, CheckState::Up);
    assert!(client.check("no address").is_err() && client.check("data:,x").is_err());
}

#[tokio::test]
async fn a_client_has_gauges() {
    let (address, _) = serve(|number, _| if number == 0 { status(200) } else { Reply::Hang }).await;
    let client = ResilientClient::new(&profile(RETRIES)).unwrap();
    let gauge = |name| {
        let mut found = None;
        client.gauges(&mut |it, value| found = found.or((it == name).then_some(value)));
        found.unwrap()
    };
    assert_eq!((gauge(names::KEYED_KEYS), gauge(names::BULKHEAD_LIMIT)), (0.0, 1_024.0));
    let response = client.get(format!("http://{address}/")).await.unwrap();
    assert_eq!((gauge(names::KEYED_KEYS), gauge(names::BULKHEAD_IN_USE)), (1.0, 1.0));
    drop(response);
    assert_eq!(gauge(names::BULKHEAD_IN_USE), 0.0);
}

#[tokio::test]
async fn a_custom_classifier_is_used_by_all_policies() {
    let (address, seen) = serve(|_, _| status(404)).await;
    let url = format!("http://{address}/");
    let builder = ResilientClient::builder(&profile(RETRIES));
    let missing_may_come = |result: Result<&ResponseHead<'_>, &Error<TransportError>>| match result
    {
        Ok(head) if head.status() == 404 => Outcome::transient(),
        other => HttpClassifier::new().classify(other),
    };
    let client = builder.classifier(missing_may_come).build().unwrap();
    client.get(&url).await.unwrap();
    assert_eq!(seen.requests(), 3);
    client.post(&url).await.unwrap();
    assert_eq!(seen.requests(), 4, "a closure cannot exclude an effect");
    let client = ResilientClient::builder(&profile(RETRIES)).classifier(NotBegun).build().unwrap();
    client.post(&url).await.unwrap();
    assert_eq!(seen.requests(), 7);
}

/// Maps a 404 of a server that means "not begun" by it.
struct NotBegun;

impl Classify<ResponseHead<'_>, Error<TransportError>> for NotBegun {
    fn classify(&self, result: Result<&ResponseHead<'_>, &Error<TransportError>>) -> Outcome {
        if result.is_ok() { Outcome::transient() } else { HttpClassifier::new().classify(result) }
    }

    fn may_have_run(&self, result: Result<&ResponseHead<'_>, &Error<TransportError>>) -> bool {
        result.is_err() && HttpClassifier::new().may_have_run(result)
    }
}

/// The book's snippet: reqwest's client below a custom stack.
#[tokio::test]
async fn a_reqwest_client_under_a_stack() {
    let (address, seen) = serve(|_, _| status(503)).await;
    let client = Client::builder().retry(retry::never()).redirect(Policy::none()).no_proxy();
    let transport =
        ServiceExt::<Request>::map_err(ReqwestTransport::new(client.build().unwrap()), |error| {
            Error::Service(TransportError::new(error))
        });
    let transport = InjectContextLayer::new().layer(transport);
    let backoff = Backoff::constant(Duration::from_millis(1)).unwrap();
    let policy = RetryPolicy::builder().max_attempts(3).backoff(backoff).without_budget();
    let stack = Stack::builder()
        .deadline(Duration::from_secs(5))
        .retry(policy)
        .classifier(HttpClassifier::new())
        .replayed_by(CloneCall);
    let service =
        stack.build().unwrap().layer(ServiceExt::<Request>::map_request(transport, Request::from));
    let send = async |method: Method| {
        let request = Request::new(method, format!("http://{address}/").parse().unwrap());
        service
            .clone()
            .oneshot(RequestWithIdempotency::new(request))
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!((send(Method::POST).await, seen.requests()), (503, 1));
    assert_eq!((send(Method::GET).await, seen.requests()), (503, 4));
}

/// The target of the redirects, and the requests that reached either server.
static STRANGER: OnceLock<String> = OnceLock::new();
static HEADS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Redirects to the other host with the status in its path.
fn redirecting(_: usize, head: &str) -> Reply {
    HEADS.lock().push(head.to_lowercase());
    let next = STRANGER.get().unwrap();
    let status = head.split(['/', ' ']).find(|it| it.starts_with('3')).unwrap();
    Reply::Send(format!("HTTP/1.1 {status} To\r\nlocation: {next}\r\ncontent-length: 0\r\n\r\n"))
}

fn keyed(bits: u128) -> Idempotency {
    Idempotency::Keyed(IdempotencyKey::from_bits(bits))
}

/// For every redirect status, and for clients that do and do not follow it: the next host is a
/// stranger.
#[tokio::test]
async fn a_redirect_carries_neither_key_nor_deadline_to_another_host() {
    let (stranger, at_stranger) = serve(|_, head| {
        HEADS.lock().push(head.to_lowercase());
        status(200)
    })
    .await;
    STRANGER.set(format!("http://{stranger}/")).unwrap();
    let (address, _) = serve(redirecting).await;
    let builder = || ResilientClient::builder(&profile(RETRIES));
    let ready = || Client::builder().no_proxy();
    let follows = builder().client(ready().build().unwrap()).build().unwrap();
    let stays = ready().redirect(Policy::none()).build().unwrap();
    let stays = builder().client_without_redirects(stays).build().unwrap();
    let made = builder().reqwest(ready()).build().unwrap();
    let taken = || std::mem::take(&mut *HEADS.lock());
    for status in [301, 302, 303, 307, 308] {
        let url = format!("http://{address}/{status}");
        assert_eq!(follows.post(&url).await.unwrap().status(), 200);
        let heads = taken();
        assert_eq!(heads.len(), 2);
        assert!(heads.iter().all(|head| !head.contains("x-resilience")), "{heads:?}");

        for request in [
            follows.post(&url).idempotency(keyed(7)),
            follows.put(&url).header("idempotency-key", "\"k\""),
            follows.post(&url).header("Idempotency-Key", "not a structured field, and sent too"),
        ] {
            let rejected = request.send().await.unwrap_err().into_service().unwrap();
            assert_eq!(rejected.failure(), TransportFailure::Builder);
            assert!(rejected.get_ref().to_string().contains("Idempotency-Key"), "{rejected}");
            assert!(taken().is_empty(), "nothing was sent");
        }

        let before = at_stranger.requests();
        for client in [&stays, &made] {
            let response = client.post(&url).idempotency(keyed(7)).send().await.unwrap();
            assert_eq!(response.status(), status);
            let heads = taken();
            assert_eq!(heads.len(), 1);
            assert!(heads[0].contains("idempotency-key") && heads[0].contains("x-resilience"));
        }
        assert_eq!(at_stranger.requests(), before);
    }
    for (field, builder) in [
        ("propagate", builder().propagate(InjectContextLayer::new().without_trace())),
        ("trusted_hosts", builder().trusted_hosts(["a.example"])),
        ("generate_keys", builder().generate_keys()),
    ] {
        let built = builder.client(Client::new()).build();
        let BuildError::Config(error) = built.unwrap_err() else { panic!() };
        assert_eq!(error.field(), field);
    }
}

/// A failure may be that of the second request, also for a custom classifier.
#[tokio::test]
async fn over_a_client_that_follows_redirects_every_failure_may_have_run() {
    static NEXT: OnceLock<[String; 2]> = OnceLock::new();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (early, _) = serve(|_, _| status(425)).await;
    NEXT.set([dead, early].map(|it| format!("http://{it}/"))).unwrap();
    let (address, seen) = serve(|_, head| {
        // Both servers have processed the request.
        let [dead, early] = NEXT.get().unwrap();
        let next = if head.contains("/dead") { dead } else { early };
        Reply::Send(format!("HTTP/1.1 303 To\r\nlocation: {next}\r\ncontent-length: 0\r\n\r\n"))
    })
    .await;
    let builder = || {
        let client = Client::builder().no_proxy().build().unwrap();
        ResilientClient::builder(&profile(RETRIES)).client(client)
    };
    let own = builder().classifier(HttpClassifier::new());
    for client in [builder().build().unwrap(), own.build().unwrap()] {
        let before = seen.requests();
        let error = client.post(format!("http://{address}/dead")).await.unwrap_err();
        assert_eq!(error.into_service().unwrap().failure(), TransportFailure::Connect);
        assert_eq!(client.post(format!("http://{address}/early")).await.unwrap().status(), 425);
        assert_eq!(seen.requests(), before + 2);
    }
}

/// The check sends no request, so a dead server does not fail it.
#[tokio::test]
async fn a_dead_server_is_up_until_its_circuit_opens() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}/");
    let client = ResilientClient::new(&profile(ONE_FAILURE)).unwrap();
    let health = Health::builder().check(client.check(&url).unwrap()).build().unwrap();
    let state = async || health.ready().await.checks[0].state;
    assert_eq!(state().await, CheckState::Up);
    let other = client.check(format!("http://USER@{address}/other?path")).unwrap();
    client.get(&url).send().await.unwrap_err();
    assert_eq!(state().await, CheckState::Down);
    let other = Health::builder().check(other).build().unwrap();
    assert_eq!(other.ready().await.checks[0].state, CheckState::Down, "the same server");
}

/// Bodies of every kind.
#[tokio::test]
async fn a_body_in_memory_is_retried_and_a_stream_is_not() {
    static BODIES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let routes = axum::Router::new().fallback(async |body: String| {
        BODIES.lock().push(body);
        http::StatusCode::SERVICE_UNAVAILABLE
    });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = ResilientClient::new(&profile(RETRIES)).unwrap();
    let stream = || {
        let parts = ["a", "b"].map(Ok::<_, std::io::Error>);
        reqwest::Body::wrap_stream(futures_util::stream::iter(parts))
    };
    for (request, body, attempts) in [
        (client.put(&url).json(&["a"]), "[\"a\"]", 3),
        (client.put(&url).body("ab"), "ab", 3),
        (client.put(&url).body(vec![b'a'; 3]), "aaa", 3),
        (client.put(&url).body(stream()), "ab", 1),
        (client.post(&url).body("ab"), "ab", 1),
        (client.post(&url).body("ab").idempotency(keyed(7)), "ab", 3),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 503);
        assert_eq!(std::mem::take(&mut *BODIES.lock()), vec![body; attempts]);
    }
    let stream = client.put(&url).body(stream()).build().unwrap();
    client.execute(RecordedRequest::new(stream, 16)).await.unwrap();
    assert_eq!(*BODIES.lock(), ["ab"; 3]);
}
