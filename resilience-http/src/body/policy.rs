use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRAILER};
use http::response::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use resilience_core::{CarriesRejection, Rejection};
use tower_service::Service;

use super::guarded::{Guard, GuardedBody};

/// Admits or rejects a call, and determines what the call holds until its response body ends.
///
/// Clones share the limit or circuit that decides.
pub trait BodyPolicy<Req, B: Body, E>: Clone {
    /// Future of an admission. Dropping it leaves every queue.
    type AdmitFuture: Future<Output = Result<Self::Admission, Rejection>>;
    /// Value that the call holds until the head of its response.
    type Admission;
    /// Value that the body of the response holds after the head.
    type Guard: Guard<B::Error>;

    /// Starts the admission of a call with this request.
    fn admit(&self, request: &Req) -> Self::AdmitFuture;

    /// Handles an inner service that is not ready yet, and returns the admission to keep during the
    /// wait. After `None` the call is admitted anew.
    fn not_ready(&self, admission: Self::Admission) -> Option<Self::Admission>;

    /// Handles the head of the response, or the error that came instead, and returns the guard for
    /// the body. `None` leaves the body without a guard.
    fn on_response(
        &self,
        admission: Self::Admission,
        result: Result<&Response<B>, &E>,
    ) -> Option<Self::Guard>;
}

/// A service whose calls are admitted by a [`BodyPolicy`] and guarded until their bodies end.
///
/// The service is always ready. Each call clones the inner service and waits for that clone.
#[derive(Debug, Clone)]
pub struct Guarded<S, A> {
    inner: S,
    policy: A,
}

impl<S, A> Guarded<S, A> {
    /// Creates a service that calls `inner` for the requests that `policy` admits.
    pub const fn new(inner: S, policy: A) -> Guarded<S, A> {
        Guarded { inner, policy }
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, A, Req, B, E, F> Service<Req> for Guarded<S, A>
where
    S: Service<Req, Response = Response<B>, Error = E, Future = F> + Clone,
    F: Future<Output = Result<Response<B>, E>>,
    E: CarriesRejection,
    B: Body,
    A: BodyPolicy<Req, B, E>,
{
    type Response = Response<GuardedBody<B, A::Guard>>;
    type Error = E;
    type Future = GuardedFuture<S, A, A::AdmitFuture, A::Admission, Req, F>;

    /// Returns ready at once: a call waits in its own future, on its own clone of the inner
    /// service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        GuardedFuture {
            state: State::Start,
            admission: None,
            service: Some(self.inner.clone()),
            policy: self.policy.clone(),
            request: Some(request),
        }
    }
}

// `W`, `H` and `F` are parameters and not projections of `A` and `S`: the auto traits of a spawned
// future must not depend on a bound with a boxed error (ARCHITECTURE, "Futures have the future
// below as a parameter").
pin_project! {
    /// A call that a policy admits. Dropping the future leaves the queue, or releases the
    /// admission.
    pub struct GuardedFuture<S, A, W, H, Req, F> {
        // Declared first, so that the inner future is dropped before the admission it runs under.
        #[pin]
        state: State<W, F>,
        admission: Option<H>,
        // `None` after the call, because a service may hold a connection.
        service: Option<S>,
        policy: A,
        request: Option<Req>,
    }
}

pin_project! {
    /// Start -> Admitting -> Readying -> Calling -> Done; Readying -> Start if the admission is
    /// given up.
    #[project = StateProj]
    enum State<W, F> {
        Start,
        Admitting { #[pin] admitting: W },
        Readying,
        Calling { #[pin] future: F },
        /// The inner future is dropped.
        Done,
    }
}

impl<S, A, W, H, Req, F, B, E> Future for GuardedFuture<S, A, W, H, Req, F>
where
    S: Service<Req, Response = Response<B>, Error = E, Future = F>,
    F: Future<Output = Result<Response<B>, E>>,
    E: CarriesRejection,
    B: Body,
    A: BodyPolicy<Req, B, E, AdmitFuture = W, Admission = H>,
    W: Future<Output = Result<H, Rejection>>,
{
    type Output = Result<Response<GuardedBody<B, A::Guard>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // A future that is polled after completion stays pending.
        let Some(service) = this.service.as_mut() else { return Poll::Pending };
        let result = loop {
            match this.state.as_mut().project() {
                StateProj::Start => {
                    let Some(request) = &this.request else { return Poll::Pending };
                    let admitting = this.policy.admit(request);
                    this.state.set(State::Admitting { admitting });
                }
                StateProj::Admitting { admitting } => match ready!(admitting.poll(cx)) {
                    Ok(admission) => {
                        *this.admission = Some(admission);
                        this.state.set(State::Readying);
                    }
                    Err(rejection) => break Err(rejection.into()),
                },
                StateProj::Readying => match service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let Some(request) = this.request.take() else { return Poll::Pending };
                        let future = service.call(request);
                        this.state.set(State::Calling { future });
                    }
                    Poll::Ready(Err(error)) => break Err(error),
                    Poll::Pending => {
                        let admission = this.admission.take();
                        *this.admission =
                            admission.and_then(|admission| this.policy.not_ready(admission));
                        if this.admission.is_none() {
                            this.state.set(State::Start);
                        }
                        return Poll::Pending;
                    }
                },
                StateProj::Calling { future } => break ready!(future.poll(cx)),
                StateProj::Done => return Poll::Pending,
            }
        };
        // Released here and not on drop: a caller may keep a completed future.
        this.state.set(State::Done);
        *this.service = None;
        *this.request = None;
        let admission = this.admission.take();
        let guard =
            admission.and_then(|admission| this.policy.on_response(admission, result.as_ref()));
        Poll::Ready(result.map(|response| {
            let (mut head, body) = response.into_parts();
            let body = match guard {
                Some(mut guard) => {
                    let length = length(&head, body.size_hint().exact());
                    let is_empty = length == Some(0) || body.is_end_stream();
                    if !is_empty || may_upgrade(head.status) {
                        guard.attach(&mut head.extensions);
                    }
                    GuardedBody::expecting(body, guard, length)
                }
                None => GuardedBody::unguarded(body),
            };
            Response::from_parts(head, body)
        }))
    }
}

/// Returns `true` if a response with this status may end HTTP on the connection: 101, or 2xx to
/// CONNECT ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8) and 9.3.6). The
/// server then keeps the permit until the upgraded stream is dropped.
fn may_upgrade(status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || status.is_success()
}

/// Returns the body length in bytes from the head, or `hint` (the body's own size) if the head has
/// none. `None` if trailers may follow.
fn length(head: &Parts, hint: Option<u64>) -> Option<u64> {
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Some(0);
    }
    let content_type = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_grpc = content_type.is_some_and(|value| value.starts_with(b"application/grpc"));
    if is_grpc || head.headers.contains_key(TRAILER) {
        return None;
    }
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    announced.and_then(|value| value.trim().parse().ok()).or(hint)
}

impl<S, A, W, H, Req, F> fmt::Debug for GuardedFuture<S, A, W, H, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFuture").finish_non_exhaustive()
    }
}
