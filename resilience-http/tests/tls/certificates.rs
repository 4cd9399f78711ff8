//! Certificates of servers that are accepted, and those that are not.

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
async fn a_trusted_root_is_accepted_over_http2() {
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
async fn every_root_in_every_file_is_trusted() {
    let [one, two, three] = ["one", "two", "three"].map(Ca::new);
    let both = file(format!("# a comment\n{}\n{}", one.root(), two.root()));
    let client = trusting(&three).root_certificate(both).build().unwrap();
    for ca in [one, two, three] {
        let (url, _) = server(&ca.local()).await;
        assert_eq!(client.get(&url).await.unwrap().status(), 200);
    }
}

/// The call ends at once although three attempts are allowed: one connection is made, and no
/// request is sent.
async fn is_rejected(client: ResilientClient, issued: &Issued) {
    let (url, seen) = server(issued).await;
    assert_eq!(failure(client.get(&url).await), TransportFailure::Certificate);
    assert_eq!((seen.accepted(), seen.requests()), (1, 0));
}

#[tokio::test]
async fn an_unknown_issuer_is_rejected() {
    let client = trusting(&Ca::new("ours")).build().unwrap();
    is_rejected(client, &Ca::new("theirs").local()).await;
}

#[tokio::test]
async fn another_host_name_is_rejected() {
    let ca = Ca::new("ours");
    let issued = ca.issue("other.example", |_| {});
    is_rejected(trusting(&ca).build().unwrap(), &issued).await;
}

#[tokio::test]
async fn an_expired_certificate_is_rejected() {
    let ca = Ca::new("ours");
    let issued = ca.issue("127.0.0.1", expired);
    is_rejected(trusting(&ca).build().unwrap(), &issued).await;
}

/// The TLS options of reqwest's own builder are kept.
#[tokio::test]
async fn a_revoked_certificate_is_rejected() {
    let ca = Ca::new("ours");
    let list = CertificateRevocationList::from_pem(ca.revoked().as_bytes()).unwrap();
    let reqwest = reqwest::Client::builder().no_proxy().tls_crls_only([list]);
    let client = trusting(&ca).reqwest(reqwest).build().unwrap();
    let (url, _) = server(&ca.local()).await;
    assert_eq!(client.get(&url).await.unwrap().status(), 200);
    is_rejected(client, &ca.issue("127.0.0.1", revoked)).await;
}

/// Given roots replace the system's. Without one the system's are trusted, which do not include the
/// test's.
#[tokio::test]
async fn without_a_root_the_system_roots_are_trusted() {
    let client = ResilientClient::builder(&profile(TEXT));
    let client = client.reqwest(reqwest::Client::builder().no_proxy()).build().unwrap();
    is_rejected(client, &Ca::new("ours").local()).await;
}

/// The errors of a client with its own TLS configuration are recognised.
#[tokio::test]
async fn a_client_with_its_own_tls_is_classified() {
    let (url, _) = server(&Ca::new("ours").local()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let error = client.get(url).send().await.unwrap_err();
    assert_eq!(TransportFailure::of(&error), TransportFailure::Certificate);
    let never = Outcome::Transient(resilience_core::RetryHint::Never);
    assert_eq!(transport_outcome(&error), never);
}

/// Bad certificates open the circuit of their server, and no other.
#[tokio::test]
async fn a_bad_certificate_opens_only_the_circuit_of_its_server() {
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
    let rejected = client.get(&bad).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    assert_eq!(seen.accepted(), 3);
    client.get(&good).await.unwrap();
    for (url, state) in [(bad, CircuitState::Open), (good, CircuitState::Closed)] {
        let authority = Authority::of(&url.parse().unwrap()).unwrap();
        let known = client.layer().snapshot(&authority).unwrap();
        assert_eq!(known.circuit_breaker.unwrap().state, state);
    }
}
