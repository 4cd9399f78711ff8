//! Acceptance of connections, with a permit for each, until draining begins.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use resilience_core::shutdown::{Reached, ShutdownToken};
use tokio::sync::OwnedSemaphorePermit;

use super::connection_limit::ConnectionLimit;
use super::listener::Listener;
use super::peer::{IpPermit, PerIpLimit};
use super::socket::Socket;

/// First wait after an error that concerns the listener: in most cases, no file descriptors are
/// left.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Longest wait after such an error.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Most connections taken from a listener's queue. More than an operating system keeps there, and a
/// bound for draining while clients keep connecting.
const LONGEST_QUEUE: usize = 1 << 16;

/// Accepts connections from a listener.
pub(super) struct Acceptor<L: Listener> {
    /// `None` once the queue of the listener was taken.
    listener: Option<L>,
    draining: Reached,
    connection_limit: ConnectionLimit,
    per_ip: Option<Arc<PerIpLimit>>,
    /// Connection that waits for a permit.
    accepted: Option<Accepted<L::Addr>>,
    pause: Duration,
    /// Errors that concern the listener.
    pub(super) errors: u64,
    /// Connections that were closed at once because their address had as many as it may.
    pub(super) rejected: u64,
}

/// A connection, the address of its client, and its permit among those of the address.
pub(super) struct Accepted<A> {
    pub(super) stream: Socket,
    pub(super) peer: A,
    pub(super) ip_permit: Option<IpPermit>,
}

impl<L: Listener> Acceptor<L> {
    pub(super) fn new(
        listener: L,
        token: &ShutdownToken,
        connection_limit: ConnectionLimit,
        per_ip: Option<Arc<PerIpLimit>>,
    ) -> Acceptor<L> {
        Acceptor {
            listener: Some(listener),
            draining: token.draining(),
            connection_limit,
            per_ip,
            accepted: None,
            pause: FIRST_PAUSE,
            errors: 0,
            rejected: 0,
        }
    }

    /// Returns the next connection and its permit. `None` once draining has begun: then take the
    /// [backlog](Acceptor::backlog).
    pub(super) async fn accept(&mut self) -> Option<(Accepted<L::Addr>, OwnedSemaphorePermit)> {
        // In a field, where `backlog` finds the connection if draining begins before it has a
        // permit.
        self.accepted = Some(self.next().await?);
        let mut permit = pin!(self.connection_limit.acquire());
        let permit = until_draining(&mut self.draining, |cx| permit.as_mut().poll(cx)).await??;
        self.accepted.take().map(|accepted| (accepted, permit))
    }

    /// Returns the next connection whose address is within its limit. `None` once draining has
    /// begun.
    async fn next(&mut self) -> Option<Accepted<L::Addr>> {
        loop {
            let listener = self.listener.as_mut()?;
            match until_draining(&mut self.draining, |cx| listener.poll_accept(cx)).await? {
                Ok((stream, peer)) => {
                    self.pause = FIRST_PAUSE;
                    if let Some(accepted) = self.admit(stream, peer) {
                        return Some(accepted);
                    }
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(_) => {
                    self.errors += 1;
                    let mut wait = pin!(tokio::time::sleep(self.pause));
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    until_draining(&mut self.draining, |cx| wait.as_mut().poll(cx)).await?;
                }
            }
        }
    }

    /// Returns the connection with its address permit. If the address has as many connections as it
    /// may, counts a rejection, closes the connection and returns `None`.
    fn admit(&mut self, stream: Socket, peer: L::Addr) -> Option<Accepted<L::Addr>> {
        let ip_permit = match (&self.per_ip, L::ip(&peer)) {
            (Some(per_ip), Some(ip)) => {
                let permit = per_ip.acquire(ip);
                self.rejected += u64::from(permit.is_none());
                Some(permit?)
            }
            _ => None,
        };
        Some(Accepted { stream, peer, ip_permit })
    }

    /// Closes the listener and adds the connections of its queue to `taken`. Their clients have
    /// connected and expect responses, and closing the listener resets every connection that is
    /// left in the queue. There may be more of them than permits.
    pub(super) async fn backlog(&mut self, taken: &mut VecDeque<Accepted<L::Addr>>) {
        // See docs/decisions/0016-a-server-serves-what-has-connected.md.
        taken.extend(self.accepted.take());
        let Some(listener) = self.listener.take() else { return };
        let mut waiting = listener.into_waiting();
        let mut pause = FIRST_PAUSE;
        while taken.len() < LONGEST_QUEUE {
            match waiting.next() {
                None => break,
                Some(Ok((stream, peer))) => taken.extend(self.admit(stream, peer)),
                Some(Err(error)) if concerns_one_connection(&error) => {}
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Some(Err(_)) => {
                    self.errors += 1;
                    if pause > LONGEST_PAUSE {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }
}

/// Returns `true` if an error of `accept` concerns one connection and not the listener.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Returns the result of `poll`, or `None` if draining begins before it is ready.
async fn until_draining<T>(
    draining: &mut Reached,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    poll_fn(|cx| {
        if Pin::new(&mut *draining).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        poll(cx).map(Some)
    })
    .await
}
