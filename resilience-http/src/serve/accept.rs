//! Taking connections, one permit each, until draining begins.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use resilience_core::shutdown::{Reached, ShutdownToken};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::listener::Listener;
use super::peer::{IpPlace, PerIp};
use super::socket::Socket;

/// After an error that is not one connection's: no file descriptors are left, most of the time. The first wait,
/// and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

pub(super) struct Acceptor<L> {
    listener: L,
    draining: Reached,
    rooms: Rooms,
    pause: Duration,
    /// Errors that were not one connection's.
    pub(super) errors: u64,
    /// Connections that were closed at once, since their address had as many as it may.
    pub(super) refused: u64,
}

/// The limits on connections, of the server and of each address. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    pub(super) all: Arc<Semaphore>,
    pub(super) per_ip: Option<Arc<PerIp>>,
}

/// Place of a connection among those there may be, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_ip: Option<IpPlace>,
}

impl Rooms {
    /// Returns the place of a connection, or its permit if its address has as many connections as it may.
    fn place(
        &self,
        ip: Option<IpAddr>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Place, OwnedSemaphorePermit> {
        let of_ip = match (&self.per_ip, ip) {
            (Some(per_ip), Some(ip)) => match per_ip.enter(ip) {
                None => return Err(permit),
                place => place,
            },
            _ => None,
        };
        Ok(Place { _of_all: permit, _of_ip: of_ip })
    }
}

/// A connection, its client's address, and its place.
pub(super) type Accepted<A> = (Socket, A, Place);

impl<L: Listener> Acceptor<L> {
    pub(super) fn new(listener: L, token: &ShutdownToken, rooms: Rooms) -> Acceptor<L> {
        let draining = token.draining();
        Acceptor { listener, draining, rooms, pause: PAUSES.0, errors: 0, refused: 0 }
    }

    /// The next connection, or none if draining has begun: then what waits already is to be
    /// [taken](Acceptor::backlog).
    pub(super) async fn accept(&mut self) -> Option<Accepted<L::Addr>> {
        let mut permit = pin!(self.rooms.all.clone().acquire_owned());
        let mut permit = unless(&mut self.draining, |cx| permit.as_mut().poll(cx)).await?.ok()?;
        loop {
            match unless(&mut self.draining, |cx| self.listener.poll_accept(cx)).await? {
                Ok((stream, peer)) => {
                    self.pause = PAUSES.0;
                    match self.rooms.place(L::ip(&peer), permit) {
                        Ok(place) => return Some((stream, peer, place)),
                        Err(again) => permit = again,
                    }
                    self.refused += 1;
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

    /// What had connected before draining began. The client's side of it is done: it knows of no reason why its
    /// request should not be answered.
    /// `None` stands for one that is refused, as its address has as many as it may.
    pub(super) fn backlog(self) -> impl Iterator<Item = Option<Accepted<L::Addr>>> {
        let (rooms, mut waiting) = (self.rooms, self.listener.into_waiting());
        std::iter::from_fn(move || {
            let permit = rooms.all.clone().try_acquire_owned().ok()?;
            loop {
                match waiting.next()? {
                    Ok((stream, peer)) => {
                        let place = rooms.place(L::ip(&peer), permit).ok();
                        return Some(place.map(|place| (stream, peer, place)));
                    }
                    Err(error) if is_of_one(&error) => {}
                    Err(_) => return None,
                }
            }
        })
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
