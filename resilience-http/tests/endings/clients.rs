//! The two clients: `ResilientClient`, and `ResilientLayer` around hyper-util's client.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use resilience_core::Error;
use resilience_core::profiles::{Profile, Profiles};
use resilience_http::classify::{TransportError, TransportFailure};
use resilience_http::client::{ResilientClient, ResilientLayer, ResilientService};
use tower::{Layer, ServiceExt};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    Reqwest,
    Hyper,
}

type HyperClient = legacy::Client<HttpConnector, Full<Bytes>>;

/// Both clients, created once.
pub(crate) struct Clients {
    reqwest: ResilientClient,
    hyper: ResilientService<HyperClient>,
}

fn profile() -> Profile {
    let text = r#"
        [api]
        deadline = "25s"
        retry = { max_attempts = 3, backoff = { base = "1ms", cap = "2ms" }, budget = { ratio = "100%", reserve = 10 } }
        attempt_timeout = "20s"
    "#;
    Profiles::from_toml(text).unwrap().profile("api").unwrap()
}

/// The body of every request.
const BODY: &str = "some words";

impl Clients {
    pub(crate) const ALL: [Client; 2] = [Client::Reqwest, Client::Hyper];

    pub(crate) fn new(protocol: Protocol) -> Clients {
        let builder = reqwest::Client::builder().no_proxy();
        let builder = match protocol {
            Protocol::Http1 => builder.http1_only(),
            Protocol::Http2 => builder.http2_prior_knowledge(),
        };
        let reqwest = ResilientClient::builder(&profile()).reqwest(builder).build().unwrap();
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        let hyper = builder.http2_only(protocol == Protocol::Http2).build_http();
        let hyper = ResilientLayer::new(&profile()).unwrap().layer(hyper);
        Clients { reqwest, hyper }
    }

    /// Makes one call, and reads its response to the end.
    pub(crate) async fn call(
        &self,
        client: Client,
        method: Method,
        address: SocketAddr,
    ) -> Result<Bytes, String> {
        let uri = format!("http://{address}/");
        match client {
            Client::Reqwest => {
                let mut request = reqwest::Request::new(method, uri.parse().unwrap());
                *request.body_mut() = Some(BODY.into());
                let response = self.reqwest.execute(request).await.map_err(recognised)?;
                response.bytes().await.map_err(debug)
            }
            Client::Hyper => {
                let request = Request::builder().method(method).uri(uri);
                let request = request.body(Full::new(Bytes::from(BODY))).unwrap();
                let response = self.hyper.clone().oneshot(request).await.map_err(recognised)?;
                Ok(response.into_body().collect().await.map_err(debug)?.to_bytes())
            }
        }
    }
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// Asserts that the error is recognised, and formats it.
fn recognised(error: Error<TransportError>) -> String {
    if let Error::Service(error) = &error {
        assert_ne!(error.failure(), TransportFailure::Other, "{error:?}");
    }
    debug(error)
}
