//! Lingering close ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
//!
//! Bytes that arrive at a closed socket cause a reset, and a reset discards the response that the
//! client has not read yet. For a client that may still be sending, the server therefore closes its
//! sending side first, and discards what arrives until the client closes too, or a limit on time or
//! bytes is reached.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::limits::Limits;
use super::socket::Socket;

/// Size of the read buffer in bytes.
const PIECE: usize = 16 << 10;

/// Shuts the sending side of `stream` down and waits until the client closes or a limit is reached.
/// Dropping the future closes the socket at once.
pub(super) async fn linger(mut stream: Socket, limits: Limits) {
    // The socket is closed in every case, an error included.
    let _ended = timeout(limits.linger_timeout, discard(&mut stream, limits.linger_bytes)).await;
}

async fn discard(stream: &mut Socket, most: u64) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await?;
    let mut piece = vec![0; PIECE];
    let mut left = most;
    while left > 0 {
        let mut buf = ReadBuf::new(&mut piece);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buf)).await?;
        let Some(count) = u64::try_from(buf.filled().len()).ok().filter(|count| *count > 0) else {
            break;
        };
        left = left.saturating_sub(count);
    }
    Ok(())
}
