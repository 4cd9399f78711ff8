//! One attempt: a request, and all of its answer.
//!
//! The body is read here, inside the attempt, because an answer that breaks off half-way is a failed
//! attempt. A retry that sees only heads would call it a success, and nobody would ask again.

use bytes::Bytes;
use http::Response;
use reqwest::{Client, Url};
use resilience_http::classify::TransportError;

/// Asks once, and reads to the end.
pub(super) async fn fetch(client: Client, url: Url) -> Result<Response<Bytes>, TransportError> {
    let answer = client.get(url).send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = Response::new(answer.bytes().await?);
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    Ok(response)
}
