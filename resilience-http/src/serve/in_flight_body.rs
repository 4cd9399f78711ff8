//! The body of a response, which is under way until it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use resilience_core::Rejection;
use resilience_core::shutdown::InFlight;

use super::activity::Busy;
use super::piece::Piece;
use super::reader::Reader;
use super::request::BoxError;
use super::unread::Count;
use crate::body::WritePermit;

pin_project! {
    /// A body, and what counts its request until it is sent in full or given up.
    #[derive(Debug)]
    pub struct InFlightBody<B>
    where
        B: Body,
    {
        #[pin]
        body: B,
        request: Option<Request>,
        // Of a stream of HTTP/2.
        reader: Option<Arc<Reader>>,
        // Each piece has a clone: it is free when all of them are written.
        place: Option<WritePermit>,
        // The body has ended, with these trailers or without, and what it has handed over has not gone out yet.
        end: Option<Option<HeaderMap>>,
    }

    impl<B> PinnedDrop for InFlightBody<B>
    where
        B: Body,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // A body that is sent in full is not always polled to its end.
            if this.body.is_end_stream() && has_all(this.reader.as_ref()) {
                finish(this.request);
            }
        }
    }
}

#[derive(Debug)]
struct Request {
    counted: InFlight,
    // Dropped after `counted`: a connection is idle when its request is not counted any more.
    busy: Busy,
}

impl<B: Body> InFlightBody<B> {
    /// To be made where the stream is polled that it belongs to, if it does to one.
    pub(super) fn new(
        body: B,
        counted: InFlight,
        busy: Busy,
        place: Option<WritePermit>,
    ) -> InFlightBody<B> {
        let reader = Reader::current().inspect(|reader| reader.waited_for(true));
        let request = Some(Request { counted, busy });
        InFlightBody { body, request, reader, place, end: None }
    }
}

impl<B: Body> InFlightBody<B> {
    /// Creates the body of a response that upgrades its connection, which is not sent. It counts nothing.
    pub(super) const fn of_upgrade(body: B) -> InFlightBody<B> {
        InFlightBody { body, request: None, reader: None, place: None, end: None }
    }
}

fn finish(request: &mut Option<Request>) {
    if let Some(request) = request.take() {
        request.counted.finish();
    }
}

/// Counts the bytes of `data` as unread.
fn count(request: Option<&Request>, data: &impl Buf) -> Result<Option<Count>, Rejection> {
    let connection = request.filter(|_| data.has_remaining()).map(|request| request.busy.unread());
    connection.map(|connection| connection.add(data.remaining())).transpose()
}

fn has_all(reader: Option<&Arc<Reader>>) -> bool {
    reader.is_none_or(|reader| reader.has_all())
}

impl<B: Body<Error: Into<BoxError>>> Body for InFlightBody<B> {
    type Data = Piece<B::Data>;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        let mut this = self.project();
        if this.end.is_none() {
            let polled = this.body.as_mut().poll_frame(cx);
            if let Some(reader) = this.reader {
                reader.waited_for(polled.is_ready());
            }
            let frame = match ready!(polled).transpose() {
                Ok(frame) => frame.map(Frame::into_data),
                Err(error) => {
                    finish(this.request);
                    return Poll::Ready(Some(Err(error.into())));
                }
            };
            match frame {
                Some(Ok(data)) => {
                    let unread = match count(this.request.as_ref(), &data) {
                        Ok(unread) => unread,
                        Err(rejection) => {
                            finish(this.request);
                            return Poll::Ready(Some(Err(rejection.into())));
                        }
                    };
                    let place = this.place.clone();
                    let piece = Piece::new(data, this.reader.as_ref(), unread, place);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(frame)) => *this.end = Some(frame.into_trailers().ok()),
                None => *this.end = Some(None),
            }
        }
        if let Some(reader) = this.reader {
            ready!(reader.poll_has_all(cx));
        }
        finish(this.request);
        Poll::Ready(this.end.take().flatten().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.end.is_none() && has_all(self.reader.as_ref())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
