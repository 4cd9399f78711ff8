//! A builder of requests for a [`ResilientClient`], and the future of a request.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use reqwest::{Body, Request};
use serde::Serialize;
use tower_service::Service;

use super::recorded::{RecordedRequest, ReqwestTransport};
use super::request::RequestWithIdempotency;
use super::resilient::ResilientClient;
use super::service::ResilientService;
use crate::classify::TransportError;
use crate::idempotency::Idempotency;

/// A builder of a request, which its client sends under the policies of the profile.
///
/// Made by [`ResilientClient::get`], [`post`](ResilientClient::post) and similar methods. `.await`
/// sends the request, like [`send`](Self::send). Dropping the builder sends nothing.
///
/// ```no_run
/// use resilience_http::client::ResilientClient;
/// use resilience_http::idempotency::{Idempotency, IdempotencyKey};
///
/// # async fn example(client: ResilientClient) -> Result<(), Box<dyn std::error::Error>> {
/// let payment = client
///     .post("https://bank.example/payments")
///     .bearer_auth("secret")
///     .json(&["57", "12.50"])
///     .idempotency(Idempotency::Keyed(IdempotencyKey::random()));
/// assert!(payment.send().await?.status().is_success());
/// # Ok(())
/// # }
/// ```
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    client: ResilientClient,
    request: UnsentRequest,
}

/// The argument of [`ResilientClient::send`], made from a [`RequestBuilder`] or from reqwest's own
/// builder.
#[must_use = "a request does nothing until it is sent"]
pub struct UnsentRequest {
    builder: reqwest::RequestBuilder,
    idempotency: Option<Idempotency>,
}

/// The future of [`RequestBuilder::send`].
///
/// It is ready at the head of the response, whatever the status, or with an error of the transport
/// or a rejection of a policy. Dropping it cancels the attempt and gives back all permits of the
/// call.
pub type RequestFuture = <ResilientService<ReqwestTransport> as Service<
    RequestWithIdempotency<RecordedRequest>,
>>::Future;

impl RequestBuilder {
    pub(super) const fn new(
        client: ResilientClient,
        builder: reqwest::RequestBuilder,
    ) -> RequestBuilder {
        RequestBuilder { client, request: UnsentRequest { builder, idempotency: None } }
    }

    /// Adds a header and keeps earlier values of the same name. An invalid name or value is an
    /// error of the call.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.map(|request| request.header(name, value))
    }

    /// Sets these headers, which replace earlier values of the same names.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.map(|request| request.headers(headers))
    }

    /// Adds HTTP basic authentication.
    pub fn basic_auth(self, user: impl fmt::Display, password: Option<impl fmt::Display>) -> Self {
        self.map(|request| request.basic_auth(user, password))
    }

    /// Adds a bearer token.
    pub fn bearer_auth(self, token: impl fmt::Display) -> Self {
        self.map(|request| request.bearer_auth(token))
    }

    /// Sets the body. A body in memory is copied for each attempt; a stream is sent once, unless
    /// the request is a [`RecordedRequest`].
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.map(|request| request.body(body))
    }

    /// Sets the body to this value as JSON, and the content type if none is set. A value that
    /// cannot be serialized is an error of the call.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.map(|request| request.json(value))
    }

    /// Limits the duration of each attempt, its response body included. The profile's deadline and
    /// attempt timeout apply as well.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Sets the version of HTTP.
    pub fn version(self, version: Version) -> Self {
        self.map(|request| request.version(version))
    }

    /// Changes the request with a method of reqwest's own builder: `query`, `form` and `multipart`,
    /// for example, need features of reqwest. The result is still sent through this client.
    pub fn map(
        mut self,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Self {
        self.request.builder = change(self.request.builder);
        self
    }

    /// Declares the effect of processing the request twice, and overrides the rule for its method.
    /// A key is sent in the `Idempotency-Key` header, the same in all attempts of this request.
    pub fn idempotency(mut self, idempotency: Idempotency) -> Self {
        self.request.idempotency = Some(idempotency);
        self
    }

    /// Sends the request. The call starts with the first poll of the future.
    ///
    /// # Errors
    /// See [`ResilientClient::send`].
    pub fn send(self) -> RequestFuture {
        self.client.send(self.request)
    }

    /// Returns reqwest's request, for [`ResilientClient::execute`]. A declared
    /// [`idempotency`](Self::idempotency) is lost: declare it with [`RequestWithIdempotency`]
    /// instead.
    ///
    /// # Errors
    /// If the request cannot be built.
    pub fn build(self) -> Result<Request, reqwest::Error> {
        self.request.builder.build()
    }
}

impl UnsentRequest {
    /// Builds the request.
    pub(super) fn into_call(
        self,
    ) -> Result<RequestWithIdempotency<RecordedRequest>, TransportError> {
        let call = RequestWithIdempotency::new(RecordedRequest::sent_once(self.builder.build()?));
        Ok(match self.idempotency {
            Some(idempotency) => call.declared(idempotency),
            None => call,
        })
    }
}

impl From<RequestBuilder> for UnsentRequest {
    fn from(builder: RequestBuilder) -> UnsentRequest {
        builder.request
    }
}

impl From<reqwest::RequestBuilder> for UnsentRequest {
    fn from(builder: reqwest::RequestBuilder) -> UnsentRequest {
        UnsentRequest { builder, idempotency: None }
    }
}

impl IntoFuture for RequestBuilder {
    type Output = <RequestFuture as Future>::Output;
    type IntoFuture = RequestFuture;

    fn into_future(self) -> RequestFuture {
        self.send()
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}

impl fmt::Debug for UnsentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.builder.fmt(f)
    }
}
