//! A server and what bounds it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use resilience_core::InvalidConfig;
use resilience_core::observe::{Gauges, names};
use resilience_core::shutdown::{ShutdownToken, Tracker};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet};
use tower_service::Service;

use super::accept::{Acceptor, Newcomer};
use super::activity::Activity;
use super::connection::connection;
use super::limits::Limits;
use super::listener::Listener;
use super::peer::{PerIp, Same, WithPeer};
use super::request::BoxError;
use super::request_body::RequestBody;
use super::room::Room;
use super::unread::Unread;

/// A builder of a [`Server`]. Its defaults: 10,000 connections, 10 seconds for a request's head, 75 for an idle connection, 60 for a
/// client that does not read, 240 bytes a second for one that does, 256 MiB that are not read (64 of one connection), 5 seconds
/// and 16 MiB for a client that is still sending when its connection is closed.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ServerBuilder {
    /// Not checked yet.
    limits: Limits,
}

impl ServerBuilder {
    /// Sets the most connections at once. Those above it wait, one of them accepted and the others in the operating
    /// system's queue: set its length and the limit on open files by this.
    ///
    /// While there are that many, responses on HTTP/1 have `connection: close`. If a newcomer waits, the connection that has
    /// been idle for the longest time is closed for it, once that is a second or more and no byte of a head was read.
    /// Health probes wait like all others: give them a listener and a [`Server`] of their own, with the same token.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.limits.max_connections = connections;
        self
    }

    /// Sets the most connections at once of one IP address, or of one /64 network of IPv6. By default only
    /// [`max_connections`](Self::max_connections) limits them, and one client can take all.
    ///
    /// A connection above it is accepted and closed at once ([`Served::refused`]). Behind a proxy, all clients have the
    /// proxy's address: leave it unset there. Clients without an IP address, on a Unix socket, are not counted.
    pub fn max_connections_per_ip(mut self, connections: u32) -> Self {
        self.limits.max_per_ip = Some(connections);
        self
    }

    /// How long a client may take for the head of a request, from its first byte on, or from the connection for
    /// the first one. Not so of HTTP/2 after its beginning, where all have a connection in common.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.limits.header_timeout = timeout;
        self
    }

    /// How long a connection may be open without a request.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// Sets how long a client may read nothing of a response that is there for it: 60 s unless set. Then its connection is closed, or
    /// its stream of HTTP/2 reset, and what the response holds is free. Time in which the handler has nothing to send does not
    /// count. A client that reads, but less than [`at_least`](ServerBuilder::at_least), is ended as well.
    ///
    /// On a socket that is full, a client's progress shows in steps of some kilobytes; see the book's page on servers.
    /// It is looked for every second, or four times in this time if that is shorter; through boxed streams (TLS) it shows only when
    /// a third of the operating system's buffer is free.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// How long a connection that is to be closed is kept for a client that may still be sending: a body too large, or
    /// one that nobody read to its end. It has its response, which it would lose if what it sends met a closed
    /// connection. It is told that nothing more is coming, and what comes of it is thrown away until it closes too.
    /// Such a connection counts, and a shutdown cuts it at its deadline like any other.
    pub fn linger_timeout(mut self, timeout: Duration) -> Self {
        self.limits.linger_timeout = timeout;
        self
    }

    /// How many bytes are thrown away within the [`linger_timeout`](ServerBuilder::linger_timeout) before the connection
    /// is closed all the same. With 0 it is closed at once.
    pub fn linger_bytes(mut self, bytes: u64) -> Self {
        self.limits.linger_bytes = bytes;
        self
    }

    /// Sets how many bytes a second a client must read of a response that is there for it: 240 unless set, as Kestrel. The
    /// average counts over each 5 s on a stream of HTTP/2, and on a socket over each
    /// [`write_timeout`](ServerBuilder::write_timeout), 5 s or more, in which bytes were there for it. The stream of a slower client is reset, or its
    /// connection closed. With 0 only the `write_timeout` holds.
    pub fn at_least(mut self, bytes_per_second: u64) -> Self {
        self.limits.at_least = bytes_per_second;
        self
    }

    /// Sets the most bytes of responses, on all connections together, that clients have not taken: 256 MiB unless set.
    ///
    /// When there are more, the connection is closed that would keep the most bytes for the longest time, by what its client
    /// has taken so far; then the next one, until the others are within the bound. Each is an
    /// [`Event::Rejected`](resilience_core::observe::Event::Rejected) of `serve` for the listener of the process, and counted in
    /// [`Served::unread`]. A response of one piece that is larger than this is cut: stream it.
    ///
    /// A piece of a response (all of a `String`, one chunk of a stream) counts from when the body yields it until the operating
    /// system has taken its last byte, because its memory is not free before. What a body has not yielded, heads, the
    /// operating system's own buffers, and small frames in the write buffer of HTTP/2 (16 KiB) do not count.
    pub fn max_unread_bytes(mut self, bytes: u64) -> Self {
        self.limits.max_unread = bytes;
        self
    }

    /// Sets how many [unread bytes](Self::max_unread_bytes) one connection may have: 64 MiB unless set. When it has as many, the
    /// next response that yields bytes is ended by an error: on HTTP/2 its stream is reset and the others go on, on HTTP/1
    /// the connection is closed. One piece may be larger than this. An end is reported as for `max_unread_bytes`.
    pub fn max_unread_bytes_per_connection(mut self, bytes: u64) -> Self {
        self.limits.max_unread_per_connection = bytes;
        self
    }

    /// Sets the most bytes of a request's head on HTTP/1, between 8 KiB and 1 MiB: 32 KiB unless set. A longer one is
    /// answered with 431. Such a connection also reads and buffers bodies in pieces of at most this size. The heads of
    /// HTTP/2 have a limit of their own, 16 KiB.
    pub fn max_head_bytes(mut self, bytes: u32) -> Self {
        self.limits.max_head_bytes = bytes;
        self
    }

    /// Serves clients of HTTP/1 that close their sending side after a request and wait for the response. Off unless set,
    /// since a client that has left looks just like that.
    ///
    /// When it is off, such a close ends the connection: the handler of its request is dropped at its next await, and
    /// what the request holds is free. A reset does so in either case.
    pub fn half_close(mut self, served: bool) -> Self {
        self.limits.half_close = served;
        self
    }

    /// The server.
    ///
    /// # Errors
    /// If a limit is out of its bounds, or a time is zero or more than a year.
    pub fn build(self) -> Result<Server, InvalidConfig> {
        Ok(Server::new(self.limits.check()?))
    }
}

/// Serves HTTP/1 and HTTP/2 until it is told to stop. See the [module](super).
///
/// Clones share the limits on connections and on unread bytes.
#[derive(Debug, Clone)]
pub struct Server {
    limits: Limits,
    room: Room,
    per_ip: Option<Arc<PerIp>>,
    unread: Unread,
}

impl Default for Server {
    fn default() -> Server {
        Server::new(Limits::default())
    }
}

/// What a server has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Connections that were taken.
    pub connections: u64,
    /// Those of them that had to be cut.
    pub cut: u64,
    /// How often no connection could be taken though there was one: file descriptors had run out, most likely.
    pub accept_errors: u64,
    /// Connections that were closed at once, because their address had
    /// [as many as it may](ServerBuilder::max_connections_per_ip). Not among `connections`.
    pub refused: u64,
    /// Connections and responses that were ended because of
    /// [unread bytes](ServerBuilder::max_unread_bytes), those of the server's clones included.
    pub unread: u64,
}

/// [`names::SERVER_UNREAD`], of the server and its clones.
impl Gauges for Server {
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit(names::SERVER_UNREAD, self.unread_bytes() as f64);
    }
}

impl Server {
    /// Begins with the defaults.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    fn new(limits: Limits) -> Server {
        let per_ip = limits.max_per_ip.map(|most| Arc::new(PerIp::new(most)));
        let room = Room::new(limits.max_connections);
        Server { limits, room, per_ip, unread: Unread::new(&limits) }
    }

    /// Returns the [unread bytes](ServerBuilder::max_unread_bytes) of the server and its clones.
    #[must_use]
    pub fn unread_bytes(&self) -> u64 {
        self.unread.bytes()
    }

    /// Serves what comes to `listener` by `service`, any Tower service or axum's `Router`, until `token` says
    /// stop and what is under way then is answered or cut. Dropping the future cuts all of it.
    ///
    /// Requests have the client's address in their extensions, as [`Peer<L::Addr>`](super::Peer). For axum's
    /// `ConnectInfo` see [`serve_make_service`](Self::serve_make_service).
    pub async fn serve<L, S, B>(self, listener: L, service: S, token: &ShutdownToken) -> Served
    where
        L: Listener,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        self.serve_make_service(listener, Same(service), token).await
    }

    /// Serves as [`serve`](Self::serve) does, with a service for each connection, which `make_service` returns for
    /// its client's address. If `make_service` fails, the connection is closed.
    ///
    /// Axum's `ConnectInfo` is an extractor for such a service:
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use axum::{Router, extract::ConnectInfo, routing::get};
    /// use resilience_core::shutdown::ShutdownToken;
    /// use resilience_http::serve::{Server, bind};
    ///
    /// # async fn run(token: ShutdownToken) -> Result<(), Box<dyn std::error::Error>> {
    /// let whoami = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    /// let router = Router::new().route("/", get(whoami));
    /// let make_service = router.into_make_service_with_connect_info::<SocketAddr>();
    /// Server::default().serve_make_service(bind("0.0.0.0:3000").await?, make_service, &token).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve_make_service<L, M, S, B>(
        self,
        listener: L,
        make_service: M,
        token: &ShutdownToken,
    ) -> Served
    where
        L: Listener,
        M: Service<L::Addr, Response = S> + Clone + Send + 'static,
        M::Future: Send,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let acceptor = Acceptor::new(listener, token, self.room.clone(), self.per_ip);
        let mut serving = Serving {
            make_service,
            limits: self.limits,
            room: self.room,
            unread: self.unread,
            queue: VecDeque::new(),
            connections: token.tracker("http connections"),
            requests: token.tracker("http requests"),
            tasks: JoinSet::new(),
            served: Served::default(),
        };
        // As something under way, so that what has connected in time belongs to it. If it is cut it has said
        // all there is to say.
        let _cut = token.run("http server", serving.accept(acceptor)).await;
        serving.finish().await
    }
}

struct Serving<M, A> {
    make_service: M,
    limits: Limits,
    room: Room,
    unread: Unread,
    /// Connections that were taken from the listener before it was closed, and have no place yet.
    queue: VecDeque<Newcomer<A>>,
    connections: Tracker,
    requests: Tracker,
    /// Each says whether it was cut.
    tasks: JoinSet<bool>,
    served: Served,
}

impl<M, A> Serving<M, A>
where
    A: Clone + Send + Sync + 'static,
{
    async fn accept<L, S, B>(&mut self, mut acceptor: Acceptor<L>)
    where
        L: Listener<Addr = A>,
        M: Service<A, Response = S> + Clone + Send + 'static,
        M::Future: Send,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        while let Some((newcomer, place)) = acceptor.accept().await {
            self.begin(newcomer, place);
            (self.served.accept_errors, self.served.refused) = (acceptor.errors, acceptor.refused);
        }
        acceptor.backlog(&mut self.queue).await;
        (self.served.accept_errors, self.served.refused) = (acceptor.errors, acceptor.refused);
        while !self.queue.is_empty() {
            let Some(place) = self.room.enter().await else { break };
            if let Some(newcomer) = self.queue.pop_front() {
                self.begin(newcomer, place);
            }
        }
    }

    fn begin<S, B>(&mut self, newcomer: Newcomer<A>, permit: OwnedSemaphorePermit)
    where
        M: Service<A, Response = S> + Clone + Send + 'static,
        M::Future: Send,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        while let Some(ended) = self.tasks.try_join_next() {
            self.served.cut += u64::from(was_cut(ended));
        }
        self.served.connections += 1;
        let Newcomer { stream, peer, of_ip } = newcomer;
        let mut make_service = self.make_service.clone();
        let (requests, limits) = (self.requests.clone(), self.limits);
        let listed = self.unread.connection();
        let unread = listed.get().clone();
        let activity = Activity::new(self.room.clone(), unread.clone(), &limits);
        let serve = async move {
            if poll_fn(|cx| make_service.poll_ready(cx)).await.is_err() {
                return false;
            }
            let Ok(service) = make_service.call(peer.clone()).await else { return false };
            connection(stream, WithPeer { service, peer }, requests, activity, limits).await
        };
        let Ok(counted) = self.connections.track() else {
            self.served.cut += 1;
            return;
        };
        let run = counted.run(serve);
        let task = self.tasks.spawn(async move {
            let cut = run.await.unwrap_or(true);
            drop((permit, of_ip, listed));
            cut
        });
        unread.is_served_by(task);
    }

    async fn finish(mut self) -> Served {
        let queued = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        self.served.connections += queued;
        self.served.cut += queued;
        self.queue.clear();
        while let Some(ended) = self.tasks.join_next().await {
            self.served.cut += u64::from(was_cut(ended));
        }
        self.served.unread = self.unread.ended();
        self.served
    }
}

/// A task that was aborted is a connection that was ended for its unread bytes.
fn was_cut(ended: Result<bool, JoinError>) -> bool {
    ended.unwrap_or_else(|error| !error.is_cancelled())
}
