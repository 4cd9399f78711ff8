//! Waiting for a permit.

use std::borrow::Borrow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::Bulkhead;
use super::admission_queue::{EnterOutcome, FullAction};
use super::handle::BulkheadRejectReason;
use super::permit::BulkheadPermit;
use super::permits::{Denied, PermitGrant};
use super::queue::Ticket;
use crate::clock;
use crate::deadline::Deadline;
use crate::name::Name;
use crate::on_full::OnFull;
use crate::rejection::Rejection;
use crate::timer::Alarm;
use crate::wakes::Wakes;

/// The future of [`Bulkhead::acquire`]. Does nothing before its first poll. Dropped, it leaves the
/// queue, and passes a permit that it was granted meanwhile on to the next call.
///
/// When permits are free it takes them in one atomic operation, and does not read the clock.
#[must_use = "futures do nothing unless polled"]
#[doc(hidden)]
pub struct Acquire<H: Borrow<Bulkhead> = Bulkhead> {
    /// Moved into the permit, which needs no other handle.
    bulkhead: Option<H>,
    wait: PermitWait,
}

/// A wait for permits, kept beside the bulkhead that they come from. The owner calls
/// [`leave`](PermitWait::leave) before it drops the wait.
#[derive(Debug)]
pub(super) struct PermitWait {
    weight: u32,
    /// Boxed, because most calls never wait.
    place: Option<Box<QueuedWait>>,
}

/// A wait that has a place in the queue.
#[derive(Debug)]
struct QueuedWait {
    ticket: Ticket,
    /// The end of the wait, if it is limited.
    expiry: Option<Deadline>,
    alarm: Option<Alarm>,
}

impl PermitWait {
    pub(super) const fn new(weight: u32) -> PermitWait {
        PermitWait { weight, place: None }
    }

    /// Polls for the permits. `key` names the key of the bulkhead, for the rejection.
    pub(super) fn poll(
        &mut self,
        bulkhead: &Bulkhead,
        cx: &mut Context<'_>,
        key: impl Fn() -> Option<Name>,
    ) -> Poll<Result<PermitGrant, Rejection>> {
        let denied = match &self.place {
            None => match bulkhead.admission_queue().permits.try_take(self.weight) {
                Ok(grant) => return Poll::Ready(Ok(grant)),
                Err(denied) => Some(denied),
            },
            Some(_) => None,
        };
        let polled = ready!(self.poll_slow(bulkhead, denied, cx, &key));
        Poll::Ready(polled.map_err(|reason| bulkhead.reject(reason, key)))
    }

    /// Polls a call that was just `denied`, or is in the queue.
    #[cold]
    fn poll_slow(
        &mut self,
        bulkhead: &Bulkhead,
        denied: Option<Denied>,
        cx: &mut Context<'_>,
        key: impl Fn() -> Option<Name>,
    ) -> Poll<Result<PermitGrant, BulkheadRejectReason>> {
        if let Some(denied) = denied {
            let mut wakes = Wakes::default();
            match begin(bulkhead, self.weight, denied, cx, key, &mut wakes) {
                Begun::Decided(decided) => return Poll::Ready(decided),
                // A call that is served by now is woken, and is ready when it is polled again.
                Begun::Waits(place) => {
                    let place = self.place.insert(place);
                    wakes.wake();
                    return place.begin(cx);
                }
            }
        }
        let Some(place) = &mut self.place else { return Poll::Pending };
        let polled = ready!(place.poll(bulkhead, self.weight, cx));
        // As a permit, which is given back if the drop of the place panics, by a waker in its
        // timer.
        let polled = polled.map(|grant| BulkheadPermit::new(bulkhead, grant));
        self.place = None;
        Poll::Ready(polled.map(BulkheadPermit::into_grant))
    }

    /// Leaves the queue, and gives back the permits that were granted there.
    pub(super) fn leave(&mut self, bulkhead: &Bulkhead) {
        let Some(place) = self.place.take() else { return };
        let admission_queue = bulkhead.admission_queue();
        if let Some(grant) = admission_queue.leave(&place.ticket, clock::now) {
            admission_queue.release(grant, clock::now);
        }
    }
}

impl<H: Borrow<Bulkhead>> Acquire<H> {
    pub(super) const fn new(bulkhead: H, weight: u32) -> Acquire<H> {
        Acquire { bulkhead: Some(bulkhead), wait: PermitWait::new(weight) }
    }
}

enum Begun {
    Waits(Box<QueuedWait>),
    Decided(Result<PermitGrant, BulkheadRejectReason>),
}

/// Decides about a call that found no permit: it is rejected, queued, or only observed.
#[cold]
fn begin(
    bulkhead: &Bulkhead,
    weight: u32,
    denied: Denied,
    cx: &Context<'_>,
    key: impl Fn() -> Option<Name>,
    wakes: &mut Wakes,
) -> Begun {
    let admission_queue = bulkhead.admission_queue();
    match (admission_queue.full_action(), denied) {
        (FullAction::Observe, _) => {
            return Begun::Decided(Ok(bulkhead.observe(weight, denied, key)));
        }
        (FullAction::Reject, _) | (FullAction::Wait, Denied::Never) => {
            return Begun::Decided(Err(admission_queue.reason(denied, weight)));
        }
        (FullAction::Wait, Denied::Full) => {}
    }
    let now = clock::now();
    if Deadline::current().is_some_and(|deadline| deadline.has_passed(now)) {
        return Begun::Decided(Err(BulkheadRejectReason::Late));
    }
    match admission_queue.enter(weight, now, cx.waker(), wakes) {
        EnterOutcome::Granted(grant) => Begun::Decided(Ok(grant)),
        EnterOutcome::Rejected(reason) => Begun::Decided(Err(reason)),
        EnterOutcome::Waits(ticket, on_full) => {
            let expiry = match on_full {
                OnFull::WaitAtMost(wait) => Some(Deadline::after(now, wait)),
                OnFull::Reject | OnFull::Wait => None,
            };
            Begun::Waits(Box::new(QueuedWait { ticket, expiry, alarm: None }))
        }
    }
}

impl QueuedWait {
    fn begin<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        if self.poll_expired(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Polls the place in the queue, which is gone when this is ready.
    fn poll(
        &mut self,
        bulkhead: &Bulkhead,
        weight: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Result<PermitGrant, BulkheadRejectReason>> {
        let admission_queue = bulkhead.admission_queue();
        let polled = admission_queue.poll(&self.ticket, weight, cx.waker());
        if polled.is_ready() {
            return polled;
        }
        if self.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        // A grant at the last moment counts.
        Poll::Ready(match admission_queue.leave(&self.ticket, clock::now) {
            Some(grant) => Ok(grant),
            None => Err(admission_queue.reason(Denied::Full, weight)),
        })
    }

    /// Returns `Ready` if the wait is over. Arms no timer if the deadline of the surrounding call
    /// comes first, which then drops this. Reads the deadline at each poll, since a future can
    /// outlive the deadline of its first poll.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(expiry) = self.expiry else { return Poll::Pending };
        if self.alarm.is_none() && Deadline::current().is_some_and(|current| current <= expiry) {
            return Poll::Pending;
        }
        self.alarm.get_or_insert_with(|| Alarm::at(expiry.instant())).poll(cx)
    }
}

impl<H: Borrow<Bulkhead>> Drop for Acquire<H> {
    #[inline]
    fn drop(&mut self) {
        if let Some(handle) = &self.bulkhead {
            self.wait.leave(handle.borrow());
        }
    }
}

impl<H: Borrow<Bulkhead>> Acquire<H> {
    /// Polls as [`Future::poll`] does, for a bulkhead that belongs to one key. `key` is called when
    /// there is no permit, for the rejection and its event.
    ///
    /// # Errors
    /// The rejection, as from [`Bulkhead::acquire`], with the key.
    pub fn poll_for(
        &mut self,
        cx: &mut Context<'_>,
        key: impl Fn() -> Option<Name>,
    ) -> Poll<Result<BulkheadPermit<H>, Rejection>> {
        // Polled after it was ready, which the contract of a future leaves open: stay pending.
        let Some(handle) = &self.bulkhead else { return Poll::Pending };
        let polled = ready!(self.wait.poll(handle.borrow(), cx, key));
        let Some(handle) = self.bulkhead.take() else { return Poll::Pending };
        Poll::Ready(polled.map(|grant| BulkheadPermit::new(handle, grant)))
    }
}

impl<H: Borrow<Bulkhead> + Unpin> Future for Acquire<H> {
    type Output = Result<BulkheadPermit<H>, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_for(cx, || None)
    }
}

impl<H: Borrow<Bulkhead>> fmt::Debug for Acquire<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("weight", &self.wait.weight)
            .field("waits", &self.wait.place.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::pin::pin;
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Without a runtime, arming a timer would panic.
    #[test]
    fn no_timer_is_armed_for_a_wait_that_ends_after_the_deadline() {
        let bulkhead =
            Bulkhead::builder().max_concurrent(1).wait_at_most(SECOND * 60).build().unwrap();
        let held = bulkhead.try_acquire(1).unwrap();
        let mut call = pin!(bulkhead.acquire(1));
        let mut poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let deadline = Deadline::after(clock::now(), SECOND);
        assert!(deadline.enter(&mut poll).is_pending());
        assert!(deadline.enter(&mut poll).is_pending());
        drop(held);
        assert!(deadline.enter(&mut poll).is_ready());
    }

    #[test]
    fn a_future_is_small() {
        assert!(size_of::<Acquire>() <= 24, "{}", size_of::<Acquire>());
    }
}
