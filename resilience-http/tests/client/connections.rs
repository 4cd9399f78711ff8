//! How many connections there are, counted at the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use resilience_http::client::{
    BoundedConnector, ConnectionLimits, Resilient, ResilientClient, ResilientLayer,
};
use tower::{Layer, ServiceExt};

use crate::profile;
use crate::server::{serve, status};

const LIMIT: u32 = 8;

fn limits() -> ConnectionLimits {
    ConnectionLimits::default().per_authority(LIMIT).wait_at_most(Duration::from_secs(60))
}

type HyperClient = Client<BoundedConnector<HttpConnector>, Empty<Bytes>>;

fn hyper_client() -> Resilient<HyperClient> {
    let connector = BoundedConnector::new(HttpConnector::new(), &limits()).unwrap();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let layer = ResilientLayer::builder(&profile("deadline = \"2m\"")).connections(limits());
    layer.build().unwrap().layer(client)
}

fn reqwest_client() -> ResilientClient {
    let builder = ResilientClient::builder(&profile("deadline = \"2m\"")).connections(limits());
    builder.reqwest(reqwest::Client::builder().no_proxy()).build().unwrap()
}

/// So many workers make so many calls together.
async fn calls<F>(workers: usize, calls: usize, call: impl Fn() -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let left = Arc::new(AtomicUsize::new(calls));
    let worker = |_| {
        let (left, call) = (left.clone(), call.clone());
        tokio::spawn(async move {
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                call().await;
            }
        })
    };
    for worker in (0..workers).map(worker).collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

async fn hyper_calls(workers: usize, count: usize) -> usize {
    let (address, seen) = serve(|_, _| status(200)).await;
    let client = hyper_client();
    let uri: http::Uri = format!("http://{address}/").parse().unwrap();
    let call = move || {
        let (client, uri) = (client.clone(), uri.clone());
        async move {
            let request = http::Request::get(uri).body(Empty::new()).unwrap();
            let answer = client.oneshot(request).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
    };
    calls(workers, count, call).await;
    assert_eq!(seen.requests(), count);
    seen.accepted()
}

async fn reqwest_calls(workers: usize, count: usize) -> (usize, usize) {
    let (address, seen) = serve(|_, _| status(200)).await;
    let client = reqwest_client();
    let url = format!("http://{address}/");
    let call = move || {
        let (client, url) = (client.clone(), url.clone());
        async move {
            assert_eq!(client.get(url).await.unwrap().text().await.unwrap(), "ok");
        }
    };
    calls(workers, count, call).await;
    assert_eq!(seen.requests(), count);
    (seen.accepted(), seen.peak())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_calls_over_hyper_open_as_many_as_the_limit() {
    let accepted = hyper_calls(64, 10_000).await;
    assert!(accepted <= LIMIT as usize, "{accepted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_over_hyper_do_not_open_more() {
    let accepted = hyper_calls(200, 200).await;
    assert!(accepted <= LIMIT as usize, "{accepted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_calls_over_reqwest() {
    let (accepted, peak) = reqwest_calls(64, 10_000).await;
    println!("accepted {accepted}, peak {peak}");
    assert!(accepted <= LIMIT as usize, "{accepted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_over_reqwest() {
    let (accepted, peak) = reqwest_calls(200, 200).await;
    println!("accepted {accepted}, peak {peak}");
    assert!(accepted <= LIMIT as usize, "{accepted}");
}
