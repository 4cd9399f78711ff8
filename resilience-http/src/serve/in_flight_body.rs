//! The body of a response in flight.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use resilience_core::Rejection;
use resilience_core::shutdown::InFlight;

use super::activity::ActiveRequest;
use super::piece::Piece;
use super::reader::Reader;
use super::request::BoxError;
use super::unread::UnreadPiece;
use crate::body::WritePermit;

pin_project! {
    /// A response body that counts its request as in flight until it is sent in full or dropped.
    #[derive(Debug)]
    pub struct InFlightBody<B>
    where
        B: Body,
    {
        #[pin]
        body: B,
        request: Option<Request>,
        // Reader of the HTTP/2 stream.
        reader: Option<Arc<Reader>>,
        // Each piece has a clone, so that the permit is released when all of them are written.
        permit: Option<WritePermit>,
        // Trailers of a body that has ended while its pieces are not all written.
        end: Option<Option<HeaderMap>>,
    }

    impl<B> PinnedDrop for InFlightBody<B>
    where
        B: Body,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // Not a cancellation: hyper does not poll a body of known length to its `None`.
            if this.body.is_end_stream() && is_flushed(this.reader.as_ref()) {
                finish(this.request);
            }
        }
    }
}

#[derive(Debug)]
struct Request {
    in_flight: InFlight,
    // Declared, and so dropped, after `in_flight`: a connection is idle only once its request is
    // not counted.
    active: ActiveRequest,
}

impl<B: Body> InFlightBody<B> {
    /// Creates the body of a response. Call it in a poll of the HTTP/2 stream, whose reader it
    /// takes.
    pub(super) fn new(
        body: B,
        in_flight: InFlight,
        active: ActiveRequest,
        permit: Option<WritePermit>,
    ) -> InFlightBody<B> {
        let reader = Reader::current().inspect(|reader| reader.body_polled(true));
        let request = Some(Request { in_flight, active });
        InFlightBody { body, request, reader, permit, end: None }
    }
}

impl<B: Body> InFlightBody<B> {
    /// Creates the body of a response that upgrades its connection, which is not sent and not
    /// counted.
    pub(super) const fn of_upgrade(body: B) -> InFlightBody<B> {
        InFlightBody { body, request: None, reader: None, permit: None, end: None }
    }
}

fn finish(request: &mut Option<Request>) {
    if let Some(request) = request.take() {
        request.in_flight.finish();
    }
}

/// Counts the bytes of `data` as unread.
///
/// # Errors
/// If the connection has as many unread bytes as it may.
fn count(request: Option<&Request>, data: &impl Buf) -> Result<Option<UnreadPiece>, Rejection> {
    let connection =
        request.filter(|_| data.has_remaining()).map(|request| request.active.unread());
    connection.map(|connection| connection.add(data.remaining())).transpose()
}

fn is_flushed(reader: Option<&Arc<Reader>>) -> bool {
    reader.is_none_or(|reader| reader.is_flushed())
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
                reader.body_polled(polled.is_ready());
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
                    let permit = this.permit.clone();
                    let piece = Piece::new(data, this.reader.as_ref(), unread, permit);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(frame)) => *this.end = Some(frame.into_trailers().ok()),
                None => *this.end = Some(None),
            }
        }
        if let Some(reader) = this.reader {
            ready!(reader.poll_flushed(cx));
        }
        finish(this.request);
        Poll::Ready(this.end.take().flatten().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.end.is_none() && is_flushed(self.reader.as_ref())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
