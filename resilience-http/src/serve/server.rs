//! A server and its limits.

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

use super::accept::{Accepted, Acceptor};
use super::activity::Activity;
use super::connection::connection;
use super::connection_limit::ConnectionLimit;
use super::limits::Limits;
use super::listener::Listener;
use super::peer::{CloneService, PerIpLimit, WithPeer};
use super::request::BoxError;
use super::request_body::RequestBody;
use super::unread::Unread;

/// A builder of a [`Server`].
///
/// Its defaults: 10,000 connections, 10 s for the head of a request, 75 s for an idle connection,
/// 60 s for a client that does not read, 240 bytes a second for one that does, 256 MiB of unread
/// bytes (64 MiB for one connection), and 5 s and 16 MiB for a client that is still sending when
/// its connection is closed.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ServerBuilder {
    /// Checked by `build`.
    limits: Limits,
}

impl ServerBuilder {
    /// Sets the most connections at once, between 1 and 1,000,000: 10,000 unless set. Connections
    /// above the limit wait, one of them accepted and the others in the queue of the operating
    /// system. Set the length of that queue and the limit on open files to match.
    ///
    /// At the limit, HTTP/1 responses have `connection: close`. If a new connection waits, the one
    /// that has been idle for the longest time is closed for it, after a second of idleness at
    /// least and if no byte of a head was read. Health probes wait like all other clients: give
    /// them their own listener and [`Server`], with the same token.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.limits.max_connections = connections;
        self
    }

    /// Sets the most connections at once of one IP address, or of one /64 network of IPv6. By
    /// default only [`max_connections`](Self::max_connections) limits them, and one client can take
    /// all.
    ///
    /// A connection above the limit is accepted and closed at once ([`Served::rejected`]). Behind a
    /// proxy, all clients have the proxy's address: leave the limit unset there. Clients on a Unix
    /// socket have no IP address and are not counted.
    pub fn max_connections_per_ip(mut self, connections: u32) -> Self {
        self.limits.max_per_ip = Some(connections);
        self
    }

    /// Sets the longest time for the head of a request: 10 s unless set. The time starts with the
    /// first byte of the head, or with the connection for its first request. On HTTP/2 only the
    /// first head of a connection is limited.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.limits.header_timeout = timeout;
        self
    }

    /// Sets the longest time that a connection may be open without a request: 75 s unless set.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// Sets how long a client may read nothing of a response that has bytes for it: 60 s unless
    /// set. After that, its connection is closed or its HTTP/2 stream is reset, and the response is
    /// dropped. Time in which the handler has nothing to send does not count.
    /// [`at_least`](ServerBuilder::at_least) limits clients that read slowly.
    ///
    /// On a full socket, the progress of a client is visible in steps of some kilobytes; see the
    /// book's page on servers. The server checks every second, or four times in this time if that
    /// is shorter. Through boxed streams (TLS), progress is visible only when a third of the
    /// operating system's buffer is free.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// Sets the longest time of a lingering close: 5 s unless set
    /// ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)).
    ///
    /// A client may still be sending when its connection is to be closed, because its body is too
    /// large or the handler has not read all of it. Bytes that arrive at a closed connection would
    /// make it lose its response. The server therefore closes its sending side, and discards what
    /// arrives until the client closes too. Such a connection counts, and a shutdown cuts it at its
    /// deadline like any other.
    pub fn linger_timeout(mut self, timeout: Duration) -> Self {
        self.limits.linger_timeout = timeout;
        self
    }

    /// Sets how many bytes are discarded within the
    /// [`linger_timeout`](ServerBuilder::linger_timeout) before the connection is closed: 16 MiB
    /// unless set. With 0 it is closed at once.
    pub fn linger_bytes(mut self, bytes: u64) -> Self {
        self.limits.linger_bytes = bytes;
        self
    }

    /// Sets how many bytes a second a client must read of a response that has bytes for it: 240
    /// unless set, as in
    /// [Kestrel](https://learn.microsoft.com/aspnet/core/fundamentals/servers/kestrel/options). The
    /// average is taken over each 5 s on an HTTP/2 stream, and on a socket over each
    /// [`write_timeout`](ServerBuilder::write_timeout), 5 s or more. Time without bytes for the
    /// client does not count. The stream of a slower client is reset, or its connection closed.
    /// With 0 only the `write_timeout` applies.
    pub fn at_least(mut self, bytes_per_second: u64) -> Self {
        self.limits.at_least = bytes_per_second;
        self
    }

    /// Sets the most unread bytes of responses, on all connections together: 256 MiB unless set.
    ///
    /// Above the limit, the server closes the connection that would hold the most bytes for the
    /// longest time at the rate of its client so far, then the next one, until the others are
    /// within the limit. Each close is an
    /// [`Event::Rejected`](resilience_core::observe::Event::Rejected) of the layer `serve` for the
    /// listener of the process, and counts in [`Served::unread`]. A response of one piece that is
    /// larger than the limit is cut: stream it.
    ///
    /// A piece of a response (all of a `String`, one chunk of a stream) counts from the moment the
    /// body yields it until the operating system has taken its last byte, because its memory is not
    /// free before. Bytes that a body has not yielded, heads, the buffers of the operating system,
    /// and small frames in the HTTP/2 write buffer (16 KiB) do not count.
    pub fn max_unread_bytes(mut self, bytes: u64) -> Self {
        self.limits.max_unread = bytes;
        self
    }

    /// Sets the most [unread bytes](Self::max_unread_bytes) of one connection: 64 MiB unless set.
    /// At the limit, the next response that yields bytes ends in an error: on HTTP/2 its stream is
    /// reset and the others go on, on HTTP/1 the connection is closed. One piece may be larger than
    /// the limit. An end is reported as for `max_unread_bytes`.
    pub fn max_unread_bytes_per_connection(mut self, bytes: u64) -> Self {
        self.limits.max_unread_per_connection = bytes;
        self
    }

    /// Sets the most bytes of a request's head on HTTP/1, between 8 KiB and 1 MiB: 32 KiB unless
    /// set. The response to a longer head is 431 ([RFC 6585,
    /// 5](https://www.rfc-editor.org/rfc/rfc6585#section-5)). The limit is also the largest buffer
    /// for bodies on such a connection. HTTP/2 heads have a fixed limit of 16 KiB.
    pub fn max_head_bytes(mut self, bytes: u32) -> Self {
        self.limits.max_head_bytes = bytes;
        self
    }

    /// Serves HTTP/1 clients that close their sending side after a request and wait for the
    /// response. Off unless set, because a client that has disconnected looks the same.
    ///
    /// When it is off, such a close ends the connection: the handler of its request is dropped at
    /// its next await. A reset of the connection has this effect in either case.
    pub fn half_close(mut self, served: bool) -> Self {
        self.limits.half_close = served;
        self
    }

    /// Builds the server.
    ///
    /// # Errors
    /// If a limit is out of its bounds, or a time is zero or more than 365 days.
    pub fn build(self) -> Result<Server, InvalidConfig> {
        Ok(Server::new(self.limits.check()?))
    }
}

/// A server of HTTP/1 and HTTP/2 with limits and a graceful shutdown. See the [module](super).
///
/// Clones share the limits on connections and on unread bytes.
#[derive(Debug, Clone)]
pub struct Server {
    limits: Limits,
    connection_limit: ConnectionLimit,
    per_ip: Option<Arc<PerIpLimit>>,
    unread: Unread,
}

impl Default for Server {
    fn default() -> Server {
        Server::new(Limits::default())
    }
}

/// Counts of a server that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Connections that were served.
    pub connections: u64,
    /// Connections among them that a forced shutdown cut.
    pub cut: u64,
    /// Errors of the listener, in most cases because file descriptors had run out.
    pub accept_errors: u64,
    /// Connections that were closed at once, because their address had
    /// [as many as it may](ServerBuilder::max_connections_per_ip). Not counted in `connections`.
    pub rejected: u64,
    /// Connections and responses that were ended for their
    /// [unread bytes](ServerBuilder::max_unread_bytes), by the server or its clones.
    pub unread: u64,
}

/// Reports [`names::SERVER_UNREAD`], the unread bytes of the server and its clones.
impl Gauges for Server {
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit(names::SERVER_UNREAD, self.unread_bytes() as f64);
    }
}

impl Server {
    /// Starts a builder with the default limits.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    fn new(limits: Limits) -> Server {
        let per_ip = limits.max_per_ip.map(|most| Arc::new(PerIpLimit::new(most)));
        let connection_limit = ConnectionLimit::new(limits.max_connections);
        Server { limits, connection_limit, per_ip, unread: Unread::new(&limits) }
    }

    /// Returns the [unread bytes](ServerBuilder::max_unread_bytes) of the server and its clones.
    #[must_use]
    pub fn unread_bytes(&self) -> u64 {
        self.unread.bytes()
    }

    /// Serves `service`, any Tower service or axum's `Router`, on `listener` until `token` begins
    /// to drain and the requests in flight have ended or are cut. Dropping the future cuts all
    /// connections.
    ///
    /// Requests have the client's address in their extensions, as [`Peer<L::Addr>`](super::Peer).
    /// For axum's `ConnectInfo` see [`serve_make_service`](Self::serve_make_service).
    pub async fn serve<L, S, B>(self, listener: L, service: S, token: &ShutdownToken) -> Served
    where
        L: Listener,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        self.serve_make_service(listener, CloneService(service), token).await
    }

    /// Serves like [`serve`](Self::serve), with one service for each connection, which
    /// `make_service` returns for the client's address. If `make_service` fails, the connection is
    /// closed.
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
        let acceptor = Acceptor::new(listener, token, self.connection_limit.clone(), self.per_ip);
        let mut serving = Serving {
            make_service,
            limits: self.limits,
            connection_limit: self.connection_limit,
            unread: self.unread,
            queue: VecDeque::new(),
            connections: token.tracker("http connections"),
            requests: token.tracker("http requests"),
            tasks: JoinSet::new(),
            served: Served::default(),
        };
        // Counted as work in flight: draining then lasts until the backlog of the listener is
        // served. A forced shutdown cuts the future, and `finish` counts what is left.
        let _cut = token.run("http server", serving.accept(acceptor)).await;
        serving.finish().await
    }
}

struct Serving<M, A> {
    make_service: M,
    limits: Limits,
    connection_limit: ConnectionLimit,
    unread: Unread,
    /// Connections that were accepted before the listener was closed, and wait for a permit.
    queue: VecDeque<Accepted<A>>,
    connections: Tracker,
    requests: Tracker,
    /// Tasks of the connections. Each returns `true` if its connection was cut.
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
        // The counts are copied after each step: a forced shutdown may drop this future at any
        // await.
        while let Some((accepted, permit)) = acceptor.accept().await {
            self.begin(accepted, permit);
            self.copy_counts(&acceptor);
        }
        acceptor.backlog(&mut self.queue).await;
        self.copy_counts(&acceptor);
        while !self.queue.is_empty() {
            let Some(permit) = self.connection_limit.acquire().await else { break };
            if let Some(accepted) = self.queue.pop_front() {
                self.begin(accepted, permit);
            }
        }
    }

    const fn copy_counts<L: Listener<Addr = A>>(&mut self, acceptor: &Acceptor<L>) {
        self.served.accept_errors = acceptor.errors;
        self.served.rejected = acceptor.rejected;
    }

    /// Spawns the task of a connection.
    fn begin<S, B>(&mut self, accepted: Accepted<A>, permit: OwnedSemaphorePermit)
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
        let Accepted { stream, peer, ip_permit } = accepted;
        let mut make_service = self.make_service.clone();
        let requests = self.requests.clone();
        let limits = self.limits;
        let registered = self.unread.register();
        let unread = registered.get().clone();
        let activity = Activity::new(self.connection_limit.clone(), unread.clone(), &limits);
        let serve = async move {
            if poll_fn(|cx| make_service.poll_ready(cx)).await.is_err() {
                return false;
            }
            let Ok(service) = make_service.call(peer.clone()).await else { return false };
            connection(stream, WithPeer { service, peer }, requests, activity, limits).await
        };
        let Ok(in_flight) = self.connections.track() else {
            self.served.cut += 1;
            return;
        };
        let run = in_flight.run(serve);
        let task = self.tasks.spawn(async move {
            let cut = run.await.unwrap_or(true);
            // After the connection, whose socket is closed by now.
            drop((permit, ip_permit, registered));
            cut
        });
        unread.set_task(task);
    }

    /// Waits for all connections and returns the counts.
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

/// Returns `true` if a connection was cut. An aborted task was ended for its unread bytes and is
/// not counted.
fn was_cut(ended: Result<bool, JoinError>) -> bool {
    ended.unwrap_or_else(|error| !error.is_cancelled())
}
