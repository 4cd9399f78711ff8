//! A connection's bytes, looked at as they come and go.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::activity::{Activity, Half};
use super::socket::Socket;

/// A socket that notes in its connection's [`Activity`] what is read, and whether what is written goes out.
#[derive(Debug)]
pub(super) struct Watched {
    /// `Some` until this is dropped.
    stream: Option<Socket>,
    activity: Arc<Activity>,
    half_close: bool,
    /// Set when everything was read since the last look, so that hyper waits for more, or for the end.
    waits: bool,
}

impl Watched {
    /// Watches `stream`. With `half_close`, only a reset is looked for while hyper does not read.
    pub(super) const fn new(stream: Socket, activity: Arc<Activity>, half_close: bool) -> Watched {
        Watched { stream: Some(stream), activity, half_close, waits: false }
    }

    /// Notes whether the client has left. What it sent before may be unread, so reading does not show it.
    fn look(&mut self) {
        let was_read = std::mem::take(&mut self.waits);
        if was_read || !self.activity.is_busy() {
            return;
        }
        let Some(stream) = &self.stream else { return };
        if stream.has(Interest::ERROR) {
            self.activity.broken();
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !self.half_close && stream.has(Interest::PRIORITY) {
            self.activity.half_closed();
        }
    }

    /// Notes what the socket has taken. One that is full is tried again now and then, since the operating system reports it as
    /// writable only when a third of its buffer is free, which a slow reader may need minutes for.
    fn noted(
        &self,
        polled: Poll<io::Result<usize>>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = match (polled, &self.stream) {
            (Poll::Pending, Some(stream)) if self.activity.out.full() => stream.try_write(slices),
            (polled, _) => polled,
        };
        if let Poll::Ready(Ok(count)) = polled {
            self.activity.out.took(count);
        }
        polled
    }

    /// Returns the socket. It is closed if the connection was cut.
    fn stream(&mut self) -> io::Result<Pin<&mut Socket>> {
        if self.activity.is_cut() {
            self.stream = None;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.activity.leave(stream);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.stream()?.poll_read(cx, buf);
        self.waits = polled.is_pending();
        if self.waits {
            self.activity.wait(Half::Reader, cx);
        }
        if let Err(error) = ready!(polled) {
            self.activity.broken();
            return Poll::Ready(Err(error));
        }
        let read = &buf.filled()[before..];
        if read.is_empty() && buf.remaining() > 0 {
            self.activity.half_closed();
        }
        self.activity.read(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream()?.poll_write(cx, bytes);
        let polled = self.noted(polled, &[io::IoSlice::new(bytes)]);
        if polled.is_pending() {
            self.activity.wait(Half::Writer, cx);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look();
        let polled = self.stream()?.poll_flush(cx);
        match polled {
            Poll::Ready(_) => self.activity.flushed(),
            // A stream of TLS keeps what its socket does not take.
            Poll::Pending => drop(self.activity.out.full()),
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    /// Returns `true` for every stream: hyper would copy the whole of a response for one that writes no slices, and what is
    /// copied counts as written.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream()?.poll_write_vectored(cx, slices);
        let polled = self.noted(polled, slices);
        if polled.is_pending() {
            self.activity.wait(Half::Writer, cx);
        }
        polled
    }
}
