//! Closing in stages ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
//!
//! What comes to a socket that is closed is answered by a reset, and a reset takes from the client what it has not
//! read yet: the response. So a client that may be in the middle of a body is told first that nothing more is coming, and
//! what it sends is thrown away until it closes as well, or has had enough of our time or sent enough.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::limits::Limits;
use super::socket::Socket;

/// How much is read at once.
const PIECE: usize = 16 << 10;

/// Until the client has closed, or a limit is reached. Dropping it closes at once.
pub(super) async fn linger(mut stream: Socket, limits: Limits) {
    // Whatever ends it, it is closed.
    let _ended = timeout(limits.linger_timeout, discard(&mut stream, limits.linger_bytes)).await;
}

async fn discard(stream: &mut Socket, most: u64) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await?;
    let mut piece = vec![0; PIECE];
    let mut left = most;
    while left > 0 {
        let mut buf = ReadBuf::new(&mut piece);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buf)).await?;
        let Some(rest) = u64::try_from(buf.filled().len()).ok().filter(|many| *many > 0) else {
            break;
        };
        left = left.saturating_sub(rest);
    }
    Ok(())
}
