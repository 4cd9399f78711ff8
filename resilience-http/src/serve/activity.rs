//! State of a connection: idle, busy, closing or upgraded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::Version;
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};
use resilience_core::clock;

use super::limits::Limits;
use super::outgoing::Outgoing;
use super::room::Room;
use super::socket::Socket;
use super::unread::Connection;
use super::upgraded::Upgraded;

/// Length of HTTP/2's preface ([RFC 9113, 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
const PREFACE: u64 = 24;

/// Longest time between two looks at a busy connection: its client may have sent bytes that are not read.
const LOOK: Duration = Duration::from_secs(1);

/// States of [`Activity::stage`].
const HTTP: u8 = 0;
const UPGRADED: u8 = 1;
const CUT: u8 = 2;

/// State of one connection, shared by its task, its socket, its requests and their bodies.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) room: Room,
    pub(super) out: Outgoing,
    unread: Arc<Connection>,
    // Outside of the lock: every operation of the socket reads it.
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
    /// Set while a request's head is incomplete. Starts `true`, so that a silent new connection is subject to
    /// `header_timeout`.
    in_head: bool,
    /// Bytes read.
    heard: u64,
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
    /// Socket that hyper has dropped while the client may still be sending.
    left: Option<Socket>,
    /// Waker of the connection's task.
    task: Option<Waker>,
    /// Wakers of the upgraded stream's reader and writer.
    users: [Option<Waker>; 2],
}

/// Decision about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    Until(Instant),
    /// A head takes too long.
    SlowHead,
    /// No request has come for too long.
    Idle,
    /// The client does not read what is written.
    Unread,
}

/// Half of an upgraded stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    Reader,
    Writer,
}

impl Activity {
    pub(super) fn new(room: Room, unread: Arc<Connection>, limits: &Limits) -> Arc<Activity> {
        let state = State {
            requests: 0,
            bodies: 0,
            abandoned: false,
            dropped: None,
            since: clock::now(),
            in_head: true,
            heard: 0,
            preface: false,
            multiplexed: false,
            may_upgrade: false,
            half_closed: false,
            broken: false,
            upgraded: None,
            left: None,
            task: None,
            users: [None, None],
        };
        let out = Outgoing::new(limits);
        let stage = AtomicU8::new(HTTP);
        Arc::new(Activity { room, out, unread, stage, state: Mutex::new(state) })
    }

    /// Returns `true` if any byte was read.
    pub(super) fn was_heard(&self) -> bool {
        self.state.lock().heard > 0
    }

    /// Notes that these bytes were read.
    pub(super) fn read(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.preface |= state.heard == 0 && bytes.starts_with(b"PRI");
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        state.heard = state.heard.saturating_add(count);
        state.multiplexed |= state.preface && state.heard >= PREFACE;
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
    pub(super) fn is_left_alone(&self, limits: &Limits) -> bool {
        let state = self.state.lock();
        let left = state.broken || (!limits.half_close && state.half_closed);
        left && state.is_busy() && !state.multiplexed
    }

    /// Notes that everything was written.
    pub(super) fn flushed(&self) {
        if !self.out.has_all() {
            return;
        }
        let mut state = self.state.lock();
        if !state.is_busy() {
            // The rest of a response went out slowly: not idle yet.
            state.since = clock::now();
        }
    }

    /// Notes a request that was read, with a body or without. On HTTP/1, `may_upgrade` is set if it asks for an upgrade.
    pub(super) fn begin(self: &Arc<Self>, version: Version, body: bool, may_upgrade: bool) -> Busy {
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
        Busy(self.clone())
    }

    /// Notes the end of a request body, or (not `read_to_end`) that it is dropped before.
    pub(super) fn body_ended(&self, read_to_end: bool) {
        let mut state = self.state.lock();
        state.bodies = state.bodies.saturating_sub(1);
        state.abandoned |= !read_to_end;
    }

    /// Hands a dropped body of HTTP/1 to the connection's task, which reads what is there of it.
    pub(super) fn body_dropped(&self, body: Incoming) {
        let mut state = self.state.lock();
        let former = state.dropped.replace(body);
        let task = state.task.take();
        drop(state);
        if former.is_some() {
            self.body_ended(false);
        }
        task.into_iter().for_each(Waker::wake);
    }

    /// Returns the body that was handed to the connection's task, which is woken for the next one.
    pub(super) fn dropped_body(&self, cx: &Context<'_>) -> Option<Incoming> {
        self.attend(cx).dropped.take()
    }

    /// Locks the state, in which the connection's task is registered to be woken.
    fn attend(&self, cx: &Context<'_>) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        if state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            return state;
        }
        drop(state);
        // Cloned, and the former one dropped, outside of the lock.
        let waker = cx.waker().clone();
        let former = self.state.lock().task.replace(waker);
        drop(former);
        self.state.lock()
    }

    /// Notes an HTTP/1 response that is no upgrade.
    pub(super) fn stays_http(&self) {
        self.state.lock().may_upgrade = false;
    }

    /// Returns `true` from an HTTP/1 request with an upgrade to a response without one. hyper, if it is to close
    /// meanwhile, would add `close` to a 101.
    pub(super) fn is_upgrading(&self) -> bool {
        // See docs/decisions/0031-an-upgrade-is-closed-only-after-its-response.md.
        self.state.lock().may_upgrade
    }

    /// Makes the connection another protocol's. `request` is held until the socket is dropped or cut.
    pub(super) fn upgrade(&self, request: Upgraded) {
        self.stage.store(UPGRADED, Ordering::Release);
        self.state.lock().upgraded = Some(request);
    }

    /// Returns `true` if the connection was cut, and every operation of its socket is to fail.
    pub(super) fn is_cut(&self) -> bool {
        self.stage.load(Ordering::Acquire) == CUT
    }

    /// Ends the connection: every further operation of its socket fails, and what it holds is released. Wakes the users
    /// of an upgraded stream.
    pub(super) fn cut(&self) {
        self.stage.store(CUT, Ordering::Release);
        let mut state = self.state.lock();
        let users = std::mem::take(&mut state.users);
        let held = (state.upgraded.take(), state.left.take(), state.task.take());
        drop(state);
        drop(held);
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
        // Cut before the lock: `cut` has not seen this waker.
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

    /// Waits until the socket of an upgraded connection is dropped. Ready at once if the connection is not upgraded.
    pub(super) fn poll_dropped(&self, cx: &Context<'_>) -> Poll<()> {
        let state = self.attend(cx);
        if state.upgraded.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Notes that the connection is asked to close. If it has sent all responses in full and is still open, then
    /// hyper has read all bodies (HTTP/1), or a round trip follows (HTTP/2).
    pub(super) fn closing(&self) {
        let mut state = self.state.lock();
        if !state.is_busy() && !self.out.is_full() {
            state.abandoned = false;
        }
    }

    /// Takes the dropped socket. It is kept if its client may still be sending: a body, or a head that was rejected.
    pub(super) fn leave(&self, stream: Socket) {
        let mut state = self.state.lock();
        let upgraded = state.upgraded.take();
        let is_http = self.stage.load(Ordering::Acquire) == HTTP;
        let is_sending = state.has_begun_a_head() || state.bodies > 0 || state.abandoned;
        let closed = if is_http && is_sending { state.left.replace(stream) } else { Some(stream) };
        let task = if upgraded.is_some() { state.task.take() } else { None };
        drop(state);
        // Closed before the places are free.
        drop(closed);
        upgraded.into_iter().for_each(Upgraded::finish);
        task.into_iter().for_each(Waker::wake);
    }

    /// Returns the socket that was [left](Activity::leave), if it is to be closed in stages.
    pub(super) fn take_left(&self) -> Option<Socket> {
        self.state.lock().left.take()
    }

    /// Returns since when it has been idle with no byte of a head read and no body that is not read to its end, if that is so.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        let is_reading = state.has_begun_a_head() || state.bodies > 0;
        let idle = !state.is_busy() && !self.out.is_full() && !is_reading;
        idle.then_some(state.since)
    }

    /// Returns the decision about the connection at `now`.
    pub(super) fn verdict(&self, limits: &Limits, now: Instant) -> Verdict {
        let state = self.state.lock();
        let is_full = self.out.is_full();
        let Some(due) = self.out.due() else { return state.waiting_verdict(limits, now, is_full) };
        if due <= now {
            return Verdict::Unread;
        }
        match state.waiting_verdict(limits, now, is_full) {
            Verdict::Until(next) => Verdict::Until(next.min(due).min(now + self.out.look())),
            other => other,
        }
    }
}

impl State {
    const fn is_busy(&self) -> bool {
        self.requests > 0 || self.upgraded.is_some()
    }

    const fn has_begun_a_head(&self) -> bool {
        self.in_head && !self.multiplexed && self.heard > 0
    }

    fn waiting_verdict(&self, limits: &Limits, now: Instant, is_full: bool) -> Verdict {
        if self.is_busy() || is_full {
            // The end of the response is looked at then: the connection cannot be idle for longer before.
            let next = limits.header_timeout.min(limits.idle_timeout).min(LOOK);
            return Verdict::Until(now + next);
        }
        let in_head = self.in_head && !self.multiplexed;
        let limit = if in_head { limits.header_timeout } else { limits.idle_timeout };
        let due = self.since + limit;
        match (due > now, in_head) {
            (true, _) => Verdict::Until(due),
            (false, true) => Verdict::SlowHead,
            (false, false) => Verdict::Idle,
        }
    }
}

/// A request in flight, until its response is sent or given up.
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
        let mut state = self.0.state.lock();
        state.since = clock::now();
        state.requests = state.requests.saturating_sub(1);
    }
}
