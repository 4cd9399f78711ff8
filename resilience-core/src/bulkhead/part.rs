//! The bulkhead as a part of a call.

use std::task::{Context, Poll, ready};

use super::Bulkhead;
#[cfg(feature = "profiles")]
use super::BulkheadPermit;
use super::acquire::PermitWait;
use super::layer::BulkheadLayer;
use super::permits::PermitGrant;
#[cfg(feature = "profiles")]
use crate::call::Carry;
use crate::call::Part;
use crate::clock::{self, Now};
use crate::rejection::Rejection;
use crate::select::{Select, Weigh};

/// The wait of one call, and then its permits.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct BulkheadCallState<L> {
    selected: L,
    /// Only of a call that did not get its permits at once.
    wait: Option<PermitWait>,
    grant: Option<PermitGrant>,
}

impl<Req, T, E, Sel, W> Part<Req, T, E> for BulkheadLayer<Sel, W>
where
    Sel: Select<Req, Handle = Bulkhead>,
    W: Weigh<Req>,
{
    type CallState = BulkheadCallState<Sel::Selected>;

    #[inline(always)]
    fn enter(
        &self,
        state: &mut Self::CallState,
        request: &Req,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        if state.wait.is_none() {
            self.select.select(&mut state.selected, request, now);
            let Some(bulkhead) = self.select.handle(&state.selected) else {
                return Poll::Pending;
            };
            // Weighed once: a closure need not return the same weight twice.
            let weight = self.weigh.weigh(request);
            if let Ok(grant) = bulkhead.admission_queue().permits.try_take(weight) {
                state.grant = Some(grant);
                return Poll::Ready(Ok(()));
            }
            state.wait = Some(PermitWait::new(weight));
        }
        self.poll_wait(state, cx)
    }

    #[inline(always)]
    fn settle(&self, state: &mut Self::CallState, _: Result<&T, &E>, _: &mut Now) {
        Part::<Req, T, E>::leave(self, state);
    }

    #[inline(always)]
    fn leave(&self, state: &mut Self::CallState) {
        let Some(bulkhead) = self.select.handle(&state.selected) else { return };
        if let Some(wait) = &mut state.wait {
            wait.leave(bulkhead);
            state.wait = None;
        }
        if let Some(grant) = state.grant.take() {
            bulkhead.admission_queue().release(grant, clock::now);
        }
        state.selected = Sel::Selected::default();
    }
}

impl<Sel, W> BulkheadLayer<Sel, W> {
    #[cold]
    fn poll_wait<Req>(
        &self,
        state: &mut BulkheadCallState<Sel::Selected>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>>
    where
        Sel: Select<Req, Handle = Bulkhead>,
    {
        let Some(bulkhead) = self.select.handle(&state.selected) else { return Poll::Pending };
        let Some(wait) = &mut state.wait else { return Poll::Pending };
        let grant = ready!(wait.poll(bulkhead, cx, || self.select.whose(&state.selected)));
        Poll::Ready(grant.map(|grant| state.grant = Some(grant)))
    }
}

#[cfg(feature = "profiles")]
impl<Req, T, E, Sel, W> Carry<Req, T, E> for BulkheadLayer<Sel, W>
where
    Sel: Select<Req, Handle = Bulkhead>,
    W: Weigh<Req>,
{
    type Carried = BulkheadPermit;

    fn carry(&self, state: &mut Self::CallState, _: &T) -> Option<BulkheadPermit> {
        let bulkhead = self.select.handle(&state.selected)?;
        let grant = state.grant.take()?;
        Some(BulkheadPermit::new(bulkhead.clone(), grant))
    }
}
