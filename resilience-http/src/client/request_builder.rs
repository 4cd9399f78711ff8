//! Requests of reqwest's, built for a client and sent through it.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use reqwest::{Body, Request};
use serde::Serialize;
use tower_service::Service;

use super::recorded::{Recorded, ReqwestTransport};
use super::request::RequestWithIdempotency;
use super::resilient::ResilientClient;
use super::service::ResilientService;
use crate::classify::TransportError;
use crate::idempotency::Idempotency;

/// A request under construction, which its client sends under all policies of the profile.
///
/// Made by [`ResilientClient::get`], [`post`](ResilientClient::post) and their siblings. `.await` sends it,
/// as [`send`](Self::send) does. Dropping it sends nothing.
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
    unsent: Unsent,
}

/// A request that [`ResilientClient::send`] takes: made from a [`RequestBuilder`] or from reqwest's own builder.
#[must_use = "a request does nothing until it is sent"]
pub struct Unsent {
    request: reqwest::RequestBuilder,
    idempotency: Option<Idempotency>,
}

/// A request on its way: the future of [`RequestBuilder::send`].
///
/// It ends at the head of the response, whatever its status, or in the transport's error or a policy's
/// rejection. Dropping it cancels the attempt and gives back all that the call holds.
pub type RequestFuture =
    <ResilientService<ReqwestTransport> as Service<RequestWithIdempotency<Recorded>>>::Future;

impl RequestBuilder {
    pub(super) const fn new(
        client: ResilientClient,
        request: reqwest::RequestBuilder,
    ) -> RequestBuilder {
        RequestBuilder { client, unsent: Unsent { request, idempotency: None } }
    }

    /// Adds a header. Earlier values of the same name stay. A name or value that is not valid is an error of the call.
    pub fn header<K, V>(self, name: K, value: V) -> Self
    where
        HeaderName: TryFrom<K>,
        <HeaderName as TryFrom<K>>::Error: Into<http::Error>,
        HeaderValue: TryFrom<V>,
        <HeaderValue as TryFrom<V>>::Error: Into<http::Error>,
    {
        self.map(|request| request.header(name, value))
    }

    /// Adds these headers, which replace earlier values of the same names.
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

    /// Sets the body. A body in memory is copied for each attempt; a stream is sent once, unless it is
    /// [`Recorded`].
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.map(|request| request.body(body))
    }

    /// Sets the body to this value as JSON, and the content type unless there is one. A value that cannot be
    /// serialized is an error of the call.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.map(|request| request.json(value))
    }

    /// Limits one attempt, its response's body included. The profile's deadline and attempt timeout hold as well.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|request| request.timeout(timeout))
    }

    /// Sets the version of HTTP.
    pub fn version(self, version: Version) -> Self {
        self.map(|request| request.version(version))
    }

    /// Changes the request with a method of reqwest's own builder that is not here: `query`, `form` and
    /// `multipart` need features of reqwest. The result is still sent through this client.
    pub fn map(
        mut self,
        change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Self {
        self.unsent.request = change(self.unsent.request);
        self
    }

    /// Declares whether the request may run twice, in place of its method's rule. A key is sent in the
    /// `Idempotency-Key` header, the same with all attempts of this request.
    pub fn idempotency(mut self, idempotency: Idempotency) -> Self {
        self.unsent.idempotency = Some(idempotency);
        self
    }

    /// Sends the request. Nothing is sent, and no time counted, before the first poll.
    ///
    /// # Errors
    /// Those of [`ResilientClient::send`].
    pub fn send(self) -> RequestFuture {
        self.client.send(self.unsent)
    }

    /// Returns reqwest's request, for [`ResilientClient::execute`]. A declared
    /// [`idempotency`](Self::idempotency) does not fit into one: declare it of a [`RequestWithIdempotency`].
    ///
    /// # Errors
    /// If the request cannot be built.
    pub fn build(self) -> Result<Request, reqwest::Error> {
        self.unsent.request.build()
    }
}

impl Unsent {
    /// Builds the request.
    pub(super) fn into_call(self) -> Result<RequestWithIdempotency<Recorded>, TransportError> {
        let call = RequestWithIdempotency::new(Recorded::sent_once(self.request.build()?));
        Ok(match self.idempotency {
            Some(idempotency) => call.declared(idempotency),
            None => call,
        })
    }
}

impl From<RequestBuilder> for Unsent {
    fn from(builder: RequestBuilder) -> Unsent {
        builder.unsent
    }
}

impl From<reqwest::RequestBuilder> for Unsent {
    fn from(request: reqwest::RequestBuilder) -> Unsent {
        Unsent { request, idempotency: None }
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
        self.unsent.fmt(f)
    }
}

impl fmt::Debug for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}
