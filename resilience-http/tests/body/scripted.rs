//! A body with scripted steps.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

/// Result of one poll.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Data(&'static str),
    Trailers(HeaderMap),
    Fails,
    /// Returns pending once, and wakes at once.
    Waits,
    /// Returns pending without a wake, for ever.
    Stalls,
}

/// A body that yields its steps and then ends, by default of unknown length.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    steps: VecDeque<Step>,
    /// Set if `is_end_stream` reports the end, as bodies of known length do.
    knows_its_end: bool,
    hint: SizeHint,
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Scripted {
        Scripted { steps: steps.into_iter().collect(), ..Scripted::default() }
    }

    pub(crate) fn knowing_its_end(mut self) -> Scripted {
        self.knows_its_end = true;
        self
    }

    pub(crate) fn of_length(mut self, length: u64) -> Scripted {
        self.hint = SizeHint::with_exact(length);
        self
    }

    pub(crate) fn of_length_at_least(mut self, length: u64) -> Scripted {
        self.hint.set_lower(length);
        self
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(text)) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Fails) => Some(Err("broke off".into())),
            Some(Step::Waits) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Stalls) => {
                self.steps.push_front(Step::Stalls);
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

pub(crate) fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::ETAG, "last".parse().unwrap())])
}
