//! [`ResilientClient`]: reqwest's client with a profile's policies.

use std::task::{Context, Poll};

use reqwest::{IntoUrl, Method, Request};
use resilience_core::health::Check;
use resilience_core::observe::Gauges;
use resilience_core::profiles::{KeyProfile, Profile};
use tower_service::Service;

use super::authority::Authority;
use super::builder::{BuildError, ResilientClientBuilder};
use super::recorded::ReqwestTransport;
use super::request::{HttpRequest, RequestWithIdempotency};
use super::request_builder::{RequestBuilder, RequestFuture, UnsentRequest};
use super::service::{ResilientLayer, ResilientService};
use crate::classify::TransportError;

/// reqwest's client with a profile's policies for each authority. See the [module](super).
///
/// Clones share the authorities, their state and the connections.
#[derive(Debug, Clone)]
pub struct ResilientClient(ResilientService<ReqwestTransport>);

impl ResilientClient {
    /// Creates a client with reqwest's defaults and this profile.
    ///
    /// # Errors
    /// If reqwest cannot create its client, or another client of the profile has other authority
    /// limits than the default.
    pub fn new(profile: &Profile) -> Result<ResilientClient, BuildError> {
        ResilientClient::builder(profile).build()
    }

    /// Starts from reqwest's defaults and the default [`ConnectionLimits`](super::ConnectionLimits)
    /// and [`KeyedLimits`](resilience_core::keyed::KeyedLimits).
    pub fn builder(profile: &Profile) -> ResilientClientBuilder {
        ResilientClientBuilder::new(profile)
    }

    pub(super) const fn over(service: ResilientService<ReqwestTransport>) -> ResilientClient {
        ResilientClient(service)
    }

    /// Starts a GET request. `.await` and `.send().await` both send it.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Starts a HEAD request.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// Starts a POST request. A POST is not idempotent, so it is sent again only after a failure
    /// that certainly had no effect: see [`RequestBuilder::idempotency`].
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Starts a PUT request.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// Starts a PATCH request. A PATCH is not idempotent, like a [`post`](Self::post).
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// Starts a DELETE request.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// Starts a request with this method. An invalid address is an error of the call.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        let request = self.0.get_ref().get_ref().request(method, url);
        RequestBuilder::new(self.clone(), request)
    }

    /// Sends the request of a builder, of this client's or of reqwest's own, under the policies of
    /// the profile.
    ///
    /// # Errors
    /// The errors of [`execute`](Self::execute), and
    /// [`Builder`](crate::classify::TransportFailure::Builder) if the request cannot be built.
    pub fn send(&self, request: impl Into<UnsentRequest>) -> RequestFuture {
        match request.into().into_call() {
            Ok(call) => self.0.begin(call),
            Err(error) => RequestFuture::failed(error),
        }
    }

    /// Sends a request of reqwest's, a [`RecordedRequest`](super::RecordedRequest), or a
    /// [`RequestWithIdempotency`] of either.
    ///
    /// Dropping the future cancels the attempt and gives back all permits of the call.
    ///
    /// # Errors
    /// An error of the transport, or the rejection of a policy. A response with any status is `Ok`.
    pub fn execute<R>(
        &self,
        request: impl Into<RequestWithIdempotency<R>>,
    ) -> <ResilientService<ReqwestTransport> as Service<RequestWithIdempotency<R>>>::Future
    where
        R: HttpRequest + Into<Request>,
    {
        self.0.begin(request.into())
    }

    /// Returns a health check of the server at this address by the state of its circuit: see
    /// [`ResilientLayer::check`]. It works before the first call, and sends no request.
    ///
    /// ```no_run
    /// use resilience_core::health::Health;
    /// use resilience_http::client::ResilientClient;
    ///
    /// # fn example(client: &ResilientClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let health = Health::builder().check(client.check("https://odds.example")?).build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the address is invalid, or has no host.
    pub fn check(&self, url: impl IntoUrl) -> Result<Check, TransportError> {
        Ok(self.layer().check(&authority_of(url)?))
    }

    /// Returns the profile of the server at this address; all clients of the profile share its
    /// handles: see [`ResilientLayer::profile_of`].
    ///
    /// # Errors
    /// If the address is invalid, or has no host.
    pub fn profile_of(&self, url: impl IntoUrl) -> Result<KeyProfile, TransportError> {
        Ok(self.layer().profile_of(&authority_of(url)?))
    }

    /// Returns the layer, with the state of the authorities.
    #[must_use]
    pub const fn layer(&self) -> &ResilientLayer {
        self.0.layer()
    }
}

fn authority_of(url: impl IntoUrl) -> Result<Authority, TransportError> {
    Request::new(Method::GET, url.into_url()?).authority()
}

/// Visits the gauges of the [`ResilientLayer`].
impl Gauges for ResilientClient {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        self.layer().gauges(visit);
    }
}

impl<R> Service<R> for ResilientClient
where
    ResilientService<ReqwestTransport>: Service<R>,
{
    type Response = <ResilientService<ReqwestTransport> as Service<R>>::Response;
    type Error = <ResilientService<ReqwestTransport> as Service<R>>::Error;
    type Future = <ResilientService<ReqwestTransport> as Service<R>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // See docs/decisions/0027-a-clients-call-is-boxed.md.
        self.0.call(request)
    }
}
