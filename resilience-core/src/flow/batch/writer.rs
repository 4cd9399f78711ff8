//! A batch writer, as the code that has the rows holds it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::RngExt;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::buffer::{BatchBuffer, PushError};
use super::rules::BatchRules;
use super::sink::BatchSink;
use super::worker;
use crate::clock;
use crate::config::{self, InvalidConfig, OrInvalid};
use crate::deadline::Deadline;
use crate::flow::store_error::{StoreError, StoreErrorKind};
use crate::observe::Gauges;
use crate::retry::Backoff;
use crate::timeout::within;

/// Writes rows to a sink in batches, by a task of its own. Clones share everything.
///
/// A row that was taken is held in memory until the sink has confirmed or quarantined it: what must
/// survive a crash of the process is confirmed by [`flush`](BatchWriter::flush) before its source
/// is. When the last clone is dropped, the task writes the rows that are held and ends; a runtime
/// that ends sooner loses them, hence [`close`](BatchWriter::close) in a hook of the shutdown.
pub struct BatchWriter<R> {
    shared: Arc<Shared<R>>,
    /// Closes the buffer when the last clone is dropped. The task has none.
    _open: Arc<Open<R>>,
}

pub(super) struct Shared<R> {
    pub(super) sink: Arc<dyn BatchSink<R>>,
    pub(super) attempt: Duration,
    patience: Duration,
    state: Mutex<State<R>>,
    /// Wakes the task: rows were pushed, or are due.
    pub(super) changed: Notify,
    /// Wakes writers and flushes: rows were settled, or the buffer was closed.
    settled: Notify,
}

struct State<R> {
    buffer: BatchBuffer<R>,
    /// The last error of the sink, until a write succeeds.
    error: Option<String>,
}

struct Open<R>(Arc<Shared<R>>);

impl<R> Drop for Open<R> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<R> Shared<R> {
    /// Applies `change` to the buffer and returns its result.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut BatchBuffer<R>, Instant) -> T) -> T {
        change(&mut self.state.lock().buffer, clock::now())
    }

    /// Records a success of the sink by `change`, and wakes those that wait for it.
    pub(super) fn succeeded(&self, change: impl FnOnce(&mut BatchBuffer<R>)) {
        let mut state = self.state.lock();
        state.error = None;
        change(&mut state.buffer);
        drop(state);
        self.settled.notify_waiters();
    }

    /// Records a failure of the sink.
    pub(super) fn failed(&self, error: &StoreError) {
        let mut state = self.state.lock();
        state.error = Some(error.to_string());
        state.buffer.failed(clock::now(), rand::rng().random());
    }

    fn close(&self) {
        self.with(|buffer, _| buffer.close());
        self.changed.notify_one();
        self.settled.notify_waiters();
    }
}

impl<R: Send + Sync + 'static> BatchWriter<R> {
    /// Starts from the defaults of [`BatchWriterBuilder`].
    pub fn builder(sink: Arc<dyn BatchSink<R>>) -> BatchWriterBuilder<R> {
        let (shortest, longest) = (Duration::from_millis(50), Duration::from_secs(5));
        BatchWriterBuilder {
            sink,
            rules: BatchRules::new(Backoff::none()),
            backoff: Backoff::decorrelated_jitter(shortest, longest),
            attempt: Duration::from_secs(30),
            patience: Duration::from_secs(30),
        }
    }
}

impl<R> BatchWriter<R> {
    /// Hands over a row as soon as there is room for it, and returns its number. A sink that is
    /// slow or away holds up its writers: no row is dropped.
    ///
    /// Dropped before it returns, the row was not taken.
    ///
    /// # Errors
    /// The row, if the writer was closed.
    pub async fn write(&self, mut row: R) -> Result<u64, R> {
        loop {
            // Created before the attempt: it receives what is settled from then on.
            let settled = self.shared.settled.notified();
            row = match self.try_write(row) {
                Ok(number) => return Ok(number),
                Err(PushError::Closed(row)) => return Err(row),
                Err(PushError::Full(row)) => row,
            };
            settled.await;
        }
    }

    /// Hands over a row if there is room for it, and returns its number.
    ///
    /// # Errors
    /// The row, if there is no room or the writer was closed.
    pub fn try_write(&self, row: R) -> Result<u64, PushError<R>> {
        let pushed = self.shared.with(|buffer, now| buffer.push(row, now));
        if pushed.is_ok() {
            self.shared.changed.notify_one();
        }
        pushed
    }

    /// Waits until every row that was handed over before is confirmed or quarantined, for at most
    /// the [patience](BatchWriterBuilder::patience) and no longer than the caller's
    /// [deadline](Deadline::current).
    ///
    /// Dropped, the rows are written all the same.
    ///
    /// # Errors
    /// [`TimedOut`](StoreErrorKind::TimedOut), with the last error of the sink. The rows are held,
    /// and written on.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let until = self.shared.with(|buffer, _| buffer.flush());
        self.shared.changed.notify_one();
        self.settled_below(until).await
    }

    /// Takes no more rows, and waits until those that are held are confirmed or quarantined. For a
    /// hook of the shutdown: `shutdown.hook("rows", move || async move { writer.close().await })`.
    ///
    /// # Errors
    /// As those of [`flush`](BatchWriter::flush).
    pub async fn close(&self) -> Result<(), StoreError> {
        self.shared.close();
        let until = self.shared.with(|buffer, _| buffer.flush());
        self.settled_below(until).await
    }

    /// Returns the rows that are held: not confirmed and not quarantined.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.with(|buffer, _| buffer.held())
    }

    async fn settled_below(&self, number: u64) -> Result<(), StoreError> {
        let deadline = Deadline::after(clock::now(), self.shared.patience).or_current();
        let settled = async {
            loop {
                let settled = self.shared.settled.notified();
                if self.shared.with(|buffer, _| buffer.settled()) >= number {
                    return;
                }
                settled.await;
            }
        };
        within(deadline, settled).await.map_err(|_late| self.late())
    }

    fn late(&self) -> StoreError {
        let state = self.shared.state.lock();
        let held = state.buffer.held();
        let error = state.error.as_deref().unwrap_or("none");
        let what = format!("{held} rows are not confirmed; the last error of the sink: {error}");
        StoreError::new(StoreErrorKind::TimedOut, "batch", what)
    }
}

impl<R> Clone for BatchWriter<R> {
    fn clone(&self) -> BatchWriter<R> {
        BatchWriter { shared: self.shared.clone(), _open: self._open.clone() }
    }
}

/// Rows that are held, as `resilience.batch.held`.
impl<R> Gauges for BatchWriter<R> {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is not precise to its 53rd bit")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit("resilience.batch.held", self.held() as f64);
    }
}

impl<R> fmt::Debug for BatchWriter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriter").field("held", &self.held()).finish_non_exhaustive()
    }
}

/// Settings of a [`BatchWriter`].
#[must_use]
pub struct BatchWriterBuilder<R> {
    sink: Arc<dyn BatchSink<R>>,
    rules: BatchRules,
    backoff: Result<Backoff, InvalidConfig>,
    attempt: Duration,
    patience: Duration,
}

impl<R: Send + Sync + 'static> BatchWriterBuilder<R> {
    /// Sets the most rows of one batch: 1 to 10,000, 1,000 by default.
    pub fn max_rows(mut self, rows: usize) -> BatchWriterBuilder<R> {
        self.rules.max_rows = rows;
        self
    }

    /// Sets the longest time for which a row waits for others: a second by default.
    pub fn max_wait(mut self, wait: Duration) -> BatchWriterBuilder<R> {
        self.rules.max_wait = wait;
        self
    }

    /// Sets the most rows that are held, which bounds the memory: 10,000 by default, at least one
    /// batch.
    pub fn max_buffered(mut self, rows: usize) -> BatchWriterBuilder<R> {
        self.rules.max_buffered = rows;
        self
    }

    /// Sets the waits before a batch is written again: decorrelated jitter from 50 ms to 5 s by
    /// default.
    pub fn backoff(mut self, backoff: impl OrInvalid<Backoff>) -> BatchWriterBuilder<R> {
        self.backoff = backoff.or_invalid();
        self
    }

    /// Sets the time after which a write is given up and sent again: 30 seconds by default.
    pub fn write_within(mut self, limit: Duration) -> BatchWriterBuilder<R> {
        self.attempt = limit;
        self
    }

    /// Sets the longest wait of [`flush`](BatchWriter::flush) and [`close`](BatchWriter::close): 30
    /// seconds by default.
    pub fn patience(mut self, patience: Duration) -> BatchWriterBuilder<R> {
        self.patience = patience;
        self
    }

    /// Creates the writer, and spawns its task on the current runtime.
    ///
    /// # Errors
    /// If a value is out of its bounds, or there is no runtime.
    pub fn build(self) -> Result<BatchWriter<R>, InvalidConfig> {
        let rules = BatchRules { backoff: self.backoff?, ..self.rules };
        let shared = Arc::new(Shared {
            sink: self.sink,
            attempt: config::wait("write_within", self.attempt)?,
            patience: config::wait("patience", self.patience)?,
            state: Mutex::new(State { buffer: BatchBuffer::new(rules)?, error: None }),
            changed: Notify::new(),
            settled: Notify::new(),
        });
        let runtime = Handle::try_current()
            .map_err(|_| InvalidConfig::new("runtime", "none", "a runtime of tokio"))?;
        runtime.spawn(worker::work(shared.clone()));
        Ok(BatchWriter { _open: Arc::new(Open(shared.clone())), shared })
    }
}

impl<R> fmt::Debug for BatchWriterBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWriterBuilder").field("rules", &self.rules).finish_non_exhaustive()
    }
}
