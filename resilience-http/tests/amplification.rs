//! Chains of real services that make three attempts each, and whose last service fails.

#![cfg(feature = "layers")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::any;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use resilience_core::retry::{Backoff, RetryLayer, RetryPolicy};
use resilience_http::StatusClassifier;
use resilience_http::propagate::{ExtractContextLayer, InjectContextLayer};
use tokio::net::TcpListener;
use tower::util::{BoxCloneSyncService, Either};
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// Bodies are empty, so a response is only its head.
type Call = BoxCloneSyncService<Request<String>, Response<()>, BoxError>;

#[derive(Clone, Copy, PartialEq)]
enum Tiers {
    /// Three attempts in each service, without propagation.
    Naive,
    /// Three attempts in each service, with the default budget and propagation.
    Ours,
}

/// The last service of a chain: the number of its calls, and the calls that fail.
#[derive(Clone)]
struct Leaf {
    calls: Arc<AtomicUsize>,
    fails: fn(usize) -> bool,
}

impl Leaf {
    fn new(fails: fn(usize) -> bool) -> Leaf {
        Leaf { calls: Arc::default(), fails }
    }

    fn response(&self) -> StatusCode {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if (self.fails)(call) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    }
}

async fn serve(tiers: Tiers, router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = match tiers {
        Tiers::Naive => router,
        Tiers::Ours => router.layer(ExtractContextLayer::new()),
    };
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/")
}

/// A client of the service at `address` with up to three attempts.
fn client(tiers: Tiers, address: String) -> Call {
    let backoff = Backoff::decorrelated_jitter(Duration::from_micros(1), Duration::from_micros(2));
    let policy = RetryPolicy::builder().backoff(backoff.unwrap()).classifier(StatusClassifier);
    let policy = match tiers {
        Tiers::Naive => policy.without_budget(),
        Tiers::Ours => policy,
    };
    let propagate = match tiers {
        Tiers::Naive => Either::Left(tower::layer::util::Identity::new()),
        Tiers::Ours => Either::Right(InjectContextLayer::new()),
    };
    let http = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy.build().unwrap()))
        .layer(propagate)
        .map_request(move |mut request: Request<String>| {
            *request.uri_mut() = address.parse().unwrap();
            request
        })
        .map_err(BoxError::from)
        .map_response(head)
        .service(http);
    BoxCloneSyncService::new(service)
}

fn head<B>(response: Response<B>) -> Response<()> {
    response.map(|_| ())
}

/// Returns a client of the first service of a chain of this length.
async fn chain(tiers: Tiers, length: usize, leaf: &Leaf) -> Call {
    let last = leaf.clone();
    let handler = any(move || async move { last.response() });
    let mut address = serve(tiers, Router::new().route("/", handler)).await;
    for _ in 1..length {
        let call = client(tiers, address);
        let handler = any(move |_: Request<Body>| async move {
            match call.oneshot(Request::new(String::new())).await {
                Ok(response) => response.status(),
                Err(_) => StatusCode::BAD_GATEWAY,
            }
        });
        address = serve(tiers, Router::new().route("/", handler)).await;
    }
    client(tiers, address)
}

/// Returns the number of successful requests.
async fn successes(call: &Call, requests: usize) -> usize {
    let mut successes = 0;
    for _ in 0..requests {
        let response = call.clone().oneshot(Request::new(String::new())).await.unwrap();
        successes += usize::from(response.status() == StatusCode::OK);
    }
    successes
}

#[tokio::test]
async fn naive_attempts_multiply_with_the_depth() {
    for (length, expected) in [(3, 27), (5, 243)] {
        let leaf = Leaf::new(|_| true);
        let call = chain(Tiers::Naive, length, &leaf).await;
        assert_eq!(successes(&call, 2).await, 0);
        assert_eq!(leaf.calls.load(Ordering::Relaxed), 2 * expected, "{length} services");
    }
}

#[tokio::test]
async fn attempts_do_not_multiply_at_any_depth() {
    for length in [1, 3, 5, 8] {
        let leaf = Leaf::new(|_| true);
        let call = chain(Tiers::Ours, length, &leaf).await;
        assert_eq!(successes(&call, 400).await, 0);
        let calls = leaf.calls.load(Ordering::Relaxed);
        println!("{length} services: {} calls a request", calls as f64 / 400.0);
        assert!(calls > 400, "the tier next to the failure retries");
        assert!(calls <= 460, "{length} services: {calls} calls for 400 requests");
    }
}

/// One call in twenty fails, and only the tier next to the failure retries it.
#[tokio::test]
async fn a_transient_failure_is_retried() {
    for tiers in [Tiers::Naive, Tiers::Ours] {
        let leaf = Leaf::new(|call| call % 20 == 7);
        let call = chain(tiers, 5, &leaf).await;
        assert_eq!(successes(&call, 400).await, 400);
        let calls = leaf.calls.load(Ordering::Relaxed);
        assert!((420..=422).contains(&calls), "{calls}");
    }
}
