//! reqwest's client under a profile.

use std::task::{Context, Poll};

use reqwest::{IntoUrl, Method, Request, RequestBuilder, Response};
use resilience_core::Error;
use resilience_core::profiles::Profile;
use tower_service::Service;

use super::builder::{BuildError, ResilientClientBuilder};
use super::recorded::ReqwestTransport;
use super::request::{Call, HttpRequest};
use super::service::{Resilient, ResilientLayer};
use crate::classify::TransportError;

/// reqwest's client, with a profile's policies for each authority. See the [module](super).
///
/// Clones share everything: authorities, slots, connections.
#[derive(Debug, Clone)]
pub struct ResilientClient(Resilient<ReqwestTransport>);

impl ResilientClient {
    /// A client of reqwest's defaults under this profile.
    ///
    /// # Errors
    /// If reqwest cannot make its client.
    pub fn new(profile: &Profile) -> Result<ResilientClient, BuildError> {
        ResilientClient::builder(profile).build()
    }

    /// Starts from reqwest's defaults, those of [`ConnectionLimits`](super::ConnectionLimits) and those of
    /// [`KeyedLimits`](resilience_core::keyed::KeyedLimits).
    pub fn builder(profile: &Profile) -> ResilientClientBuilder {
        ResilientClientBuilder::new(profile)
    }

    pub(super) const fn over(service: Resilient<ReqwestTransport>) -> ResilientClient {
        ResilientClient(service)
    }

    /// A GET of this address.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and if it is no address.
    pub async fn get(&self, url: impl IntoUrl) -> Result<Response, Error<TransportError>> {
        self.send(self.request(Method::GET, url)).await
    }

    /// A request in the making, for [`send`](Self::send). Its own `send` is reqwest's, and knows no policy.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.0.get_ref().get_ref().request(method, url)
    }

    /// Makes the request, and sends it.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and if it cannot be made.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Error<TransportError>> {
        let request = request.build().map_err(|error| Error::Service(error.into()))?;
        self.execute(request).await
    }

    /// Sends a request, one whose stream is [recorded](super::Recorded), or a [`Call`] of either that says whether it may
    /// run twice.
    ///
    /// # Errors
    /// The transport's, or the refusal of a policy. A status is an answer, whatever it says.
    pub fn execute<R>(
        &self,
        request: impl Into<Call<R>>,
    ) -> <Resilient<ReqwestTransport> as Service<Call<R>>>::Future
    where
        R: HttpRequest + Into<Request>,
    {
        self.0.begin(request.into())
    }

    /// What is known of the authorities.
    #[must_use]
    pub const fn layer(&self) -> &ResilientLayer {
        self.0.layer()
    }
}

impl<R> Service<R> for ResilientClient
where
    Resilient<ReqwestTransport>: Service<R>,
{
    type Response = <Resilient<ReqwestTransport> as Service<R>>::Response;
    type Error = <Resilient<ReqwestTransport> as Service<R>>::Error;
    type Future = <Resilient<ReqwestTransport> as Service<R>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(request)
    }
}
