//! State of a connection: idle, busy, closing or upgraded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::Version;
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};
use resilience_core::clock;

use super::connection_limit::ConnectionLimit;
use super::limits::Limits;
use super::outgoing::Outgoing;
use super::socket::Socket;
use super::unread::Connection;
use super::upgraded::Upgraded;

/// Length of HTTP/2's preface ([RFC 9113,
/// 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
const PREFACE: u64 = 24;

/// Longest time between two checks of a busy connection, whose client may have disconnected behind
/// unread bytes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// States of [`Activity::stage`].
const HTTP: u8 = 0;
const UPGRADED: u8 = 1;
const CUT: u8 = 2;

/// State of one connection, shared by its task, its socket, its requests and their bodies.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) connection_limit: ConnectionLimit,
    pub(super) out: Outgoing,
    unread: Arc<Connection>,
    // Outside of the lock, because every operation of the socket reads it.
    stage: AtomicU8,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Requests whose responses are not sent.
    requests: u32,
    /// Request bodies that are not read to their end.
    bodies: u32,
    /// Set when a request body was dropped before its end. Its client may still be sending.
    abandoned: bool,
    /// Dropped body of an HTTP/1 request, of which the connection reads what is there.
    dropped: Option<Incoming>,
    /// Start of the wait for a request's head, or of the head.
    since: Instant,
    /// Set while a request's head is incomplete. Starts `true`, so that a silent new connection is
    /// subject to `header_timeout`.
    in_head: bool,
    /// Bytes read.
    bytes_read: u64,
    /// Set when the connection begins as HTTP/2 does.
    preface: bool,
    /// Set for HTTP/2, where not everything that is read is a head.
    multiplexed: bool,
    /// Set from an HTTP/1 request with an upgrade to a response without one.
    may_upgrade: bool,
    /// Set when the client has closed its sending side.
    half_closed: bool,
    /// Set when the connection is broken.
    broken: bool,
    /// Request that has upgraded this HTTP/1 connection, until the socket is dropped.
    upgraded: Option<Upgraded>,
    /// Socket that hyper has dropped while the client may still be sending, for a lingering close.
    lingering: Option<Socket>,
    /// Waker of the connection's task.
    task: Option<Waker>,
    /// Wakers of the upgraded stream's reader and writer.
    users: [Option<Waker>; 2],
}

/// Result of checking the limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LimitCheck {
    /// All limits are kept; check again at this time.
    Until(Instant),
    /// `header_timeout` has passed.
    SlowHead,
    /// `idle_timeout` has passed.
    Idle,
    /// The client reads too slowly.
    Unread,
}

/// Half of an upgraded stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    Reader,
    Writer,
}

impl Activity {
    pub(super) fn new(
        connection_limit: ConnectionLimit,
        unread: Arc<Connection>,
        limits: &Limits,
    ) -> Arc<Activity> {
        let state = State {
            requests: 0,
            bodies: 0,
            abandoned: false,
            dropped: None,
            since: clock::now(),
            in_head: true,
            bytes_read: 0,
            preface: false,
            multiplexed: false,
            may_upgrade: false,
            half_closed: false,
            broken: false,
            upgraded: None,
            lingering: None,
            task: None,
            users: [None, None],
        };
        let out = Outgoing::new(limits);
        let stage = AtomicU8::new(HTTP);
        Arc::new(Activity { connection_limit, out, unread, stage, state: Mutex::new(state) })
    }

    /// Returns `true` if any byte was read.
    pub(super) fn has_read_bytes(&self) -> bool {
        self.state.lock().bytes_read > 0
    }

    /// Notes that these bytes were read.
    pub(super) fn read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.preface |= state.bytes_read == 0 && bytes.starts_with(b"PRI");
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        state.bytes_read = state.bytes_read.saturating_add(count);
        state.multiplexed |= state.preface && state.bytes_read >= PREFACE;
        let reads_a_head = !state.is_busy() && state.bodies == 0;
        if !state.multiplexed && reads_a_head && !state.in_head {
            state.in_head = true;
            state.since = clock::now();
        }
    }

    /// Notes that the client has closed its sending side.
    pub(super) fn half_closed(&self) {
        self.state.lock().half_closed = true;
    }

    /// Notes that the connection is broken.
    pub(super) fn broken(&self) {
        self.state.lock().broken = true;
    }

    /// Returns `true` while a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.state.lock().is_busy()
    }

    /// Returns `true` if a request is in flight on HTTP/1 whose client has left.
    pub(super) fn has_client_left(&self, limits: &Limits) -> bool {
        let state = self.state.lock();
        let left = state.broken || (!limits.half_close && state.half_closed);
        left && state.is_busy() && !state.multiplexed
    }

    /// Notes that everything was written.
    pub(super) fn flushed(&self) {
        if !self.out.cleared() {
            return;
        }
        let mut state = self.state.lock();
        if !state.is_busy() {
            // The rest of a response went out slowly: not idle yet.
            state.since = clock::now();
        }
    }

    /// Notes a request that was read, with a body or without. On HTTP/1, `may_upgrade` is set if it
    /// asks for an upgrade.
    pub(super) fn begin(
        self: &Arc<Self>,
        version: Version,
        body: bool,
        may_upgrade: bool,
    ) -> ActiveRequest {
        let mut state = self.state.lock();
        if version == Version::HTTP_2 {
            state.multiplexed = true;
        } else {
            // The body of the request before was read to its end.
            state.abandoned = false;
            state.may_upgrade = may_upgrade;
        }
        state.bodies += u32::from(body);
        state.requests += 1;
        state.in_head = false;
        drop(state);
        ActiveRequest(self.clone())
    }

    /// Notes the end of a request body, or (not `read_to_end`) that it is dropped before.
    pub(super) fn body_ended(&self, read_to_end: bool) {
        let mut state = self.state.lock();
        state.bodies = state.bodies.saturating_sub(1);
        state.abandoned |= !read_to_end;
    }

    /// Passes a dropped HTTP/1 body to the connection's task, which discards it.
    pub(super) fn body_dropped(&self, body: Incoming) {
        let mut state = self.state.lock();
        let former = state.dropped.replace(body);
        let task = state.task.take();
        // `body_ended` takes the lock again, and a wake runs the executor's code.
        drop(state);
        if former.is_some() {
            self.body_ended(false);
        }
        task.into_iter().for_each(Waker::wake);
    }

    /// Returns the body that was passed to the connection's task, and registers the task for the
    /// next one.
    pub(super) fn dropped_body(&self, cx: &Context<'_>) -> Option<Incoming> {
        self.lock_registered(cx).dropped.take()
    }

    /// Locks the state and registers the connection's task to be woken.
    fn lock_registered(&self, cx: &Context<'_>) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        if state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            return state;
        }
        drop(state);
        // Cloned, and the former one dropped, outside of the lock: both run the executor's code.
        let waker = cx.waker().clone();
        let former = self.state.lock().task.replace(waker);
        drop(former);
        self.state.lock()
    }

    /// Notes an HTTP/1 response that is no upgrade.
    pub(super) fn stays_http(&self) {
        self.state.lock().may_upgrade = false;
    }

    /// Returns `true` from an HTTP/1 request with an upgrade to a response without one. A graceful
    /// close in this time would make hyper add `close` to a 101.
    pub(super) fn is_upgrading(&self) -> bool {
        // See docs/decisions/0031-an-upgrade-is-closed-only-after-its-response.md.
        self.state.lock().may_upgrade
    }

    /// Marks the connection as upgraded. `request` is held until the socket is dropped or cut.
    pub(super) fn upgrade(&self, request: Upgraded) {
        // Release, with the acquire loads of `wait` and `socket_dropped`.
        self.stage.store(UPGRADED, Ordering::Release);
        self.state.lock().upgraded = Some(request);
    }

    /// Returns `true` if the connection was cut: every operation of its socket then fails.
    pub(super) fn is_cut(&self) -> bool {
        self.stage.load(Ordering::Acquire) == CUT
    }

    /// Cuts the connection: its socket fails from now on, and the request that upgraded it is
    /// released. Wakes the users of an upgraded stream.
    pub(super) fn cut(&self) {
        // Before the lock, under which `wait` checks the stage: `wait` sees CUT, or its waker is
        // taken here.
        self.stage.store(CUT, Ordering::Release);
        let mut state = self.state.lock();
        let users = std::mem::take(&mut state.users);
        let released = (state.upgraded.take(), state.lingering.take(), state.task.take());
        drop(state);
        // Outside of the lock: closing a socket and dropping a waker run other code.
        drop(released);
        users.into_iter().flatten().for_each(Waker::wake);
    }

    /// Registers the user of one half of an upgraded stream, to be woken when it is cut.
    pub(super) fn wait(&self, half: Half, cx: &Context<'_>) {
        if self.stage.load(Ordering::Acquire) == HTTP {
            return;
        }
        // Cloned, and the former one dropped, outside of the lock.
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        // If the stage is CUT by now, `cut` may have taken the wakers before this one was
        // registered.
        let missed = self.is_cut().then(|| waker.clone());
        let [reader, writer] = &mut state.users;
        let user = match half {
            Half::Reader => reader,
            Half::Writer => writer,
        };
        let former = user.replace(waker);
        drop(state);
        drop(former);
        missed.into_iter().for_each(Waker::wake);
    }

    /// Waits until the socket of an upgraded connection is dropped. Ready at once for any other
    /// connection.
    pub(super) fn poll_dropped(&self, cx: &Context<'_>) -> Poll<()> {
        let state = self.lock_registered(cx);
        if state.upgraded.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Notes the start of a graceful close. If all responses are sent and the connection is still
    /// open, hyper has read all bodies (HTTP/1), or a round trip follows (HTTP/2), so that no
    /// client is still sending.
    pub(super) fn closing(&self) {
        let mut state = self.state.lock();
        if !state.is_busy() && !self.out.is_full() {
            state.abandoned = false;
        }
    }

    /// Takes the dropped socket, and keeps it if its client may still be sending a body or a
    /// rejected head.
    pub(super) fn socket_dropped(&self, stream: Socket) {
        let mut state = self.state.lock();
        let upgraded = state.upgraded.take();
        let is_http = self.stage.load(Ordering::Acquire) == HTTP;
        let is_sending = state.has_begun_a_head() || state.bodies > 0 || state.abandoned;
        let closed =
            if is_http && is_sending { state.lingering.replace(stream) } else { Some(stream) };
        let task = if upgraded.is_some() { state.task.take() } else { None };
        drop(state);
        // Closed before the permits are released.
        drop(closed);
        upgraded.into_iter().for_each(Upgraded::finish);
        task.into_iter().for_each(Waker::wake);
    }

    /// Returns the socket that [`socket_dropped`](Activity::socket_dropped) has kept for a
    /// lingering close.
    pub(super) fn take_lingering(&self) -> Option<Socket> {
        self.state.lock().lingering.take()
    }

    /// Returns the start of idleness: no request, no byte of a head, no unread body. `None` if the
    /// connection is not idle.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        let is_reading = state.has_begun_a_head() || state.bodies > 0;
        let idle = !state.is_busy() && !self.out.is_full() && !is_reading;
        idle.then_some(state.since)
    }

    /// Checks the limits of the connection at `now`.
    pub(super) fn check_limits(&self, limits: &Limits, now: Instant) -> LimitCheck {
        let state = self.state.lock();
        let is_full = self.out.is_full();
        let Some(due) = self.out.due() else { return state.check_waiting(limits, now, is_full) };
        if due <= now {
            return LimitCheck::Unread;
        }
        match state.check_waiting(limits, now, is_full) {
            LimitCheck::Until(next) => {
                LimitCheck::Until(next.min(due).min(now + self.out.retry_interval()))
            }
            other => other,
        }
    }
}

impl State {
    const fn is_busy(&self) -> bool {
        self.requests > 0 || self.upgraded.is_some()
    }

    const fn has_begun_a_head(&self) -> bool {
        self.in_head && !self.multiplexed && self.bytes_read > 0
    }

    fn check_waiting(&self, limits: &Limits, now: Instant, is_full: bool) -> LimitCheck {
        if self.is_busy() || is_full {
            // A response may end in the meantime, and the next limit counts from there: no limit
            // can pass before `next`.
            let next = limits.header_timeout.min(limits.idle_timeout).min(CHECK_INTERVAL);
            return LimitCheck::Until(now + next);
        }
        let in_head = self.in_head && !self.multiplexed;
        let limit = if in_head { limits.header_timeout } else { limits.idle_timeout };
        let due = self.since + limit;
        match (due > now, in_head) {
            (true, _) => LimitCheck::Until(due),
            (false, true) => LimitCheck::SlowHead,
            (false, false) => LimitCheck::Idle,
        }
    }
}

/// A request in flight. Dropped when its response is sent or given up.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<Activity>);

impl ActiveRequest {
    /// Returns the unread bytes of the request's connection.
    pub(super) fn unread(&self) -> &Arc<Connection> {
        &self.0.unread
    }

    /// Returns `true` if the next connection would have to wait for a permit.
    pub(super) fn is_at_connection_limit(&self) -> bool {
        self.0.connection_limit.is_full()
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.since = clock::now();
        state.requests = state.requests.saturating_sub(1);
    }
}
