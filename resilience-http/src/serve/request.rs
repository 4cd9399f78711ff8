//! A request, from its head until its response is sent.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::service::TowerToHyperService;
use pin_project_lite::pin_project;
use resilience_core::Rejection;
use resilience_core::shutdown::{Carry, InFlight, Tracker};
use tower_service::Service;

use super::activity::{ActiveRequest, Activity};
use super::in_flight_body::InFlightBody;
use super::request_body::RequestBody;
use super::upgraded::Upgraded;
use crate::body::WritePermit;
use crate::propagate::{CallEnd, LimitedBody};

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

type Called<S> = <TowerToHyperService<S> as hyper::service::Service<Request<RequestBody>>>::Future;

/// Service that a connection calls for each of its requests.
#[derive(Debug, Clone)]
pub(super) struct RequestService<S> {
    service: TowerToHyperService<S>,
    tracker: Tracker,
    activity: Arc<Activity>,
}

impl<S> RequestService<S> {
    pub(super) fn new(service: S, tracker: Tracker, activity: Arc<Activity>) -> RequestService<S> {
        RequestService { service: TowerToHyperService::new(service), tracker, activity }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for RequestService<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Error: Into<BoxError>>,
{
    type Response = Response<InFlightBody<LimitedBody<B>>>;
    type Error = BoxError;
    type Future = RequestFuture<Called<S>>;

    /// Begins a request and counts it. The rejection of a forced shutdown becomes the error of the
    /// request.
    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let is_connect = request.method() == Method::CONNECT;
        let may_upgrade = request.extensions().get::<OnUpgrade>().is_some();
        let has_body = !request.body().is_end_stream();
        let active = Some(self.activity.begin(version, has_body, may_upgrade));
        let request = RequestBody::wrap(request, &self.activity);
        let state = match self.tracker.track() {
            Ok(in_flight) => {
                let carry = in_flight.carry(hyper::service::Service::call(&self.service, request));
                State::Running { carry }
            }
            Err(rejection) => State::Rejected { rejection: Some(rejection) },
        };
        let tracker = self.tracker.clone();
        let activity = self.activity.clone();
        RequestFuture { state, active, version, is_connect, tracker, activity }
    }
}

pin_project! {
    /// The future of a request's response head. Dropping it drops the handler.
    pub(super) struct RequestFuture<F> {
        #[pin]
        state: State<F>,
        active: Option<ActiveRequest>,
        version: Version,
        is_connect: bool,
        tracker: Tracker,
        activity: Arc<Activity>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Running { #[pin] carry: Carry<F> },
        Rejected { rejection: Option<Rejection> },
    }
}

impl<F, B, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Error: Into<BoxError>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<InFlightBody<LimitedBody<B>>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let carried = match this.state.project() {
            StateProj::Running { carry } => ready!(carry.poll(cx)),
            StateProj::Rejected { rejection } => match rejection.take() {
                Some(rejection) => Err(rejection),
                None => return Poll::Pending,
            },
        };
        let Some(active) = this.active.take() else { return Poll::Pending };
        let (output, in_flight): (_, InFlight) = carried?;
        let mut response = match output {
            Ok(response) => response,
            Err(error) => {
                in_flight.finish();
                return Poll::Ready(Err(error.into()));
            }
        };
        let permit = response.extensions_mut().remove::<WritePermit>();
        let multiplexed = *this.version == Version::HTTP_2;
        if switches(*this.is_connect, response.status()) {
            let upgraded = Upgraded::new(in_flight, permit);
            if multiplexed {
                upgraded.pass_to_next_task();
            } else {
                this.activity.upgrade(upgraded);
            }
            return Poll::Ready(Ok(
                response.map(|body| InFlightBody::of_upgrade(LimitedBody::new(body, None)))
            ));
        }
        if !multiplexed {
            this.activity.stays_http();
            // Before the connection is closed, so that the client sends its next request on another
            // one.
            if !this.tracker.token().is_ready() || active.is_at_connection_limit() {
                add_close(response.headers_mut());
            }
        }
        let end = response.extensions_mut().remove::<CallEnd>();
        Poll::Ready(Ok(response
            .map(|body| InFlightBody::new(LimitedBody::new(body, end), in_flight, active, permit))))
    }
}

/// Returns `true` if the connection is HTTP no longer after a response with this status
/// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8) and 9.3.6).
fn switches(is_connect: bool, status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || (is_connect && status.is_success())
}

/// Adds `close` to the connection options and removes `keep-alive`, which contradicts it
/// ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
fn add_close(headers: &mut HeaderMap) {
    const CLOSE: HeaderValue = HeaderValue::from_static("close");
    let values = headers.get_all(header::CONNECTION).iter();
    let options = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let replaced = ["", "close", "keep-alive"];
    let kept = options
        .map(str::trim)
        .filter(|option| !replaced.iter().any(|replaced| option.eq_ignore_ascii_case(replaced)));
    let mut all = kept.fold(String::new(), |all, option| all + option + ", ");
    let value = if all.is_empty() {
        CLOSE
    } else {
        all.push_str("close");
        HeaderValue::try_from(all).unwrap_or(CLOSE)
    };
    headers.insert(header::CONNECTION, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_is_added_to_the_other_connection_options() {
        for (values, expected) in [
            (&[][..], "close"),
            (&["close"], "close"),
            (&["Keep-Alive"], "close"),
            (&["upgrade"], "upgrade, close"),
            (&["Upgrade, keep-alive", "x-hop,", "CLOSE"], "Upgrade, x-hop, close"),
            (&["\u{e9}"], "close"),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(header::CONNECTION, value);
            }
            add_close(&mut headers);
            let all = headers.get_all(header::CONNECTION).iter().collect::<Vec<_>>();
            assert_eq!(all, [expected]);
        }
    }

    #[test]
    fn only_101_and_success_of_connect_end_http() {
        for status in 100..600 {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(switches(false, status), status == 101, "{status}");
            assert_eq!(switches(true, status), status == 101 || status.is_success(), "{status}");
        }
    }
}
