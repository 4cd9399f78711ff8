//! A part that is there or not, which is known only at run time.

use std::task::{Context, Poll};

use super::absent::Absent;
use super::gate::{Gate, TimeLimit};
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::rejection::{Rejection, RejectionKind};

/// A part, or none. The type is the same, so that a file can decide; it costs a branch a call.
#[derive(Debug, Clone)]
pub struct Optional<P>(Option<P>);

impl<P> Optional<P> {
    /// This part, if there is one.
    pub const fn new(part: Option<P>) -> Optional<P> {
        Optional(part)
    }
}

impl<P: Gate<Req, T, E>, Req, T, E> Gate<Req, T, E> for Optional<P> {
    type Seat = P::Seat;

    #[inline]
    fn pass(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> bool {
        match &self.0 {
            Some(part) => part.pass(seat, request, now),
            None => true,
        }
    }

    #[inline]
    fn poll(
        &self,
        seat: &mut Self::Seat,
        request: &Req,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        match &self.0 {
            Some(part) => part.poll(seat, request, now, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    #[inline]
    fn is_clear(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> bool {
        match &self.0 {
            Some(part) => part.is_clear(seat, request, now),
            None => true,
        }
    }

    #[inline]
    fn check(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> Result<(), Rejection> {
        match &self.0 {
            Some(part) => part.check(seat, request, now),
            None => Ok(()),
        }
    }

    #[inline]
    fn admit_at_once(&self, seat: &mut Self::Seat, now: &mut Now) -> bool {
        match &self.0 {
            Some(part) => part.admit_at_once(seat, now),
            None => true,
        }
    }

    #[inline]
    fn admit(&self, seat: &mut Self::Seat, now: &mut Now) -> Result<(), Rejection> {
        match &self.0 {
            Some(part) => part.admit(seat, now),
            None => Ok(()),
        }
    }

    #[inline]
    fn sent(&self, seat: &mut Self::Seat) {
        if let Some(part) = &self.0 {
            part.sent(seat);
        }
    }

    #[inline]
    fn settle(&self, seat: &mut Self::Seat, result: Result<&T, &E>, now: &mut Now) {
        if let Some(part) = &self.0 {
            part.settle(seat, result, now);
        }
    }

    #[inline]
    fn leave(&self, seat: &mut Self::Seat) {
        if let Some(part) = &self.0 {
            part.leave(seat);
        }
    }
}

impl<P: TimeLimit> TimeLimit for Optional<P> {
    type Timer = P::Timer;

    #[inline]
    fn due(&self, now: &mut Now) -> Option<Deadline> {
        self.0.as_ref().and_then(|part| part.due(now))
    }

    #[inline]
    fn limit_nanos(&self) -> Option<u64> {
        self.0.as_ref().and_then(TimeLimit::limit_nanos)
    }

    fn refuse(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
        let absent = || Absent.refuse(kind, may_have_run);
        self.0.as_ref().map_or_else(absent, |part| part.refuse(kind, may_have_run))
    }
}
