//! What callers are told of their rates, and read.

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

/// The status and the fields of a response on the wire.
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

/// Answers of a server with this layer, one after the other.
async fn answers(
    protect: AdmissionControlBuilder,
    quota: Quota,
    many: usize,
) -> Vec<(u16, HeaderMap)> {
    let protect = protect.rate(quota).build().unwrap();
    let own = || async { ([("ratelimit", "\"upstream\";r=5")], "here") };
    let (address, _token) =
        serve(Server::default(), Router::new().route("/", get(own)).layer(protect)).await;
    let mut answers = Vec::new();
    for _ in 0..many {
        answers.push(read(&Client::connect(address).await.get("/", "").await));
    }
    answers
}

#[tokio::test]
async fn what_is_left_is_told_and_read() {
    let quota = Quota::per(3, Duration::from_secs(3_600)).unwrap();
    let told = answers(AdmissionControlLayer::builder().name("api"), quota, 4).await;
    let statuses: Vec<_> = told.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    for (_, headers) in &told {
        assert_eq!(policy(headers), (3, Some(Duration::from_secs(3_600))));
        assert_eq!(headers["ratelimit-policy"], "\"api.rate_limit\";q=3;w=3600");
    }
    // The most restrictive counts: with two left of ours that is ours, of the five of somebody else's.
    let left: Vec<_> = told.iter().map(|(_, headers)| hints(headers).remaining.unwrap()).collect();
    assert_eq!(left, [2, 1, 0, 0]);
    assert_eq!(told[0].1.get_all("ratelimit").iter().count(), 2, "what the handler says stays");
    // A good response says when a token is back at the latest, a rejection when it is.
    assert_eq!(hints(&told[2].1).pause(), Some(Duration::from_secs(1_200)));
    let RetryHint::After(after) = hints(&told[3].1).retry_hint() else { unreachable!() };
    assert!(after <= Duration::from_secs(1_200) && after > Duration::from_secs(1_000), "{after:?}");
    let reset = hints(&told[3].1).reset.unwrap();
    assert_eq!(
        Some(reset),
        hints(&told[3].1).retry_after,
        "the two fields of a rejection say the same"
    );
}

#[tokio::test]
async fn each_key_is_told_of_its_own() {
    let tenant = |request: &axum::extract::Request| {
        request
            .headers()
            .get("x-tenant")
            .cloned()
            .map_or_else(String::new, |name| format!("{name:?}"))
    };
    let protect = AdmissionControlLayer::builder().rate_per_key(
        Quota::per_minute(2),
        KeyedLimits::default(),
        tenant,
    );
    let router = Router::new().route("/", get(|| async {})).layer(protect.build().unwrap());
    let (address, _token) = serve(Server::default(), router).await;
    let ask = async |tenant: &str| {
        let head =
            Client::connect(address).await.get("/", &format!("x-tenant: {tenant}\r\n")).await;
        let (status, headers) = read(&head);
        assert!(!head.contains(tenant), "{head}");
        (status, hints(&headers).remaining.unwrap())
    };
    assert_eq!(ask("acme").await, (200, 1));
    assert_eq!(ask("acme").await, (200, 0));
    assert_eq!(ask("umbrella").await, (200, 1));
    assert_eq!(ask("acme").await, (429, 0));
}

/// A window in parts of a second cannot be told, and is not told wrongly.
#[tokio::test]
async fn what_has_no_form_is_left_out() {
    let quota = Quota::per(5, Duration::from_millis(1_500)).unwrap();
    let told = answers(AdmissionControlLayer::builder(), quota, 1).await;
    assert_eq!(policy(&told[0].1), (5, None));
    let told =
        answers(AdmissionControlLayer::builder().name("naïve"), Quota::per_minute(1).unwrap(), 2)
            .await;
    assert_eq!(told[1].0, 429);
    assert!(told[1].1.contains_key("retry-after"));
    assert!(told.iter().all(|(_, headers)| !headers.contains_key("ratelimit-policy")));
}

#[tokio::test]
async fn who_wants_to_keep_its_limits_to_itself_may() {
    let quiet = AdmissionControlLayer::builder().rejections(RejectionFormat::new().anonymous());
    for (_, headers) in &answers(quiet, Quota::per_minute(1).unwrap(), 2).await {
        let ours = headers
            .get_all("ratelimit")
            .iter()
            .filter(|value| *value != "\"upstream\";r=5")
            .count();
        assert_eq!((ours, headers.contains_key("ratelimit-policy")), (0, false));
    }
}

/// A request that found no place has its token back.
#[tokio::test]
async fn a_full_house_costs_no_tokens() {
    let protect =
        AdmissionControlLayer::builder().rate(Quota::per_minute(3)).concurrency(1).build().unwrap();
    let limiter = protect.get_ref().rate_limiter().unwrap().clone();
    let router = Router::new().route("/", get(|| async { crate::endless() })).layer(protect);
    let (address, _token) = serve(Server::default(), router).await;
    let mut slow = Client::connect(address).await;
    assert_eq!(read(&slow.get("/", "").await).0, 200);
    for _ in 0..10 {
        assert_eq!(crate::status(address, "/", "").await, 503);
    }
    assert_eq!(limiter.snapshot().available, 2);
}
