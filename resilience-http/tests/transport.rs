//! reqwest's errors, provoked on real sockets.

#![cfg(feature = "reqwest")]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Response};
use resilience_core::{Classify, Error, Outcome};
use resilience_http::StatusClassifier;
use resilience_http::classify::transport_outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The reaction of a server to a request.
enum Reaction {
    Sends(&'static str),
    Resets,
    Hangs,
}

/// Starts a server for one request.
async fn server(reaction: Reaction) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let _head = stream.read(&mut [0; 1024]).await?;
        match reaction {
            Reaction::Sends(text) => stream.write_all(text.as_bytes()).await,
            Reaction::Resets => stream.set_zero_linger(),
            Reaction::Hangs => std::future::pending().await,
        }
    });
    Ok(address)
}

async fn get(address: SocketAddr) -> reqwest::Result<Response> {
    let client = Client::builder().no_proxy().timeout(Duration::from_millis(200)).build()?;
    client.get(format!("http://{address}/")).send().await
}

#[tokio::test]
async fn a_refused_connection_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = get(address).await.unwrap_err();
    assert_eq!(transport_outcome(&error), Outcome::transient());
}

#[tokio::test]
async fn a_reset_connection_is_transient() {
    let address = server(Reaction::Resets).await.unwrap();
    let error = get(address).await.unwrap_err();
    assert_eq!(transport_outcome(&error), Outcome::transient());
}

#[tokio::test]
async fn no_response_is_a_timeout() {
    let address = server(Reaction::Hangs).await.unwrap();
    let error = get(address).await.unwrap_err();
    assert_eq!(transport_outcome(&error), Outcome::TimedOut);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_transient() {
    let address =
        server(Reaction::Sends("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")).await.unwrap();
    let error = get(address).await.unwrap().bytes().await.unwrap_err();
    assert_eq!(transport_outcome(&error), Outcome::transient(), "{error:?}");
}

#[tokio::test]
async fn an_invalid_request_is_permanent() {
    let error = Client::new().get("no scheme").send().await.unwrap_err();
    assert_eq!(transport_outcome(&error), Outcome::Permanent);
}

#[tokio::test]
async fn a_status_that_was_converted_into_an_error_keeps_its_outcome() {
    let address = server(Reaction::Sends("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"))
        .await
        .unwrap();
    let error = get(address).await.unwrap().error_for_status().unwrap_err();
    assert_eq!(transport_outcome(&error), Outcome::Permanent);
}

#[tokio::test]
async fn a_response_is_classified_by_its_head() {
    let address = server(Reaction::Sends(
        "HTTP/1.1 429 Slow Down\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n",
    ))
    .await
    .unwrap();
    let response = get(address).await.map_err(Error::Service);
    let outcome = StatusClassifier.classify(response.as_ref());
    assert_eq!(outcome, Outcome::throttled(Duration::from_secs(3)));
}
