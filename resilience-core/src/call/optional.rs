//! Parts whose presence is known at run time only.

use std::task::{Context, Poll};

use super::absent::Absent;
use super::part::{Part, TimeLimit};
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::rejection::{Rejection, RejectionKind};

/// Implements all methods of [`Part`] but `settle` by the part in an `Option<&impl Part>`, or as an
/// absent part.
macro_rules! delegate_to_part {
    ($self:ident => $part:expr) => {
        #[inline]
        fn enter(
            &$self,
            state: &mut Self::CallState,
            request: &Req,
            now: &mut Now,
            cx: &mut Context<'_>,
        ) -> Poll<Result<(), Rejection>> {
            match $part {
                Some(part) => part.enter(state, request, now, cx),
                None => Poll::Ready(Ok(())),
            }
        }

        #[inline]
        fn check(
            &$self,
            state: &mut Self::CallState,
            request: &Req,
            now: &mut Now,
        ) -> Result<(), Rejection> {
            match $part {
                Some(part) => part.check(state, request, now),
                None => Ok(()),
            }
        }

        #[inline]
        fn admit(&$self, state: &mut Self::CallState, now: &mut Now) -> Result<(), Rejection> {
            match $part {
                Some(part) => part.admit(state, now),
                None => Ok(()),
            }
        }

        #[inline]
        fn sent(&$self, state: &mut Self::CallState) {
            if let Some(part) = $part {
                part.sent(state);
            }
        }

        #[inline]
        fn leave(&$self, state: &mut Self::CallState) {
            if let Some(part) = $part {
                part.leave(state);
            }
        }
    };
}
pub(crate) use delegate_to_part;

/// Every method takes one branch more.
impl<P: Part<Req, T, E>, Req, T, E> Part<Req, T, E> for Option<P> {
    type CallState = P::CallState;

    delegate_to_part!(self => self.as_ref());

    #[inline]
    fn settle(&self, state: &mut Self::CallState, result: Result<&T, &E>, now: &mut Now) {
        if let Some(part) = self {
            part.settle(state, result, now);
        }
    }
}

impl<P: TimeLimit> TimeLimit for Option<P> {
    type Timer = P::Timer;

    #[inline]
    fn due(&self, now: &mut Now) -> Option<Deadline> {
        self.as_ref().and_then(|part| part.due(now))
    }

    #[inline]
    fn limit_nanos(&self) -> Option<u64> {
        self.as_ref().and_then(TimeLimit::limit_nanos)
    }

    fn reject(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
        match self {
            Some(part) => part.reject(kind, may_have_run),
            None => Absent.reject(kind, may_have_run),
        }
    }
}
