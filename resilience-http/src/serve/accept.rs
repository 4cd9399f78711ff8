//! Taking connections, one place each, until draining begins.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use resilience_core::shutdown::{Reached, ShutdownToken};
use tokio::sync::OwnedSemaphorePermit;

use super::listener::Listener;
use super::peer::{IpPlace, PerIp};
use super::room::Room;
use super::socket::Socket;

/// After an error that is not one connection's: no file descriptors are left, most of the time. The first wait,
/// and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// More than an operating system keeps for a listener, so that draining ends though clients keep coming.
const LONGEST_QUEUE: usize = 1 << 16;

pub(super) struct Acceptor<L: Listener> {
    /// `None` once its queue was taken.
    listener: Option<L>,
    draining: Reached,
    room: Room,
    per_ip: Option<Arc<PerIp>>,
    /// Has no place yet.
    newcomer: Option<Newcomer<L::Addr>>,
    pause: Duration,
    /// Errors that were not one connection's.
    pub(super) errors: u64,
    /// Connections that were closed at once, since their address had as many as it may.
    pub(super) refused: u64,
}

/// A connection, its client's address, and its place among those of the address.
pub(super) struct Newcomer<A> {
    pub(super) stream: Socket,
    pub(super) peer: A,
    pub(super) of_ip: Option<IpPlace>,
}

impl<L: Listener> Acceptor<L> {
    pub(super) fn new(
        listener: L,
        token: &ShutdownToken,
        room: Room,
        per_ip: Option<Arc<PerIp>>,
    ) -> Acceptor<L> {
        Acceptor {
            listener: Some(listener),
            draining: token.draining(),
            room,
            per_ip,
            newcomer: None,
            pause: PAUSES.0,
            errors: 0,
            refused: 0,
        }
    }

    /// The next connection and its place, or none if draining has begun: then what waits already is to be
    /// [taken](Acceptor::backlog).
    pub(super) async fn accept(&mut self) -> Option<(Newcomer<L::Addr>, OwnedSemaphorePermit)> {
        // Kept where the backlog finds it if draining begins before it has a place.
        self.newcomer = Some(self.next().await?);
        let mut place = pin!(self.room.enter());
        let place = unless(&mut self.draining, |cx| place.as_mut().poll(cx)).await??;
        self.newcomer.take().map(|newcomer| (newcomer, place))
    }

    async fn next(&mut self) -> Option<Newcomer<L::Addr>> {
        loop {
            let listener = self.listener.as_mut()?;
            match unless(&mut self.draining, |cx| listener.poll_accept(cx)).await? {
                Ok((stream, peer)) => {
                    self.pause = PAUSES.0;
                    if let Some(newcomer) = self.admitted(stream, peer) {
                        return Some(newcomer);
                    }
                }
                Err(error) if is_of_one(&error) => {}
                Err(_) => {
                    self.errors += 1;
                    let mut wait = pin!(tokio::time::sleep(self.pause));
                    self.pause = (self.pause * 2).min(PAUSES.1);
                    unless(&mut self.draining, |cx| wait.as_mut().poll(cx)).await?;
                }
            }
        }
    }

    /// Returns the connection, or `None` and counts it if its address has as many as it may.
    fn admitted(&mut self, stream: Socket, peer: L::Addr) -> Option<Newcomer<L::Addr>> {
        let of_ip = match (&self.per_ip, L::ip(&peer)) {
            (Some(per_ip), Some(ip)) => {
                let place = per_ip.enter(ip);
                self.refused += u64::from(place.is_none());
                Some(place?)
            }
            _ => None,
        };
        Some(Newcomer { stream, peer, of_ip })
    }

    /// Closes the listener and adds what had connected before to `taken`. The client's side of it is done: it knows of no
    /// reason why its request should not be answered. There may be more than there are places for, so that they wait
    /// here: a listener that is closed resets what is left in its queue.
    pub(super) async fn backlog(&mut self, taken: &mut VecDeque<Newcomer<L::Addr>>) {
        // See docs/decisions/0016-a-server-serves-what-has-connected.md.
        taken.extend(self.newcomer.take());
        let Some(listener) = self.listener.take() else { return };
        let mut waiting = listener.into_waiting();
        let mut pause = PAUSES.0;
        while taken.len() < LONGEST_QUEUE {
            match waiting.next() {
                None => break,
                Some(Ok((stream, peer))) => taken.extend(self.admitted(stream, peer)),
                Some(Err(error)) if is_of_one(&error) => {}
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Some(Err(_)) => {
                    self.errors += 1;
                    if pause > PAUSES.1 {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }
}

/// Whether only the connection that was to be accepted is affected.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What `poll` comes to, or nothing if draining begins before that.
async fn unless<T>(
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
