//! Places for connections, and what is done when there are none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a connection must have been idle before a newcomer may have its place. Otherwise a stranger could end
/// everybody's keep-alive.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// The places of a server. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: Arc<Semaphore>,
    /// Newcomers that wait for a place: at most one for each listener.
    newcomers: AtomicUsize,
    /// Wakes the connection that has been idle for the longest time.
    wanted: Notify,
}

impl Room {
    pub(super) fn new(places: u32) -> Room {
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        let places = Arc::new(Semaphore::new(places));
        Room(Arc::new(Shared { places, newcomers: AtomicUsize::new(0), wanted: Notify::new() }))
    }

    /// Returns `true` if the next connection would have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.0.places.available_permits() == 0
    }

    /// Waits for a place, and has an idle connection closed for it. `None`: there will be no places any more.
    pub(super) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.0.places.clone().try_acquire_owned() {
            return Some(place);
        }
        let _newcomer = Newcomer::new(&self.0);
        self.0.wanted.notify_one();
        self.0.places.clone().acquire_owned().await.ok()
    }

    /// Returns `true` if a newcomer waits.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.newcomers.load(Ordering::Relaxed) > 0
    }

    /// Waits until a place is wanted, behind the connections that have waited here for longer. If it is dropped, the next
    /// of them is woken in its place.
    pub(super) fn wanted(&self) -> Notified<'_> {
        self.0.wanted.notified()
    }
}

/// Counts as one until it is dropped. Then a place is wanted for the next one: the wakes of newcomers that came while no
/// connection was idle are one.
struct Newcomer<'a>(&'a Shared);

impl<'a> Newcomer<'a> {
    fn new(room: &'a Shared) -> Newcomer<'a> {
        room.newcomers.fetch_add(1, Ordering::Relaxed);
        Newcomer(room)
    }
}

impl Drop for Newcomer<'_> {
    fn drop(&mut self) {
        if self.0.newcomers.fetch_sub(1, Ordering::Relaxed) > 1 {
            self.0.wanted.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcomers of two listeners, which came while no connection was idle.
    #[tokio::test(start_paused = true)]
    async fn a_connection_is_closed_for_each_newcomer() {
        let room = Room::new(2);
        let mut places = Vec::new();
        for _ in 0..2 {
            places.extend(room.enter().await);
        }
        let newcomers = [(); 2].map(|()| {
            let room = room.clone();
            tokio::spawn(async move { room.enter().await })
        });
        while room.0.newcomers.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        for newcomer in newcomers {
            let wanted = tokio::time::timeout(SETTLED, room.wanted()).await;
            assert!(wanted.is_ok() && room.is_wanted());
            places.pop();
            places.extend(newcomer.await.unwrap());
        }
        assert!(!room.is_wanted());
    }
}
