//! Servers that require a client certificate.

use resilience_http::classify::TransportFailure;

use crate::authority::{Ca, file};
use crate::server::{Peer, Seen, serve};
use crate::{failure, trusting};

/// Starts a server that requires a client certificate of this authority.
async fn requiring(
    ca: &Ca,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> (String, Seen) {
    let peer = Peer::serves(ca.local().server_of(Some(ca), versions));
    let (address, seen) = serve(move |_| peer.clone()).await;
    (format!("https://{address}/"), seen)
}

#[tokio::test]
async fn a_client_with_a_certificate_is_accepted() {
    let ca = Ca::new("ours");
    let (url, _) = requiring(&ca, rustls::ALL_VERSIONS).await;
    let client = ca.issue("client.example", |_| {});
    let certificate = client.certificate.pem();
    let key = client.key.serialize_pem();
    let one_file = file(format!("{key}{certificate}"));
    for (certificates, key) in
        [(file(format!("{certificate}{}", ca.root())), file(key)), (one_file.clone(), one_file)]
    {
        let client = trusting(&ca).identity(certificates, key).build().unwrap();
        assert_eq!(client.get(&url).await.unwrap().status(), 200);
    }
}

/// With TLS 1.2 the server rejects the client in the handshake, and the call is not retried.
#[tokio::test]
async fn a_client_without_a_certificate_is_rejected_in_the_handshake() {
    let ca = Ca::new("ours");
    let (url, seen) = requiring(&ca, &[&rustls::version::TLS12]).await;
    let client = trusting(&ca).build().unwrap();
    assert_eq!(failure(client.get(&url).await), TransportFailure::Certificate);
    assert_eq!((seen.accepted(), seen.requests()), (1, 0));
}

/// With TLS 1.3 the server rejects the client after the handshake, when the request may have been
/// sent.
#[tokio::test]
async fn a_client_without_a_certificate_is_rejected_after_the_handshake() {
    let ca = Ca::new("ours");
    let mut server = ca.local().server_of(Some(&ca), &[&rustls::version::TLS13]);
    server.alpn_protocols.clear();
    let peer = Peer::serves(server);
    let (address, seen) = serve(move |_| peer.clone()).await;
    let client = trusting(&ca).build().unwrap();
    let post = client.request(http::Method::POST, format!("https://{address}/"));
    let failure = failure(client.send(post).await);
    assert_eq!(failure, TransportFailure::ResetAfterSent);
    assert_eq!((seen.accepted(), seen.requests()), (1, 0));
}
