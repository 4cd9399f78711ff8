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

/// Decides whether, and when, a call may go on, and what it holds until its body has ended.
/// Clones share what is decided about.
pub trait BodyPolicy<Req, B: Body, E>: Clone {
    /// The wait. Dropped, it leaves every queue.
    type Waiting: Future<Output = Result<Self::Held, Rejection>>;
    /// What the call holds up to the head of its response.
    type Held;
    /// What the body of the response holds from then on.
    type Guard: Guard<B::Error>;

    /// A live call asks to make this request.
    fn ask(&self, request: &Req) -> Self::Waiting;

    /// The service below is not ready yet. What is returned is kept meanwhile; if that is nothing, the call
    /// asks again.
    fn not_ready(&self, held: Self::Held) -> Option<Self::Held>;

    /// The head of the response is there, or an error is, after which there is no body.
    fn answered(&self, held: Self::Held, result: Result<&Response<B>, &E>) -> Option<Self::Guard>;
}

/// A service whose calls pass a [`BodyPolicy`], and hold what that gave them until their bodies have ended.
///
/// It is always ready, and readies a handle of its own for each call.
#[derive(Debug, Clone)]
pub struct Guarded<S, A> {
    inner: S,
    gate: A,
}

impl<S, A> Guarded<S, A> {
    /// Calls of `inner`, as far as `gate` lets them pass.
    pub const fn new(inner: S, gate: A) -> Guarded<S, A> {
        Guarded { inner, gate }
    }

    /// The service below.
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
    type Future = GuardedFuture<S, A, A::Waiting, A::Held, Req, F>;

    /// Always ready: a call waits in its own future, on a handle of its own.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        GuardedFuture {
            state: State::Asking,
            held: None,
            service: Some(self.inner.clone()),
            gate: self.gate.clone(),
            request: Some(request),
        }
    }
}

// `W`, `H` and `F`, and not what they are to `A` and `S`: a future that is spawned must not have to look
// its fields up by a bound on a boxed error (see "Futures have the future below as a parameter").
pin_project! {
    /// A call that passes a gate. Dropping it leaves the queue, or gives back what it holds.
    pub struct GuardedFuture<S, A, W, H, Req, F> {
        // First, and so dropped first: what is held admits this.
        #[pin]
        state: State<W, F>,
        held: Option<H>,
        // Gone once the call is over: it may hold a connection.
        service: Option<S>,
        gate: A,
        request: Option<Req>,
    }
}

pin_project! {
    /// Asking -> Waiting -> Readying -> Calling -> Done; Readying -> Asking if nothing is held meanwhile.
    #[project = StateProj]
    enum State<W, F> {
        Asking,
        Waiting { #[pin] waiting: W },
        Readying,
        Calling { #[pin] future: F },
        /// Nothing is held.
        Done,
    }
}

impl<S, A, W, H, Req, F, B, E> Future for GuardedFuture<S, A, W, H, Req, F>
where
    S: Service<Req, Response = Response<B>, Error = E, Future = F>,
    F: Future<Output = Result<Response<B>, E>>,
    E: CarriesRejection,
    B: Body,
    A: BodyPolicy<Req, B, E, Waiting = W, Held = H>,
    W: Future<Output = Result<H, Rejection>>,
{
    type Output = Result<Response<GuardedBody<B, A::Guard>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Polled after it was ready, which a future's contract leaves open: stay silent.
        let Some(service) = this.service.as_mut() else { return Poll::Pending };
        let result = loop {
            match this.state.as_mut().project() {
                StateProj::Asking => {
                    let Some(request) = &this.request else { return Poll::Pending };
                    let waiting = this.gate.ask(request);
                    this.state.set(State::Waiting { waiting });
                }
                StateProj::Waiting { waiting } => match ready!(waiting.poll(cx)) {
                    Ok(held) => {
                        *this.held = Some(held);
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
                        let held = this.held.take();
                        *this.held = held.and_then(|held| this.gate.not_ready(held));
                        if this.held.is_none() {
                            this.state.set(State::Asking);
                        }
                        return Poll::Pending;
                    }
                },
                StateProj::Calling { future } => break ready!(future.poll(cx)),
                StateProj::Done => return Poll::Pending,
            }
        };
        // What the call held is free, or the body's, when the response is there, not when this is dropped (R14).
        this.state.set(State::Done);
        *this.service = None;
        *this.request = None;
        let held = this.held.take();
        let guard = held.and_then(|held| this.gate.answered(held, result.as_ref()));
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
                None => GuardedBody::free(body),
            };
            Response::from_parts(head, body)
        }))
    }
}

/// Returns `true` if the connection may be HTTP no longer after a response with this status: 101, or 2xx to CONNECT. The
/// server then keeps the place until the upgraded stream is dropped.
fn may_upgrade(status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || status.is_success()
}

/// Returns how many bytes a body has by its head, or by its own account if the head does not announce it: `hint`. `None` if trailers may follow.
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
