//! An attempt: a request and its whole response.
//!
//! The body is read inside the attempt, because a response that breaks off half-way is a failed
//! attempt. A retry that sees only the head would classify it as a success.

use bytes::Bytes;
use http::Response;
use reqwest::{Client, Url};
use resilience_http::classify::TransportError;

/// Sends one request and reads the whole response.
pub(super) async fn fetch(client: Client, url: Url) -> Result<Response<Bytes>, TransportError> {
    let received = client.get(url).send().await?;
    let status = received.status();
    let headers = received.headers().clone();
    let mut response = Response::new(received.bytes().await?);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
