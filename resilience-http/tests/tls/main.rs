//! TLS over real sockets.

#![cfg(all(feature = "client", feature = "reqwest", feature = "tls"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod authority;
mod certificates;
mod connections;
mod files;
mod handshakes;
mod hyper_client;
mod identity;
mod server;

use reqwest::Response;
use resilience_core::Error;
use resilience_core::profiles::{Profile, Profiles};
use resilience_http::classify::{TransportError, TransportFailure};
use resilience_http::client::{ResilientClient, ResilientClientBuilder};

const TEXT: &str = r#"
deadline = "20s"
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "2ms" }, budget = { ratio = "100%", reserve = 10 } }
attempt_timeout = "5s"
"#;

/// Returns a profile with this text.
fn profile(text: &str) -> Profile {
    Profiles::from_toml(&format!("[api]\n{text}")).unwrap().profile("api").unwrap()
}

/// Returns the builder of a client that trusts this authority and makes three attempts.
fn trusting(ca: &authority::Ca) -> ResilientClientBuilder {
    let reqwest = reqwest::Client::builder().no_proxy();
    ResilientClient::builder(&profile(TEXT)).reqwest(reqwest).root_certificate(ca.root_file())
}

fn failure(result: Result<Response, Error<TransportError>>) -> TransportFailure {
    let error = result.unwrap_err().into_service().unwrap();
    assert!(!error.to_string().is_empty());
    error.failure()
}
