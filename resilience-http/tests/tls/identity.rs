//! Servers that want to know who asks.

use resilience_http::classify::TransportFailure;

use crate::authority::{Ca, file};
use crate::server::{Peer, Seen, serve};
use crate::{failure, trusting};

/// A server that asks clients for a certificate of this authority's.
async fn asking(ca: &Ca, versions: &[&'static rustls::SupportedProtocolVersion]) -> (String, Seen) {
    let peer = Peer::serves(ca.local().server_of(Some(ca), versions));
    let (address, seen) = serve(move |_| peer.clone()).await;
    (format!("https://{address}/"), seen)
}

#[tokio::test]
async fn who_has_one_is_answered() {
    let ca = Ca::new("ours");
    let (url, _) = asking(&ca, rustls::ALL_VERSIONS).await;
    let us = ca.issue("client.example", |_| {});
    let (certificate, key) = (us.certificate.pem(), us.key.serialize_pem());
    let one_file = file(format!("{key}{certificate}"));
    for (certificates, key) in
        [(file(format!("{certificate}{}", ca.root())), file(key)), (one_file.clone(), one_file)]
    {
        let client = trusting(&ca).identity(certificates, key).build().unwrap();
        assert_eq!(client.get(&url).await.unwrap().status(), 200);
    }
}

/// In TLS 1.2 the server says so in the handshake, and it is not tried again.
#[tokio::test]
async fn who_has_none_is_refused_in_the_handshake() {
    let ca = Ca::new("ours");
    let (url, seen) = asking(&ca, &[&rustls::version::TLS12]).await;
    let client = trusting(&ca).build().unwrap();
    assert_eq!(failure(client.get(&url).await), TransportFailure::Certificate);
    assert_eq!((seen.accepted(), seen.requests()), (1, 0));
}

/// In TLS 1.3 it says so after the client is done, who may have sent the request by then.
#[tokio::test]
async fn who_has_none_is_refused_after_the_handshake() {
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
