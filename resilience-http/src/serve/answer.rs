//! The body of a response, which is under way until it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use resilience_core::shutdown::InFlight;

use super::activity::Busy;
use super::reader::Reader;

pin_project! {
    /// A body, and what counts its request until it is sent in full or given up.
    #[derive(Debug)]
    pub struct Answer<B>
    where
        B: Body,
    {
        #[pin]
        body: B,
        request: Option<Request>,
        // Of a stream of HTTP/2.
        reader: Option<Arc<Reader>>,
    }

    impl<B> PinnedDrop for Answer<B>
    where
        B: Body,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // A body that is sent in full is not always polled to its end.
            if this.body.is_end_stream() {
                finish(this.request);
            }
        }
    }
}

#[derive(Debug)]
struct Request {
    counted: InFlight,
    /// Dropped after the other: a connection is idle when its request is not counted any more.
    _busy: Busy,
}

impl<B: Body> Answer<B> {
    /// To be made where the stream is polled that it belongs to, if it does to one.
    pub(super) fn new(body: B, counted: InFlight, busy: Busy) -> Answer<B> {
        let reader = Reader::current().inspect(|reader| reader.waited_for(true));
        Answer { body, request: Some(Request { counted, _busy: busy }), reader }
    }
}

fn finish(request: &mut Option<Request>) {
    if let Some(request) = request.take() {
        request.counted.finish();
    }
}

impl<B: Body> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        if let Some(reader) = this.reader {
            reader.waited_for(polled.is_ready());
        }
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            finish(this.request);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
