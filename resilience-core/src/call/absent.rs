use super::kept::Kept;
use super::part::{AfterAttempt, AttemptEnd, AttemptsBefore, Part, RetryPart, TimeLimit};
use super::timer::NoTimer;
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::rejection::{Rejection, RejectionKind};

/// A part that a stack does not have. Admits every call, makes one attempt, and limits no time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absent;

impl<Req, T, E> Part<Req, T, E> for Absent {
    type CallState = ();

    #[inline(always)]
    fn settle(&self, (): &mut (), _: Result<&T, &E>, _: &mut Now) {}

    #[inline(always)]
    fn leave(&self, (): &mut ()) {}
}

impl<Req, T, E> RetryPart<Req, T, E> for Absent {
    type CallState = ();
    type Timer = NoTimer;

    #[inline]
    fn start(&self, (): &mut (), _: &Req, _: &mut Now) {}

    #[inline]
    fn sent(&self, (): &mut (), _: &Req) -> Option<Req> {
        None
    }

    #[inline]
    fn ended(
        &self,
        (): &mut (),
        _: AttemptEnd<'_, T, E>,
        _: Option<&Req>,
        _: &mut Now,
    ) -> AfterAttempt {
        AfterAttempt::Done
    }

    #[inline]
    fn before(&self, (): &()) -> AttemptsBefore {
        AttemptsBefore::NONE
    }

    #[inline]
    fn kept<'s>(&self, (): &'s mut ()) -> Option<&'s mut Kept<T, E>> {
        None
    }

    #[inline]
    fn cut_short(&self, (): &mut ()) {}
}

impl TimeLimit for Absent {
    type Timer = NoTimer;

    #[inline]
    fn due(&self, _: &mut Now) -> Option<Deadline> {
        None
    }

    #[inline]
    fn limit_nanos(&self) -> Option<u64> {
        None
    }

    fn reject(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
        Rejection::new(kind, "stack").with_may_have_run(may_have_run)
    }
}
