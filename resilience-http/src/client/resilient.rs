//! reqwest's client under a profile.

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
use super::request_builder::{RequestBuilder, RequestFuture, Unsent};
use super::service::{ResilientLayer, ResilientService};
use crate::classify::TransportError;

/// reqwest's client, with a profile's policies for each authority. See the [module](super).
///
/// Clones share everything: authorities, slots, connections.
#[derive(Debug, Clone)]
pub struct ResilientClient(ResilientService<ReqwestTransport>);

impl ResilientClient {
    /// A client of reqwest's defaults under this profile.
    ///
    /// # Errors
    /// If reqwest cannot make its client, or another client of the profile has other authorities than the default.
    pub fn new(profile: &Profile) -> Result<ResilientClient, BuildError> {
        ResilientClient::builder(profile).build()
    }

    /// Starts from reqwest's defaults, those of [`ConnectionLimits`](super::ConnectionLimits) and those of
    /// [`KeyedLimits`](resilience_core::keyed::KeyedLimits).
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

    /// Starts a POST request. A POST may not run twice, so it is sent again only after a failure that
    /// certainly had no effect: see [`RequestBuilder::idempotency`].
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Starts a PUT request.
    pub fn put(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PUT, url)
    }

    /// Starts a PATCH request. A PATCH may not run twice, as a [`post`](Self::post) may not.
    pub fn patch(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::PATCH, url)
    }

    /// Starts a DELETE request.
    pub fn delete(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::DELETE, url)
    }

    /// Starts a request with this method. The builder sends it through this client, under all policies of
    /// the profile. An address that cannot be read is an error of the call.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        let request = self.0.get_ref().get_ref().request(method, url);
        RequestBuilder::new(self.clone(), request)
    }

    /// Sends a request of a builder, of this client's or of reqwest's own, under all policies of the profile.
    ///
    /// # Errors
    /// Those of [`execute`](Self::execute), and
    /// [`Builder`](crate::classify::TransportFailure::Builder) if the request cannot be built.
    pub fn send(&self, request: impl Into<Unsent>) -> RequestFuture {
        match request.into().into_call() {
            Ok(call) => self.0.begin(call),
            Err(error) => RequestFuture::refused(error),
        }
    }

    /// Sends a request, one whose stream is [recorded](super::Recorded), or a [`RequestWithIdempotency`] of either that says whether it may
    /// run twice.
    ///
    /// # Errors
    /// The transport's, or the rejection of a policy. A status is a response, whatever it says.
    pub fn execute<R>(
        &self,
        request: impl Into<RequestWithIdempotency<R>>,
    ) -> <ResilientService<ReqwestTransport> as Service<RequestWithIdempotency<R>>>::Future
    where
        R: HttpRequest + Into<Request>,
    {
        self.0.begin(request.into())
    }

    /// Returns a health check of the server of this address by its circuit, also before the first call: see
    /// [`ResilientLayer::check`]. It sends no request.
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
    /// If the address cannot be read, or has no host.
    pub fn check(&self, url: impl IntoUrl) -> Result<Check, TransportError> {
        Ok(self.layer().check(&authority_of(url)?))
    }

    /// Returns the profile of the server of this address, with the handles that all clients of the profile use for it:
    /// see [`ResilientLayer::profile_of`].
    ///
    /// # Errors
    /// If the address cannot be read, or has no host.
    pub fn profile_of(&self, url: impl IntoUrl) -> Result<KeyProfile, TransportError> {
        Ok(self.layer().profile_of(&authority_of(url)?))
    }

    /// What is known of the authorities.
    #[must_use]
    pub const fn layer(&self) -> &ResilientLayer {
        self.0.layer()
    }
}

fn authority_of(url: impl IntoUrl) -> Result<Authority, TransportError> {
    Request::new(Method::GET, url.into_url()?).authority()
}

/// See [`ResilientLayer`].
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
