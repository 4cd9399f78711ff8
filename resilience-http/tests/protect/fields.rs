//! The `RateLimit` fields of responses, and how clients read them.

use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use http::{HeaderMap, HeaderName};
use resilience_core::RetryHint;
use resilience_core::keyed::KeyedLimits;
use resilience_core::rate::Quota;
use resilience_http::hints::{Hints, Policy};
use resilience_http::serve::Server;
use resilience_http::server::{AdmissionControlBuilder, AdmissionControlLayer, RejectionFormat};

use crate::{Client, serve};

/// Returns the status and the fields of a response on the wire.
fn read(head: &str) -> (u16, HeaderMap) {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let fields =
        fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
    (head[9..12].parse().unwrap(), fields.collect())
}

fn hints(headers: &HeaderMap) -> Hints {
    Hints::from_headers(headers, SystemTime::UNIX_EPOCH)
}

fn policy(headers: &HeaderMap) -> (u64, Option<Duration>) {
    let Policy { quota, window, .. } = hints(headers).policy.unwrap();
    (quota, window)
}

/// Returns consecutive responses of a server with this layer.
async fn responses_of(
    admission: AdmissionControlBuilder,
    quota: Quota,
    many: usize,
) -> Vec<(u16, HeaderMap)> {
    let admission = admission.rate(quota).build().unwrap();
    let own = || async { ([("ratelimit", "\"upstream\";r=5")], "here") };
    let (address, _token) =
        serve(Server::default(), Router::new().route("/", get(own)).layer(admission)).await;
    let mut responses = Vec::new();
    for _ in 0..many {
        responses.push(read(&Client::connect(address).await.get("/", "").await));
    }
    responses
}

#[tokio::test]
async fn the_remaining_tokens_are_written_and_read() {
    let quota = Quota::per(3, Duration::from_secs(3_600)).unwrap();
    let responses = responses_of(AdmissionControlLayer::builder().name("api"), quota, 4).await;
    let statuses: Vec<_> = responses.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    for (_, headers) in &responses {
        assert_eq!(policy(headers), (3, Some(Duration::from_secs(3_600))));
        assert_eq!(headers["ratelimit-policy"], "\"api.rate_limit\";q=3;w=3600");
    }
    // The most restrictive limit counts: two tokens left of this one, five of the handler's.
    let left: Vec<_> =
        responses.iter().map(|(_, headers)| hints(headers).remaining.unwrap()).collect();
    assert_eq!(left, [2, 1, 0, 0]);
    assert_eq!(
        responses[0].1.get_all("ratelimit").iter().count(),
        2,
        "what the handler says stays"
    );
    // The reset time of a success is an upper bound, the one of a rejection is exact.
    assert_eq!(hints(&responses[2].1).pause(), Some(Duration::from_secs(1_200)));
    let RetryHint::After(after) = hints(&responses[3].1).retry_hint() else { unreachable!() };
    assert!(after <= Duration::from_secs(1_200) && after > Duration::from_secs(1_000), "{after:?}");
    let reset = hints(&responses[3].1).reset.unwrap();
    assert_eq!(
        Some(reset),
        hints(&responses[3].1).retry_after,
        "the two fields of a rejection say the same"
    );
}

#[tokio::test]
async fn each_key_gets_the_fields_of_its_own_limit() {
    let tenant = |request: &axum::extract::Request| {
        request
            .headers()
            .get("x-tenant")
            .cloned()
            .map_or_else(String::new, |name| format!("{name:?}"))
    };
    let admission = AdmissionControlLayer::builder().rate_per_key(
        Quota::per_minute(2),
        KeyedLimits::default(),
        tenant,
    );
    let router = Router::new().route("/", get(|| async {})).layer(admission.build().unwrap());
    let (address, _token) = serve(Server::default(), router).await;
    let fetch = async |tenant: &str| {
        let head =
            Client::connect(address).await.get("/", &format!("x-tenant: {tenant}\r\n")).await;
        let (status, headers) = read(&head);
        assert!(!head.contains(tenant), "{head}");
        (status, hints(&headers).remaining.unwrap())
    };
    assert_eq!(fetch("acme").await, (200, 1));
    assert_eq!(fetch("acme").await, (200, 0));
    assert_eq!(fetch("umbrella").await, (200, 1));
    assert_eq!(fetch("acme").await, (429, 0));
}

/// A window that is not a whole number of seconds has no form in the field.
#[tokio::test]
async fn a_value_without_a_form_is_left_out() {
    let quota = Quota::per(5, Duration::from_millis(1_500)).unwrap();
    let responses = responses_of(AdmissionControlLayer::builder(), quota, 1).await;
    assert_eq!(policy(&responses[0].1), (5, None));
    let responses = responses_of(
        AdmissionControlLayer::builder().name("naïve"),
        Quota::per_minute(1).unwrap(),
        2,
    )
    .await;
    assert_eq!(responses[1].0, 429);
    assert!(responses[1].1.contains_key("retry-after"));
    assert!(responses.iter().all(|(_, headers)| !headers.contains_key("ratelimit-policy")));
}

#[tokio::test]
async fn anonymous_responses_have_no_fields() {
    let quiet = AdmissionControlLayer::builder().rejections(RejectionFormat::new().anonymous());
    for (_, headers) in &responses_of(quiet, Quota::per_minute(1).unwrap(), 2).await {
        let ours = headers
            .get_all("ratelimit")
            .iter()
            .filter(|value| *value != "\"upstream\";r=5")
            .count();
        assert_eq!((ours, headers.contains_key("ratelimit-policy")), (0, false));
    }
}

/// A request that the bulkhead rejects gets its token back.
#[tokio::test]
async fn a_full_bulkhead_costs_no_tokens() {
    let admission =
        AdmissionControlLayer::builder().rate(Quota::per_minute(3)).concurrency(1).build().unwrap();
    let limiter = admission.get_ref().rate_limiter().unwrap().clone();
    let router = Router::new().route("/", get(|| async { crate::endless() })).layer(admission);
    let (address, _token) = serve(Server::default(), router).await;
    let mut slow = Client::connect(address).await;
    assert_eq!(read(&slow.get("/", "").await).0, 200);
    for _ in 0..10 {
        assert_eq!(crate::status(address, "/", "").await, 503);
    }
    assert_eq!(limiter.snapshot().available, 2);
}
