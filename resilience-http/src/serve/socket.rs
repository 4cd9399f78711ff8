//! The byte stream of a connection: TCP, Unix or boxed.

use std::fmt;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::{AsFd, OwnedFd};
#[cfg(unix)]
use std::os::unix::net::UnixStream as UnixDuplicate;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::task::coop::unconstrained;

/// A connection that a [`Listener`](super::Listener) has accepted.
///
/// TCP and Unix sockets are converted by `From` without an allocation. Any other stream, TLS for
/// example, is boxed.
pub struct Socket(Kind);

enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Other(Box<dyn Stream>),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Socket {
    /// Boxes a stream of any type.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Socket {
        Socket(Kind::Other(Box::new(stream)))
    }

    /// Returns `true` if the operating system has reported this event. A boxed stream reports none:
    /// only a read shows that its client has disconnected.
    pub(super) fn has(&self, event: Interest) -> bool {
        match &self.0 {
            Kind::Tcp(stream) => is_ready(stream.ready(event)),
            #[cfg(unix)]
            Kind::Unix(stream) => is_ready(stream.ready(event)),
            Kind::Other(_) => false,
        }
    }

    /// Writes as many bytes as the operating system takes at once, without waiting for readiness.
    /// Pending if it takes none, and for boxed streams.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        #[cfg(unix)]
        match &self.0 {
            Kind::Tcp(stream) => return write_now(stream, slices, std::net::TcpStream::from),
            Kind::Unix(stream) => return write_now(stream, slices, UnixDuplicate::from),
            Kind::Other(_) => {}
        }
        Poll::Pending
    }
}

/// Writes to a duplicate of `stream`, because tokio does not try a write before it is notified.
#[cfg(unix)]
fn write_now<T: io::Write>(
    stream: &impl AsFd,
    slices: &[IoSlice<'_>],
    open: fn(OwnedFd) -> T,
) -> Poll<io::Result<usize>> {
    let written = stream.as_fd().try_clone_to_owned().map(open);
    match written.and_then(|mut duplicate| duplicate.write_vectored(slices)) {
        Ok(count) if count > 0 => Poll::Ready(Ok(count)),
        // Errors are ignored: the next write returns an error of the socket again, and a lack of
        // descriptors for the duplicate does not concern the socket.
        _ => Poll::Pending,
    }
}

/// Polls a readiness future once, without a waker: reads and writes register the task's own waker.
fn is_ready(event: impl Future<Output = io::Result<Ready>>) -> bool {
    pin!(unconstrained(event)).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Socket {
        Socket(Kind::Tcp(stream))
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Socket {
        Socket(Kind::Unix(stream))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp(stream) => stream.fmt(f),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.fmt(f),
            Kind::Other(_) => f.write_str("Socket"),
        }
    }
}

/// Calls a method of the inner stream of any kind.
macro_rules! stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().0 {
            Kind::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(unix)]
            Kind::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Kind::Other(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        stream!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        stream!(self, stream => stream.poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kind::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.is_write_vectored(),
            Kind::Other(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        stream!(self, stream => stream.poll_write_vectored(cx, slices))
    }
}
