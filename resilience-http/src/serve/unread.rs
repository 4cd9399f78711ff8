//! Response bytes that clients have not taken yet, with limits for each connection and for the
//! server.

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

/// Bytes that each client counts as having taken at the start, so that a new client is not the
/// slowest of all.
const HEAD_START: u64 = 64 << 10;

/// Unread bytes of a server. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Unread(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: u64,
    most_per_connection: u64,
    bytes: AtomicU64,
    /// Number of connections and responses that were ended for their unread bytes.
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
    /// Time at which `bytes` last rose from 0, in nanoseconds after `begun`.
    since: AtomicU64,
    /// Bytes that the client has taken since then.
    taken: AtomicU64,
    /// Set once the connection is to be ended. Written under the lock of `connections`.
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

    /// Registers a connection, which may be ended until the returned value is dropped.
    pub(super) fn register(&self) -> Registered {
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
        Registered(connection)
    }

    /// Ends connections, the costliest first, until the unread bytes of the others are within the
    /// limit.
    fn end_excess(&self) {
        while let Some((unread, task)) = self.end_costliest() {
            if let Some(task) = task {
                task.abort();
            }
            self.note(self.0.most, unread);
        }
    }

    /// Marks the costliest connection as ended. Returns the unread bytes of all connections before,
    /// and the task of the connection. `None` if all are within the limit. Connections that are
    /// marked already do not count.
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

    /// Counts an end, notifies the listener of the process, and returns the rejection.
    fn note(&self, limit: u64, observed: u64) -> Rejection {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        let rejection = Rejection::new(RejectionKind::Shed, LAYER).with_limit(limit);
        let rejection = rejection.with_observed(observed).with_unit(Unit::Bytes);
        observe::notify(&Event::Rejected(&rejection));
        rejection
    }
}

impl Connection {
    /// Counts `count` bytes as unread until the returned value is dropped. Ends connections if the
    /// server is above its limit.
    ///
    /// # Errors
    /// If this connection was at its limit before.
    pub(super) fn add(self: &Arc<Connection>, count: usize) -> Result<UnreadPiece, Rejection> {
        let server = &self.server.0;
        let count = as_bytes(count);
        let had = self.bytes.fetch_add(count, Ordering::Relaxed);
        let all = server.bytes.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        let bytes = UnreadPiece { of: self.clone(), bytes: count };
        if had == 0 {
            self.taken.store(0, Ordering::Relaxed);
            self.since.store(self.after(clock::now()), Ordering::Relaxed);
        } else if had >= server.most_per_connection {
            return Err(self.server.note(server.most_per_connection, had));
        }
        if all > server.most {
            self.server.end_excess();
        }
        Ok(bytes)
    }

    /// Sets the task whose abort ends the connection.
    pub(super) fn set_task(&self, task: AbortHandle) {
        let mut connections = self.server.0.connections.lock();
        if let Some(entry) = connections.get_mut(&self.number) {
            entry.task = Some(task.clone());
        }
        drop(connections);
        // After the lock was released: a mark before it found no task to abort, and a mark after it
        // finds this one.
        if self.ended.load(Ordering::Relaxed) {
            task.abort();
        }
    }

    /// Returns the cost of waiting for the client: `bytes` times the time they need at the client's
    /// rate so far.
    fn cost(&self, bytes: u64, now: Instant) -> u128 {
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        let waited = now.saturating_duration_since(self.begun + since).as_nanos();
        let taken = self.taken.load(Ordering::Relaxed).saturating_add(HEAD_START);
        let bytes = u128::from(bytes);
        waited.saturating_mul(bytes).saturating_mul(bytes) / u128::from(taken)
    }

    /// Returns the nanoseconds from `begun` to `now`.
    fn after(&self, now: Instant) -> u64 {
        let after = now.saturating_duration_since(self.begun).as_nanos();
        u64::try_from(after).unwrap_or(u64::MAX)
    }
}

/// A registered connection. Dropping it removes the connection from its server.
#[derive(Debug)]
pub(super) struct Registered(Arc<Connection>);

impl Registered {
    pub(super) const fn get(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let removed = self.0.server.0.connections.lock().remove(&self.0.number);
        // Outside of the lock, which the statement above has released.
        drop(removed);
    }
}

/// The unread bytes of one piece of a response. All of them count until it is dropped, because the
/// memory of the piece is not free before.
#[derive(Debug)]
pub(super) struct UnreadPiece {
    of: Arc<Connection>,
    bytes: u64,
}

impl UnreadPiece {
    /// Notes that the client has taken `count` of the bytes, for the client's rate.
    pub(super) fn took(&self, count: usize) {
        self.of.taken.fetch_add(as_bytes(count), Ordering::Relaxed);
    }
}

impl Drop for UnreadPiece {
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

    fn is_ended(registered: &Registered) -> bool {
        registered.get().ended.load(Ordering::Relaxed)
    }

    #[test]
    fn bytes_count_until_their_piece_is_dropped() {
        let server = unread(100, 50);
        let connections = [server.register(), server.register()];
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
    fn a_connection_at_its_limit_gets_no_more_bytes() {
        let server = unread(1_000, 50);
        let registered = server.register();
        // One piece may be larger than the bound.
        let first = registered.get().add(80).unwrap();
        assert!(registered.get().add(1).is_err());
        assert_eq!((server.bytes(), server.ended()), (80, 1));
        drop(first);
        let _second = registered.get().add(49).unwrap();
        let _third = registered.get().add(40).unwrap();
        assert_eq!((server.bytes(), server.ended()), (89, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_costliest_reader_is_ended() {
        let most = 100 << 20;
        let server = unread(most, most);
        let connections = [(); 4].map(|()| server.register());
        let [slow, fast, small, new] = &connections;
        let of_slow = slow.get().add(40 << 20).unwrap();
        let of_fast = fast.get().add(50 << 20).unwrap();
        let _of_small = small.get().add(1 << 20).unwrap();
        tokio::time::advance(SECOND * 10).await;
        of_slow.took(10 << 20);
        of_fast.took(40 << 20);
        let _of_new = new.get().add(30 << 20).unwrap();
        assert_eq!([slow, fast, small, new].map(is_ended), [true, false, false, false]);
        // A marked connection does not count any more, though its bytes are not dropped yet.
        let _more = new.get().add(15 << 20).unwrap();
        assert_eq!(server.ended(), 1);
    }

    #[test]
    fn a_response_that_is_too_large_for_the_server_is_ended() {
        let server = unread(100, 1_000);
        let registered = server.register();
        let _bytes = registered.get().add(101).unwrap();
        assert!(is_ended(&registered));
        // The second connection is ended as well, and the first is not counted twice.
        let other = server.register();
        let _more = other.get().add(101).unwrap();
        assert_eq!((is_ended(&other), server.ended()), (true, 2));
    }
}
