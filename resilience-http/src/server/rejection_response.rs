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

/// Turns the rejections of the layers inside into answers ([`RejectionFormat`] has the table); what else goes wrong
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
/// let Ok(response) = service.oneshot(Request::new(())).await;
/// assert_eq!(response.status(), 503);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RejectionResponseLayer {
    rejections: RejectionFormat,
}

impl RejectionResponseLayer {
    /// Answers in this way.
    #[must_use]
    pub const fn new(rejections: RejectionFormat) -> RejectionResponseLayer {
        RejectionResponseLayer { rejections }
    }
}

impl<S> Layer<S> for RejectionResponseLayer {
    type Service = RejectionResponse<S>;

    fn layer(&self, inner: S) -> RejectionResponse<S> {
        RejectionResponse { inner, rejections: self.rejections, unready: None }
    }
}

/// A service whose rejections are answers. Made by [`RejectionResponseLayer`].
#[derive(Debug)]
pub struct RejectionResponse<S> {
    inner: S,
    rejections: RejectionFormat,
    /// It was refused while it got ready: the next call is answered so.
    unready: Option<Rejection>,
}

impl<S> RejectionResponse<S> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

/// A clone has not been readied.
impl<S: Clone> Clone for RejectionResponse<S> {
    fn clone(&self) -> RejectionResponse<S> {
        RejectionResponse { inner: self.inner.clone(), rejections: self.rejections, unready: None }
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
        let (rejections, asked) = (self.rejections, Asked::by(&request));
        let state = match self.unready.take() {
            Some(rejection) => State::Refused { rejection },
            None => State::Called { future: self.inner.call(request) },
        };
        RejectionResponseFuture { state, rejections, asked }
    }
}

pin_project! {
    /// A call whose rejection is a response. Dropping it drops what is inside.
    #[derive(Debug)]
    pub struct RejectionResponseFuture<F> {
        #[pin]
        state: State<F>,
        rejections: RejectionFormat,
        asked: Asked,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Refused { rejection: Rejection },
        Called { #[pin] future: F },
        /// Nothing is held (R14).
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
            StateProj::Refused { rejection } => {
                Ok(this.rejections.respond_to(*this.asked, rejection))
            }
            StateProj::Called { future } => match ready!(future.poll(cx)) {
                Ok(response) => Ok(response.map(ResponseBody::handler)),
                Err(error) => {
                    error.split().map(|refused| this.rejections.respond_to(*this.asked, &refused))
                }
            },
            StateProj::Done => return Poll::Pending,
        };
        this.state.set(State::Done);
        Poll::Ready(result)
    }
}
