//! A body that gives its slot back when it is over.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::slots::{Slot, Use};

pin_project! {
    /// The body of an answer, which holds a place on the wire until it is over: at its end, its error or
    /// its drop, whichever comes first.
    pub struct HeldBody<B> {
        #[pin]
        body: B,
        slot: Option<Slot>,
        // The server keeps the connection open.
        kept: bool,
    }
}

impl<B: Body> HeldBody<B> {
    pub(super) fn new(body: B, slot: Slot, kept: bool) -> HeldBody<B> {
        let mut slot = Some(slot);
        if body.is_end_stream() {
            give_back(&mut slot, kept);
        }
        HeldBody { body, slot, kept }
    }
}

fn give_back(slot: &mut Option<Slot>, kept: bool) {
    if let Some(mut slot) = slot.take()
        && kept
    {
        slot.set(Use::Free);
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
        match &frame {
            Poll::Ready(None) => give_back(this.slot, *this.kept),
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => {
                give_back(this.slot, *this.kept);
            }
            Poll::Ready(Some(Err(_))) => give_back(this.slot, false),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
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
