//! Waiting for a permit.

use std::borrow::Borrow;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::Bulkhead;
use super::ledger::{Charge, Denied};
use super::permit::BulkheadPermit;
use super::queue::Ticket;
use super::refusal::Refusal;
use super::turnstile::{Entered, Posture};
use crate::clock;
use crate::deadline::Deadline;
use crate::name::Name;
use crate::patience::Patience;
use crate::rejection::Rejection;
use crate::timer::Alarm;
use crate::wakes::Wakes;

/// The future of [`Bulkhead::acquire`]. Nothing is asked for before its first poll; dropped, it leaves
/// the queue, and passes on what it was granted and had not heard of.
///
/// When permits are free it takes them in one atomic operation, with no look at the clock.
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<H: Borrow<Bulkhead> = Bulkhead> {
    /// Moved into the permit, which is why one that owns its handle costs no other.
    bulkhead: Option<H>,
    wait: Wait,
}

/// A wait, beside the bulkhead that it is for. To be [left](Wait::leave) before it is dropped.
#[derive(Debug)]
pub(super) struct Wait {
    weight: u32,
    /// Boxed, because most calls never wait.
    place: Option<Box<Place>>,
}

/// A place in the queue.
#[derive(Debug)]
struct Place {
    ticket: Ticket,
    /// When the wait is over, if it is limited.
    expiry: Option<Deadline>,
    alarm: Option<Alarm>,
}

impl Wait {
    #[inline]
    pub(super) const fn new(weight: u32) -> Wait {
        Wait { weight, place: None }
    }

    /// `key` is whose bulkhead this is, for the rejection.
    #[inline]
    pub(super) fn poll(
        &mut self,
        bulkhead: &Bulkhead,
        cx: &mut Context<'_>,
        key: impl Fn() -> Option<Name>,
    ) -> Poll<Result<Charge, Rejection>> {
        let denied = match &self.place {
            None => match bulkhead.turnstile().try_take(self.weight) {
                Ok(charge) => return Poll::Ready(Ok(charge)),
                Err(denied) => Some(denied),
            },
            Some(_) => None,
        };
        let answer = ready!(poll_on(&mut self.place, bulkhead, self.weight, denied, cx, &key));
        Poll::Ready(answer.map_err(|refusal| bulkhead.refuse(refusal, key)))
    }

    #[inline]
    pub(super) fn leave(&mut self, bulkhead: &Bulkhead) {
        let Some(place) = self.place.take() else { return };
        let turnstile = bulkhead.turnstile();
        if let Some(charge) = turnstile.leave(&place.ticket, clock::now) {
            turnstile.release(charge, clock::now);
        }
    }
}

impl<H: Borrow<Bulkhead>> Acquire<H> {
    #[inline]
    pub(super) const fn new(bulkhead: H, weight: u32) -> Acquire<H> {
        Acquire { bulkhead: Some(bulkhead), wait: Wait::new(weight) }
    }
}

/// What is rare: the call was denied just now, or waits since it was.
#[cold]
fn poll_on(
    waiting: &mut Option<Box<Place>>,
    bulkhead: &Bulkhead,
    weight: u32,
    denied: Option<Denied>,
    cx: &mut Context<'_>,
    key: impl Fn() -> Option<Name>,
) -> Poll<Result<Charge, Refusal>> {
    if let Some(denied) = denied {
        let mut wakes = Wakes::default();
        match begin(bulkhead, weight, denied, cx, key, &mut wakes) {
            Begun::Answered(answer) => return Poll::Ready(answer),
            // Who is served in this moment is woken, and asks when it is polled again.
            Begun::Waits(place) => {
                let place = waiting.insert(place);
                wakes.wake();
                return place.begin(cx);
            }
        }
    }
    let Some(place) = waiting else { return Poll::Pending };
    let answer = ready!(place.poll(bulkhead, weight, cx));
    // Given back if the drop of the place panics, by a waker in its timer.
    let answer = answer.map(|charge| BulkheadPermit::new(bulkhead, charge));
    *waiting = None;
    Poll::Ready(answer.map(BulkheadPermit::into_charge))
}

enum Begun {
    Waits(Box<Place>),
    Answered(Result<Charge, Refusal>),
}

/// A call that found no permit: is it refused, does it wait, or is it only watched?
#[cold]
fn begin(
    bulkhead: &Bulkhead,
    weight: u32,
    denied: Denied,
    cx: &Context<'_>,
    key: impl Fn() -> Option<Name>,
    wakes: &mut Wakes,
) -> Begun {
    let turnstile = bulkhead.turnstile();
    match (turnstile.posture(), denied) {
        (Posture::Observed, _) => {
            return Begun::Answered(Ok(bulkhead.observe(weight, denied, key)));
        }
        (Posture::Refused, _) | (Posture::Waits, Denied::Never) => {
            return Begun::Answered(Err(turnstile.refusal(denied, weight)));
        }
        (Posture::Waits, Denied::Full) => {}
    }
    let now = clock::now();
    if Deadline::current().is_some_and(|deadline| deadline.has_passed(now)) {
        return Begun::Answered(Err(Refusal::Late));
    }
    match turnstile.enter(weight, now, cx.waker(), wakes) {
        Entered::Granted(charge) => Begun::Answered(Ok(charge)),
        Entered::Refused(refusal) => Begun::Answered(Err(refusal)),
        Entered::Waits(ticket, patience) => {
            let expiry = match patience {
                Patience::AtMost(wait) => Some(Deadline::after(now, wait)),
                Patience::None | Patience::Endless => None,
            };
            Begun::Waits(Box::new(Place { ticket, expiry, alarm: None }))
        }
    }
}

impl Place {
    fn begin<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        if self.poll_expired(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The place is gone when this is ready.
    fn poll(
        &mut self,
        bulkhead: &Bulkhead,
        weight: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Charge, Refusal>> {
        let turnstile = bulkhead.turnstile();
        if let Poll::Ready(answer) = turnstile.poll(&self.ticket, weight, cx.waker()) {
            return Poll::Ready(answer);
        }
        if self.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        // Granted at the last moment is granted.
        Poll::Ready(match turnstile.leave(&self.ticket, clock::now) {
            Some(charge) => Ok(charge),
            None => Err(turnstile.refusal(Denied::Full, weight)),
        })
    }

    /// Whether the wait is over. No timer is armed for what comes after the deadline of the call
    /// around this, whoever set that drops this then; looked at anew each time, since a future can
    /// outlive the deadline that it was first polled under.
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
    /// Polls as [`Future::poll`] does, for a bulkhead that belongs to one key. `key` is called when there is no
    /// permit, for the rejection and its event.
    ///
    /// # Errors
    /// As [`Bulkhead::acquire`], with the key.
    #[inline]
    pub fn poll_for(
        &mut self,
        cx: &mut Context<'_>,
        key: impl Fn() -> Option<Name>,
    ) -> Poll<Result<BulkheadPermit<H>, Rejection>> {
        // Polled after it was ready, which a future's contract leaves open: stay silent.
        let Some(handle) = &self.bulkhead else { return Poll::Pending };
        let answer = ready!(self.wait.poll(handle.borrow(), cx, key));
        let Some(handle) = self.bulkhead.take() else { return Poll::Pending };
        Poll::Ready(answer.map(|charge| BulkheadPermit::new(handle, charge)))
    }
}

impl<H: Borrow<Bulkhead> + Unpin> Future for Acquire<H> {
    type Output = Result<BulkheadPermit<H>, Rejection>;

    #[inline]
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

    /// There is no runtime, so to arm a timer would be to panic.
    #[test]
    fn no_timer_is_armed_for_what_comes_after_the_deadline() {
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
