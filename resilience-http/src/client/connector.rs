//! Connections that are counted from their beginning to their end.

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
use super::scope;
use super::slots::ConnectionLimits;
use crate::classify::BoxError;

/// A connector for hyper-util's client that opens no more connections to an authority than there may be, idle
/// ones included.
///
/// A connection has a permit for as long as it lives. What is to be opened when there is none waits in the
/// future that opens it, where it loses against a connection that comes back to the pool, and is given
/// up when its request has one; so a pool that reuses its connections does not stand still behind its own
/// bound. (A limit in the `poll_ready` of a connector does: hyper-util waits there for ever.)
///
/// hyper-util keys its pool by the authority as it is written: `a.example`, `a.example:80` and `user@a.example` have
/// idle connections of their own, and so they have permits of their own. Under a
/// [`ResilientLayer`](super::ResilientLayer) these are one, since it normalizes the address.
#[derive(Clone)]
pub struct BoundedConnector<C> {
    inner: C,
    permits: Keyed<Authority, Bulkhead>,
}

impl<C> BoundedConnector<C> {
    /// As many for each authority as these limits say.
    ///
    /// # Errors
    /// If a limit is out of its bounds.
    pub fn new(inner: C, limits: &ConnectionLimits) -> Result<BoundedConnector<C>, InvalidConfig> {
        let model = limits.build()?.own;
        let permits = Keyed::new(KeyedLimits::default(), move |_: &Authority| model.fresh());
        Ok(BoundedConnector { inner, permits })
    }

    /// How many connections to an authority are open, and how many wait to be.
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

    /// Always ready: a connection waits in its own future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // See docs/decisions/0022-connections-are-counted-where-they-are-held.md.
        let (mut inner, permits) = (self.inner.clone(), self.permits.clone());
        Box::pin(async move {
            let authority = Authority::of_pool(&uri).ok_or("an address without a host")?;
            let nobody_waits = scope::ends(scope::current());
            let permits = permits.get(&authority, clock::now());
            let room = async move { Ok(permits.acquire_owned(1).await?) };
            let permit = Until { open: room, nobody_waits }.await?;
            // What is begun is not given up: the other side may have it by now.
            std::future::poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
            let io = inner.call(uri).await.map_err(Into::into)?;
            Ok(BoundedIo { io, _permit: permit })
        })
    }
}

pin_project! {
    /// Waits for room, until nobody waits for the connection any more.
    pub(super) struct Until<F, E> {
        #[pin]
        pub(super) open: F,
        #[pin]
        pub(super) nobody_waits: E,
    }
}

impl<F, E, T> Future for Until<F, E>
where
    F: Future<Output = Result<T, BoxError>>,
    E: Future<Output = ()>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // What is there is not given up.
        if let Poll::Ready(opened) = this.open.poll(cx) {
            return Poll::Ready(opened);
        }
        ready!(this.nobody_waits.poll(cx));
        Poll::Ready(Err("nobody waits for this connection any more".into()))
    }
}

pin_project! {
    /// A connection that counts, until it is dropped.
    pub struct BoundedIo<T> {
        #[pin]
        io: T,
        // After `io`: it is closed before another may be opened.
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
