//! Places in the queue for calls that are made later.

use std::fmt;
use std::time::Instant;

use super::acquire::{OwnedWait, TokenWait};
use super::bucket::{instant_at, ns_of};
use super::limiter::{RateLimiter, RatePermit};
use super::queue::Ticket;
use crate::clock;
use crate::rejection::Rejection;

/// A place in the queue, made by [`RateLimiter::reserve`].
///
/// Dropping it gives up the place; the calls behind it are served sooner. If the turn has come and
/// another call has been made since, the tokens were taken then, and are given back as far as the
/// bound on every window allows.
pub struct Reservation(ReservationState);

enum ReservationState {
    /// Served at once, at this instant.
    Ready(Option<RatePermit>, Instant),
    Queued {
        wait: OwnedWait,
        limiter: RateLimiter,
        ticket: Ticket,
        first: Instant,
    },
}

impl Reservation {
    pub(super) fn new(limiter: RateLimiter, cost: u32) -> Result<Reservation, Rejection> {
        let now = clock::now();
        let pending = match limiter.take(now, cost) {
            Ok(grant) => return Ok(Reservation::ready_now(limiter, Some(grant), now)),
            Err(pending) => pending,
        };
        let joined =
            if pending.observes_only() { Err(pending) } else { limiter.join(now, cost, &mut None) };
        match joined {
            Ok(ticket) => {
                let wait = OwnedWait::new(limiter.clone(), TokenWait::queued_as(cost, ticket));
                let first = limiter.expected(ticket).unwrap_or(now);
                Ok(Reservation(ReservationState::Queued { wait, limiter, ticket, first }))
            }
            Err(pending) => {
                let grant = limiter.reject(pending, None)?;
                Ok(Reservation::ready_now(limiter, grant, now))
            }
        }
    }

    const fn ready_now(
        limiter: RateLimiter,
        grant: Option<super::gcra::Grant>,
        now: Instant,
    ) -> Reservation {
        Reservation(ReservationState::Ready(Some(RatePermit::new(limiter, grant)), now))
    }

    /// Returns the expected time of the turn. Earlier if a call ahead leaves, later if calls are
    /// late or the limiter is paused.
    #[must_use]
    pub fn ready_at(&self) -> Instant {
        match &self.0 {
            ReservationState::Ready(_, since) => *since,
            ReservationState::Queued { limiter, ticket, first, .. } => {
                limiter.expected(*ticket).unwrap_or(*first)
            }
        }
    }

    /// Returns the permit if the turn has come.
    ///
    /// # Errors
    /// The reservation itself if the turn has not come; see [`ready_at`](Self::ready_at).
    pub fn try_take(mut self) -> Result<RatePermit, Reservation> {
        let permit = match &mut self.0 {
            ReservationState::Ready(permit, _) => permit.take(),
            ReservationState::Queued { wait, .. } => wait.try_take(),
        };
        permit.ok_or(self)
    }

    /// Waits for the turn. Dropping the future gives up the place.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), if the quota was changed since and never
    /// allows the cost.
    pub async fn ready(mut self) -> Result<RatePermit, Rejection> {
        match &mut self.0 {
            ReservationState::Ready(permit, _) => match permit.take() {
                Some(permit) => Ok(permit),
                None => std::future::pending().await,
            },
            ReservationState::Queued { wait, .. } => std::future::poll_fn(|cx| wait.poll(cx)).await,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let ReservationState::Ready(Some(permit), _) = &mut self.0 {
            permit.give_back();
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("ready_at", &self.ready_at()).finish()
    }
}

impl RateLimiter {
    /// Returns the expected time at which a place is served; `None` if it was served.
    fn expected(&self, ticket: Ticket) -> Option<Instant> {
        let now = ns_of(clock::now());
        self.with(now, |gcra, at, _| gcra.expected_at(at, ticket).map(instant_at))
    }
}
