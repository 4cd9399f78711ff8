//! A request, from when its head is there until its answer is sent.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Request, Response, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use pin_project_lite::pin_project;
use resilience_core::Rejection;
use resilience_core::shutdown::{Carry, InFlight, Tracker};
use tower_service::Service;

use super::activity::{Activity, Busy};
use super::answer::Answer;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

type Called<S> = <TowerToHyperService<S> as hyper::service::Service<Request<Incoming>>>::Future;

/// What a connection calls for each of its requests.
#[derive(Debug, Clone)]
pub(super) struct Requests<S> {
    service: TowerToHyperService<S>,
    tracker: Tracker,
    activity: Arc<Activity>,
}

impl<S> Requests<S> {
    pub(super) fn new(service: S, tracker: Tracker, activity: Arc<Activity>) -> Requests<S> {
        Requests { service: TowerToHyperService::new(service), tracker, activity }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body,
{
    type Response = Response<Answer<B>>;
    type Error = BoxError;
    type Future = Handling<Called<S>>;

    /// Called inside of the connection, which is under way and to which the request belongs.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let busy = Some(self.activity.begin(version, !request.body().is_end_stream()));
        let state = match self.tracker.track() {
            Ok(counted) => {
                let carry = counted.carry(hyper::service::Service::call(&self.service, request));
                State::Running { carry }
            }
            Err(refused) => State::Refused { refused: Some(refused) },
        };
        Handling { state, busy, version, tracker: self.tracker.clone() }
    }
}

pin_project! {
    /// The handling of a request. Dropping it drops what the service does.
    pub(super) struct Handling<F> {
        #[pin]
        state: State<F>,
        busy: Option<Busy>,
        version: Version,
        tracker: Tracker,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Running { #[pin] carry: Carry<F> },
        Refused { refused: Option<Rejection> },
    }
}

impl<F, B, E> Future for Handling<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Into<BoxError>,
{
    type Output = Result<Response<Answer<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let carried = match this.state.project() {
            StateProj::Running { carry } => ready!(carry.poll(cx)),
            StateProj::Refused { refused } => match refused.take() {
                Some(refused) => Err(refused),
                None => return Poll::Pending,
            },
        };
        let Some(busy) = this.busy.take() else { return Poll::Pending };
        let (output, counted): (_, InFlight) = carried?;
        let mut response = match output {
            Ok(response) => response,
            Err(error) => {
                counted.finish();
                return Poll::Ready(Err(error.into()));
            }
        };
        // Before anything is closed: whoever hears it now makes its next request elsewhere.
        if *this.version < Version::HTTP_2 && !this.tracker.token().is_ready() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Poll::Ready(Ok(response.map(|body| Answer::new(body, counted, busy))))
    }
}
