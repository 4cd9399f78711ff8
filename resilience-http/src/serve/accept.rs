//! Taking connections, one permit each, until draining begins.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use resilience_core::shutdown::{Reached, ShutdownToken};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// After an error that is not one connection's: no file descriptors are left, most of the time. The first wait,
/// and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

pub(super) struct Acceptor {
    listener: TcpListener,
    draining: Reached,
    connections: Arc<Semaphore>,
    pause: Duration,
    /// Errors that were not one connection's.
    pub(super) errors: u64,
}

/// A connection, and its place among those there may be.
pub(super) type Accepted = (TcpStream, OwnedSemaphorePermit);

impl Acceptor {
    pub(super) fn new(
        listener: TcpListener,
        token: &ShutdownToken,
        connections: Arc<Semaphore>,
    ) -> Acceptor {
        let draining = token.draining();
        Acceptor { listener, draining, connections, pause: PAUSES.0, errors: 0 }
    }

    /// The next connection, or none if draining has begun: then what waits already is to be
    /// [taken](Acceptor::backlog).
    pub(super) async fn accept(&mut self) -> Option<Accepted> {
        let mut permit = pin!(self.connections.clone().acquire_owned());
        let permit = unless(&mut self.draining, |cx| permit.as_mut().poll(cx)).await?.ok()?;
        loop {
            match unless(&mut self.draining, |cx| self.listener.poll_accept(cx)).await? {
                Ok((stream, _)) => {
                    self.pause = PAUSES.0;
                    return Some((stream, permit));
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
    /// request should not be answered. The operating system is asked itself, as tokio would say that there is
    /// nobody until it has asked it the next time (T4).
    pub(super) fn backlog(self) -> impl Iterator<Item = Accepted> {
        let listener = self.listener.into_std().ok();
        std::iter::from_fn(move || {
            let permit = self.connections.clone().try_acquire_owned().ok()?;
            loop {
                match listener.as_ref()?.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(true).ok()?;
                        return Some((TcpStream::from_std(stream).ok()?, permit));
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
