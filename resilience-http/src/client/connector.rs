//! A connector that counts its connections exactly, from their beginning to their end.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use pin_project_lite::pin_project;
use resilience_core::bulkhead::{Bulkhead, BulkheadPermit, BulkheadSnapshot};
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::{InvalidConfig, clock};
use tower_service::Service;

use super::authority::Authority;
use super::call_scope;
use super::connection_permit::ConnectionLimits;
use crate::classify::BoxError;

/// A connector for hyper-util's client that bounds the open connections to each authority, idle
/// ones included.
///
/// A connection holds a permit while it is open. A connect without a permit waits in its own
/// future, and is dropped if a connection returns to the pool first, or when its request no longer
/// needs it. A pool that reuses its connections is therefore not blocked by the bound. (A limit in
/// the `poll_ready` of a connector does block it: hyper-util waits there for ever.)
///
/// hyper-util keys its pool by the authority as written: `a.example`, `a.example:80` and
/// `user@a.example` have separate idle connections, and so they have separate permits. Below a
/// [`ResilientLayer`](super::ResilientLayer), which normalizes addresses, they share one key.
///
/// Clones share the permits.
#[derive(Clone)]
pub struct BoundedConnector<C> {
    inner: C,
    permits: Keyed<Authority, Bulkhead>,
}

impl<C> BoundedConnector<C> {
    /// Creates a connector with the limit [`per_authority`](ConnectionLimits::per_authority); the
    /// total is not used.
    ///
    /// # Errors
    /// If a limit is out of its bounds.
    pub fn new(inner: C, limits: &ConnectionLimits) -> Result<BoundedConnector<C>, InvalidConfig> {
        let template = limits.build()?.per_authority;
        let permits = Keyed::new(KeyedLimits::default(), move |_: &Authority| template.fresh());
        Ok(BoundedConnector { inner, permits })
    }

    /// Returns the open connections to an authority and the connects that wait, or `None` if the
    /// authority is not known.
    #[must_use]
    pub fn snapshot(&self, authority: &Authority) -> Option<BulkheadSnapshot> {
        self.permits.peek(authority, clock::now()).map(|permits| permits.snapshot())
    }
}

impl<C> Service<Uri> for BoundedConnector<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Response: Send,
    C::Error: Into<BoxError>,
    C::Future: Send,
{
    type Response = BoundedIo<C::Response>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    /// Always ready: a connect waits in its own future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // See docs/decisions/0022-connections-are-counted-where-they-are-held.md.
        let mut inner = self.inner.clone();
        let permits = self.permits.clone();
        Box::pin(async move {
            let authority = Authority::of_pool(&uri).ok_or("an address without a host")?;
            let call_ended = call_scope::call_ended(call_scope::current());
            let permits = permits.get(&authority, clock::now());
            let acquire = async move { Ok(permits.acquire_owned(1).await?) };
            let permit = UntilCallEnds { inner: acquire, call_ended }.await?;
            // From here on the connect is not given up: the peer may have accepted it already.
            std::future::poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
            let io = inner.call(uri).await.map_err(Into::into)?;
            Ok(BoundedIo { io, _permit: permit })
        })
    }
}

pin_project! {
    /// Waits for `inner`, or fails when the call of the connection has ended.
    pub(super) struct UntilCallEnds<F, E> {
        #[pin]
        pub(super) inner: F,
        #[pin]
        pub(super) call_ended: E,
    }
}

impl<F, E, T> Future for UntilCallEnds<F, E>
where
    F: Future<Output = Result<T, BoxError>>,
    E: Future<Output = ()>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // `inner` first: a permit that is already granted is used.
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(result);
        }
        ready!(this.call_ended.poll(cx));
        Poll::Ready(Err("the call no longer needs this connection".into()))
    }
}

pin_project! {
    /// A connection that holds a permit until it is dropped.
    pub struct BoundedIo<T> {
        #[pin]
        io: T,
        // Declared after `io`, so that the connection is closed before its permit is free.
        _permit: BulkheadPermit,
    }
}

impl<T: Connection> Connection for BoundedIo<T> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl<T: Read> Read for BoundedIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buffer)
    }
}

impl<T: Write> Write for BoundedIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, slices)
    }
}

impl<C> fmt::Debug for BoundedConnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedConnector").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for BoundedIo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedIo").finish_non_exhaustive()
    }
}
