use std::fmt;
use std::time::Instant;

use super::acquire::{Wait, Waiting};
use super::bucket::instant_at;
use super::limiter::RateLimiter;
use super::permit::RatePermit;
use super::queue::Ticket;
use crate::clock;
use crate::rejection::Rejection;

/// A place behind those who wait, of [`RateLimiter::reserve`].
///
/// Dropping it gives up the place, and those behind it come sooner. If its turn has come and somebody
/// has called since, its tokens were taken then, and come back as far as no window can then hold too
/// much.
pub struct Reservation(Held);

enum Held {
    /// Served at once.
    Ready(Option<RatePermit>, Instant),
    Queued {
        wait: Waiting,
        limiter: RateLimiter,
        ticket: Ticket,
        first: Instant,
    },
}

impl Reservation {
    pub(super) fn new(limiter: RateLimiter, cost: u32) -> Result<Reservation, Rejection> {
        let now = clock::now();
        let refused = match limiter.take(now, cost) {
            Ok(grant) => {
                return Ok(Reservation(Held::Ready(
                    Some(RatePermit::new(limiter, Some(grant))),
                    now,
                )));
            }
            Err(refused) => refused,
        };
        if refused.observes_only() {
            let grant = refused.told(None)?;
            return Ok(Reservation(Held::Ready(Some(RatePermit::new(limiter, grant)), now)));
        }
        match limiter.join(now, cost, &mut None, refused) {
            Ok(ticket) => {
                let wait = Waiting::new(limiter.clone(), Wait::from(cost, ticket));
                let first = limiter.expected(ticket).unwrap_or(now);
                Ok(Reservation(Held::Queued { wait, limiter, ticket, first }))
            }
            Err(refused) => {
                let grant = refused.told(None)?;
                Ok(Reservation(Held::Ready(Some(RatePermit::new(limiter, grant)), now)))
            }
        }
    }

    /// When its turn is, as far as is known: sooner if somebody before it leaves, later if they are
    /// late or there is a pause.
    #[must_use]
    pub fn ready_at(&self) -> Instant {
        match &self.0 {
            Held::Ready(_, since) => *since,
            Held::Queued { limiter, ticket, first, .. } => {
                limiter.expected(*ticket).unwrap_or(*first)
            }
        }
    }

    /// The permit, if its turn has come.
    ///
    /// # Errors
    /// Itself, if it has not; [`ready_at`](Self::ready_at) says when.
    pub fn try_take(mut self) -> Result<RatePermit, Reservation> {
        match &mut self.0 {
            Held::Ready(permit, _) => permit.take().ok_or(self),
            Held::Queued { wait, .. } => match wait.now() {
                Some((limiter, grant)) => Ok(RatePermit::new(limiter, Some(grant))),
                None => Err(self),
            },
        }
    }

    /// Waits for its turn. Dropping the future gives it up.
    ///
    /// # Errors
    /// [`RateLimited`](crate::RejectionKind::RateLimited), if the quota was changed since and will never
    /// allow its cost.
    pub async fn ready(mut self) -> Result<RatePermit, Rejection> {
        match &mut self.0 {
            Held::Ready(permit, _) => match permit.take() {
                Some(permit) => Ok(permit),
                None => std::future::pending().await,
            },
            Held::Queued { wait, .. } => {
                let (limiter, waited) = std::future::poll_fn(|cx| wait.poll(cx)).await;
                let grant = waited.or_else(|refused| refused.told(None))?;
                Ok(RatePermit::new(limiter, grant))
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Held::Ready(Some(permit), _) = &mut self.0 {
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
    /// When this place's turn is; `None` if it has come.
    fn expected(&self, ticket: Ticket) -> Option<Instant> {
        self.with(clock::now(), |meter, at, _| meter.expected_at(at, ticket).map(instant_at))
    }
}
