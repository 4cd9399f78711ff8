//! Limits on the size and the slowness of request bodies.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use pin_project_lite::pin_project;
use resilience_core::{InvalidConfig, Name, Rejection, RejectionKind};
use tower_layer::Layer;
use tower_service::Service;

use super::rejection_format::{GRPC_STATUS, Protocol, RejectionFormat, StatusMapping};
use super::response_body::ResponseBody;
use crate::body::{StallBody, StallTimeout};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Limits of a request body. The defaults are at most 2 MiB, as in axum, and at least one byte in
/// 30 s of waiting. Checked by
/// [`AdmissionControlBuilder::build`](super::AdmissionControlBuilder::build).
///
/// ```
/// use std::time::Duration;
/// use resilience_http::server::{AdmissionControlLayer, Uploads};
///
/// let uploads = Uploads::new().at_most(1 << 20).stall(Duration::from_secs(10)).at_least(1_024);
/// let admission = AdmissionControlLayer::builder().uploads(uploads).build()?;
/// # let _ = admission;
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Uploads {
    max_bytes: usize,
    stall: Duration,
    min_bytes: u64,
}

impl Default for Uploads {
    fn default() -> Uploads {
        Uploads { max_bytes: 2 << 20, stall: Duration::from_secs(30), min_bytes: 1 }
    }
}

impl Uploads {
    /// Creates the default limits.
    pub fn new() -> Uploads {
        Uploads::default()
    }

    /// Sets the most bytes of a body. The limit of a framework (axum's `DefaultBodyLimit`) applies
    /// as well.
    pub const fn at_most(mut self, bytes: usize) -> Uploads {
        self.max_bytes = bytes;
        self
    }

    /// Sets how long a handler may wait for more of a body, at most 365 days.
    pub const fn stall(mut self, limit: Duration) -> Uploads {
        self.stall = limit;
        self
    }

    /// Sets how many bytes must come within each [`stall`](Uploads::stall) of waiting. See
    /// [`StallTimeout::at_least`].
    pub const fn at_least(mut self, bytes: u64) -> Uploads {
        self.min_bytes = bytes;
        self
    }
}

/// A layer that limits the size of request bodies (`http_body_util::Limited`) and their slowness
/// ([`StallBody`]).
///
/// A request whose size hint is too large gets 413 ([RFC 9110, 15.5.14]) and does not reach the
/// service. A body that turns out too large while it is read, or stalls, ends in an error. If the
/// service then returns an error or a response that is not a success, the response is 413 or 408
/// ([RFC 9110, 15.5.9]) instead; a successful response is passed on. Once the head has been sent,
/// the body's error is the only effect.
///
/// Calls share nothing, and dropping a call drops the inner one.
///
/// [RFC 9110, 15.5.14]: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.14
/// [RFC 9110, 15.5.9]: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9
#[derive(Debug, Clone)]
pub struct UploadsLayer {
    max_bytes: usize,
    stall: StallTimeout,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    name: Name,
    rejections: RejectionFormat,
    uploads: Uploads,
}

impl UploadsLayer {
    /// Creates the layer. `name` is the layer name in rejections.
    ///
    /// # Errors
    /// If the stall limit is zero or more than 365 days.
    pub fn new(name: impl Into<Name>, uploads: Uploads) -> Result<UploadsLayer, InvalidConfig> {
        let name = name.into();
        let field =
            |error: InvalidConfig| InvalidConfig::new("stall", error.value(), error.bound());
        let stall = StallTimeout::new(uploads.stall).map_err(field)?;
        let stall = stall.name(name.clone()).at_least(uploads.min_bytes);
        let settings = Settings { name, rejections: RejectionFormat::new(), uploads };
        Ok(UploadsLayer { max_bytes: uploads.max_bytes, stall, settings })
    }

    /// Sets the format of rejections.
    #[must_use]
    pub fn rejections(mut self, rejections: RejectionFormat) -> UploadsLayer {
        self.settings.rejections = rejections;
        self
    }
}

impl Settings {
    /// Returns the response for a body with this fault.
    fn reject<B>(&self, protocol: Protocol, fault: UploadFault) -> Response<ResponseBody<B>> {
        let (kind, mapping) = match fault {
            UploadFault::TooLarge => (RejectionKind::Shed, &StatusMapping::TOO_LARGE),
            UploadFault::Stalled => (RejectionKind::TimedOut, &StatusMapping::STALLED),
        };
        let rejection = Rejection::new(kind, self.name.clone());
        let rejection = match fault {
            UploadFault::TooLarge => {
                let max_bytes = u64::try_from(self.uploads.max_bytes).unwrap_or(u64::MAX);
                rejection.with_limit(max_bytes).never()
            }
            UploadFault::Stalled => rejection.with_limit(self.uploads.stall),
        };
        self.rejections.build(protocol, mapping, &rejection)
    }
}

impl<S> Layer<S> for UploadsLayer {
    type Service = BoundedUploads<S>;

    fn layer(&self, inner: S) -> BoundedUploads<S> {
        BoundedUploads { inner, layer: self.clone() }
    }
}

/// A service that limits the size and the slowness of request bodies. Made by [`UploadsLayer`].
#[derive(Debug, Clone)]
pub struct BoundedUploads<S> {
    inner: S,
    layer: UploadsLayer,
}

impl<S> BoundedUploads<S> {
    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, RB> Service<Request<B>> for BoundedUploads<S>
where
    S: Service<Request<UploadBody<B>>, Response = Response<RB>>,
    B: Body,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = UploadFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let protocol = Protocol::of(&request);
        let fault = FirstFault::default();
        let UploadsLayer { max_bytes, stall, settings } = &self.layer;
        let future = if usize::try_from(request.body().size_hint().lower())
            .is_ok_and(|size| size <= *max_bytes)
        {
            Some(self.inner.call(request.map(|body| UploadBody {
                body: StallBody::new(Limited::new(body, *max_bytes), stall.clone()),
                fault: fault.clone(),
            })))
        } else {
            fault.get_or_init(|| UploadFault::TooLarge);
            None
        };
        UploadFuture { future, done: false, settings: settings.clone(), protocol, fault }
    }
}

/// The reason why a body was not read to its end.
#[derive(Debug, Clone, Copy)]
enum UploadFault {
    TooLarge,
    Stalled,
}

/// First fault of a request body, shared by the body and the call.
type FirstFault = Arc<OnceLock<UploadFault>>;

pin_project! {
    /// A request body of limited size and slowness.
    #[derive(Debug)]
    pub struct UploadBody<B> {
        #[pin]
        body: StallBody<Limited<B>>,
        fault: FirstFault,
    }
}

impl<B: Body<Error: Into<BoxError>>> Body for UploadBody<B> {
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        let polled = ready!(this.body.poll_frame(cx));
        let fault = match &polled {
            Some(Err(error)) if error.is::<LengthLimitError>() => Some(UploadFault::TooLarge),
            Some(Err(error)) if error.is::<Rejection>() => Some(UploadFault::Stalled),
            _ => None,
        };
        if let Some(fault) = fault {
            this.fault.get_or_init(|| fault);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn is_failure<B>(response: &Response<B>) -> bool {
    let grpc = response.headers().get(GRPC_STATUS).is_some_and(|status| status != "0");
    response.status() >= StatusCode::BAD_REQUEST || grpc
}

pin_project! {
    /// A call with a limited request body. Dropping the future drops the inner call.
    #[derive(Debug)]
    pub struct UploadFuture<F> {
        // `None` after a rejection by size hint, and after completion.
        #[pin]
        future: Option<F>,
        done: bool,
        settings: Settings,
        protocol: Protocol,
        fault: FirstFault,
    }
}

impl<F, RB, E> Future for UploadFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if *this.done {
            return Poll::Pending;
        }
        let result = match this.future.as_mut().as_pin_mut() {
            Some(future) => Some(ready!(future.poll(cx))),
            None => None,
        };
        *this.done = true;
        // Released here and not on drop: a caller may keep a completed future.
        this.future.set(None);
        let rejected = this.fault.get().map(|fault| this.settings.reject(*this.protocol, *fault));
        Poll::Ready(match (result, rejected) {
            (Some(Ok(response)), None) => Ok(response.map(ResponseBody::handler)),
            (Some(Ok(response)), Some(_)) if !is_failure(&response) => {
                Ok(response.map(ResponseBody::handler))
            }
            (_, Some(rejected)) => Ok(rejected),
            (Some(Err(error)), None) => Err(error),
            // Unreachable: a call that did not reach the service has a fault.
            (None, None) => return Poll::Pending,
        })
    }
}
