//! Connections that a server closes while they are idle, and different spellings of an address.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use resilience_core::breaker::CircuitState;
use resilience_core::{CarriesRejection, Error, RejectionKind, clock};
use resilience_http::classify::{TransportError, TransportFailure};
use resilience_http::client::{
    Authority, BoundedConnector, ConnectionLimits, ResilientClient, ResilientLayer,
    ResilientService,
};
use tower::{Layer, ServiceExt};

use crate::profile;
use crate::server::{Reply, serve, status};

const PLAIN: &str = "deadline = \"20s\"";

fn limited(connections: u32) -> ResilientClient {
    let limits = ConnectionLimits::default().per_authority(connections);
    let limits = limits.wait_at_most(Duration::from_secs(20));
    let client = ResilientClient::builder(&profile(PLAIN)).connections(limits);
    client.reqwest(reqwest::Client::builder().no_proxy()).build().unwrap()
}

/// Closes each connection after its response without announcing it.
fn unannounced(_: usize, _: &str) -> Reply {
    Reply::SendAndClose("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into())
}

async fn read(client: &ResilientClient, url: &str) {
    assert_eq!(client.get(url).await.unwrap().text().await.unwrap(), "ok");
}

/// The client notices a closed connection only when it needs one. With a limit of one, each call
/// waits 25 ms, and not 198 ms as before the connections were counted.
#[tokio::test]
async fn closed_idle_connections_cost_little() {
    for limit in [1, 2, 8, 32] {
        let (address, seen) = serve(unannounced).await;
        let client = limited(limit);
        let url = format!("http://{address}/");
        let began = clock::now();
        for _ in 0..40 {
            read(&client, &url).await;
            // The server's FIN arrives before the next call.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = clock::now().saturating_duration_since(began);
        assert_eq!((seen.requests(), seen.peak() <= limit as usize + 1), (40, true), "{limit}");
        assert!(took < Duration::from_millis(40 * 50), "{limit}: {took:?}");
    }
}

/// After a burst, and a pause in which the server closed all of its connections.
#[tokio::test]
async fn closed_connections_of_a_burst_are_not_waited_for() {
    let (address, seen) = serve(status_of_all).await;
    let client = limited(32);
    let url = format!("http://{address}/");
    let burst: Vec<_> = (0..32).map(|_| client.get(&url).send()).collect();
    for response in futures_util::future::join_all(burst).await {
        assert_eq!(response.unwrap().text().await.unwrap(), "ok");
    }
    seen.close_all();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let began = clock::now();
        let pair = [client.get(&url).send(), client.get(&url).send()];
        for response in futures_util::future::join_all(pair).await {
            assert_eq!(response.unwrap().text().await.unwrap(), "ok");
        }
        slowest = slowest.max(clock::now().saturating_duration_since(began));
        seen.close_all();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // No wait: far below the 200 ms of an earlier version.
    assert!(slowest < Duration::from_millis(120), "{slowest:?}");
}

fn status_of_all(_: usize, _: &str) -> Reply {
    status(200)
}

/// Responses take longer than the wait for a returning connection. A connect whose call has another
/// connection by then is given up, and not counted as a call without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_responses_do_not_open_more_than_the_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = axum::Router::new().fallback(async || {
        tokio::time::sleep(Duration::from_millis(80)).await;
        "ok"
    });
    let (counted, accepted) = tokio::sync::watch::channel(0);
    let listener = axum::serve::ListenerExt::tap_io(listener, move |_| {
        counted.send_modify(|count| *count += 1);
    });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let client = limited(4);
    let url = format!("http://{address}/");
    let calls: Vec<_> = (0..60)
        .map(|_| {
            let client = client.clone();
            let url = url.clone();
            tokio::spawn(async move { read(&client, &url).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert!(*accepted.borrow() <= 4, "{}", *accepted.borrow());
}

type HyperClient = Client<BoundedConnector<HttpConnector>, Empty<Bytes>>;

fn hyper(text: &str, connections: ConnectionLimits) -> ResilientService<HyperClient> {
    let connector = BoundedConnector::new(HttpConnector::new(), &connections).unwrap();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    ResilientLayer::new(&profile(text)).unwrap().layer(client)
}

async fn get(
    client: &ResilientService<HyperClient>,
    url: String,
) -> Result<u16, Error<TransportError>> {
    let request = http::Request::get(url).body(Empty::new()).unwrap();
    let response = client.clone().oneshot(request).await?;
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    Ok(status)
}

/// One server is one connection, whatever the spelling of its address.
#[tokio::test]
async fn all_spellings_of_a_server_use_one_connection() {
    let (address, seen) = serve(status_of_all).await;
    let limits = ConnectionLimits::default().per_authority(1);
    let client = hyper(PLAIN, limits.clone());
    for user in ["", "user@", "user:secret@", "", "other@"] {
        assert_eq!(get(&client, format!("http://{user}{address}/")).await.unwrap(), 200, "{user}");
    }
    assert_eq!((seen.requests(), seen.accepted()), (5, 1));
    let client = limited(1);
    for user in ["", "user@", "user:secret@", "", "other@"] {
        let url = format!("http://{user}{address}/").parse().unwrap();
        let request = reqwest::Request::new(http::Method::GET, url);
        let response = client.execute(request).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "ok");
    }
    assert_eq!((seen.requests(), seen.accepted()), (10, 2));
}

/// Without a layer above, each spelling has its own pool in hyper-util, and its own permits here: a
/// call is not rejected while only a connection that it cannot use is idle.
#[tokio::test]
async fn a_bare_connector_is_not_blocked_by_another_spelling() {
    let (address, _) = serve(status_of_all).await;
    let limits = ConnectionLimits::default().per_authority(1);
    let connector = BoundedConnector::new(HttpConnector::new(), &limits).unwrap();
    let client: HyperClient = Client::builder(TokioExecutor::new()).build(connector.clone());
    for user in ["", "user@", ""] {
        let request = http::Request::get(format!("http://{user}{address}/"));
        let response = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let authority = Authority::new("http", "127.0.0.1", Some(address.port())).unwrap();
    assert_eq!(connector.snapshot(&authority).unwrap().in_use, 1);
}

/// A rejection by the connector is no failure of the server: it is not `Connect`, not retried and
/// not counted.
#[tokio::test]
async fn a_connector_without_a_permit_rejects() {
    const TEXT: &str = r#"
        deadline = "20s"
        retry = { max_attempts = 3, backoff = { base = "1ms", cap = "1ms" }, without_budget = true }
        circuit_breaker = { consecutive_failures = 1, break_for = "1m" }
    "#;
    let (address, seen) = serve(|_, _| Reply::Hang).await;
    let wait = Duration::from_millis(20);
    let limits = ConnectionLimits::default().per_authority(1).wait_at_most(wait);
    let client = hyper(TEXT, limits);
    let url = format!("http://{address}/");
    let first_client = client.clone();
    let first_url = url.clone();
    let holder = tokio::spawn(async move { get(&first_client, first_url).await });
    while seen.requests() == 0 {
        tokio::task::yield_now().await;
    }
    let began = clock::now();
    for _ in 0..3 {
        let error = get(&client, url.clone()).await.unwrap_err();
        let rejection = error.rejection().expect("a rejection");
        assert_eq!(rejection.kind(), RejectionKind::BulkheadFull);
        assert_eq!(rejection.key(), Some(&*format!("http://{address}")));
    }
    // One request each: a retry would wait again.
    assert!(clock::now().saturating_duration_since(began) >= wait * 3);
    let authority = Authority::new("http", "127.0.0.1", Some(address.port())).unwrap();
    let breaker = client.layer().snapshot(&authority).unwrap().circuit_breaker.unwrap();
    assert_eq!((breaker.state, seen.requests()), (CircuitState::Closed, 1));
    holder.abort();
}

/// The same error below another client than `ResilientService`.
#[tokio::test]
async fn a_rejection_below_another_client_is_recognised() {
    let (address, seen) = serve(|_, _| Reply::Hang).await;
    let wait = Duration::from_millis(20);
    let limits = ConnectionLimits::default().per_authority(1).wait_at_most(wait);
    let connector = BoundedConnector::new(HttpConnector::new(), &limits).unwrap();
    let client: HyperClient = Client::builder(TokioExecutor::new()).build(connector);
    let request = || http::Request::get(format!("http://{address}/")).body(Empty::new()).unwrap();
    let holder = tokio::spawn(client.request(request()));
    while seen.requests() == 0 {
        tokio::task::yield_now().await;
    }
    let error = client.request(request()).await.unwrap_err();
    let failure = TransportFailure::of(&error);
    assert_eq!(failure, TransportFailure::Rejected);
    assert!(!failure.may_have_run());
    holder.abort();
}

/// Bursts of as many callers as connections, more and fewer, each after all connections were
/// closed.
#[tokio::test]
async fn a_burst_after_connections_were_closed_costs_each_call_little() {
    const BURSTS: u32 = 10;
    for (callers, limit) in [(1, 8), (8, 8), (32, 8), (32, 32)] {
        let (address, seen) = serve(status_of_all).await;
        let client = limited(limit);
        let url = format!("http://{address}/");
        let mut took = Duration::ZERO;
        for _ in 0..BURSTS {
            let timed = |_| {
                let client = client.clone();
                let url = url.clone();
                tokio::spawn(async move {
                    let began = clock::now();
                    read(&client, &url).await;
                    clock::now().saturating_duration_since(began)
                })
            };
            for call in futures_util::future::join_all((0..callers).map(timed)).await {
                took += call.unwrap();
            }
            seen.close_all();
            // The server's FIN arrives before the next burst.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let mean = took / (BURSTS * callers);
        assert!(seen.peak() <= limit as usize, "{callers} callers: {}", seen.peak());
        assert!(mean < Duration::from_millis(50), "{callers} callers over {limit}: {mean:?}");
    }
}
