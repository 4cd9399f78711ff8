//! Failed handshakes with good certificates.

use http::Method;
use reqwest::Request;
use resilience_core::{CarriesRejection, RejectionKind};
use resilience_http::classify::TransportFailure;
use resilience_http::client::ResilientClient;
use tokio::net::TcpListener;

use crate::authority::Ca;
use crate::server::{Peer, serve};
use crate::{failure, profile, trusting};

fn post(address: std::net::SocketAddr) -> Request {
    Request::new(Method::POST, format!("https://{address}/").parse().unwrap())
}

/// No part of the request was sent, so even a POST is retried.
#[tokio::test]
async fn a_handshake_that_breaks_off_is_retried() {
    let client = trusting(&Ca::new("ours")).build().unwrap();
    for peer in [
        Peer::Closes,
        Peer::Resets,
        Peer::Sends("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
        // A fatal alert, internal_error.
        Peer::Sends("\x15\x03\x03\x00\x02\x02\x50"),
    ] {
        let (address, seen) = serve(move |_| peer.clone()).await;
        assert_eq!(failure(client.execute(post(address)).await), TransportFailure::Tls);
        assert_eq!(seen.accepted(), 3);
    }
}

#[tokio::test]
async fn a_post_succeeds_when_the_server_is_back() {
    let ca = Ca::new("ours");
    let good = Peer::serves(ca.local().server(None));
    let peer = move |number| if number < 2 { Peer::Closes } else { good.clone() };
    let (address, seen) = serve(peer).await;
    let client = trusting(&ca).build().unwrap();
    assert_eq!(client.execute(post(address)).await.unwrap().status(), 200);
    assert_eq!((seen.accepted(), seen.requests()), (3, 1));
}

#[tokio::test]
async fn a_refused_connection_is_no_tls_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = trusting(&Ca::new("ours")).build().unwrap();
    assert_eq!(failure(client.execute(post(address)).await), TransportFailure::Connect);
}

/// The handshake would come after the proxy's response.
#[tokio::test]
async fn a_proxy_that_breaks_off_is_no_tls_failure() {
    for peer in [Peer::Closes, Peer::Resets] {
        let (address, seen) = serve(move |_| peer.clone()).await;
        let proxy = reqwest::Proxy::all(format!("http://{address}")).unwrap();
        let client = trusting(&Ca::new("ours")).reqwest(reqwest::Client::builder().proxy(proxy));
        let result = client.build().unwrap().get("https://server.example/").await;
        assert_eq!(failure(result), TransportFailure::Connect);
        assert_eq!(seen.accepted(), 3);
    }
}

/// The limit of the attempt ends the handshake, and its connection is closed.
#[tokio::test]
async fn a_stalled_handshake_times_out() {
    let (address, seen) = serve(|_| Peer::Stalls).await;
    let client =
        ResilientClient::builder(&profile("deadline = \"20s\"\nattempt_timeout = \"100ms\""));
    let client = client.reqwest(reqwest::Client::builder().no_proxy());
    let client = client.root_certificate(Ca::new("ours").root_file()).build().unwrap();
    let error = client.execute(post(address)).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().kind(), RejectionKind::TimedOut);
    assert_eq!(seen.accepted(), 1);
    drop(client);
    let mut turns = 0;
    while seen.open() > 0 {
        turns += 1;
        assert!(turns < 100_000);
        tokio::task::yield_now().await;
    }
}
