//! Work that has one effect for each key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::{Claim, Completion, KeyRequest, Taken};
use super::store::IdempotencyStore;
use crate::clock;
use crate::deadline::Deadline;
use crate::flow::store_error::{StoreError, StoreErrorKind, StoreFuture};
use crate::rejection::{Rejection, RejectionKind};
use crate::timeout::within;

/// Does work once for each key of one store. Clones share it.
#[derive(Clone)]
pub struct Idempotency(Arc<dyn IdempotencyStore>);

/// The end of work under a key.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a caller has to handle each")]
pub enum Once<E> {
    /// The work was done now, with this completion.
    Completed(Completion),
    /// The work was not done: the key was done, in progress, or used for another payload.
    Taken(Taken),
    /// The work failed and the key is free again.
    Failed(E),
    /// The work took longer than its claim and was dropped, or another claim was made meanwhile. It
    /// may have had an effect.
    Lost(Rejection),
}

impl Idempotency {
    /// Creates a handle.
    #[must_use]
    pub fn new(store: Arc<dyn IdempotencyStore>) -> Idempotency {
        Idempotency(store)
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &dyn IdempotencyStore {
        &*self.0
    }

    /// Claims the key, does the work, and completes the key. The work is dropped at nine tenths of
    /// its claim by the monotonic clock, counted from when the request for the claim was sent, so
    /// that it never runs beside its successor.
    ///
    /// For an effect elsewhere than in the store: a process that is killed between the effect and
    /// the completion leaves the key to a successor, which repeats the effect. Give the effect the
    /// token of the [`Claim`]. Dropped, the work is dropped, and the key can be claimed again when
    /// the claim ends.
    ///
    /// # Errors
    /// The store's, once trying again would be too late. After a failed completion the effect has
    /// been made. A result that is too large is an error as well; the key is done then, without a
    /// result.
    pub async fn once<E, F, Fut>(&self, request: KeyRequest, work: F) -> Result<Once<E>, StoreError>
    where
        F: FnOnce(Claim) -> Fut,
        Fut: Future<Output = Result<Completion, E>>,
    {
        request.check()?;
        let until = request.claim_for - request.claim_for / 10;
        let deadline = Deadline::after(clock::now(), until);
        let claim = match answered(deadline, self.0.claim(request)).await? {
            Ok(claim) => claim,
            Err(taken) => return Ok(Once::Taken(taken)),
        };
        let worked = within(deadline, async { work(claim.clone()).await }).await;
        let completion = match worked {
            Ok(Ok(completion)) => completion,
            Ok(Err(error)) => {
                // Best effort: a claim that is not given back ends by itself.
                let _ = answered(deadline, self.0.abandon(claim)).await;
                return Ok(Once::Failed(error));
            }
            Err(_late) => return Ok(Once::Lost(lost(&claim))),
        };
        // The effect has been made: the key is done, if need be without the result.
        let too_large = completion.check().err();
        let completion = if too_large.is_some() { completion.without_result() } else { completion };
        let completed = self.complete(&claim, &completion, until).await?;
        match too_large {
            Some(error) => Err(error),
            None if completed => Ok(Once::Completed(completion)),
            None => Ok(Once::Lost(lost(&claim))),
        }
    }

    /// Completes a key whose effect has been made, although its claim may be over. Tries for
    /// `until`, at least a minute, while the store cannot be reached: a completion that is lost
    /// repeats the effect.
    async fn complete(
        &self,
        claim: &Claim,
        completion: &Completion,
        until: Duration,
    ) -> Result<bool, StoreError> {
        let deadline = Deadline::after(clock::now(), until.max(Duration::from_secs(60)));
        let mut wait = Duration::from_millis(50);
        loop {
            let completing = self.0.complete(claim.clone(), completion.clone());
            match answered(deadline, completing).await {
                Err(error) if error.is_transient() && wait < deadline.remaining(clock::now()) => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(2));
                }
                completed => return completed,
            }
        }
    }
}

async fn answered<T>(deadline: Deadline, operation: StoreFuture<'_, T>) -> Result<T, StoreError> {
    within(deadline, operation).await.unwrap_or_else(|_late| {
        let what = "the store of idempotency keys did not answer";
        Err(StoreError::new(StoreErrorKind::TimedOut, "idempotency", what))
    })
}

fn lost(claim: &Claim) -> Rejection {
    Rejection::new(RejectionKind::LeaseLost, "idempotency").with_key(claim.key.clone())
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").finish_non_exhaustive()
    }
}
