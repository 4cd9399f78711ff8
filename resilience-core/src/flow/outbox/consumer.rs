//! A consumer: claims messages of a topic, runs a handler for each, and settles them.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::task::{JoinError, JoinSet};

use super::handle::in_time;
use super::message::{ClaimRequest, Delivery, Receipt};
use super::store::OutboxStore;
use crate::clock;
use crate::config::{InvalidConfig, OrInvalid, wait};
use crate::deadline::Deadline;
use crate::flow::limits::MAX_CLAIM;
use crate::flow::store_error::StoreError;
use crate::outcome::{AsOutcome, Outcome, RetryHint};
use crate::retry::Backoff;
use crate::shutdown::ShutdownToken;
use crate::timeout::within;

/// Settings of a [`Consumer`].
#[must_use]
pub struct ConsumerBuilder {
    store: Arc<dyn OutboxStore>,
    request: ClaimRequest,
    concurrency: usize,
    poll_interval: Duration,
    backoff: Result<Backoff, InvalidConfig>,
}

impl ConsumerBuilder {
    pub(super) fn new(store: Arc<dyn OutboxStore>, topic: String) -> ConsumerBuilder {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(300));
        ConsumerBuilder {
            store,
            request: ClaimRequest::new(topic),
            concurrency: 16,
            poll_interval: Duration::from_secs(1),
            backoff: Backoff::decorrelated_jitter(first, longest),
        }
    }

    /// Sets the most handlers that run at once: 16 by default, 1 to 10,000.
    pub const fn concurrency(mut self, handlers: usize) -> ConsumerBuilder {
        self.concurrency = handlers;
        self
    }

    /// Sets the time for one message: a minute by default. A handler is dropped after nine tenths
    /// of it by the monotonic clock, counted from when the claim was sent, so that it does not run
    /// beside the next delivery.
    pub const fn visible_after(mut self, time: Duration) -> ConsumerBuilder {
        self.request.visible_after = time;
        self
    }

    /// Sets the deliveries of one message: 5 by default. After the last one, the message becomes a
    /// dead letter.
    pub const fn max_deliveries(mut self, deliveries: u32) -> ConsumerBuilder {
        self.request.max_deliveries = deliveries;
        self
    }

    /// Sets the wait between two claims when the topic is empty: a second by default. Half of it is
    /// random, so that consumers do not poll together.
    pub const fn poll_interval(mut self, interval: Duration) -> ConsumerBuilder {
        self.poll_interval = interval;
        self
    }

    /// Sets the waits before a failed message is delivered again: decorrelated jitter from 1 s to 5
    /// minutes by default. A longer time that the error names is waited.
    pub fn backoff(mut self, backoff: impl OrInvalid<Backoff>) -> ConsumerBuilder {
        self.backoff = backoff.or_invalid();
        self
    }

    /// Creates the consumer.
    ///
    /// # Errors
    /// Names the setting that is out of its bounds.
    pub fn build(self) -> Result<Consumer, InvalidConfig> {
        if !(1..=10_000).contains(&self.concurrency) {
            let bound = "1 to 10,000";
            return Err(InvalidConfig::new("concurrency", self.concurrency, bound));
        }
        if !(1..=1_000_000).contains(&self.request.max_deliveries) {
            let deliveries = self.request.max_deliveries;
            return Err(InvalidConfig::new("max_deliveries", deliveries, "1 to 1,000,000"));
        }
        wait("visible_after", self.request.visible_after)?;
        wait("poll_interval", self.poll_interval)?;
        Ok(Consumer {
            store: self.store,
            request: self.request,
            concurrency: self.concurrency,
            poll_interval: self.poll_interval,
            backoff: self.backoff?,
        })
    }
}

/// A consumer of one topic of an [`Outbox`](super::Outbox).
#[derive(Clone)]
pub struct Consumer {
    store: Arc<dyn OutboxStore>,
    request: ClaimRequest,
    concurrency: usize,
    poll_interval: Duration,
    backoff: Backoff,
}

/// The account of a consumer that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consumed {
    /// Messages whose handler succeeded.
    pub completed: u64,
    /// Deliveries that failed and are made again.
    pub retried: u64,
    /// Messages that became dead letters.
    pub dead_lettered: u64,
    /// Deliveries whose claim was over when they were settled: another consumer has the message, or
    /// had it.
    pub lost: u64,
}

/// What a delivery is settled with.
enum Settlement {
    Completed,
    Retry(Duration, String),
    DeadLetter(String),
}

impl Consumer {
    /// Claims messages and runs `handler` for each in a task of its own until the shutdown drains;
    /// handlers that run then are awaited, and their messages settled.
    ///
    /// A handler that succeeds completes its message. After an error that is
    /// [`Permanent`](Outcome::Permanent) the message becomes a dead letter; after any other error
    /// or a time-out it is delivered again after the backoff, after a panic when its claim ends, up
    /// to `max_deliveries` times. A message may be delivered more than once: its effect needs a key
    /// ([`idempotency`](crate::flow::idempotency)), or the completion in the transaction of the
    /// effect.
    ///
    /// Failures of the store are waited out. Dropped, running handlers are dropped too, and their
    /// messages are delivered again when their claims end.
    pub async fn run<F, Fut, E>(&self, shutdown: &ShutdownToken, handler: F) -> Consumed
    where
        F: Fn(Delivery) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: AsOutcome + fmt::Display + Send + 'static,
    {
        let mut work = Work { tasks: JoinSet::new(), account: Consumed::default() };
        let mut next_claim = clock::now();
        loop {
            let draining = shutdown.is_draining();
            if draining && work.tasks.is_empty() {
                return work.account;
            }
            let free = self.concurrency - work.tasks.len();
            if !draining && free > 0 && clock::now() >= next_claim {
                next_claim = self.claim(free.min(MAX_CLAIM), &mut work, &handler).await;
                continue;
            }
            let claim_at = (!draining && free > 0).then_some(next_claim);
            if let Some(settled) = work.next(shutdown, claim_at).await {
                let is_ordered = self.settle(settled.ok(), &mut work).await;
                // The next message of a key is there now.
                if is_ordered {
                    next_claim = clock::now();
                }
            }
        }
    }

    /// Claims and starts the handlers. Returns the time of the next claim.
    async fn claim<F, Fut, E>(&self, limit: usize, work: &mut Work, handler: &F) -> Instant
    where
        F: Fn(Delivery) -> Fut,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: AsOutcome + fmt::Display + Send + 'static,
    {
        let sent = clock::now();
        let time = self.request.visible_after - self.request.visible_after / 10;
        let deadline = Deadline::after(sent, time);
        let claimed = in_time(self.store.claim_messages(self.request.clone().limit(limit))).await;
        let Ok(claimed) = claimed else { return clock::now() + self.poll_wait() };
        work.account.dead_lettered += claimed.dead_lettered;
        let is_full = claimed.deliveries.len() == limit;
        for delivery in claimed.deliveries {
            let (receipt, deliveries) = (delivery.receipt, delivery.deliveries);
            let handled = within(deadline, handler(delivery));
            work.tasks.spawn(async move {
                let error = match handled.await {
                    Ok(Ok(())) => return (receipt, deliveries, None),
                    Ok(Err(error)) => (error.as_outcome(), error.to_string()),
                    Err(late) => (Outcome::TimedOut, late.to_string()),
                };
                (receipt, deliveries, Some(error))
            });
        }
        if is_full { clock::now() } else { clock::now() + self.poll_wait() }
    }

    /// Settles a delivery and those that have ended as well. Returns `true` if one of them has an
    /// order.
    async fn settle(&self, ended: Option<Ended>, work: &mut Work) -> bool {
        let mut ended: Vec<_> = ended.into_iter().collect();
        while ended.len() < MAX_CLAIM
            && let Some(more) = work.tasks.try_join_next()
        {
            ended.extend(more.ok());
        }
        let is_ordered = ended.iter().any(|(receipt, ..)| receipt.is_ordered);
        let mut completed = Vec::new();
        for (receipt, deliveries, error) in ended {
            match self.settlement(deliveries, error) {
                Settlement::Completed => completed.push(receipt),
                Settlement::Retry(after, error) => {
                    let retried = in_time(self.store.retry(receipt, after, error)).await;
                    work.account.count(retried, |account| &mut account.retried);
                }
                Settlement::DeadLetter(reason) => {
                    let put_aside = in_time(self.store.dead_letter(receipt, reason)).await;
                    work.account.count(put_aside, |account| &mut account.dead_lettered);
                }
            }
        }
        self.complete(completed, &mut work.account).await;
        is_ordered
    }

    /// Completes messages, for as long as their claims may be valid: a completion that is lost
    /// repeats the work.
    async fn complete(&self, receipts: Vec<Receipt>, account: &mut Consumed) {
        if receipts.is_empty() {
            return;
        }
        let deadline = Deadline::after(clock::now(), self.request.visible_after);
        loop {
            match in_time(self.store.complete_messages(receipts.clone())).await {
                Ok(completed) => {
                    account.completed += completed.len() as u64;
                    account.lost += (receipts.len() - completed.len()) as u64;
                    return;
                }
                Err(error) if error.is_transient() && !deadline.has_passed(clock::now()) => {
                    tokio::time::sleep(self.poll_wait().min(Duration::from_secs(1))).await;
                }
                Err(_) => {
                    account.lost += receipts.len() as u64;
                    return;
                }
            }
        }
    }

    fn settlement(&self, deliveries: u32, error: Option<(Outcome, String)>) -> Settlement {
        let Some((outcome, error)) = error else { return Settlement::Completed };
        if outcome == Outcome::Permanent || outcome.hint() == RetryHint::Never {
            return Settlement::DeadLetter(error);
        }
        if deliveries >= self.request.max_deliveries {
            return Settlement::DeadLetter(format!("delivered {deliveries} times: {error}"));
        }
        Settlement::Retry(self.retry_wait(deliveries, outcome.hint()), error)
    }

    /// Returns the wait after this delivery: the step of the backoff, or what the error names if
    /// that is longer.
    fn retry_wait(&self, deliveries: u32, hint: RetryHint) -> Duration {
        let mut schedule = self.backoff.schedule();
        let mut random = rand::rng();
        // Far along, every step is the longest.
        let before = deliveries.clamp(1, 64) - 1;
        for _ in 0..before {
            schedule.next(random.random());
        }
        let last = random.random();
        match hint {
            RetryHint::After(after) => schedule.next_after(after, last),
            _ => schedule.next(last),
        }
    }

    fn poll_wait(&self) -> Duration {
        let half = self.poll_interval / 2;
        half + half.mul_f64(rand::rng().random())
    }
}

/// A delivery whose handler has ended, with the error if it failed.
type Ended = (Receipt, u32, Option<(Outcome, String)>);

struct Work {
    tasks: JoinSet<Ended>,
    account: Consumed,
}

impl Work {
    /// Waits for a handler to end. Returns `None` when it is time to claim or the shutdown drains.
    async fn next(
        &mut self,
        shutdown: &ShutdownToken,
        claim_at: Option<Instant>,
    ) -> Option<Result<Ended, JoinError>> {
        let mut due = pin!(async {
            match claim_at {
                Some(at) => tokio::time::sleep(at.saturating_duration_since(clock::now())).await,
                None => std::future::pending().await,
            }
        });
        let mut draining = pin!(shutdown.draining());
        let is_draining = shutdown.is_draining();
        poll_fn(|context| {
            if let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(context) {
                return Poll::Ready(Some(ended));
            }
            let is_due = due.as_mut().poll(context).is_ready();
            let has_begun = !is_draining && draining.as_mut().poll(context).is_ready();
            if is_due || has_begun { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

impl Consumed {
    fn count(
        &mut self,
        settled: Result<bool, StoreError>,
        counter: impl FnOnce(&mut Consumed) -> &mut u64,
    ) {
        // Unsettled, the message is delivered again when its claim ends.
        let counter =
            if settled.is_ok_and(|settled| settled) { counter(self) } else { &mut self.lost };
        *counter += 1;
    }
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder").field("request", &self.request).finish_non_exhaustive()
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("request", &self.request).finish_non_exhaustive()
    }
}
