//! Which servers are called, and which are not.

use reqwest::tls::CertificateRevocationList;
use resilience_core::breaker::CircuitState;
use resilience_core::{CarriesRejection, Outcome, RejectionKind};
use resilience_http::classify::{TransportFailure, transport_outcome};
use resilience_http::client::{Authority, ResilientClient};

use crate::authority::{Ca, Issued, expired, file, revoked};
use crate::server::{Peer, Seen, serve};
use crate::{TEXT, failure, profile, trusting};

async fn server(issued: &Issued) -> (String, Seen) {
    let peer = Peer::serves(issued.server(None));
    let (address, seen) = serve(move |_| peer.clone()).await;
    (format!("https://{address}/"), seen)
}

#[tokio::test]
async fn the_right_root_is_called_over_http2() {
    let ca = Ca::new("ours");
    let (url, seen) = server(&ca.local()).await;
    let client = trusting(&ca).build().unwrap();
    for _ in 0..3 {
        let response = client.get(&url).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(response.text().await.unwrap(), "ok");
    }
    assert_eq!((seen.requests(), seen.accepted()), (3, 1));
}

#[tokio::test]
async fn every_root_counts_of_every_file() {
    let [one, two, three] = ["one", "two", "three"].map(Ca::new);
    let both = file(format!("# a remark\n{}\n{}", one.root(), two.root()));
    let client = trusting(&three).root_certificate(both).build().unwrap();
    for ca in [one, two, three] {
        let (url, _) = server(&ca.local()).await;
        assert_eq!(client.get(&url).await.unwrap().status(), 200);
    }
}

/// It ends at once, though three attempts are allowed: one connection is made, and no request.
async fn is_not_called(client: ResilientClient, issued: &Issued) {
    let (url, seen) = server(issued).await;
    assert_eq!(failure(client.get(&url).await), TransportFailure::Certificate);
    assert_eq!((seen.accepted(), seen.requests()), (1, 0));
}

#[tokio::test]
async fn an_unknown_issuer() {
    let client = trusting(&Ca::new("ours")).build().unwrap();
    is_not_called(client, &Ca::new("theirs").local()).await;
}

#[tokio::test]
async fn another_name() {
    let ca = Ca::new("ours");
    let issued = ca.issue("other.example", |_| {});
    is_not_called(trusting(&ca).build().unwrap(), &issued).await;
}

#[tokio::test]
async fn an_expired_certificate() {
    let ca = Ca::new("ours");
    let issued = ca.issue("127.0.0.1", expired);
    is_not_called(trusting(&ca).build().unwrap(), &issued).await;
}

/// What reqwest's own builder says of TLS stays.
#[tokio::test]
async fn a_revoked_certificate() {
    let ca = Ca::new("ours");
    let list = CertificateRevocationList::from_pem(ca.revoked().as_bytes()).unwrap();
    let reqwest = reqwest::Client::builder().no_proxy().tls_crls_only([list]);
    let client = trusting(&ca).reqwest(reqwest).build().unwrap();
    let (url, _) = server(&ca.local()).await;
    assert_eq!(client.get(&url).await.unwrap().status(), 200);
    is_not_called(client, &ca.issue("127.0.0.1", revoked)).await;
}

/// A root that is named takes the system's place; without one, the system's are trusted, which do not know ours.
#[tokio::test]
async fn a_client_that_was_told_of_no_root() {
    let client = ResilientClient::builder(&profile(TEXT));
    let client = client.reqwest(reqwest::Client::builder().no_proxy()).build().unwrap();
    is_not_called(client, &Ca::new("ours").local()).await;
}

/// A client whose TLS is its own is understood as well.
#[tokio::test]
async fn reqwests_own_client() {
    let (url, _) = server(&Ca::new("ours").local()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let error = client.get(url).send().await.unwrap_err();
    assert_eq!(TransportFailure::of(&error), TransportFailure::Certificate);
    let never = Outcome::Transient(resilience_core::RetryHint::Never);
    assert_eq!(transport_outcome(&error), never);
}

/// Whoever has a bad certificate is soon asked no more, and the others are.
#[tokio::test]
async fn a_circuit_opens_for_whose_certificate_is_bad_only() {
    let ca = Ca::new("ours");
    let (bad, seen) = server(&ca.issue("127.0.0.1", expired)).await;
    let (good, _) = server(&ca.local()).await;
    let text =
        "deadline = \"20s\"\ncircuit_breaker = { consecutive_failures = 3, break_for = \"1m\" }";
    let client = ResilientClient::builder(&profile(text)).root_certificate(ca.root_file());
    let client = client.reqwest(reqwest::Client::builder().no_proxy()).build().unwrap();
    for _ in 0..3 {
        assert_eq!(failure(client.get(&bad).await), TransportFailure::Certificate);
    }
    let refused = client.get(&bad).await.unwrap_err();
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    assert_eq!(seen.accepted(), 3);
    client.get(&good).await.unwrap();
    for (url, state) in [(bad, CircuitState::Open), (good, CircuitState::Closed)] {
        let authority = Authority::of(&url.parse().unwrap()).unwrap();
        let known = client.layer().snapshot(&authority).unwrap();
        assert_eq!(known.circuit_breaker.unwrap().state, state);
    }
}
