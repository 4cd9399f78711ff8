//! A socket that records the activity of its connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::activity::{Activity, Half};
use super::socket::Socket;

/// A socket that records reads and the progress of writes in the [`Activity`] of its connection.
#[derive(Debug)]
pub(super) struct WatchedSocket {
    /// `Some` until this is dropped.
    stream: Option<Socket>,
    activity: Arc<Activity>,
    half_close: bool,
    /// Set when hyper has read everything since the last check and waits for more, or for the end.
    waits: bool,
}

impl WatchedSocket {
    /// Wraps `stream`. With `half_close`, only a reset is detected while hyper does not read.
    pub(super) const fn new(
        stream: Socket,
        activity: Arc<Activity>,
        half_close: bool,
    ) -> WatchedSocket {
        WatchedSocket { stream: Some(stream), activity, half_close, waits: false }
    }

    /// Checks whether the client has disconnected. Reading does not show it if bytes before the end
    /// are unread.
    fn check_disconnect(&mut self) {
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

    /// Records how many bytes the socket has taken. A full socket is tried again at intervals,
    /// because the operating system reports it as writable only when a third of its buffer is free,
    /// which can take a slow reader minutes.
    fn record_write(
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

    /// Returns the socket.
    ///
    /// # Errors
    /// If the connection was cut. The socket is then closed.
    fn stream(&mut self) -> io::Result<Pin<&mut Socket>> {
        if self.activity.is_cut() {
            self.stream = None;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for WatchedSocket {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.activity.socket_dropped(stream);
        }
    }
}

impl AsyncRead for WatchedSocket {
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

impl AsyncWrite for WatchedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream()?.poll_write(cx, bytes);
        let polled = self.record_write(polled, &[io::IoSlice::new(bytes)]);
        if polled.is_pending() {
            self.activity.wait(Half::Writer, cx);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_disconnect();
        let polled = self.stream()?.poll_flush(cx);
        match polled {
            Poll::Ready(_) => self.activity.flushed(),
            // A TLS stream buffers the bytes that its socket does not take.
            Poll::Pending => drop(self.activity.out.full()),
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    /// Returns `true` for every stream: for one that does not write slices, hyper would copy a
    /// whole response, and the copied bytes would count as written.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream()?.poll_write_vectored(cx, slices);
        let polled = self.record_write(polled, slices);
        if polled.is_pending() {
            self.activity.wait(Half::Writer, cx);
        }
        polled
    }
}
