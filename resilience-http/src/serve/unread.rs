//! Bytes of responses that clients have not taken yet: counted, and bounded for each connection and for the server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::observe::{self, Event};
use resilience_core::{Rejection, RejectionKind, Unit, clock};
use tokio::task::AbortHandle;

use super::limits::Limits;

/// The name of the layer in rejections.
const LAYER: &str = "serve";

/// Bytes that a client counts as having taken in the beginning, so that a newcomer is not the slowest of all.
const ADVANCE: u64 = 64 << 10;

/// Unread bytes of a server. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Unread(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: u64,
    most_per_connection: u64,
    bytes: AtomicU64,
    /// Connections and responses that were ended for their unread bytes.
    ended: AtomicU64,
    next: AtomicU64,
    connections: Mutex<HashMap<u64, Entry>>,
}

/// A connection, and the task that serves it once that is known.
#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    task: Option<AbortHandle>,
}

/// Unread bytes of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    server: Unread,
    begun: Instant,
    bytes: AtomicU64,
    /// When `bytes` last rose from 0, in nanoseconds after `begun`.
    since: AtomicU64,
    /// Bytes that its client has taken since then.
    taken: AtomicU64,
    /// Written under the lock of the server's connections.
    ended: AtomicBool,
}

impl Unread {
    pub(super) fn new(limits: &Limits) -> Unread {
        Unread(Arc::new(Shared {
            most: limits.max_unread,
            most_per_connection: limits.max_unread_per_connection,
            bytes: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            next: AtomicU64::new(0),
            connections: Mutex::default(),
        }))
    }

    /// Returns the unread bytes of all connections.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Returns how many connections and responses were ended for their unread bytes.
    pub(super) fn ended(&self) -> u64 {
        self.0.ended.load(Ordering::Relaxed)
    }

    /// Adds a connection, which may be ended until the returned value is dropped.
    pub(super) fn connection(&self) -> Listed {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            number,
            server: self.clone(),
            begun: clock::now(),
            bytes: AtomicU64::new(0),
            since: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let entry = Entry { connection: connection.clone(), task: None };
        self.0.connections.lock().insert(number, entry);
        Listed(connection)
    }

    /// Ends the slowest readers of the most bytes until the bytes of the others are within the bound.
    fn make_room(&self) {
        while let Some((unread, task)) = self.end_costliest() {
            if let Some(task) = task {
                task.abort();
            }
            self.note(self.0.most, unread);
        }
    }

    /// Marks the connection that costs the most as ended. Returns the unread bytes of all
    /// connections before that, and its task; `None` if they are within the bound. Connections that were marked before do not
    /// count.
    fn end_costliest(&self) -> Option<(u64, Option<AbortHandle>)> {
        let now = clock::now();
        let connections = self.0.connections.lock();
        let mut all = 0_u64;
        let mut costliest: Option<(&Entry, (u128, u64))> = None;
        for entry in connections.values() {
            let bytes = entry.connection.bytes.load(Ordering::Relaxed);
            if bytes == 0 || entry.connection.ended.load(Ordering::Relaxed) {
                continue;
            }
            all = all.saturating_add(bytes);
            let rank = (entry.connection.cost(bytes, now), bytes);
            if costliest.is_none_or(|(_, other)| rank > other) {
                costliest = Some((entry, rank));
            }
        }
        let (entry, _) = costliest.filter(|_| all > self.0.most)?;
        entry.connection.ended.store(true, Ordering::Relaxed);
        Some((all, entry.task.clone()))
    }

    /// Counts an end, and notifies the listener of the process.
    fn note(&self, limit: u64, observed: u64) -> Rejection {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        let rejection = Rejection::new(RejectionKind::Shed, LAYER).with_limit(limit);
        let rejection = rejection.with_observed(observed).with_unit(Unit::Bytes);
        observe::notify(&Event::Rejected(&rejection));
        rejection
    }
}

impl Connection {
    /// Adds bytes that are there for the client, until the returned value is dropped. Ends other connections if the
    /// server has too many.
    ///
    /// # Errors
    /// If this connection had as many as it may before.
    pub(super) fn add(self: &Arc<Connection>, count: usize) -> Result<Count, Rejection> {
        let server = &self.server.0;
        let count = as_bytes(count);
        let had = self.bytes.fetch_add(count, Ordering::Relaxed);
        let all = server.bytes.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        let bytes = Count { of: self.clone(), bytes: count };
        if had == 0 {
            self.taken.store(0, Ordering::Relaxed);
            self.since.store(self.after(clock::now()), Ordering::Relaxed);
        } else if had >= server.most_per_connection {
            return Err(self.server.note(server.most_per_connection, had));
        }
        if all > server.most {
            self.server.make_room();
        }
        Ok(bytes)
    }

    /// Sets the task whose abort ends the connection.
    pub(super) fn is_served_by(&self, task: AbortHandle) {
        let mut connections = self.server.0.connections.lock();
        if let Some(entry) = connections.get_mut(&self.number) {
            entry.task = Some(task.clone());
        }
        drop(connections);
        // It may have been marked before its task was known.
        if self.ended.load(Ordering::Relaxed) {
            task.abort();
        }
    }

    /// Returns what it costs to wait for its client: `bytes`, times the time for them at the pace of the client so far.
    fn cost(&self, bytes: u64, now: Instant) -> u128 {
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        let waited = now.saturating_duration_since(self.begun + since).as_nanos();
        let taken = self.taken.load(Ordering::Relaxed).saturating_add(ADVANCE);
        let bytes = u128::from(bytes);
        waited.saturating_mul(bytes).saturating_mul(bytes) / u128::from(taken)
    }

    fn after(&self, now: Instant) -> u64 {
        let after = now.saturating_duration_since(self.begun).as_nanos();
        u64::try_from(after).unwrap_or(u64::MAX)
    }
}

/// A connection among those of its server, until this is dropped.
#[derive(Debug)]
pub(super) struct Listed(Arc<Connection>);

impl Listed {
    pub(super) const fn get(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let removed = self.0.server.0.connections.lock().remove(&self.0.number);
        drop(removed);
    }
}

/// The bytes of one piece of a response. All of them count until this is dropped, because its memory is not free before.
#[derive(Debug)]
pub(super) struct Count {
    of: Arc<Connection>,
    bytes: u64,
}

impl Count {
    /// Notes that the client has taken `count` of the bytes, for its pace.
    pub(super) fn took(&self, count: usize) {
        self.of.taken.fetch_add(as_bytes(count), Ordering::Relaxed);
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of.server.0.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn as_bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn unread(most: u64, most_per_connection: u64) -> Unread {
        let limits = Limits {
            max_unread: most,
            max_unread_per_connection: most_per_connection,
            ..Limits::default()
        };
        Unread::new(&limits)
    }

    fn is_ended(listed: &Listed) -> bool {
        listed.get().ended.load(Ordering::Relaxed)
    }

    #[test]
    fn bytes_count_until_their_piece_is_dropped() {
        let server = unread(100, 50);
        let connections = [server.connection(), server.connection()];
        let first = connections[0].get().add(30).unwrap();
        let second = connections[1].get().add(40).unwrap();
        first.took(20);
        assert_eq!(server.bytes(), 70);
        drop(first);
        assert_eq!(server.bytes(), 40);
        drop(second);
        assert_eq!(server.bytes(), 0);
        drop(connections);
        assert!(server.0.connections.lock().is_empty());
    }

    #[test]
    fn a_connection_with_as_many_as_it_may_have_gets_no_more() {
        let server = unread(1_000, 50);
        let listed = server.connection();
        // One piece may be larger than the bound.
        let first = listed.get().add(80).unwrap();
        assert!(listed.get().add(1).is_err());
        assert_eq!((server.bytes(), server.ended()), (80, 1));
        drop(first);
        let _second = listed.get().add(49).unwrap();
        let _third = listed.get().add(40).unwrap();
        assert_eq!((server.bytes(), server.ended()), (89, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_reader_makes_room() {
        let most = 100 << 20;
        let server = unread(most, most);
        let connections = [(); 4].map(|()| server.connection());
        let [slow, fast, small, new] = &connections;
        let of_slow = slow.get().add(40 << 20).unwrap();
        let of_fast = fast.get().add(50 << 20).unwrap();
        let _of_small = small.get().add(1 << 20).unwrap();
        tokio::time::advance(SECOND * 10).await;
        of_slow.took(10 << 20);
        of_fast.took(40 << 20);
        let _of_new = new.get().add(30 << 20).unwrap();
        assert_eq!([slow, fast, small, new].map(is_ended), [true, false, false, false]);
        // What is being ended does not count any more, though it is not dropped yet.
        let _more = new.get().add(15 << 20).unwrap();
        assert_eq!(server.ended(), 1);
    }

    #[test]
    fn a_response_that_is_too_large_for_the_server_is_ended() {
        let server = unread(100, 1_000);
        let listed = server.connection();
        let _bytes = listed.get().add(101).unwrap();
        assert!(is_ended(&listed));
        // A second one is ended as well, and not the first one once more.
        let other = server.connection();
        let _more = other.get().add(101).unwrap();
        assert_eq!((is_ended(&other), server.ended()), (true, 2));
    }
}
