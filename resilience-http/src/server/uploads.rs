//! Request bodies that are too large, or do not come.

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

use super::rejection_format::{Asked, GRPC_STATUS, Meaning, RejectionFormat};
use super::response_body::ResponseBody;
use crate::body::{StallBody, StallTimeout};

type BoxError = Box<dyn StdError + Send + Sync>;

/// What a server takes of a request's body: 2 MiB, as axum, of which something comes within every 30 s that it is
/// waited for. Checked where it is [used](super::AdmissionControlBuilder::uploads).
///
/// ```
/// use std::time::Duration;
/// use resilience_http::server::{AdmissionControlLayer, Uploads};
///
/// let uploads = Uploads::new().at_most(1 << 20).stall(Duration::from_secs(10)).at_least(1_024);
/// let protect = AdmissionControlLayer::builder().uploads(uploads).build()?;
/// # let _ = protect;
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Uploads {
    most: usize,
    stall: Duration,
    least: u64,
}

impl Default for Uploads {
    fn default() -> Uploads {
        Uploads { most: 2 << 20, stall: Duration::from_secs(30), least: 1 }
    }
}

impl Uploads {
    /// The defaults.
    pub fn new() -> Uploads {
        Uploads::default()
    }

    /// So many bytes. A framework's own limit (axum's `DefaultBodyLimit`) holds beside it.
    pub const fn at_most(mut self, bytes: usize) -> Uploads {
        self.most = bytes;
        self
    }

    /// How long a handler that waits for more may wait.
    pub const fn stall(mut self, limit: Duration) -> Uploads {
        self.stall = limit;
        self
    }

    /// So many bytes within each [`stall`](Uploads::stall), instead of one. See [`StallTimeout::at_least`].
    pub const fn at_least(mut self, bytes: u64) -> Uploads {
        self.least = bytes;
        self
    }
}

/// Bounds how large request bodies get, by `http_body_util::Limited`, and how slowly they come, by
/// [`StallBody`].
///
/// A request that says that it is too large is answered with 413 and does not reach the service. One that turns out
/// so while it is read, or stalls, ends its body in an error; and if the response to it is no success, or an error, it is
/// 413 or 408 instead. What a service answers in spite of it is its own. Where the head has been sent, the error
/// is all that there is.
///
/// Nothing is shared between calls, and dropping the call drops what is inside.
#[derive(Debug, Clone)]
pub struct UploadsLayer {
    most: usize,
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
    /// Takes so much. Rejections call it `name`.
    ///
    /// # Errors
    /// If the time is zero or more than a year.
    pub fn new(name: impl Into<Name>, uploads: Uploads) -> Result<UploadsLayer, InvalidConfig> {
        let name = name.into();
        let field =
            |error: InvalidConfig| InvalidConfig::new("stall", error.value(), error.bound());
        let stall = StallTimeout::new(uploads.stall).map_err(field)?;
        let stall = stall.name(name.clone()).at_least(uploads.least);
        let settings = Settings { name, rejections: RejectionFormat::new(), uploads };
        Ok(UploadsLayer { most: uploads.most, stall, settings })
    }

    /// How requests are refused.
    #[must_use]
    pub fn rejections(mut self, rejections: RejectionFormat) -> UploadsLayer {
        self.settings.rejections = rejections;
        self
    }
}

impl Settings {
    fn refuse<B>(&self, asked: Asked, trouble: Trouble) -> Response<ResponseBody<B>> {
        let (kind, meaning) = match trouble {
            Trouble::TooLarge => (RejectionKind::Shed, &Meaning::TOO_LARGE),
            Trouble::Stalled => (RejectionKind::TimedOut, &Meaning::STALLED),
        };
        let rejection = Rejection::new(kind, self.name.clone());
        let rejection = match trouble {
            Trouble::TooLarge => {
                rejection.with_limit(u64::try_from(self.uploads.most).unwrap_or(u64::MAX)).never()
            }
            Trouble::Stalled => rejection.with_limit(self.uploads.stall),
        };
        self.rejections.tell(asked, meaning, &rejection)
    }
}

impl<S> Layer<S> for UploadsLayer {
    type Service = BoundedUploads<S>;

    fn layer(&self, inner: S) -> BoundedUploads<S> {
        BoundedUploads { inner, layer: self.clone() }
    }
}

/// A service whose requests have bodies of bounded size and slowness. Made by [`UploadsLayer`].
#[derive(Debug, Clone)]
pub struct BoundedUploads<S> {
    inner: S,
    layer: UploadsLayer,
}

impl<S> BoundedUploads<S> {
    /// The service below.
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
        let asked = Asked::by(&request);
        let came = Came::default();
        let UploadsLayer { most, stall, settings } = &self.layer;
        let future = if usize::try_from(request.body().size_hint().lower())
            .is_ok_and(|size| size <= *most)
        {
            Some(self.inner.call(request.map(|body| UploadBody {
                body: StallBody::new(Limited::new(body, *most), stall.clone()),
                came: came.clone(),
            })))
        } else {
            came.get_or_init(|| Trouble::TooLarge);
            None
        };
        UploadFuture { future, done: false, settings: settings.clone(), asked, came }
    }
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    TooLarge,
    Stalled,
}

/// What a body came to, for the response to its request. The first trouble counts.
type Came = Arc<OnceLock<Trouble>>;

pin_project! {
    /// A request's body, of bounded size and slowness.
    #[derive(Debug)]
    pub struct UploadBody<B> {
        #[pin]
        body: StallBody<Limited<B>>,
        came: Came,
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
        let trouble = match &polled {
            Some(Err(error)) if error.is::<LengthLimitError>() => Some(Trouble::TooLarge),
            Some(Err(error)) if error.is::<Rejection>() => Some(Trouble::Stalled),
            _ => None,
        };
        if let Some(trouble) = trouble {
            this.came.get_or_init(|| trouble);
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
    /// A call whose request's body is bounded. Dropping it drops what is inside.
    #[derive(Debug)]
    pub struct UploadFuture<F> {
        // None where it was refused, and once there is a response (R14).
        #[pin]
        future: Option<F>,
        done: bool,
        settings: Settings,
        asked: Asked,
        came: Came,
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
        this.future.set(None);
        let refused = this.came.get().map(|trouble| this.settings.refuse(*this.asked, *trouble));
        Poll::Ready(match (result, refused) {
            (Some(Ok(response)), None) => Ok(response.map(ResponseBody::handler)),
            (Some(Ok(response)), Some(_)) if !is_failure(&response) => {
                Ok(response.map(ResponseBody::handler))
            }
            (_, Some(refused)) => Ok(refused),
            (Some(Err(error)), None) => Err(error),
            // Not called, and so in trouble.
            (None, None) => return Poll::Pending,
        })
    }
}
