//! A body that gives its slot back when it is over.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::slots::Slot;

pin_project! {
    /// The body of an answer, which holds a place on the wire until it is over: at its end, its error or
    /// its drop, whichever comes first.
    pub struct HeldBody<B> {
        #[pin]
        body: B,
        slot: Option<Slot>,
    }
}

impl<B: Body> HeldBody<B> {
    pub(super) fn new(body: B, slot: Slot) -> HeldBody<B> {
        let slot = (!body.is_end_stream()).then_some(slot);
        HeldBody { body, slot }
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = this.body.as_mut().poll_frame(cx);
        let over = match &frame {
            Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
            Poll::Ready(Some(Err(_)) | None) => true,
            Poll::Pending => false,
        };
        if over {
            *this.slot = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> fmt::Debug for HeldBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldBody").field("held", &self.slot.is_some()).finish_non_exhaustive()
    }
}
