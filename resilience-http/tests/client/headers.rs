//! The headers that a client adds to each attempt, and the hints in the responses.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Empty;
use parking_lot::Mutex;
use resilience_core::{CarriesRejection, Error, Outcome, RejectionKind, RetryHint, clock};
use resilience_http::classify::TransportError;
use resilience_http::client::{
    Authority, ResilientClient, ResilientLayer, ResilientLayerBuilder, ResilientService,
    ResponseHead,
};
use resilience_http::idempotency::{Idempotency, IdempotencyKey};
use resilience_http::propagate::{Context, InjectContextLayer, attempt, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;

use crate::profile;
use crate::server::{Reply, serve};

const TEXT: &str = r#"
deadline = "20s"
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "2ms" }, budget = { ratio = "100%", reserve = 10 } }
rate_limit = { per_second = 1000, burst = 1000 }
attempt_timeout = "2s"
"#;

type Body = Empty<bytes::Bytes>;
type Failed = Error<TransportError>;
type Heads = Arc<Mutex<Vec<HeaderMap>>>;
type Responses = fn(usize) -> (u16, &'static [(&'static str, &'static str)]);

/// Responds to the *n*-th request with `responses(n)`, and records the headers of the requests.
fn server(
    change: impl FnOnce(ResilientLayerBuilder) -> ResilientLayerBuilder,
    responses: Responses,
) -> (
    ResilientService<
        impl Service<Request<Body>, Response = Response<Body>, Error = std::io::Error, Future: Send>
        + Clone,
    >,
    Heads,
) {
    let layer = change(ResilientLayer::builder(&profile(TEXT))).build().unwrap();
    server_under(layer, responses)
}

fn server_under(
    layer: ResilientLayer,
    responses: Responses,
) -> (
    ResilientService<
        impl Service<Request<Body>, Response = Response<Body>, Error = std::io::Error, Future: Send>
        + Clone,
    >,
    Heads,
) {
    let heads = Heads::default();
    let seen = heads.clone();
    let service = service_fn(move |request: Request<Body>| {
        let mut seen = seen.lock();
        let (status, headers) = responses(seen.len());
        seen.push(request.headers().clone());
        async move {
            let mut response = Response::new(Body::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let pairs = headers
                .iter()
                .map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            response.headers_mut().extend(pairs.collect::<HeaderMap>());
            Ok(response)
        }
    });
    (layer.layer(service), heads)
}

fn get() -> Request<Body> {
    Request::get("http://a.example/").body(Body::new()).unwrap()
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Returns the context of a request from another service.
fn context() -> Context {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", PARENT.parse().unwrap());
    headers.insert("baggage", "user=7".parse().unwrap());
    Context::read(&headers)
}

#[tokio::test(start_paused = true)]
async fn each_attempt_carries_its_time_left_and_number() {
    let (service, heads) = server(|it| it, |_| (503, &[]));
    context().scope(service.oneshot(get())).await.unwrap();
    let heads = heads.lock();
    assert_eq!(heads.iter().map(attempt::previous).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(!heads[0].contains_key(attempt::ATTEMPT));
    for head in &*heads {
        // The attempt timeout, which is before the deadline.
        assert_eq!(timeout::parse(head), Some(Duration::from_secs(2)));
        assert!(!head.contains_key("traceparent") && !head.contains_key("baggage"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shorter_deadline_is_sent_instead_of_the_attempt_timeout() {
    let (service, heads) = server(|it| it, |_| (200, &[]));
    let soon =
        resilience_core::Deadline::after(resilience_core::clock::now(), Duration::from_secs(1));
    resilience_core::timeout::within(soon, service.oneshot(get())).await.unwrap().unwrap();
    assert_eq!(timeout::parse(&heads.lock()[0]), Some(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn trace_headers_are_sent_only_if_enabled() {
    let (service, heads) = server(|it| it.propagate(InjectContextLayer::new()), |_| (503, &[]));
    context().scope(service.oneshot(get())).await.unwrap();
    let last = heads.lock()[2].clone();
    assert_eq!(
        (&last["traceparent"], &last["baggage"]),
        (&PARENT.parse().unwrap(), &"user=7".parse().unwrap())
    );

    let (service, heads) = server(ResilientLayerBuilder::without_propagation, |_| (503, &[]));
    context().scope(service.oneshot(get())).await.unwrap();
    assert_eq!(*heads.lock(), [HeaderMap::new(), HeaderMap::new(), HeaderMap::new()]);
}

/// Declared servers receive all headers, all others none.
#[tokio::test(start_paused = true)]
async fn only_trusted_hosts_receive_headers() {
    let ours = |it: ResilientLayerBuilder| {
        it.trusted_hosts(["*.internal.example"]).trusted_hosts(["a.example:81"])
    };
    let to = |host: &str| Request::get(format!("http://{host}/")).body(Body::new()).unwrap();
    for (host, is_ours) in [
        ("a.internal.example", true),
        ("A.B.Internal.Example.:8443", true),
        ("a.example:81", true),
        ("a.example", false),
        ("internal.example", false),
        ("xinternal.example", false),
        ("a.internal.example.evil", false),
        ("127.0.0.1", false),
    ] {
        let (service, heads) = server(ours, |_| (503, &[]));
        context().scope(service.oneshot(to(host))).await.unwrap();
        let heads = heads.lock();
        assert_eq!(heads.len(), 3, "{host}");
        for (number, head) in heads.iter().enumerate() {
            let names = ["x-resilience-timeout-ms", "traceparent", "baggage"];
            let all = names.into_iter().all(|name| head.contains_key(name));
            assert!(if is_ours { all } else { head.is_empty() }, "{host} {head:?}");
            let previous = u32::try_from(if is_ours { number } else { 0 }).unwrap();
            assert_eq!(attempt::previous(head), previous, "{host}");
        }
    }
    // `propagate` applies to the trusted hosts; an empty list trusts none.
    let alone = InjectContextLayer::new().without_trace();
    let (service, heads) = server(|it| ours(it).propagate(alone), |_| (200, &[]));
    for host in ["a.internal.example", "a.example"] {
        context().scope(service.clone().oneshot(to(host))).await.unwrap();
    }
    let names = |head: &HeaderMap| head.keys().map(ToString::to_string).collect::<Vec<_>>();
    let names: Vec<_> = heads.lock().iter().map(names).collect();
    assert_eq!(names, [vec![timeout::TIMEOUT.to_string()], vec![]]);
    let (service, heads) = server(|it| it.trusted_hosts([""; 0]), |_| (200, &[]));
    context().scope(service.oneshot(get())).await.unwrap();
    assert_eq!(*heads.lock(), [HeaderMap::new()]);
}

/// The book's way to follow redirects: each step is a call of its own.
#[tokio::test(start_paused = true)]
async fn a_redirect_that_is_followed_above_carries_neither_key_nor_deadline() {
    const STRANGER: &[(&str, &str)] = &[("location", "http://stranger.example/")];
    let redirects: [Responses; 5] = [
        |number| if number == 0 { (301, STRANGER) } else { (200, &[]) },
        |number| if number == 0 { (302, STRANGER) } else { (200, &[]) },
        |number| if number == 0 { (303, STRANGER) } else { (200, &[]) },
        |number| if number == 0 { (307, STRANGER) } else { (200, &[]) },
        |number| if number == 0 { (308, STRANGER) } else { (200, &[]) },
    ];
    for responses in redirects {
        let (service, heads) = server(|it| it.trusted_hosts(["a.example"]), responses);
        let mut post = Request::post("http://a.example/").body(Body::new()).unwrap();
        post.extensions_mut().insert(Idempotency::Keyed(IdempotencyKey::from_bits(7)));
        let follows = FollowRedirectLayer::new().layer(service);
        assert_eq!(context().scope(follows.oneshot(post)).await.unwrap().status(), 200);
        let heads = heads.lock();
        let [here, there] = &heads[..] else { panic!("{heads:?}") };
        assert!(here.contains_key("idempotency-key") && here.contains_key(timeout::TIMEOUT));
        assert_eq!(there, &HeaderMap::new());
    }
}

#[tokio::test]
async fn headers_are_sent_over_reqwest() {
    static HEADS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let (address, _) = serve(|number, head| {
        HEADS.lock().push(head.to_owned());
        crate::server::status(if number == 0 { 503 } else { 200 })
    })
    .await;
    let client = ResilientClient::new(&profile(TEXT)).unwrap();
    client.get(format!("http://{address}/")).await.unwrap();
    let silent = ResilientClient::builder(&profile(TEXT)).without_propagation().build().unwrap();
    silent.get(format!("http://{address}/")).await.unwrap();
    let heads = HEADS.lock();
    assert!(heads[0].contains("x-resilience-timeout-ms: ") && !heads[0].contains("-attempt"));
    assert!(heads[1].contains("x-resilience-attempt: 1"), "{}", heads[1]);
    assert!(!heads[2].contains("x-resilience"), "{}", heads[2]);
}

#[tokio::test(start_paused = true)]
async fn never_stops_the_retry_and_is_passed_on() {
    const NEVER: &[(&str, &str)] = &[("x-resilience-retry", "never")];
    // A retry ignores the outcome of the last one, and `never` is passed on all the same.
    for responses in [(|_| (503, NEVER)) as Responses, |_| (429, NEVER), |_| (404, NEVER)] {
        let (service, heads) = server(|it| it, responses);
        let context = context();
        context.clone().scope(service.oneshot(get())).await.unwrap();
        assert_eq!(heads.lock().len(), 1);
        assert!(context.retries().gave_up());
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_has_its_own_headers_and_pushback() {
    let grpc = || {
        let request = Request::put("http://a.example/").header("content-type", "application/grpc");
        request.body(Body::new()).unwrap()
    };
    let later: Responses = |number| match number {
        0 => (
            200,
            &[
                ("content-type", "application/grpc"),
                ("grpc-status", "14"),
                ("grpc-retry-pushback-ms", "3000"),
            ],
        ),
        _ => (
            200,
            &[
                ("content-type", "application/grpc"),
                ("grpc-status", "14"),
                ("grpc-retry-pushback-ms", "-1"),
            ],
        ),
    };
    let (service, heads) = server(|it| it.propagate(InjectContextLayer::new()), later);
    let began = clock::now();
    service.oneshot(grpc()).await.unwrap();
    assert!(clock::now().saturating_duration_since(began) >= Duration::from_secs(3));
    let heads = heads.lock();
    assert_eq!(heads.len(), 2);
    assert!(
        heads[0].contains_key(timeout::GRPC_TIMEOUT)
            && heads[1].contains_key(attempt::GRPC_ATTEMPT)
    );
}

#[tokio::test(start_paused = true)]
async fn a_success_with_an_exhausted_limit_pauses_the_authority() {
    const LAST: &[(&str, &str)] = &[("ratelimit", "\"burst\";r=0;t=60")];
    const LEFT: &[(&str, &str)] = &[("ratelimit", "\"burst\";r=1;t=60")];
    let responses: Responses =
        |number| (if number == 2 { 404 } else { 200 }, if number < 2 { LEFT } else { LAST });
    let (service, heads) = server(|it| it, responses);
    for _ in 0..3 {
        service.clone().oneshot(get()).await.unwrap();
    }
    let rejected = service.clone().oneshot(get()).await.unwrap_err();
    let rejected = rejected.rejection().unwrap();
    assert_eq!(rejected.kind(), RejectionKind::RateLimited);
    let RetryHint::After(after) = rejected.retry_hint() else { panic!("{rejected}") };
    assert!(after > Duration::from_secs(59) && after <= Duration::from_secs(60), "{after:?}");
    // Of no other authority.
    let other = Request::get("http://b.example/").body(Body::new()).unwrap();
    service.clone().oneshot(other).await.unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    service.oneshot(get()).await.unwrap();
    assert_eq!(heads.lock().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn every_family_of_limit_fields_pauses_the_authority() {
    let families: [Responses; 4] = [
        |_| (200, &[("ratelimit", "\"a\";r=0;t=9")]),
        |_| (200, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "9")]),
        |_| (200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")]),
        |_| (200, &[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "9")]),
    ];
    for (number, responses) in families.into_iter().enumerate() {
        let (service, _) = server(|it| it, responses);
        service.clone().oneshot(get()).await.unwrap();
        let rejected = service.oneshot(get()).await.unwrap_err();
        let rejected = rejected.rejection().unwrap().retry_hint();
        assert_eq!(rejected, RetryHint::After(Duration::from_secs(9)), "{number}");
    }
}

/// The wait is not added up: the limiter pauses itself, and the retry waits for the limiter.
#[tokio::test(start_paused = true)]
async fn the_retry_waits_for_a_paused_limiter() {
    let responses: Responses = |number| match number {
        0 => (429, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")]),
        _ => (200, &[]),
    };
    let (service, heads) = server(|it| it, responses);
    let began = clock::now();
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
    assert!(
        clock::now().saturating_duration_since(began) >= Duration::from_secs(5)
            && heads.lock().len() == 2
    );
}

/// The table of `hints`: the wait of the retry, and the pause of the limiter.
#[tokio::test(start_paused = true)]
async fn the_effect_of_retry_after_depends_on_the_status() {
    const LATER: &[(&str, &str)] = &[("retry-after", "7")];
    let seven = Some(Duration::from_secs(7));
    macro_rules! responses {
        ($($status:literal)+) => {[$((
            $status,
            (|number| if number == 0 { ($status, LATER) } else { (200, &[] as &[_]) }) as Responses,
        )),+]};
    }
    for (status, responses) in responses!(
        200 204 301 304 307 308 400 403 404 408 409 410 413 418 421 425 429 451 500 501 502 503 504 507 511 520
        529 530 599 600 799 999
    ) {
        let (service, heads) = server(|it| it, responses);
        let began = clock::now();
        service.clone().oneshot(get()).await.unwrap();
        let waited = clock::now().saturating_duration_since(began);
        // 600 and above are unknown, and retried without a hint.
        let again =
            matches!(status, 403 | 408 | 413 | 425 | 429 | 500 | 502..=504 | 507 | 520..600);
        let attempts = if again || status >= 600 { 2 } else { 1 };
        assert_eq!(heads.lock().len(), attempts, "{status}");
        let floor = if again { 7 } else { 0 };
        assert!(waited >= Duration::from_secs(floor), "{status}: {waited:?}");
        assert!(waited < Duration::from_secs(floor + 1), "{status}: {waited:?}");

        // A request that is sent once shows the pause of the limiter.
        let (service, _) = server(|it| it, responses);
        let post = Request::post("http://a.example/").body(Body::new()).unwrap();
        service.clone().oneshot(post).await.unwrap();
        let authority = Authority::new("http", "a.example", None).unwrap();
        let limiter = service.layer().profile(&authority).unwrap().rate_limit().unwrap();
        let pauses = matches!(status, 403 | 429 | 503);
        assert_eq!(limiter.snapshot().paused_for, seven.filter(|_| pauses), "{status}");
    }
}

/// `never` is for this call, the hint for all calls.
#[tokio::test(start_paused = true)]
async fn a_final_response_pauses_the_limiter() {
    const BOTH: &[(&str, &str)] = &[("retry-after", "7"), ("x-resilience-retry", "never")];
    for responses in [(|_| (403, BOTH)) as Responses, |_| (429, BOTH), |_| (503, BOTH)] {
        let (service, heads) = server(|it| it, responses);
        service.clone().oneshot(get()).await.unwrap();
        assert_eq!(heads.lock().len(), 1);
        let rejected = service.oneshot(get()).await.unwrap_err();
        let hint = rejected.rejection().unwrap().retry_hint();
        assert_eq!(hint, RetryHint::After(Duration::from_secs(7)));
    }
}

/// Also if `Retry-After` is invalid, like Shopify's, and whatever a custom classifier returns.
#[tokio::test(start_paused = true)]
async fn a_hint_pauses_the_limiter_for_every_classifier() {
    const FRACTION: &[(&str, &str)] =
        &[("retry-after", "2.0"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "7")];
    const LATER: &[(&str, &str)] = &[("retry-after", "7")];
    macro_rules! responses {
        ($headers:ident: $($status:literal)+) => {
            [$(($status, (|_| ($status, $headers)) as Responses)),+]
        };
    }
    let paused = async |layer: ResilientLayer, responses| {
        let (service, _) = server_under(layer, responses);
        let post = Request::post("http://a.example/").body(Body::new()).unwrap();
        service.clone().oneshot(post).await.unwrap();
        let authority = Authority::new("http", "a.example", None).unwrap();
        let limiter = service.layer().profile(&authority).unwrap().rate_limit().unwrap();
        limiter.snapshot().paused_for
    };
    let seven = Some(Duration::from_secs(7));
    for (status, responses) in responses!(FRACTION: 200 301 403 404 413 429 451 500 503 599 600 799)
    {
        let layer = ResilientLayer::new(&profile(TEXT)).unwrap();
        assert_eq!(paused(layer, responses).await, seven, "{status}");
    }
    for (status, responses) in responses!(LATER: 403 429 503) {
        for outcome in [Outcome::Permanent, Outcome::Success, Outcome::transient()] {
            let layer = ResilientLayer::builder(&profile(TEXT));
            let layer = layer.classifier(move |_: Result<&ResponseHead<'_>, &Failed>| outcome);
            let paused = paused(layer.build().unwrap(), responses).await;
            assert_eq!(paused, seven, "{status} {outcome:?}");
        }
    }
}

/// Hints are input from a stranger, bounded by the profile.
#[tokio::test(start_paused = true)]
async fn the_longest_pause_is_set_by_the_profile() {
    const LONG: &[(&str, &str)] = &[("retry-after", "9999")];
    const SPENT: &[(&str, &str)] = &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9999")];
    for responses in
        [(|_| (200, SPENT)) as Responses, |_| (403, LONG), |_| (429, LONG), |_| (503, LONG)]
    {
        for (longest, seconds) in [("", 300), (", longest_hint = \"10s\"", 10)] {
            let text = format!("deadline = \"20s\"\nrate_limit = {{ per_second = 9 {longest} }}");
            let layer = ResilientLayer::new(&profile(&text)).unwrap();
            let (service, _) = server_under(layer.clone(), responses);
            service.oneshot(get()).await.unwrap();
            let authority = Authority::new("http", "a.example", None).unwrap();
            let limiter = layer.profile(&authority).unwrap().rate_limit().unwrap();
            assert_eq!(limiter.snapshot().paused_for, Some(Duration::from_secs(seconds)));
        }
    }
}

/// Hints are input from a stranger.
#[tokio::test]
async fn no_hint_pauses_longer_than_the_bound() {
    let (address, _) = serve(|_, _| {
        Reply::Send(
            "HTTP/1.1 200 OK\r\nratelimit: \"x\";r=0;t=99999999\r\ncontent-length: 0\r\n\r\n"
                .into(),
        )
    })
    .await;
    let client = ResilientClient::new(&profile(TEXT)).unwrap();
    client.get(format!("http://{address}/")).await.unwrap();
    let rejected = client.get(format!("http://{address}/")).await.unwrap_err();
    let RetryHint::After(after) = rejected.rejection().unwrap().retry_hint() else { panic!() };
    assert!(after <= Duration::from_secs(300), "{after:?}");
}
