//! The thread that owns the connection, and the queue in front of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::timeout::within;
use resilience_core::{Deadline, clock};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::{file_error, of};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle on the thread. The thread ends, and closes the connection, when the last handle is
/// dropped and the queue is empty.
#[derive(Debug)]
pub(super) struct Worker {
    queue: mpsc::Sender<Job>,
    timeout: Duration,
}

impl Worker {
    pub(super) fn spawn(
        mut connection: Connection,
        max_queued: usize,
        timeout: Duration,
    ) -> Result<Worker, StoreError> {
        let (queue, mut jobs) = mpsc::channel::<Job>(max_queued);
        std::thread::Builder::new()
            .name("sqlite-store".to_owned())
            .spawn(move || {
                while let Some(job) = jobs.blocking_recv() {
                    // A transaction that unwinds is rolled back; the caller's answer is dropped
                    // with the job.
                    let _ = catch_unwind(AssertUnwindSafe(|| job(&mut connection)));
                }
            })
            .map_err(|error| file_error("the thread of the store could not be started", error))?;
        Ok(Worker { queue, timeout })
    }

    /// Runs an operation on the connection. Operations whose caller was dropped are skipped.
    pub(super) async fn call<T, E>(
        &self,
        operation: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            if !answer.is_closed() {
                // The caller may have gone meanwhile.
                let _ = answer.send(operation(connection));
            }
        });
        self.queue.try_send(job).map_err(|error| self.rejected(&error))?;
        match within(Deadline::after(clock::now(), self.timeout), answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_dropped)) => Err(of(StoreErrorKind::Other, "the operation panicked").into()),
            Err(_late) => {
                let what = format!("the operation was not done within {:?}", self.timeout);
                Err(of(StoreErrorKind::TimedOut, what).into())
            }
        }
    }

    /// Returns the operations that wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    fn rejected(&self, error: &mpsc::error::TrySendError<Job>) -> StoreError {
        match error {
            mpsc::error::TrySendError::Full(_) => {
                let limit = self.queue.max_capacity();
                of(StoreErrorKind::Busy, format!("{limit} operations wait for the store"))
            }
            mpsc::error::TrySendError::Closed(_) => {
                of(StoreErrorKind::Closed, "the thread of the store has ended")
            }
        }
    }
}
