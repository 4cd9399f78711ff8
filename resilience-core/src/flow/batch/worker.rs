//! The task of a batch writer.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::buffer::{BatchBuffer, BatchStep};
use super::sink::Written;
use super::writer::Shared;
use crate::clock;
use crate::deadline::Deadline;
use crate::flow::store_error::{StoreError, StoreErrorKind};
use crate::timeout::within;

/// Takes the steps of the buffer until it is closed and empty.
pub(super) async fn work<R: Send + Sync>(shared: Arc<Shared<R>>) {
    // The reason of the last rejection: the quarantine of its row is the next step.
    let mut why = String::new();
    loop {
        match shared.with(|buffer, now| buffer.step(now)) {
            BatchStep::Write(batch) => {
                match attempt(&shared, async { shared.sink.write(batch).await }).await {
                    Ok(Written::Confirmed) => shared.succeeded(BatchBuffer::confirmed),
                    Ok(Written::Rejected { why: reason }) => {
                        why = reason;
                        shared.succeeded(BatchBuffer::rejected);
                    }
                    Err(error) => again(&shared, &error).await,
                }
            }
            BatchStep::Quarantine(row) => {
                let quarantine = async { shared.sink.quarantine(row, why.clone()).await };
                match attempt(&shared, quarantine).await {
                    Ok(()) => shared.succeeded(BatchBuffer::confirmed),
                    Err(error) => again(&shared, &error).await,
                }
            }
            BatchStep::WaitUntil(then) => {
                // A row that is pushed meanwhile may be due sooner. At the time itself the next
                // step is taken.
                let _ = within(Deadline::at(then), shared.changed.notified()).await;
            }
            BatchStep::Idle => shared.changed.notified().await,
            BatchStep::Ended => return,
        }
    }
}

/// Records a failure. Yields, since without a backoff the same step follows at once.
async fn again<R>(shared: &Shared<R>, error: &StoreError) {
    shared.failed(error);
    tokio::task::yield_now().await;
}

/// Runs an operation of the sink for at most its time. A panic fails the operation: rows that are
/// held must not be lost with the task.
async fn attempt<R, T>(
    shared: &Shared<R>,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let deadline = Deadline::after(clock::now(), shared.attempt);
    let mut operation = pin!(within(deadline, operation));
    // Unwind safe: an operation that panicked is dropped and never polled again.
    let ended =
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| operation.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(result))) => Poll::Ready(result),
            Ok(Poll::Ready(Err(_late))) => {
                Poll::Ready(Err(failed(StoreErrorKind::TimedOut, "the sink did not respond")))
            }
            Err(payload) => {
                // The destructor of the payload may panic as well.
                std::mem::forget(payload);
                Poll::Ready(Err(failed(StoreErrorKind::Other, "the sink panicked")))
            }
        });
    ended.await
}

fn failed(kind: StoreErrorKind, what: &str) -> StoreError {
    StoreError::new(kind, "batch", what)
}
