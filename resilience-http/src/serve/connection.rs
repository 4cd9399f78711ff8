//! One connection, from its acceptance to its close.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body::Body;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use resilience_core::clock;
use resilience_core::shutdown::{Phase, Tracker};
use tokio::sync::futures::Notified;
use tokio::task::coop::unconstrained;
use tokio::time::sleep_until;
use tower_service::Service;

use super::activity::{Activity, LimitCheck};
use super::connection_limit::{ConnectionLimit, MIN_IDLE};
use super::discard::Discard;
use super::io::WatchedSocket;
use super::limits::Limits;
use super::linger::linger;
use super::min_rate::MinRate;
use super::request::{BoxError, RequestService};
use super::request_body::RequestBody;
use super::socket::Socket;
use super::streams::Streams;

/// Time for the first request of a connection when draining begins: the request may be on its way,
/// and its client cannot know that the server is about to close.
const FIRST_REQUEST_WAIT: Duration = Duration::from_millis(250);

/// Longest time for the close of an idle HTTP/2 connection: GOAWAY, the requests that cross it, and
/// the last GOAWAY after the acknowledgement of a PING ([RFC 9113,
/// 6.8](https://www.rfc-editor.org/rfc/rfc9113#section-6.8)).
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time between the PINGs of an HTTP/2 connection, and longest time for their acknowledgement.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Serves a connection until it is closed: by the client, by a limit, or by draining once the
/// requests in flight have ended. Returns `true` if a forced shutdown cut it.
pub(super) async fn connection<S, B>(
    stream: Socket,
    service: S,
    requests: Tracker,
    activity: Arc<Activity>,
    limits: Limits,
) -> bool
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let token = requests.token().clone();
    let streams = Streams::new(MinRate::of_stream(&limits));
    // Cuts the connection also if this future is dropped before it is ready.
    let _cut_on_drop = CutOnDrop { streams: &streams, activity: &activity };
    let service = RequestService::new(service, requests, activity.clone());
    let io = TokioIo::new(WatchedSocket::new(stream, activity.clone(), limits.half_close));
    let builder = builder(&streams, &limits);
    let mut closing = Closing {
        activity: activity.clone(),
        streams: streams.clone(),
        limits,
        drain_since: None,
        close_requested: None,
    };
    let served_to_end = {
        let mut served = pin!(builder.serve_connection_with_upgrades(io, service));
        let mut discard = Discard::new(&activity, limits.linger_bytes);
        let mut draining = pin!(token.draining());
        let mut eviction = pin!(None);
        let mut alarm = pin!(sleep_until(clock::now().into()));
        poll_fn(|cx| {
            loop {
                // Before draining and limits: bytes that were read already may be a request.
                if served.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                if discard.poll(cx) {
                    continue;
                }
                let now = clock::now();
                if closing.drain_since.is_none() && draining.as_mut().poll(cx).is_ready() {
                    closing.drain_since = Some(now);
                }
                if closing.poll_eviction(now, eviction.as_mut(), &activity.connection_limit, cx) {
                    served.as_mut().graceful_shutdown();
                    continue;
                }
                match closing.next(now) {
                    CloseAction::Wait(until) => {
                        if alarm.deadline() != until.into() {
                            alarm.as_mut().reset(until.into());
                        }
                        // Unconstrained: the limits must fire also if hyper has used up the task's
                        // coop budget.
                        ready!(pin!(unconstrained(alarm.as_mut())).poll(cx));
                    }
                    CloseAction::Close => served.as_mut().graceful_shutdown(),
                    CloseAction::Drop => return Poll::Ready(false),
                }
            }
        })
        .await
    };
    if served_to_end {
        poll_fn(|cx| activity.poll_dropped(cx)).await;
    }
    let cut = token.phase() >= Phase::Forced;
    if let Some(stream) = activity.take_lingering().filter(|_| served_to_end) {
        linger(stream, limits).await;
    }
    cut
}

fn builder(streams: &Streams, limits: &Limits) -> Builder<Streams> {
    let mut builder = Builder::new(streams.clone());
    // `Closing` limits heads: hyper has only one limit for both a head and the idle time before it.
    builder.http1().half_close(limits.half_close).header_read_timeout(None);
    builder.http1().max_buf_size(usize::try_from(limits.max_head_bytes).unwrap_or(usize::MAX));
    let mut http2 = builder.http2();
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    // WebSockets over HTTP/2 (RFC 8441), as axum::serve.
    http2.enable_connect_protocol();
    builder
}

/// Ends the tasks and the upgraded stream of a connection when it is dropped.
struct CutOnDrop<'a> {
    streams: &'a Streams,
    activity: &'a Activity,
}

impl Drop for CutOnDrop<'_> {
    fn drop(&mut self) {
        self.streams.end();
        self.activity.cut();
    }
}

/// Decides when and how a connection is closed.
struct Closing {
    activity: Arc<Activity>,
    streams: Streams,
    limits: Limits,
    drain_since: Option<Instant>,
    /// Start of the graceful close, if one has begun.
    close_requested: Option<Instant>,
}

enum CloseAction {
    /// Check again at this time.
    Wait(Instant),
    /// Finish the requests in flight, then close.
    Close,
    /// Drop the connection at once.
    Drop,
}

impl Closing {
    fn next(&mut self, now: Instant) -> CloseAction {
        if self.activity.has_client_left(&self.limits) {
            return CloseAction::Drop;
        }
        let waits = self.close_requested.is_some() || self.activity.is_upgrading();
        if let Some(since) = self.drain_since.filter(|_| !waits) {
            let until = since + FIRST_REQUEST_WAIT;
            if !self.activity.has_read_bytes() && now < until {
                return CloseAction::Wait(until);
            }
            return self.close(now);
        }
        let goodbye_deadline = self.goodbye_deadline();
        if goodbye_deadline.is_some_and(|at| at <= now) {
            return CloseAction::Drop;
        }
        match self.activity.check_limits(&self.limits, now) {
            LimitCheck::Until(due) => {
                let earlier = goodbye_deadline.or(self.evictable_at()).filter(|at| *at > now);
                CloseAction::Wait(earlier.map_or(due, |at| at.min(due)))
            }
            // An upgraded HTTP/2 stream (RFC 8441) does not count as a request any more, but has a
            // task.
            LimitCheck::Idle if self.streams.are_busy() => {
                CloseAction::Wait(now + self.limits.idle_timeout)
            }
            LimitCheck::Idle => {
                match self.close_requested.map(|requested| requested + GOODBYE_TIMEOUT) {
                    None => self.close(now),
                    Some(until) if now < until => CloseAction::Wait(until),
                    Some(_) => CloseAction::Drop,
                }
            }
            LimitCheck::SlowHead | LimitCheck::Unread => CloseAction::Drop,
        }
    }

    /// Returns the start of idleness, if no stream is open.
    fn idle_since(&self) -> Option<Instant> {
        self.activity.idle_since().filter(|_| !self.streams.are_busy())
    }

    /// Returns when the connection becomes evictable if it stays idle.
    fn evictable_at(&self) -> Option<Instant> {
        self.idle_since().filter(|_| self.close_requested.is_none()).map(|since| since + MIN_IDLE)
    }

    /// Returns the end of a graceful close without requests in flight: an HTTP/2 client may never
    /// acknowledge the PING.
    fn goodbye_deadline(&self) -> Option<Instant> {
        let requested = self.close_requested?;
        self.idle_since().map(|since| since.max(requested) + GOODBYE_TIMEOUT)
    }

    /// Returns `true` if the connection is closed for a new one. `eviction` holds its place in line
    /// while the connection is evictable.
    fn poll_eviction<'r>(
        &mut self,
        now: Instant,
        mut eviction: Pin<&mut Option<Notified<'r>>>,
        connection_limit: &'r ConnectionLimit,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.evictable_at().is_none_or(|at| at > now) {
            // Out of the line: the wake passes to the next idle connection.
            if eviction.is_some() {
                eviction.set(None);
            }
            return false;
        }
        loop {
            if eviction.is_none() {
                eviction.set(Some(connection_limit.eviction()));
            }
            match eviction.as_mut().as_pin_mut().map(|place| place.poll(cx)) {
                Some(Poll::Ready(())) => eviction.set(None),
                _ => return false,
            }
            // Checked again: the connection that caused the wake may have found a permit meanwhile.
            if connection_limit.needs_eviction() {
                self.close(now);
                return true;
            }
        }
    }

    /// Starts the graceful close.
    fn close(&mut self, now: Instant) -> CloseAction {
        self.close_requested = Some(now);
        self.activity.closing();
        CloseAction::Close
    }
}
