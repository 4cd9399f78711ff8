use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use resilience_core::bulkhead::{Acquire, Bulkhead, BulkheadPermit};
use resilience_core::clock::Now;
use resilience_core::select::{One, Select};
use resilience_core::{Name, Rejection};
use tower_layer::Layer;

use super::guarded::Guard;
use super::policy::{BodyPolicy, Guarded};

/// A bulkhead that counts a call until its response body has ended or is dropped.
///
/// The bulkhead layer of `resilience-core` releases the permit at the head of the response, before
/// most of the cost of a large response. All services made by one layer value, and by its clones,
/// share the permits.
#[derive(Debug, Clone)]
pub struct BodyBulkheadLayer<Sel = One<Bulkhead>> {
    select: Sel,
    until_written: bool,
}

impl BodyBulkheadLayer {
    /// Creates a layer with one bulkhead for all calls.
    #[must_use]
    pub const fn new(bulkhead: Bulkhead) -> BodyBulkheadLayer {
        BodyBulkheadLayer { select: One::new(bulkhead), until_written: false }
    }
}

impl<Sel> BodyBulkheadLayer<Sel> {
    /// Creates a layer that uses the bulkhead that `select` returns: with
    /// [`PerKey`](resilience_core::select::PerKey), one for each host.
    #[must_use]
    pub const fn select(select: Sel) -> BodyBulkheadLayer<Sel> {
        BodyBulkheadLayer { select, until_written: false }
    }

    /// Puts the permit into the response's extensions, as a [`WritePermit`], so that the server can
    /// hold it until the bytes of the body are written.
    pub(crate) const fn until_written(mut self) -> BodyBulkheadLayer<Sel> {
        self.until_written = true;
        self
    }

    /// Returns the selector: with one bulkhead for each key, their store.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.select
    }
}

impl<S, Sel: Clone> Layer<S> for BodyBulkheadLayer<Sel> {
    type Service = Guarded<S, BodyBulkheadLayer<Sel>>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.clone())
    }
}

impl<Req, B, E, Sel> BodyPolicy<Req, B, E> for BodyBulkheadLayer<Sel>
where
    B: Body,
    Sel: Select<Req, Handle = Bulkhead> + Clone,
{
    type AdmitFuture = BulkheadAcquire<Sel::Selected>;
    type Admission = Option<BulkheadPermit>;
    type Guard = BodyPermit;

    fn admit(&self, request: &Req) -> Self::AdmitFuture {
        let mut selected = Sel::Selected::default();
        self.select.select(&mut selected, request, &mut Now::unread());
        let acquire = self.select.handle(&selected).map(|bulkhead| bulkhead.acquire_owned(1));
        BulkheadAcquire { acquire, selected, key: Sel::key }
    }

    // Kept: giving the permit up would mean to queue again.
    fn not_ready(&self, admission: Self::Admission) -> Option<Self::Admission> {
        Some(admission)
    }

    fn on_response(
        &self,
        admission: Self::Admission,
        _: Result<&Response<B>, &E>,
    ) -> Option<BodyPermit> {
        let until_written = self.until_written;
        admission.map(|permit| BodyPermit { permit: Some(permit), shared: None, until_written })
    }
}

/// A permit that is held until the body has ended, or until the server has written it.
#[derive(Debug)]
pub struct BodyPermit {
    permit: Option<BulkheadPermit>,
    shared: Option<WritePermit>,
    until_written: bool,
}

impl<E> Guard<E> for BodyPermit {
    fn attach(&mut self, extensions: &mut Extensions) {
        if self.until_written
            && let Some(permit) = self.permit.take()
        {
            let inner = extensions.remove::<WritePermit>();
            let shared = WritePermit(Arc::new(SharedPermit { _permit: permit, _inner: inner }));
            extensions.insert(shared.clone());
            self.shared = Some(shared);
        }
    }

    fn ended(self, _: Result<&HeaderMap, &E>) {}
}

/// A permit of a [`BodyBulkheadLayer`], released when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct WritePermit(#[expect(dead_code, reason = "it is held")] Arc<SharedPermit>);

#[derive(Debug)]
struct SharedPermit {
    _permit: BulkheadPermit,
    /// Permit of a bulkhead further in, which is released together with this one.
    _inner: Option<WritePermit>,
}

pin_project! {
    /// A wait for a permit. The first poll takes a permit or joins the queue; dropping the future
    /// leaves it.
    pub struct BulkheadAcquire<L> {
        // `None` if no bulkhead was selected: such a call is not limited.
        acquire: Option<Acquire>,
        selected: L,
        key: fn(&L) -> Option<Name>,
    }
}

impl<L> Future for BulkheadAcquire<L> {
    type Output = Result<Option<BulkheadPermit>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(acquire) = this.acquire else { return Poll::Ready(Ok(None)) };
        let key = *this.key;
        let selected = &*this.selected;
        acquire.poll_for(cx, || key(selected)).map_ok(Some)
    }
}

impl<L> fmt::Debug for BulkheadAcquire<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadAcquire").field("acquire", &self.acquire).finish_non_exhaustive()
    }
}
