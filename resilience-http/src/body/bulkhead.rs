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

/// Limits how many calls are under way at once, counting a call until the body of its response has ended or
/// is dropped.
///
/// The bulkhead of `resilience-core` gives a permit back with the head of the response, when most of what a
/// large response costs is still to come. Every service made by one layer value, and by its clones, shares the permits.
#[derive(Debug, Clone)]
pub struct BodyBulkheadLayer<Sel = One<Bulkhead>> {
    select: Sel,
    until_written: bool,
}

impl BodyBulkheadLayer {
    /// One bulkhead for all calls.
    #[must_use]
    pub const fn new(bulkhead: Bulkhead) -> BodyBulkheadLayer {
        BodyBulkheadLayer { select: One::new(bulkhead), until_written: false }
    }
}

impl<Sel> BodyBulkheadLayer<Sel> {
    /// The bulkhead that `select` selects: with [`PerKey`](resilience_core::select::PerKey), one for each host.
    #[must_use]
    pub const fn select(select: Sel) -> BodyBulkheadLayer<Sel> {
        BodyBulkheadLayer { select, until_written: false }
    }

    /// Lets the server that sends the response keep the permit until the bytes of the body are written: it finds a [`Place`] in the
    /// response's extensions.
    pub(crate) const fn until_written(mut self) -> BodyBulkheadLayer<Sel> {
        self.until_written = true;
        self
    }

    /// What selects the bulkhead: the store of them, where there is one for each key.
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
    type Waiting = BulkheadWaiting<Sel::Selected>;
    type Held = Option<BulkheadPermit>;
    type Guard = BodyPermit;

    fn ask(&self, request: &Req) -> Self::Waiting {
        let mut selected = Sel::Selected::default();
        self.select.select(&mut selected, request, &mut Now::unread());
        let acquire = self.select.handle(&selected).map(|bulkhead| bulkhead.acquire_owned(1));
        BulkheadWaiting { acquire, selected, key: Sel::key }
    }

    /// The place in the queue was waited for: it is kept.
    fn not_ready(&self, held: Self::Held) -> Option<Self::Held> {
        Some(held)
    }

    fn answered(&self, held: Self::Held, _: Result<&Response<B>, &E>) -> Option<BodyPermit> {
        let until_written = self.until_written;
        held.map(|permit| BodyPermit { permit: Some(permit), place: None, until_written })
    }
}

/// A permit that a body holds until it has ended, or until its server has written it.
#[derive(Debug)]
pub struct BodyPermit {
    permit: Option<BulkheadPermit>,
    place: Option<Place>,
    until_written: bool,
}

impl<E> Guard<E> for BodyPermit {
    fn attach(&mut self, extensions: &mut Extensions) {
        if self.until_written
            && let Some(permit) = self.permit.take()
        {
            let inner = extensions.remove::<Place>();
            let place = Place(Arc::new(Taken { _permit: permit, _inner: inner }));
            extensions.insert(place.clone());
            self.place = Some(place);
        }
    }

    fn ended(self, _: Result<&HeaderMap, &E>) {}
}

/// A place among the requests that are under way, until the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Place(#[expect(dead_code, reason = "it is held")] Arc<Taken>);

#[derive(Debug)]
struct Taken {
    _permit: BulkheadPermit,
    /// That of a limit further in.
    _inner: Option<Place>,
}

pin_project! {
    /// A wait for a permit. Nothing is asked for before its first poll; dropped, it leaves the queue.
    pub struct BulkheadWaiting<L> {
        // None where nothing was selected: such a call is not limited.
        acquire: Option<Acquire>,
        selected: L,
        key: fn(&L) -> Option<Name>,
    }
}

impl<L> Future for BulkheadWaiting<L> {
    type Output = Result<Option<BulkheadPermit>, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(acquire) = this.acquire else { return Poll::Ready(Ok(None)) };
        let (key, selected) = (*this.key, &*this.selected);
        acquire.poll_for(cx, || key(selected)).map_ok(Some)
    }
}

impl<L> fmt::Debug for BulkheadWaiting<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadWaiting").field("acquire", &self.acquire).finish_non_exhaustive()
    }
}
