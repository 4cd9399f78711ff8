//! What a connection is doing, to know when it has done nothing for too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Version;
use parking_lot::Mutex;
use resilience_core::clock;

use super::limits::Limits;
use super::outgoing::Outgoing;
use super::room::Room;
use super::socket::Socket;
use super::unread::Connection;

/// How long HTTP/2's preface is ([RFC 9113, 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
const PREFACE: u64 = 24;

/// How often a busy connection is looked at: its client may have left behind bytes that nobody reads.
const LOOK: Duration = Duration::from_secs(1);

/// Of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) room: Room,
    pub(super) out: Outgoing,
    unread: Arc<Connection>,
    accepted: Instant,
    /// Requests that are not answered in full.
    requests: AtomicU64,
    /// Since when it waits for a head, or reads one, in nanoseconds after it was accepted.
    since: AtomicU64,
    /// Whether some of a head is there: the first, from the beginning on.
    in_head: AtomicBool,
    /// How many bytes were read.
    heard: AtomicU64,
    /// Whether it began as HTTP/2 does.
    preface: AtomicBool,
    /// Whether it speaks HTTP/2, where what is read is not always a head.
    multiplexed: AtomicBool,
    /// Whether the request under way may make the connection another protocol's (HTTP/1).
    may_upgrade: AtomicBool,
    /// Set when the client has closed its sending side.
    half_closed: AtomicBool,
    /// Set when the connection is broken.
    broken: AtomicBool,
    /// Whether a request had a body, which the client may still be sending when all else is done.
    sending: AtomicBool,
    /// The socket, when it is let go of and its client may still be sending.
    left: Mutex<Option<Socket>>,
}

/// What to do about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    Until(Instant),
    /// A head takes too long: it is not going to be a request.
    SlowHead,
    /// Nobody has asked for anything for too long.
    Idle,
    /// Nobody reads what is written.
    Unread,
}

impl Activity {
    pub(super) fn new(room: Room, unread: Arc<Connection>, limits: &Limits) -> Arc<Activity> {
        Arc::new(Activity {
            room,
            out: Outgoing::new(limits),
            unread,
            accepted: clock::now(),
            requests: AtomicU64::new(0),
            since: AtomicU64::new(0),
            in_head: AtomicBool::new(true),
            heard: AtomicU64::new(0),
            preface: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            may_upgrade: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            sending: AtomicBool::new(false),
            left: Mutex::new(None),
        })
    }

    /// Whether anything was read at all.
    pub(super) fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed) > 0
    }

    /// These bytes were read.
    pub(super) fn read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let many = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let before = self.heard.fetch_add(many, Ordering::Relaxed);
        if before == 0 && bytes.starts_with(b"PRI") {
            self.preface.store(true, Ordering::Relaxed);
        }
        if self.preface.load(Ordering::Relaxed) && before.saturating_add(many) >= PREFACE {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        if self.multiplexed.load(Ordering::Relaxed) {
            return;
        }
        let waits = self.requests.load(Ordering::Relaxed) == 0;
        if waits && !self.in_head.swap(true, Ordering::Relaxed) {
            self.mark();
        }
    }

    /// The client has closed its sending side.
    pub(super) fn half_closed(&self) {
        self.half_closed.store(true, Ordering::Relaxed);
    }

    /// The connection is broken.
    pub(super) fn broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Returns `true` while a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// Returns `true` if a request is under way on HTTP/1 whose client has left.
    pub(super) fn is_left_alone(&self, limits: &Limits) -> bool {
        let left = self.broken.load(Ordering::Relaxed)
            || (!limits.half_close && self.half_closed.load(Ordering::Relaxed));
        left && self.is_busy() && !self.multiplexed.load(Ordering::Relaxed)
    }

    /// Notes that everything was written.
    pub(super) fn flushed(&self) {
        // What was left of a response went out slowly: it is not idle yet.
        if self.out.has_all() && !self.is_busy() {
            self.mark();
        }
    }

    /// A request was read, which has a body or not.
    pub(super) fn begin(self: &Arc<Activity>, version: Version, body: bool) -> Busy {
        if version == Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
            self.sending.fetch_or(body, Ordering::Relaxed);
        } else {
            // What came before it was read to its end.
            self.sending.store(body, Ordering::Relaxed);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_head.store(false, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Sets whether the request under way may end in an upgrade.
    pub(super) fn may_upgrade(&self, may: bool) {
        self.may_upgrade.store(may, Ordering::Relaxed);
    }

    /// Returns `true` from a request that asks for an upgrade until a response that is none. hyper, asked to close
    /// meanwhile, would add `close` to a 101.
    pub(super) fn is_upgrading(&self) -> bool {
        self.may_upgrade.load(Ordering::Relaxed)
    }

    /// It is asked to close. If it has answered all, in full, and is still there, then all was read.
    pub(super) fn closing(&self) {
        if !self.is_busy() && !self.out.is_full() {
            self.sending.store(false, Ordering::Relaxed);
        }
    }

    /// The socket is let go of. It is kept if its client may still be sending, if only a head that was refused.
    pub(super) fn leave(&self, stream: Socket) {
        if self.has_begun_a_head() || self.sending.load(Ordering::Relaxed) {
            *self.left.lock() = Some(stream);
        }
    }

    /// The socket that was [left](Activity::leave), if it is to be closed in stages.
    pub(super) fn take_left(&self) -> Option<Socket> {
        self.left.lock().take()
    }

    /// Returns since when it has had nothing to do and no byte of a head was read, if that is so.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = !self.is_busy() && !self.out.is_full() && !self.has_begun_a_head();
        idle.then(|| self.accepted + Duration::from_nanos(self.since.load(Ordering::Relaxed)))
    }

    fn has_begun_a_head(&self) -> bool {
        let multiplexed = self.multiplexed.load(Ordering::Relaxed);
        self.in_head.load(Ordering::Relaxed) && !multiplexed && self.was_heard()
    }

    fn mark(&self) {
        self.since.store(self.elapsed(), Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        let elapsed = clock::now().saturating_duration_since(self.accepted);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn verdict(&self, limits: &Limits, now: Instant) -> Verdict {
        let Some(due) = self.out.due() else { return self.asking_verdict(limits, now) };
        if due <= now {
            return Verdict::Unread;
        }
        match self.asking_verdict(limits, now) {
            Verdict::Until(next) => Verdict::Until(next.min(due).min(now + self.out.look())),
            other => other,
        }
    }

    fn asking_verdict(&self, limits: &Limits, now: Instant) -> Verdict {
        let multiplexed = self.multiplexed.load(Ordering::Relaxed);
        let in_head = self.in_head.load(Ordering::Relaxed) && !multiplexed;
        let limit = if in_head { limits.header_timeout } else { limits.idle_timeout };
        if self.is_busy() || self.out.is_full() {
            // When its answer ends is looked at then: it cannot be idle for longer before.
            let next = limits.header_timeout.min(limits.idle_timeout).min(LOOK);
            return Verdict::Until(now + next);
        }
        let due = self.accepted + Duration::from_nanos(self.since.load(Ordering::Relaxed)) + limit;
        match (due > now, in_head) {
            (true, _) => Verdict::Until(due),
            (false, true) => Verdict::SlowHead,
            (false, false) => Verdict::Idle,
        }
    }
}

/// A request, until its answer is sent or given up.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    /// Returns the unread bytes of its connection.
    pub(super) fn unread(&self) -> &Arc<Connection> {
        &self.0.unread
    }

    /// Returns `true` if the next connection would have to wait for a place.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.room.is_full()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.mark();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
