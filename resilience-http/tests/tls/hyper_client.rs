//! hyper-util's client over hyper-rustls.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use resilience_http::classify::TransportFailure;
use resilience_http::client::{BoundedConnector, ConnectionLimits, ResilientLayer};
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tower::{Layer, ServiceExt};

use crate::authority::Ca;
use crate::profile;
use crate::server::{Peer, serve};

async fn call(ca: &Ca, address: SocketAddr) -> Result<http::StatusCode, TransportFailure> {
    let mut roots = RootCertStore::empty();
    roots.add(PemObject::from_pem_slice(ca.root().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let limits = ConnectionLimits::default().per_authority(1);
    let connector = BoundedConnector::new(HttpsConnector::from((http, config)), &limits).unwrap();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let layer = ResilientLayer::builder(&profile("deadline = \"20s\"")).connections(limits);
    let request = http::Request::get(format!("https://{address}/")).body(Empty::new()).unwrap();
    let result = layer.build().unwrap().layer(client).oneshot(request).await;
    result.map(|answer| answer.status()).map_err(|error| error.into_service().unwrap().failure())
}

#[tokio::test]
async fn what_it_ends_in() {
    let (ca, other) = (Ca::new("ours"), Ca::new("theirs"));
    let plain = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (peer, result) in [
        (Peer::serves(ca.local().server(None)), Ok(http::StatusCode::OK)),
        (Peer::serves(other.local().server(None)), Err(TransportFailure::Certificate)),
        (Peer::Closes, Err(TransportFailure::Tls)),
        (Peer::Resets, Err(TransportFailure::Tls)),
        (Peer::Says(plain), Err(TransportFailure::Tls)),
    ] {
        let (address, _) = serve(move |_| peer.clone()).await;
        assert_eq!(call(&ca, address).await, result);
    }
}
