use super::gate::{Again, Gate, Next, Reached, TimeLimit};
use super::part::{Assembly, Slot};
use super::watch::Untimed;
use crate::clock::Now;
use crate::config::InvalidConfig;
use crate::deadline::Deadline;
use crate::rejection::{Rejection, RejectionKind};

/// A part that a stack does not have: every call passes, once, in any time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absent;

impl<K> Slot<K> for Absent {
    type Layer = Absent;

    fn fill(self, _: &mut Assembly<'_, K>) -> Result<Absent, InvalidConfig> {
        Ok(Absent)
    }
}

impl<Req, T, E> Gate<Req, T, E> for Absent {
    type Seat = ();

    #[inline]
    fn pass(&self, (): &mut (), _: &Req, _: &mut Now) -> bool {
        true
    }

    #[inline]
    fn is_clear(&self, (): &mut (), _: &Req, _: &mut Now) -> bool {
        true
    }

    #[inline]
    fn admit_at_once(&self, (): &mut (), _: &mut Now) -> bool {
        true
    }
}

impl<Req, T, E> Again<Req, T, E> for Absent {
    type Course = ();
    type Timer = Untimed;

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
        _: Result<&T, &E>,
        _: Option<&Req>,
        _: Reached,
        _: &mut Now,
    ) -> Next {
        Next::Done
    }
}

impl TimeLimit for Absent {
    type Timer = Untimed;

    #[inline]
    fn due(&self, _: &mut Now) -> Option<Deadline> {
        None
    }

    #[inline]
    fn limit_nanos(&self) -> Option<u64> {
        None
    }

    fn refuse(&self, kind: RejectionKind, may_have_run: bool) -> Rejection {
        Rejection::new(kind, "stack").with_may_have_run(may_have_run)
    }
}
