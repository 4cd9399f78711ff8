//! The rate limit as a part of a call.

use std::task::{Context, Poll, ready};

use super::acquire::TokenWait;
use super::bucket::ns_of_tick;
use super::gcra::Grant;
use super::layer::{Consequence, RateLimitLayer, consequence};
use super::limiter::RateLimiter;
use crate::call::Part;
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::Classify;
use crate::rejection::Rejection;
use crate::select::{Select, Weigh};

/// The wait of one attempt, and then its tokens.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct RateCallState<L> {
    selected: L,
    /// Only of an attempt that did not get its tokens at once.
    wait: Option<Box<TokenWait>>,
    grant: Option<Grant>,
    /// `true` if the service below has the request.
    sent: bool,
}

impl<Req, T, E, C, Sel, W> Part<Req, T, E> for RateLimitLayer<C, Sel, W>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    Sel: Select<Req, Handle = RateLimiter>,
    W: Weigh<Req>,
{
    type CallState = RateCallState<Sel::Selected>;

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
            let Some(limiter) = self.select.handle(&state.selected) else { return Poll::Pending };
            // Weighed once: a closure need not return the same cost twice.
            let cost = self.weigh.weigh(request);
            state.grant = limiter.take_fast(ns_of_tick(now.tick()), cost);
            if state.grant.is_some() {
                return Poll::Ready(Ok(()));
            }
            state.wait = Some(Box::new(TokenWait::new(cost)));
        }
        self.poll_wait(state, now, cx)
    }

    #[inline(always)]
    fn sent(&self, state: &mut Self::CallState) {
        state.sent = true;
    }

    #[inline(always)]
    fn settle(&self, state: &mut Self::CallState, result: Result<&T, &E>, _: &mut Now) {
        if let Some(limiter) = self.select.handle(&state.selected) {
            match consequence(&self.classifier, result) {
                Consequence::Refund => state.sent = false,
                Consequence::Pause(hint) => {
                    limiter.follow_hint(hint, self.select.whose(&state.selected));
                }
                Consequence::None => {}
            }
        }
        Part::<Req, T, E>::leave(self, state);
    }

    #[inline(always)]
    fn leave(&self, state: &mut Self::CallState) {
        let Some(limiter) = self.select.handle(&state.selected) else { return };
        if let Some(wait) = &mut state.wait {
            wait.leave(limiter);
            state.wait = None;
        }
        // Taken before it goes back, which wakes others: if that panics, the next `leave` finds
        // none.
        let grant = state.grant.take();
        if !state.sent
            && let Some(grant) = grant
        {
            limiter.refund(grant);
        }
        state.sent = false;
        state.selected = Sel::Selected::default();
    }
}

impl<C, Sel, W> RateLimitLayer<C, Sel, W> {
    #[cold]
    fn poll_wait<Req>(
        &self,
        state: &mut RateCallState<Sel::Selected>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>>
    where
        Sel: Select<Req, Handle = RateLimiter>,
    {
        let Some(limiter) = self.select.handle(&state.selected) else { return Poll::Pending };
        let Some(wait) = &mut state.wait else { return Poll::Pending };
        state.grant = match ready!(wait.poll(limiter, now, cx)) {
            Ok(grant) => grant,
            Err(pending) => limiter.reject(pending, self.select.whose(&state.selected))?,
        };
        Poll::Ready(Ok(()))
    }
}
