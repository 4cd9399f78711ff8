//! The layer and the service that run each request under the policies of its authority.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use resilience_core::breaker::CircuitState;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::health::Check;
use resilience_core::keyed::{Keyed, KeyedLimits, KeyedSnapshot};
use resilience_core::observe::Gauges;
use resilience_core::profiles::{KeyProfile, Profile, ProfileService};
use resilience_core::stack::StackSnapshot;
use resilience_core::{Classify, Error, InvalidConfig, clock};
use tower_layer::Layer;
use tower_service::Service;

use super::authority::Authority;
use super::classifier::{ClientClassifier, ResponseHead};
use super::connection_permit::ConnectionLimits;
use super::request::{CloneCall, HttpRequest, Replayable, RequestWithIdempotency};
use super::response::{HttpResponse, TransportResponse, UntilBodyEnds};
use super::settings::Settings;
use super::site::Site;
use super::transport::Transport;
use super::trusted_hosts::TrustedHosts;
use crate::body::StallTimeout;
use crate::classify::{BoxError, TransportError};
use crate::propagate::InjectContextLayer;

/// A layer that runs each request under the policies of its authority. See the [module](super).
///
/// All services made by one layer value, and by its clones, share the authorities and their state.
#[derive(Clone)]
pub struct ResilientLayer(Arc<Shared>);

/// State that all clones of a layer share.
struct Shared {
    sites: Keyed<Authority, Site>,
    /// The states of the profile, shared by all clients of the profile.
    states: Keyed<Authority, KeyProfile>,
    /// Permits for connections to all authorities together.
    total: Bulkhead,
    /// `true` if the service below may forward a request, with its headers, to another host.
    follows_redirects: bool,
}

const KEY_WOULD_LEAK: &str = "an `Idempotency-Key` over a client that may follow redirects, and \
    would send the key to other hosts";

/// A builder of a [`ResilientLayer`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ResilientLayerBuilder {
    profile: Profile,
    connections: ConnectionLimits,
    authorities: KeyedLimits,
    classifier: ClientClassifier,
    /// `None`: not set, so that the default applies. `Some(None)`: no headers.
    propagate: Option<Option<InjectContextLayer>>,
    trusted_hosts: Option<Vec<String>>,
    follows_redirects: bool,
    body_stall: Option<Duration>,
    generates_keys: bool,
}

impl ResilientLayer {
    /// Creates a layer with the default limits and settings.
    ///
    /// # Errors
    /// If another client of the profile has other [authority
    /// limits](ResilientLayerBuilder::authorities) than the default.
    pub fn new(profile: &Profile) -> Result<ResilientLayer, InvalidConfig> {
        ResilientLayer::builder(profile).build()
    }

    /// Starts from the default [`ConnectionLimits`] and [`KeyedLimits`], without generated keys,
    /// and with the deadline and the attempt number as headers.
    ///
    /// `profile` is the template of the state of each authority. No call uses its own state, and it
    /// has no handles.
    pub fn builder(profile: &Profile) -> ResilientLayerBuilder {
        ResilientLayerBuilder {
            profile: profile.clone(),
            connections: ConnectionLimits::default(),
            authorities: KeyedLimits::default(),
            classifier: ClientClassifier::standard(),
            propagate: None,
            trusted_hosts: None,
            follows_redirects: false,
            body_stall: None,
            generates_keys: false,
        }
    }

    /// Returns the number of known authorities, their size in bytes, and the number of times that
    /// no entry could be evicted for a new one.
    #[must_use]
    pub fn authorities(&self) -> KeyedSnapshot {
        self.0.sites.snapshot()
    }

    /// Returns the state of an authority (circuit, permits, tokens and budget), or `None` if it is
    /// not in the store.
    #[must_use]
    pub fn snapshot(&self, authority: &Authority) -> Option<StackSnapshot> {
        self.profile(authority).map(|profile| profile.snapshot())
    }

    /// Returns the profile of an authority, with the handles of its circuit, bulkhead and limiter,
    /// or `None` if no client of the profile has it in its store.
    #[must_use]
    pub fn profile(&self, authority: &Authority) -> Option<Profile> {
        let now = clock::now();
        let own = self.0.sites.peek(authority, now).map(|site| Profile::clone(&site.profile));
        own.or_else(|| self.0.states.peek(authority, now).map(|profile| Profile::clone(&profile)))
    }
}

impl ResilientLayer {
    /// Returns the profile of an authority, and creates its state if no client of the profile has
    /// called it yet. All clients of the profile share the circuit, bulkhead, limiter and budget in
    /// it. The state stays in the store while the result is kept.
    #[must_use]
    pub fn profile_of(&self, authority: &Authority) -> KeyProfile {
        self.0.states.get(authority, clock::now())
    }

    /// Returns a health check of an authority by the state of its circuit, which costs no call. An
    /// open circuit is down. Every other state is up, also before the first call, and for a profile
    /// without a circuit breaker. The check has the name of the authority and is critical.
    ///
    /// For an authority that the service does not depend on, give the circuit of
    /// [`profile_of`](Self::profile_of) to
    /// [`HealthBuilder::circuit_breaker`](resilience_core::health::HealthBuilder::circuit_breaker).
    pub fn check(&self, authority: &Authority) -> Check {
        let profile = self.profile_of(authority);
        let layer = self.clone();
        let run = move || {
            // Keeps the client's settings of the profile alive while the check is registered.
            let _layer = &layer;
            let state = profile.circuit_breaker().map(|breaker| breaker.snapshot().state);
            let is_open = matches!(state, Some(CircuitState::Open | CircuitState::ForcedOpen));
            std::future::ready(if is_open { Err("circuit open") } else { Ok(()) })
        };
        Check::critical(authority.as_str().to_owned(), run).ttl(Duration::ZERO)
    }
}

/// Visits the gauges of the connection permits for all authorities, [`names::BULKHEAD_IN_USE`],
/// [`names::BULKHEAD_QUEUED`] and [`names::BULKHEAD_LIMIT`], and of the store of authorities: their
/// number, their bytes, and the number with an open circuit.
///
/// [`names::BULKHEAD_IN_USE`]: resilience_core::observe::names::BULKHEAD_IN_USE
/// [`names::BULKHEAD_QUEUED`]: resilience_core::observe::names::BULKHEAD_QUEUED
/// [`names::BULKHEAD_LIMIT`]: resilience_core::observe::names::BULKHEAD_LIMIT
impl Gauges for ResilientLayer {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        self.0.total.gauges(visit);
        self.0.sites.gauges(visit);
    }
}

impl ResilientLayerBuilder {
    /// Sets the bounds of connections.
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// Bounds the store of authorities: their number, bytes and idle time. All clients of a profile
    /// need the same limits, since they share its states.
    pub fn authorities(mut self, limits: KeyedLimits) -> Self {
        self.authorities = limits;
        self
    }

    /// Declares that the service below follows redirects by itself: see
    /// [`HttpClassifier::follows_redirects`](crate::classify::HttpClassifier::follows_redirects).
    ///
    /// Such a service sends the headers of a request to the other host as well. Therefore nothing
    /// is propagated, and a request with an `Idempotency-Key` fails
    /// ([`Builder`](crate::classify::TransportFailure::Builder)) before it is sent.
    /// [`propagate`](Self::propagate), [`trusted_hosts`](Self::trusted_hosts) and
    /// [`generate_keys`](Self::generate_keys) then make [`build`](Self::build) return an error.
    pub fn follows_redirects(mut self) -> Self {
        self.follows_redirects = true;
        self
    }

    /// Replaces the classifier of attempts, which all policies use: a closure, or a [`Classify`]
    /// type of the head of a response or the error. The default is
    /// [`HttpClassifier`](crate::classify::HttpClassifier); a custom classifier can delegate to it.
    /// Rejections of the profile's own policies are not passed to the classifier.
    ///
    /// With a closure every failure counts as possibly processed, so a POST is never sent again. A
    /// type can implement [`Classify::may_have_run`].
    ///
    /// ```
    /// use resilience_core::profiles::Profiles;
    /// use resilience_core::{Classify, Error, Outcome};
    /// use resilience_http::classify::{HttpClassifier, TransportError};
    /// use resilience_http::client::{ResilientLayer, ResponseHead};
    ///
    /// let profile = Profiles::standard()?.profile("scraper.stats")?;
    /// let layer = ResilientLayer::builder(&profile)
    ///     .classifier(|result: Result<&ResponseHead<'_>, &Error<TransportError>>| match result {
    ///         Ok(head) if head.status() == 404 => Outcome::transient(),
    ///         other => HttpClassifier::new().classify(other),
    ///     })
    ///     .build()?;
    /// # let _ = layer;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn classifier<K>(mut self, classifier: K) -> Self
    where
        K: for<'a> Classify<ResponseHead<'a>, Error<TransportError>> + Send + Sync + 'static,
    {
        self.classifier = ClientClassifier::custom(classifier);
        self
    }

    /// Adds an `Idempotency-Key` to every request that is not idempotent: a new key for each call,
    /// the same for all its attempts. Use it only with servers that implement the header. Others
    /// ignore the key and process a repeated request twice.
    pub fn generate_keys(mut self) -> Self {
        self.generates_keys = true;
        self
    }

    /// Sets the headers that each attempt carries. The default is the time left (until the call's
    /// deadline or the attempt timeout, whichever is first) and the attempt number, without trace
    /// and baggage. `InjectContextLayer::new()` sends all of them, for servers that take part in
    /// the trace.
    pub fn propagate(mut self, what: InjectContextLayer) -> Self {
        self.propagate = Some(Some(what));
        self
    }

    /// Declares the servers that are operated by the caller. They receive the headers of
    /// [`propagate`](Self::propagate), by default all of `InjectContextLayer::new()`, trace and
    /// baggage included; all other servers receive none. Without this method all servers receive
    /// the same headers.
    ///
    /// An entry is a host (`stats.example`, `10.0.0.7`, `[::1]`) or all hosts below a domain
    /// (`*.internal.example`). It applies to every port unless it has one (`stats.example:8443`). A
    /// name that is not ASCII is written in punycode. The entries of several calls are combined.
    ///
    /// ```
    /// use resilience_core::profiles::Profiles;
    /// use resilience_http::client::ResilientLayer;
    ///
    /// let profile = Profiles::standard()?.profile("scraper.stats")?;
    /// let layer = ResilientLayer::builder(&profile).trusted_hosts(["*.internal.example", "localhost"]).build()?;
    /// # let _ = layer;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn trusted_hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let hosts = hosts.into_iter().map(Into::into);
        self.trusted_hosts.get_or_insert_default().extend(hosts);
        self
    }

    /// Adds no headers to requests: for public servers, which could recognise this library by them.
    pub fn without_propagation(mut self) -> Self {
        self.propagate = Some(None);
        self
    }

    /// Ends the body of a response that yields no data for this duration with a
    /// [`TimedOut`](resilience_core::RejectionKind::TimedOut) rejection, which is a failure for the
    /// circuit. Without this method a body may take for ever, since the time limits of the profile
    /// end with the head.
    pub fn body_stall(mut self, limit: Duration) -> Self {
        self.body_stall = Some(limit);
        self
    }

    /// Creates the layer.
    ///
    /// # Errors
    /// If a limit is out of bounds, an entry of [`trusted_hosts`](Self::trusted_hosts) is not a
    /// host, a header is set that a service which [follows redirects](Self::follows_redirects)
    /// would send to other hosts, or another client of the profile has other
    /// [`authorities`](Self::authorities).
    pub fn build(self) -> Result<ResilientLayer, InvalidConfig> {
        self.check_redirects()?;
        let propagate = self.default_headers();
        let permits = self.connections.build()?;
        let named =
            |error: InvalidConfig| InvalidConfig::new("body_stall", error.value(), error.bound());
        let stall = self.body_stall.map(StallTimeout::new).transpose().map_err(named)?;
        let settings = Arc::new(Settings {
            classifier: match self.follows_redirects {
                true => self.classifier.follows_redirects(),
                false => self.classifier,
            },
            propagate,
            trusted_hosts: self.trusted_hosts.as_deref().map(TrustedHosts::new).transpose()?,
            stall: stall.map(|stall| stall.name("body_stall")),
            generates_keys: self.generates_keys,
        });
        let states = self.profile.per_key(self.authorities)?;
        let shared = states.clone();
        let profile = self.profile;
        let total = permits.total().clone();
        let fresh = move |authority: &Authority| {
            // Keeps the profile alive with the client, so that a reload does not remove its states.
            let _profile = &profile;
            Site::fresh(authority, shared.get(authority, clock::now()), &permits, &settings)
        };
        let sites = Keyed::new(self.authorities, fresh);
        let follows_redirects = self.follows_redirects;
        Ok(ResilientLayer(Arc::new(Shared { sites, states, total, follows_redirects })))
    }

    /// Rejects settings that add headers, if the service below may send them to other hosts.
    fn check_redirects(&self) -> Result<(), InvalidConfig> {
        let header_settings = [
            ("propagate", matches!(self.propagate, Some(Some(_)))),
            ("trusted_hosts", self.trusted_hosts.is_some()),
            ("generate_keys", self.generates_keys),
        ];
        match header_settings.into_iter().find(|(_, is_set)| *is_set && self.follows_redirects) {
            Some((field, _)) => {
                let bound = "unset over a service that follows redirects to other hosts itself";
                Err(InvalidConfig::new(field, "set", bound))
            }
            None => Ok(()),
        }
    }

    /// Returns the headers for servers that may receive any: the caller's choice, or the default.
    fn default_headers(&self) -> Option<InjectContextLayer> {
        match (self.propagate, &self.trusted_hosts) {
            (Some(chosen), _) => chosen,
            (None, _) if self.follows_redirects => None,
            (None, Some(_)) => Some(InjectContextLayer::new()),
            (None, None) => Some(InjectContextLayer::new().without_trace()),
        }
    }
}

impl<S> Layer<S> for ResilientLayer {
    type Service = ResilientService<S>;

    fn layer(&self, inner: S) -> ResilientService<S> {
        ResilientService { inner, layer: self.clone() }
    }
}

/// A client with a profile's policies for each authority. Made by [`ResilientLayer`].
///
/// Accepts `http::Request`s, with the feature `reqwest` also reqwest's, and
/// [`RequestWithIdempotency`]s of either. Clones share the authorities and their state.
#[derive(Clone)]
pub struct ResilientService<S> {
    inner: S,
    layer: ResilientLayer,
}

type AuthorityService<S> = ProfileService<Transport<S>, ClientClassifier, CloneCall, UntilBodyEnds>;
type Guarded<S, R> = <<S as Service<R>>::Response as HttpResponse>::Guarded;

impl<S> ResilientService<S> {
    /// Returns the service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the layer that made this service.
    pub const fn layer(&self) -> &ResilientLayer {
        &self.layer
    }

    pub(super) fn begin<R>(
        &self,
        mut call: RequestWithIdempotency<R>,
    ) -> ResponseFuture<<AuthorityService<S> as Service<RequestWithIdempotency<R>>>::Future>
    where
        S: Service<R> + Clone,
        S::Response: HttpResponse,
        S::Error: Into<BoxError>,
        R: HttpRequest,
    {
        let authority = match call.request().authority() {
            Ok(authority) => authority,
            Err(error) => return ResponseFuture::failed(error),
        };
        call.normalize();
        if self.layer.0.follows_redirects && call.has_key() {
            return ResponseFuture::failed(TransportError::unsendable(KEY_WOULD_LEAK));
        }
        let site = self.layer.0.sites.get(&authority, clock::now());
        let transport = Transport::new(self.inner.clone(), site.clone());
        let call = if site.settings.generates_keys { call.with_key_if_needed() } else { call };
        let future = site.calls.call(transport, call);
        ResponseFuture { state: State::Calling(Box::pin(Calling { future, authority, site })) }
    }
}

impl<S, R> Service<RequestWithIdempotency<R>> for ResilientService<S>
where
    S: Service<R> + Clone,
    S::Response: HttpResponse,
    S::Error: Into<BoxError>,
    R: HttpRequest,
{
    type Response = Guarded<S, R>;
    type Error = Error<TransportError>;
    type Future =
        ResponseFuture<<AuthorityService<S> as Service<RequestWithIdempotency<R>>>::Future>;

    /// Always ready: the authority, and with it the policies, is known only from the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Looks up the state of the authority. All waiting happens in the future.
    fn call(&mut self, call: RequestWithIdempotency<R>) -> Self::Future {
        self.begin(call)
    }
}

macro_rules! impl_service_for_requests {
    ($(#[$cfg:meta])? $request:ty $(, $body:ident)?) => {
        $(#[$cfg])?
        impl<S, $($body)?> Service<$request> for ResilientService<S>
        where
            S: Service<$request> + Clone,
            S::Response: HttpResponse,
            S::Error: Into<BoxError>,
            $($body: Replayable,)?
        {
            type Response = Guarded<S, $request>;
            type Error = Error<TransportError>;
            type Future = ResponseFuture<
                <AuthorityService<S> as Service<RequestWithIdempotency<$request>>>::Future,
            >;

            /// Always ready: the authority, and with it the policies, is known only from the
            /// request.
            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                Poll::Ready(Ok(()))
            }

            /// Looks up the state of the authority. All waiting happens in the future.
            fn call(&mut self, request: $request) -> Self::Future {
                self.begin(RequestWithIdempotency::new(request))
            }
        }
    };
}
impl_service_for_requests!(http::Request<B>, B);
impl_service_for_requests!(
    #[cfg(feature = "reqwest")]
    reqwest::Request
);
impl_service_for_requests!(
    #[cfg(feature = "reqwest")]
    super::recorded::RecordedRequest
);

/// A call of a [`ResilientService`]. Dropping it cancels the attempt in flight and gives back all
/// permits.
///
/// Boxed, like reqwest's future: a future is moved a few times before its first poll, and the state
/// of this one has half a kilobyte.
pub struct ResponseFuture<F> {
    state: State<F>,
}

impl<F> ResponseFuture<F> {
    /// Returns a future that is ready with this error.
    pub(super) fn failed(error: TransportError) -> ResponseFuture<F> {
        ResponseFuture { state: State::Failed(Box::new(Error::Service(error))) }
    }
}

enum State<F> {
    Calling(Pin<Box<Calling<F>>>),
    Failed(Box<Error<TransportError>>),
    Done,
}

pin_project! {
    struct Calling<F> {
        #[pin]
        future: F,
        authority: Authority,
        site: Site,
    }
}

impl<F, A> Future for ResponseFuture<F>
where
    F: Future<Output = Result<TransportResponse<A>, Error<TransportError>>>,
    A: HttpResponse,
{
    type Output = Result<A::Guarded, Error<TransportError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Calling(calling) = &mut self.state {
            let result = ready!(calling.as_mut().poll(cx));
            self.state = State::Done;
            return Poll::Ready(result);
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Failed(error) => Poll::Ready(Err(*error)),
            // Polled after completion, which the contract of `Future` leaves open: never ready
            // again.
            State::Done | State::Calling(_) => Poll::Pending,
        }
    }
}

impl<F, A> Future for Calling<F>
where
    F: Future<Output = Result<TransportResponse<A>, Error<TransportError>>>,
    A: HttpResponse,
{
    type Output = Result<A::Guarded, Error<TransportError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.future.poll(cx)) {
            Ok(response) => Ok(response.into_guarded(this.site.settings.stall.clone())),
            Err(error) => Err(with_authority(error, this.authority)),
        })
    }
}

/// Adds the authority to a rejection without a key, as its key.
fn with_authority(error: Error<TransportError>, authority: &Authority) -> Error<TransportError> {
    match error {
        Error::Rejected(rejection) if rejection.key().is_none() => {
            Error::Rejected(rejection.with_key(authority.as_str().to_owned()))
        }
        error => error,
    }
}

impl fmt::Debug for ResilientLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientLayer").field("sites", &self.0.sites).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for ResilientService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientService").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("client::ResponseFuture").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "reqwest"))]
mod tests {
    use super::*;

    #[test]
    fn the_allocation_of_a_call_is_small() {
        type Request = RequestWithIdempotency<reqwest::Request>;
        type Future = <AuthorityService<reqwest::Client> as Service<Request>>::Future;
        assert!(size_of::<Calling<Future>>() <= 560, "{}", size_of::<Calling<Future>>());
    }
}
