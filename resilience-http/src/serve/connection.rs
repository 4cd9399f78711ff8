//! One connection, from when it was accepted until it is closed.

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

use super::activity::{Activity, Verdict};
use super::discard::Discard;
use super::io::Watched;
use super::limits::Limits;
use super::linger::linger;
use super::pace::Pace;
use super::request::{BoxError, Requests};
use super::request_body::RequestBody;
use super::room::{Room, SETTLED};
use super::socket::Socket;
use super::streams::Streams;

/// How long a connection that nothing was read from yet is kept when draining begins: its first request may be
/// on its way, and whoever sent it has no sign that nobody listens.
const FIRST_BYTES: Duration = Duration::from_millis(250);

/// How long the goodbye of an idle connection of HTTP/2 may take: GOAWAY, the requests that were on their way to meet it,
/// and the last GOAWAY, which follows an answered PING ([RFC 9113, 6.8](https://www.rfc-editor.org/rfc/rfc9113#section-6.8)).
const ROUND_TRIP: Duration = Duration::from_secs(5);

/// How often a connection of HTTP/2 is asked whether anybody is there, and how long it has to say so.
const PING: Duration = Duration::from_secs(20);

/// Serves what comes, until it is closed: by the client, by a limit, or by us when draining has begun and what
/// is under way is answered. Whether it ended only because it was told to, with its requests unanswered.
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
    let streams = Streams::new(Pace::of_stream(&limits));
    // Also if this future is dropped in the middle.
    let _ends_with_this = EndsWith { streams: &streams, activity: &activity };
    let service = Requests::new(service, requests, activity.clone());
    let io = TokioIo::new(Watched::new(stream, activity.clone(), limits.half_close));
    let builder = builder(&streams, &limits);
    let mut closing = Closing {
        activity: activity.clone(),
        streams: streams.clone(),
        limits,
        drain_since: None,
        asked: None,
    };
    let by_itself = {
        let mut served = pin!(builder.serve_connection_with_upgrades(io, service));
        let mut discard = Discard::new(&activity, limits.linger_bytes);
        let mut draining = pin!(token.draining());
        let mut wanted = pin!(None);
        let mut alarm = pin!(sleep_until(clock::now().into()));
        poll_fn(|cx| {
            loop {
                // First: what was read already is a request.
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
                if closing.gives_way(now, wanted.as_mut(), &activity.room, cx) {
                    served.as_mut().graceful_shutdown();
                    continue;
                }
                match closing.next(now) {
                    Next::Wait(until) => {
                        if alarm.deadline() != until.into() {
                            alarm.as_mut().reset(until.into());
                        }
                        // Not work: it must ring though what is served uses up the task's share.
                        ready!(pin!(unconstrained(alarm.as_mut())).poll(cx));
                    }
                    Next::Close => served.as_mut().graceful_shutdown(),
                    Next::Drop => return Poll::Ready(false),
                }
            }
        })
        .await
    };
    if by_itself {
        poll_fn(|cx| activity.poll_dropped(cx)).await;
    }
    let cut = token.phase() >= Phase::Forced;
    if let Some(stream) = activity.take_left().filter(|_| by_itself) {
        linger(stream, limits).await;
    }
    cut
}

fn builder(streams: &Streams, limits: &Limits) -> Builder<Streams> {
    let mut builder = Builder::new(streams.clone());
    // Heads are timed here, together with what comes before them: hyper's own limit is one for both them and idleness.
    builder.http1().half_close(limits.half_close).header_read_timeout(None);
    builder.http1().max_buf_size(usize::try_from(limits.max_head_bytes).unwrap_or(usize::MAX));
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(PING);
    // WebSockets over HTTP/2 (RFC 8441), as axum::serve.
    http2.enable_connect_protocol();
    builder
}

/// Ends what belongs to a connection: its tasks and its upgraded stream.
struct EndsWith<'a> {
    streams: &'a Streams,
    activity: &'a Activity,
}

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.streams.end();
        self.activity.cut();
    }
}

/// When and how a connection is to be closed.
struct Closing {
    activity: Arc<Activity>,
    streams: Streams,
    limits: Limits,
    drain_since: Option<Instant>,
    /// When it was asked to finish what it has and then to close, if it was.
    asked: Option<Instant>,
}

enum Next {
    /// Nothing before then.
    Wait(Instant),
    /// Ask it to finish what it has, and then to close.
    Close,
    /// There is nothing to finish.
    Drop,
}

impl Closing {
    fn next(&mut self, now: Instant) -> Next {
        if self.activity.is_left_alone(&self.limits) {
            return Next::Drop;
        }
        let waits = self.asked.is_some() || self.activity.is_upgrading();
        if let Some(since) = self.drain_since.filter(|_| !waits) {
            let until = since + FIRST_BYTES;
            if !self.activity.was_heard() && now < until {
                return Next::Wait(until);
            }
            return self.close(now);
        }
        let gone_by = self.gone_by();
        if gone_by.is_some_and(|at| at <= now) {
            return Next::Drop;
        }
        match self.activity.verdict(&self.limits, now) {
            Verdict::Until(due) => {
                let earlier = gone_by.or(self.settles()).filter(|at| *at > now);
                Next::Wait(earlier.map_or(due, |at| at.min(due)))
            }
            // A stream that has left HTTP (RFC 8441) is no request any more, and has a task.
            Verdict::Idle if self.streams.are_busy() => Next::Wait(now + self.limits.idle_timeout),
            Verdict::Idle => match self.asked.map(|asked| asked + ROUND_TRIP) {
                None => self.close(now),
                Some(until) if now < until => Next::Wait(until),
                Some(_) => Next::Drop,
            },
            Verdict::SlowHead | Verdict::Unread => Next::Drop,
        }
    }

    /// Returns since when it has been idle, with no stream open.
    fn idle_since(&self) -> Option<Instant> {
        self.activity.idle_since().filter(|_| !self.streams.are_busy())
    }

    /// Returns from when on it may be closed for a newcomer, if nothing happens until then.
    fn settles(&self) -> Option<Instant> {
        self.idle_since().filter(|_| self.asked.is_none()).map(|since| since + SETTLED)
    }

    /// Returns when its goodbye is over, if it was asked to close and has nothing to finish: a client of HTTP/2 may never
    /// answer the PING.
    fn gone_by(&self) -> Option<Instant> {
        let asked = self.asked?;
        self.idle_since().map(|since| since.max(asked) + ROUND_TRIP)
    }

    /// Returns `true` if it is to be closed for a newcomer. It stands in line for that in `wanted`, from when it may be.
    fn gives_way<'r>(
        &mut self,
        now: Instant,
        mut wanted: Pin<&mut Option<Notified<'r>>>,
        room: &'r Room,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.settles().is_none_or(|at| at > now) {
            if wanted.is_some() {
                wanted.set(None);
            }
            return false;
        }
        loop {
            if wanted.is_none() {
                wanted.set(Some(room.wanted()));
            }
            match wanted.as_mut().as_pin_mut().map(|turn| turn.poll(cx)) {
                Some(Poll::Ready(())) => wanted.set(None),
                _ => return false,
            }
            // The newcomer that it was woken for may have found a place meanwhile.
            if room.is_wanted() {
                self.close(now);
                return true;
            }
        }
    }

    fn close(&mut self, now: Instant) -> Next {
        self.asked = Some(now);
        self.activity.closing();
        Next::Close
    }
}
