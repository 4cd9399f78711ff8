//! Each request under the profile of its authority.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use resilience_core::keyed::{Keyed, KeyedLimits, KeyedSnapshot};
use resilience_core::observe::Gauges;
use resilience_core::profiles::{Profile, ProfileService};
use resilience_core::stack::StackSnapshot;
use resilience_core::{Error, InvalidConfig, clock};
use tower_layer::Layer;
use tower_service::Service;

use super::answer::{Answered, HttpResponse, UntilBodyEnds};
use super::authority::Authority;
use super::request::{Call, CopyCall, HttpRequest, Replayable};
use super::settings::Settings;
use super::site::Site;
use super::slots::ConnectionLimits;
use super::transport::Transport;
use crate::body::StallTimeout;
use crate::classify::{BoxError, HttpClassifier, TransportError};
use crate::propagate::PropagateLayer;

/// Puts each request under the profile of its authority. See the [module](super).
///
/// Every service that one value makes, and its clones, share the authorities and their state.
#[derive(Clone)]
pub struct ResilientLayer {
    sites: Keyed<Authority, Site>,
}

/// A [`ResilientLayer`] in the making.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ResilientLayerBuilder {
    profile: Profile,
    connections: ConnectionLimits,
    authorities: KeyedLimits,
    classifier: HttpClassifier,
    propagate: Option<PropagateLayer>,
    body_stall: Option<Duration>,
    generates_keys: bool,
}

impl ResilientLayer {
    /// The profile for each authority, and bounds by their defaults.
    ///
    /// # Errors
    /// None with these.
    pub fn new(profile: &Profile) -> Result<ResilientLayer, InvalidConfig> {
        ResilientLayer::builder(profile).build()
    }

    /// Starts from the defaults of [`ConnectionLimits`] and [`KeyedLimits`], without generated keys, and tells
    /// servers the deadline and the attempt.
    ///
    /// `profile` is the model of those of the authorities: no call touches its own state, and it has no handles.
    pub fn builder(profile: &Profile) -> ResilientLayerBuilder {
        ResilientLayerBuilder {
            profile: profile.clone(),
            connections: ConnectionLimits::default(),
            authorities: KeyedLimits::default(),
            classifier: HttpClassifier::new(),
            propagate: Some(PropagateLayer::new().without_trace()),
            body_stall: None,
            generates_keys: false,
        }
    }

    /// How many authorities are known, in how many bytes, and how often there was no room.
    #[must_use]
    pub fn authorities(&self) -> KeyedSnapshot {
        self.sites.snapshot()
    }

    /// The state of one, if it is known: its circuit, permits, tokens and budget.
    #[must_use]
    pub fn snapshot(&self, authority: &Authority) -> Option<StackSnapshot> {
        self.profile(authority).map(|profile| profile.snapshot())
    }

    /// The profile of one, if it is known: the handles on its circuit, bulkhead and limiter.
    #[must_use]
    pub fn profile(&self, authority: &Authority) -> Option<Profile> {
        self.sites.peek(authority, clock::now()).map(|site| site.profile.clone())
    }
}

/// Visits the gauges of the store of authorities: how many are known, in how many bytes, and how many have an
/// open circuit.
impl Gauges for ResilientLayer {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        self.sites.gauges(visit);
    }
}

impl ResilientLayerBuilder {
    /// The bounds of connections.
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// How many authorities are known at once, in how many bytes, and for how long.
    pub fn authorities(mut self, limits: KeyedLimits) -> Self {
        self.authorities = limits;
        self
    }

    /// The service below follows redirects by itself: see
    /// [`HttpClassifier::follows_redirects`](HttpClassifier::follows_redirects).
    pub fn follows_redirects(mut self) -> Self {
        self.classifier = self.classifier.follows_redirects();
        self
    }

    /// Gives every request that may not run twice an `Idempotency-Key`, new for each call and the same for
    /// its attempts. For servers that go by it: to others it is noise, and their POSTs would run twice.
    pub fn generate_keys(mut self) -> Self {
        self.generates_keys = true;
        self
    }

    /// What servers are told of each attempt, in place of the default: how long it is waited for (the call's deadline
    /// or the attempt timeout, whichever is first), and which attempt it is.
    ///
    /// Say `PropagateLayer::new()` where servers are one's own: they belong to the trace. By default none is told of that, since
    /// what a request of ours brought along, its baggage above all, is no stranger's business.
    pub fn propagate(mut self, what: PropagateLayer) -> Self {
        self.propagate = Some(what);
        self
    }

    /// Tells servers nothing: requests go out with the headers that they have. For public hosts, which know nothing of
    /// ours and could tell by them who asks.
    pub fn without_propagation(mut self) -> Self {
        self.propagate = None;
        self
    }

    /// Ends the body of an answer that was waited for so long and yielded nothing: with a
    /// [`TimedOut`](resilience_core::RejectionKind::TimedOut) rejection, which is a failure to the circuit. Without this a
    /// body may take for ever: the profile's time limits are over with the head.
    pub fn body_stall(mut self, limit: Duration) -> Self {
        self.body_stall = Some(limit);
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// If a bound is out of its own.
    pub fn build(self) -> Result<ResilientLayer, InvalidConfig> {
        let slots = self.connections.build()?;
        let named =
            |error: InvalidConfig| InvalidConfig::new("body_stall", error.value(), error.bound());
        let stall = self.body_stall.map(StallTimeout::new).transpose().map_err(named)?;
        let settings = Arc::new(Settings {
            classifier: self.classifier,
            propagate: self.propagate,
            stall: stall.map(|stall| stall.name("body_stall")),
            generates_keys: self.generates_keys,
        });
        let profile = self.profile;
        let fresh = move |it: &Authority| Site::fresh(it, &profile, &slots, &settings);
        Ok(ResilientLayer { sites: Keyed::new(self.authorities, fresh) })
    }
}

impl<S> Layer<S> for ResilientLayer {
    type Service = Resilient<S>;

    fn layer(&self, inner: S) -> Resilient<S> {
        Resilient { inner, layer: self.clone() }
    }
}

/// A client under a profile for each authority. Made by [`ResilientLayer`].
///
/// Takes `http::Request`s, reqwest's with the feature `reqwest`, and [`Call`]s of either.
#[derive(Clone)]
pub struct Resilient<S> {
    inner: S,
    layer: ResilientLayer,
}

type OfAuthority<S> = ProfileService<Transport<S>, HttpClassifier, CopyCall, UntilBodyEnds>;
type Held<S, R> = <<S as Service<R>>::Response as HttpResponse>::Held;

impl<S> Resilient<S> {
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
        call: Call<R>,
    ) -> ResponseFuture<<OfAuthority<S> as Service<Call<R>>>::Future>
    where
        S: Service<R> + Clone,
        S::Response: HttpResponse,
        S::Error: Into<BoxError>,
        R: HttpRequest,
    {
        let authority = match call.request().authority() {
            Ok(authority) => authority,
            Err(error) => {
                return ResponseFuture { state: State::Refused(Box::new(Error::Service(error))) };
            }
        };
        let site = self.layer.sites.get(&authority, clock::now());
        let transport = Transport::new(self.inner.clone(), site.clone());
        let call = if site.settings.generates_keys { call.with_key_if_needed() } else { call };
        let future = site.calls.call(transport, call);
        ResponseFuture { state: State::Calling(Box::pin(Calling { future, authority, site })) }
    }
}

impl<S, R> Service<Call<R>> for Resilient<S>
where
    S: Service<R> + Clone,
    S::Response: HttpResponse,
    S::Error: Into<BoxError>,
    R: HttpRequest,
{
    type Response = Held<S, R>;
    type Error = Error<TransportError>;
    type Future = ResponseFuture<<OfAuthority<S> as Service<Call<R>>>::Future>;

    /// Always ready: which authority it is for is known with the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Looks its authority up; waits, and counts time, in the future.
    fn call(&mut self, call: Call<R>) -> Self::Future {
        self.begin(call)
    }
}

macro_rules! requests_as_they_are {
    ($(#[$cfg:meta])? $request:ty $(, $body:ident)?) => {
        $(#[$cfg])?
        impl<S, $($body)?> Service<$request> for Resilient<S>
        where
            S: Service<$request> + Clone,
            S::Response: HttpResponse,
            S::Error: Into<BoxError>,
            $($body: Replayable,)?
        {
            type Response = Held<S, $request>;
            type Error = Error<TransportError>;
            type Future = ResponseFuture<<OfAuthority<S> as Service<Call<$request>>>::Future>;

            /// Always ready: which authority it is for is known with the request.
            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
                Poll::Ready(Ok(()))
            }

            /// Looks its authority up; waits, and counts time, in the future.
            fn call(&mut self, request: $request) -> Self::Future {
                self.begin(Call::new(request))
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

/// A call of a [`Resilient`] service.
///
/// In a box, as reqwest has its own: whoever awaits a future moves it a few times, and this holds half a kilobyte.
pub struct ResponseFuture<F> {
    state: State<F>,
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
    F: Future<Output = Result<Answered<A>, Error<TransportError>>>,
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
    F: Future<Output = Result<Answered<A>, Error<TransportError>>>,
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

/// A refusal says whose limit it was.
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
        f.debug_struct("ResilientLayer").field("sites", &self.sites).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Resilient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resilient").field("layer", &self.layer).finish_non_exhaustive()
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
        type Request = Call<reqwest::Request>;
        type Future = <OfAuthority<reqwest::Client> as Service<Request>>::Future;
        assert!(size_of::<Calling<Future>>() <= 560, "{}", size_of::<Calling<Future>>());
    }
}
