//! Rejections become answers.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use resilience_core::Rejection;
use tower_layer::Layer;
use tower_service::Service;

use super::rejection_format::{Asked, RejectionFormat};
use super::response_body::ResponseBody;
use super::split::SplitRejection;

/// Turns the refusals of the layers inside into answers ([`RejectionFormat`] has the table); what else goes wrong
/// stays the error that it is.
///
/// Readiness is forwarded; a service that is refused while it gets ready answers the next call so. Nothing
/// is shared between calls, and dropping the call drops what is inside.
///
/// ```
/// use http::{Request, Response};
/// use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
/// use resilience_core::Error;
/// use resilience_http::server::RejectionResponseLayer;
/// use std::convert::Infallible;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let full = Bulkhead::builder().max_concurrent(1).build()?;
/// let _taken = full.try_acquire(1)?;
/// let service = ServiceBuilder::new()
///     .layer(RejectionResponseLayer::default())
///     .layer(BulkheadLayer::new(full.clone()))
///     .map_err(Error::Service)
///     .service(service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) }));
/// let Ok(answer) = service.oneshot(Request::new(())).await;
/// assert_eq!(answer.status(), 503);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RejectionResponseLayer {
    refusals: RejectionFormat,
}

impl RejectionResponseLayer {
    /// Answers in this way.
    #[must_use]
    pub const fn new(refusals: RejectionFormat) -> RejectionResponseLayer {
        RejectionResponseLayer { refusals }
    }
}

impl<S> Layer<S> for RejectionResponseLayer {
    type Service = RejectionResponse<S>;

    fn layer(&self, inner: S) -> RejectionResponse<S> {
        RejectionResponse { inner, refusals: self.refusals, unready: None }
    }
}

/// A service whose refusals are answers. Made by [`RejectionResponseLayer`].
#[derive(Debug)]
pub struct RejectionResponse<S> {
    inner: S,
    refusals: RejectionFormat,
    /// It was refused while it got ready: the next call is answered so.
    unready: Option<Rejection>,
}

impl<S> RejectionResponse<S> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

/// A clone has not been readied (T5).
impl<S: Clone> Clone for RejectionResponse<S> {
    fn clone(&self) -> RejectionResponse<S> {
        RejectionResponse { inner: self.inner.clone(), refusals: self.refusals, unready: None }
    }
}

impl<S, B, RB> Service<Request<B>> for RejectionResponse<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: SplitRejection,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = <S::Error as SplitRejection>::Foreign;
    type Future = RejectionResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.unready.is_none()
            && let Err(error) = ready!(self.inner.poll_ready(cx))
        {
            self.unready = Some(error.split()?);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (refusals, asked) = (self.refusals, Asked::by(&request));
        let state = match self.unready.take() {
            Some(rejection) => State::Refused { rejection },
            None => State::Called { future: self.inner.call(request) },
        };
        RejectionResponseFuture { state, refusals, asked }
    }
}

pin_project! {
    /// A call whose refusal is an answer. Dropping it drops what is inside.
    #[derive(Debug)]
    pub struct RejectionResponseFuture<F> {
        #[pin]
        state: State<F>,
        refusals: RejectionFormat,
        asked: Asked,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Refused { rejection: Rejection },
        Called { #[pin] future: F },
        /// Nothing is held (T7).
        Done,
    }
}

impl<F, RB, E> Future for RejectionResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: SplitRejection,
{
    type Output = Result<Response<ResponseBody<RB>>, E::Foreign>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.state.as_mut().project() {
            StateProj::Refused { rejection } => Ok(this.refusals.answer_as(*this.asked, rejection)),
            StateProj::Called { future } => match ready!(future.poll(cx)) {
                Ok(answer) => Ok(answer.map(ResponseBody::handler)),
                Err(error) => {
                    error.split().map(|refused| this.refusals.answer_as(*this.asked, &refused))
                }
            },
            StateProj::Done => return Poll::Pending,
        };
        this.state.set(State::Done);
        Poll::Ready(result)
    }
}
