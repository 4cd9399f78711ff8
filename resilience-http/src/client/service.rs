//! Each request under the profile of its authority.

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
use super::ours::Ours;
use super::request::{CloneCall, HttpRequest, Replayable, RequestWithIdempotency};
use super::response::{HttpResponse, TransportResponse, UntilBodyEnds};
use super::settings::Settings;
use super::site::Site;
use super::slots::ConnectionLimits;
use super::transport::Transport;
use crate::body::StallTimeout;
use crate::classify::{BoxError, TransportError};
use crate::propagate::InjectContextLayer;

/// Puts each request under the profile of its authority. See the [module](super).
///
/// Every service that one value makes, and its clones, share the authorities and their state.
#[derive(Clone)]
pub struct ResilientLayer(Arc<Shared>);

/// The authorities of a client, and what its clones share.
struct Shared {
    sites: Keyed<Authority, Site>,
    /// The states of the profile, which its clients share.
    states: Keyed<Authority, KeyProfile>,
    /// The permits for requests to all authorities.
    total: Bulkhead,
    /// The service below sends a request on to other hosts, with its headers.
    follows_redirects: bool,
}

const KEY_WOULD_LEAK: &str = "an `Idempotency-Key` over a client that may follow redirects, and would send it to other hosts";

/// A [`ResilientLayer`] in the making.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ResilientLayerBuilder {
    profile: Profile,
    connections: ConnectionLimits,
    authorities: KeyedLimits,
    classifier: ClientClassifier,
    /// `None` unless the caller chose: by default, what a client without redirects sends.
    propagate: Option<Option<InjectContextLayer>>,
    ours: Option<Vec<String>>,
    follows_redirects: bool,
    body_stall: Option<Duration>,
    generates_keys: bool,
}

impl ResilientLayer {
    /// The profile for each authority, and bounds by their defaults.
    ///
    /// # Errors
    /// If another client of the profile has other [authorities](ResilientLayerBuilder::authorities) than the default.
    pub fn new(profile: &Profile) -> Result<ResilientLayer, InvalidConfig> {
        ResilientLayer::builder(profile).build()
    }

    /// Starts from the defaults of [`ConnectionLimits`] and [`KeyedLimits`], without generated keys, with the
    /// deadline and the attempt number in the headers.
    ///
    /// `profile` is the model of those of the authorities: no call touches its own state, and it has no handles.
    pub fn builder(profile: &Profile) -> ResilientLayerBuilder {
        ResilientLayerBuilder {
            profile: profile.clone(),
            connections: ConnectionLimits::default(),
            authorities: KeyedLimits::default(),
            classifier: ClientClassifier::standard(),
            propagate: None,
            ours: None,
            follows_redirects: false,
            body_stall: None,
            generates_keys: false,
        }
    }

    /// Returns the number of known authorities, their bytes, and the number of times that there was no room.
    #[must_use]
    pub fn authorities(&self) -> KeyedSnapshot {
        self.0.sites.snapshot()
    }

    /// The state of one, if it is known: its circuit, permits, tokens and budget.
    #[must_use]
    pub fn snapshot(&self, authority: &Authority) -> Option<StackSnapshot> {
        self.profile(authority).map(|profile| profile.snapshot())
    }

    /// Returns the profile of an authority, if it is known to a client of the profile: the handles on its circuit,
    /// bulkhead and limiter.
    #[must_use]
    pub fn profile(&self, authority: &Authority) -> Option<Profile> {
        let now = clock::now();
        let own = self.0.sites.peek(authority, now).map(|site| Profile::clone(&site.profile));
        own.or_else(|| self.0.states.peek(authority, now).map(|profile| Profile::clone(&profile)))
    }
}

impl ResilientLayer {
    /// Returns the profile of an authority, and makes its state if no client of the profile has called it yet. Its
    /// circuit, bulkhead, limiter and budget are those that all clients of the profile use for this authority, and stay
    /// while the result is kept.
    #[must_use]
    pub fn profile_of(&self, authority: &Authority) -> KeyProfile {
        self.0.states.get(authority, clock::now())
    }

    /// Returns a health check of an authority by its circuit, which costs no call: an open circuit is down, every
    /// other state is up, also before the first call and for a profile without circuit breaker. Its name is the
    /// authority's, its criticality critical.
    ///
    /// For an authority that the service can do without, give the circuit of [`profile_of`](Self::profile_of) to
    /// [`HealthBuilder::circuit_breaker`](resilience_core::health::HealthBuilder::circuit_breaker).
    pub fn check(&self, authority: &Authority) -> Check {
        let (profile, layer) = (self.profile_of(authority), self.clone());
        let run = move || {
            // Held with the check, as by any other user of the profile.
            let _held = &layer;
            let state = profile.circuit_breaker().map(|breaker| breaker.snapshot().state);
            let is_open = matches!(state, Some(CircuitState::Open | CircuitState::ForcedOpen));
            std::future::ready(if is_open { Err("circuit open") } else { Ok(()) })
        };
        Check::critical(authority.as_str().to_owned(), run).ttl(Duration::ZERO)
    }
}

/// Visits the gauges of the requests on the wire to all authorities, [`names::BULKHEAD_IN_USE`],
/// [`names::BULKHEAD_QUEUED`] and [`names::BULKHEAD_LIMIT`], and those of the store of authorities: how many are
/// known, in how many bytes, and how many have an open circuit.
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
    /// The bounds of connections.
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// Bounds the authorities that are known at once: their number, bytes and idle time. All clients of a profile have
    /// the same limits, since they share its states.
    pub fn authorities(mut self, limits: KeyedLimits) -> Self {
        self.authorities = limits;
        self
    }

    /// Declares that the service below follows redirects by itself: see
    /// [`HttpClassifier::follows_redirects`](crate::classify::HttpClassifier::follows_redirects).
    ///
    /// The headers of a request are then sent to the other host as well. So nothing is propagated, and a request with an
    /// `Idempotency-Key` is rejected ([`Builder`](crate::classify::TransportFailure::Builder)) before it is sent.
    /// [`propagate`](Self::propagate), [`ours`](Self::ours) and [`generate_keys`](Self::generate_keys) are then errors of
    /// [`build`](Self::build).
    pub fn follows_redirects(mut self) -> Self {
        self.follows_redirects = true;
        self
    }

    /// Replaces the classifier, which decides for all policies what became of an attempt: a closure, or a
    /// [`Classify`] type of the head of a response or the error. [`HttpClassifier`](crate::classify::HttpClassifier) is the default, and can be asked for
    /// all that is not decided otherwise. Rejections of the profile's own policies are not classified by it.
    ///
    /// A closure takes every failure for one that may have had an effect, so that a POST is never sent again; a type
    /// decides by [`Classify::may_have_run`].
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

    /// Gives every request that may not run twice an `Idempotency-Key`, new for each call and the same for
    /// its attempts. Use it with servers that honour the key: others ignore it, and run the request twice.
    pub fn generate_keys(mut self) -> Self {
        self.generates_keys = true;
        self
    }

    /// Replaces the headers that each attempt gives its server. By default these are the time that is left (the call's
    /// deadline or the attempt timeout, whichever is first) and the number of the attempt, but neither trace nor baggage.
    /// `InjectContextLayer::new()` sends all of them, for servers that belong to the trace.
    pub fn propagate(mut self, what: InjectContextLayer) -> Self {
        self.propagate = Some(Some(what));
        self
    }

    /// Declares the servers that are the caller's own. They get the headers of [`propagate`](Self::propagate), by default
    /// all of `InjectContextLayer::new()`, trace and baggage included; every other server gets none. Without this method all
    /// servers get the same headers.
    ///
    /// An entry is a host (`stats.example`, `10.0.0.7`, `[::1]`) or all hosts below one (`*.internal.example`), and holds for
    /// every port unless it has one (`stats.example:8443`). A name that is not ASCII is written in punycode. Entries of
    /// several calls are added up.
    ///
    /// ```
    /// use resilience_core::profiles::Profiles;
    /// use resilience_http::client::ResilientLayer;
    ///
    /// let profile = Profiles::standard()?.profile("scraper.stats")?;
    /// let layer = ResilientLayer::builder(&profile).ours(["*.internal.example", "localhost"]).build()?;
    /// # let _ = layer;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn ours(mut self, authorities: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let authorities = authorities.into_iter().map(Into::into);
        self.ours.get_or_insert_default().extend(authorities);
        self
    }

    /// Sends requests with the headers that they have, and adds none: for public hosts, which could recognise this
    /// library by them.
    pub fn without_propagation(mut self) -> Self {
        self.propagate = Some(None);
        self
    }

    /// Ends the body of a response that yields nothing for this long, with a
    /// [`TimedOut`](resilience_core::RejectionKind::TimedOut) rejection, which is a failure to the circuit. Without this a
    /// body may take for ever: the profile's time limits are over with the head.
    pub fn body_stall(mut self, limit: Duration) -> Self {
        self.body_stall = Some(limit);
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// If a bound is out of its own, an entry of [`ours`](Self::ours) is no host, a header was asked for that a service
    /// which [follows redirects](Self::follows_redirects) would give away, or another client of the profile has other
    /// [`authorities`](Self::authorities).
    pub fn build(self) -> Result<ResilientLayer, InvalidConfig> {
        self.gives_nothing_away()?;
        let propagate = self.propagates();
        let slots = self.connections.build()?;
        let named =
            |error: InvalidConfig| InvalidConfig::new("body_stall", error.value(), error.bound());
        let stall = self.body_stall.map(StallTimeout::new).transpose().map_err(named)?;
        let settings = Arc::new(Settings {
            classifier: match self.follows_redirects {
                true => self.classifier.follows_redirects(),
                false => self.classifier,
            },
            propagate,
            ours: self.ours.as_deref().map(Ours::new).transpose()?,
            stall: stall.map(|stall| stall.name("body_stall")),
            generates_keys: self.generates_keys,
        });
        let states = self.profile.per_key(self.authorities)?;
        let (shared, profile, total) = (states.clone(), self.profile, slots.total().clone());
        let fresh = move |authority: &Authority| {
            // Held by the client, so that a reload does not remove it.
            let _held = &profile;
            Site::fresh(authority, shared.get(authority, clock::now()), &slots, &settings)
        };
        let sites = Keyed::new(self.authorities, fresh);
        let follows_redirects = self.follows_redirects;
        Ok(ResilientLayer(Arc::new(Shared { sites, states, total, follows_redirects })))
    }

    /// Rejects headers that a service which follows redirects would send to another host.
    fn gives_nothing_away(&self) -> Result<(), InvalidConfig> {
        let asked_for = [
            ("propagate", matches!(self.propagate, Some(Some(_)))),
            ("ours", self.ours.is_some()),
            ("generate_keys", self.generates_keys),
        ];
        match asked_for.into_iter().find(|(_, is_set)| *is_set && self.follows_redirects) {
            Some((field, _)) => {
                let bound = "unset over a service that follows redirects to other hosts itself";
                Err(InvalidConfig::new(field, "set", bound))
            }
            None => Ok(()),
        }
    }

    /// Returns the headers for servers that may get any: the caller's choice, or else the default.
    fn propagates(&self) -> Option<InjectContextLayer> {
        match (self.propagate, &self.ours) {
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

/// A client under a profile for each authority. Made by [`ResilientLayer`].
///
/// Takes `http::Request`s, reqwest's with the feature `reqwest`, and [`RequestWithIdempotency`]s of either.
#[derive(Clone)]
pub struct ResilientService<S> {
    inner: S,
    layer: ResilientLayer,
}

type OfAuthority<S> = ProfileService<Transport<S>, ClientClassifier, CloneCall, UntilBodyEnds>;
type Held<S, R> = <<S as Service<R>>::Response as HttpResponse>::Held;

impl<S> ResilientService<S> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The layer that this was made by.
    pub const fn layer(&self) -> &ResilientLayer {
        &self.layer
    }

    pub(super) fn begin<R>(
        &self,
        mut call: RequestWithIdempotency<R>,
    ) -> ResponseFuture<<OfAuthority<S> as Service<RequestWithIdempotency<R>>>::Future>
    where
        S: Service<R> + Clone,
        S::Response: HttpResponse,
        S::Error: Into<BoxError>,
        R: HttpRequest,
    {
        let authority = match call.request().authority() {
            Ok(authority) => authority,
            Err(error) => return ResponseFuture::refused(error),
        };
        call.normalize();
        if self.layer.0.follows_redirects && call.has_key() {
            return ResponseFuture::refused(TransportError::unsendable(KEY_WOULD_LEAK));
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
    type Response = Held<S, R>;
    type Error = Error<TransportError>;
    type Future = ResponseFuture<<OfAuthority<S> as Service<RequestWithIdempotency<R>>>::Future>;

    /// Always ready: which authority it is for is known with the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Looks its authority up; waits, and counts time, in the future.
    fn call(&mut self, call: RequestWithIdempotency<R>) -> Self::Future {
        self.begin(call)
    }
}

macro_rules! requests_as_they_are {
    ($(#[$cfg:meta])? $request:ty $(, $body:ident)?) => {
        $(#[$cfg])?
        impl<S, $($body)?> Service<$request> for ResilientService<S>
        where
            S: Service<$request> + Clone,
            S::Response: HttpResponse,
            S::Error: Into<BoxError>,
            $($body: Replayable,)?
        {
            type Response = Held<S, $request>;
            type Error = Error<TransportError>;
            type Future = ResponseFuture<<OfAuthority<S> as Service<RequestWithIdempotency<$request>>>::Future>;

            /// Always ready: which authority it is for is known with the request.
            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                Poll::Ready(Ok(()))
            }

            /// Looks its authority up; waits, and counts time, in the future.
            fn call(&mut self, request: $request) -> Self::Future {
                self.begin(RequestWithIdempotency::new(request))
            }
        }
    };
}
requests_as_they_are!(http::Request<B>, B);
requests_as_they_are!(
    #[cfg(feature = "reqwest")]
    reqwest::Request
);
requests_as_they_are!(
    #[cfg(feature = "reqwest")]
    super::recorded::Recorded
);

/// A call of a [`ResilientService`] service.
///
/// Boxed, as reqwest's future is: a future is moved a few times before it is polled, and this one has half a kilobyte.
pub struct ResponseFuture<F> {
    state: State<F>,
}

impl<F> ResponseFuture<F> {
    /// Returns a future that ends in this error.
    pub(super) fn refused(error: TransportError) -> ResponseFuture<F> {
        ResponseFuture { state: State::Refused(Box::new(Error::Service(error))) }
    }
}

enum State<F> {
    Calling(Pin<Box<Calling<F>>>),
    Refused(Box<Error<TransportError>>),
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
    type Output = Result<A::Held, Error<TransportError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Calling(calling) = &mut self.state {
            let result = ready!(calling.as_mut().poll(cx));
            self.state = State::Done;
            return Poll::Ready(result);
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Refused(error) => Poll::Ready(Err(*error)),
            // Polled after it was ready, which a future's contract leaves open: stay silent.
            State::Done | State::Calling(_) => Poll::Pending,
        }
    }
}

impl<F, A> Future for Calling<F>
where
    F: Future<Output = Result<TransportResponse<A>, Error<TransportError>>>,
    A: HttpResponse,
{
    type Output = Result<A::Held, Error<TransportError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.future.poll(cx)) {
            Ok(answered) => Ok(answered.hold(this.site.settings.stall.clone())),
            Err(error) => Err(of_authority(error, this.authority)),
        })
    }
}

/// Adds the authority to a rejection as its key.
fn of_authority(error: Error<TransportError>, authority: &Authority) -> Error<TransportError> {
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
    fn what_a_call_allocates_is_small() {
        type Request = RequestWithIdempotency<reqwest::Request>;
        type Future = <OfAuthority<reqwest::Client> as Service<Request>>::Future;
        assert!(size_of::<Calling<Future>>() <= 560, "{}", size_of::<Calling<Future>>());
    }
}
