//! hyper-util's client over hyper-rustls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use resilience_http::classify::TransportFailure;
use resilience_http::client::{
    BoundedConnector, ConnectionLimits, ResilientLayer, ResilientService,
};
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};

use crate::authority::Ca;
use crate::profile;
use crate::server::{Peer, serve};

type HyperClient = Client<BoundedConnector<HttpsConnector<HttpConnector>>, Empty<Bytes>>;

/// Returns a client that trusts this authority, with this connection limit.
fn client(ca: &Ca, connections: u32) -> ResilientService<HyperClient> {
    let mut roots = RootCertStore::empty();
    roots.add(PemObject::from_pem_slice(ca.root().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let limits = ConnectionLimits::default().per_authority(connections);
    let limits = limits.wait_at_most(Duration::from_secs(60));
    let connector = BoundedConnector::new(HttpsConnector::from((http, config)), &limits).unwrap();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let layer = ResilientLayer::builder(&profile("deadline = \"2m\"")).connections(limits);
    layer.build().unwrap().layer(client)
}

async fn call(
    client: ResilientService<HyperClient>,
    address: SocketAddr,
) -> Result<Bytes, TransportFailure> {
    let request = http::Request::get(format!("https://{address}/")).body(Empty::new()).unwrap();
    let response = client.oneshot(request).await;
    let response = response.map_err(|error| error.into_service().unwrap().failure())?;
    Ok(response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn failed_handshakes_are_classified() {
    let ca = Ca::new("ours");
    let other = Ca::new("theirs");
    let plain = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (peer, result) in [
        (Peer::serves(ca.local().server(None)), Ok(Bytes::from("ok"))),
        (Peer::serves(other.local().server(None)), Err(TransportFailure::Certificate)),
        (Peer::Closes, Err(TransportFailure::Tls)),
        (Peer::Resets, Err(TransportFailure::Tls)),
        (Peer::Sends(plain), Err(TransportFailure::Tls)),
    ] {
        let (address, _) = serve(move |_| peer.clone()).await;
        assert_eq!(call(client(&ca, 1), address).await, result);
    }
}

/// A server that closes often, every third time in the handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_is_not_exceeded() {
    let ca = Ca::new("ours");
    let good = Peer::ServesFour(Arc::new(ca.local().server(None)));
    let peer = move |number| if number % 3 == 0 { Peer::Closes } else { good.clone() };
    let (address, seen) = serve(peer).await;
    seen.set_limit(2);
    let client = client(&ca, 2);
    let calls = (0..400).map(|_| call(client.clone(), address)).collect::<JoinSet<_>>();
    for result in calls.join_all().await {
        assert!(matches!(result, Ok(_) | Err(TransportFailure::Tls)), "{result:?}");
    }
    // None at the client. The server sees a connection that the client closes a moment later.
    assert!(seen.above() <= 10, "{} of {} connections", seen.above(), seen.accepted());
    assert!(seen.accepted() > 100);
}
