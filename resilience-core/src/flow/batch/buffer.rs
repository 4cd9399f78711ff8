//! Rows until the sink has confirmed them. Pure: the time is an argument.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::rows::Batch;
use super::rules::BatchRules;
use crate::clock::later;
use crate::config::InvalidConfig;
use crate::retry::Schedule;

/// Rows that are held until the sink has confirmed or quarantined them, and the next step of their
/// writer.
///
/// One batch is written at a time, so rows are confirmed in their order. A batch whose write failed
/// is written again with the same rows, since the sink may have taken it. A batch that was rejected
/// is split in halves, until the row that the sink rejects stands alone and is quarantined: one bad
/// row of `n` costs about `2 · log2(n)` writes.
///
/// ```
/// use resilience_core::clock;
/// use resilience_core::flow::batch::{BatchBuffer, BatchRules, BatchStep};
/// use resilience_core::retry::Backoff;
///
/// let mut rules = BatchRules::new(Backoff::none());
/// rules.max_rows = 2;
/// let mut buffer = BatchBuffer::new(rules)?;
/// let now = clock::now();
/// for row in ["a", "b", "c"] {
///     buffer.push(row, now)?;
/// }
/// let BatchStep::Write(batch) = buffer.step(now) else { unreachable!("two rows are a batch") };
/// assert_eq!((batch.rows(), batch.numbers()), (&["a", "b"][..], 0..2));
/// buffer.failed(now, 0.0);
/// assert!(matches!(buffer.step(now), BatchStep::Write(again) if again.numbers() == batch.numbers()));
/// buffer.confirmed();
/// assert_eq!(buffer.settled(), 2);
/// assert!(matches!(buffer.step(now), BatchStep::WaitUntil(_)));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct BatchBuffer<R> {
    rules: BatchRules,
    /// Rows that belong to no batch yet, oldest first, and the time of each.
    waiting: VecDeque<(R, Instant)>,
    /// The batch that is being written, in parts once it was split: the first part is next.
    parts: VecDeque<Part<R>>,
    /// The rows of that batch. They are held until its last part is settled.
    in_parts: usize,
    /// The number of the next row that is pushed.
    next: u64,
    /// Rows below this number do not wait for others.
    due_below: u64,
    closed: bool,
    failures: Schedule,
    /// The end of the wait after a failure.
    not_before: Option<Instant>,
}

struct Part<R> {
    batch: Batch<R>,
    /// Set once the sink has rejected this row alone.
    rejected: bool,
}

/// The next step of a writer.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a writer has to handle each")]
pub enum BatchStep<R> {
    /// Write this batch, and report the result.
    Write(Batch<R>),
    /// Quarantine this single row, which the sink has rejected, and report the result.
    Quarantine(Batch<R>),
    /// Nothing to do until then, or until a row is pushed.
    WaitUntil(Instant),
    /// Nothing to do until a row is pushed.
    Idle,
    /// The buffer was closed and holds no row.
    Ended,
}

/// A row that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller has to handle both")]
pub enum PushError<R> {
    /// As many rows are held as may be: push again once some are settled.
    Full(R),
    /// The buffer was closed.
    Closed(R),
}

impl<R> fmt::Display for PushError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushError::Full(_) => "the batch writer holds as many rows as it may",
            PushError::Closed(_) => "the batch writer was closed",
        })
    }
}

impl<R: fmt::Debug> std::error::Error for PushError<R> {}

impl<R> BatchBuffer<R> {
    /// Creates an empty buffer.
    ///
    /// # Errors
    /// If a rule is out of its bounds.
    pub fn new(rules: BatchRules) -> Result<BatchBuffer<R>, InvalidConfig> {
        rules.check()?;
        Ok(BatchBuffer {
            waiting: VecDeque::new(),
            parts: VecDeque::new(),
            in_parts: 0,
            next: 0,
            due_below: 0,
            closed: false,
            failures: rules.backoff.schedule(),
            not_before: None,
            rules,
        })
    }

    /// Takes a row, and returns its number.
    ///
    /// # Errors
    /// The row, if there is no room or the buffer was closed.
    pub fn push(&mut self, row: R, now: Instant) -> Result<u64, PushError<R>> {
        if self.closed {
            return Err(PushError::Closed(row));
        }
        if self.held() >= self.rules.max_buffered {
            return Err(PushError::Full(row));
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push_back((row, now));
        Ok(number)
    }

    /// Returns the next step. A step is returned until its result was reported: asking twice
    /// changes nothing.
    pub fn step(&mut self, now: Instant) -> BatchStep<R> {
        if let Some(then) = self.not_before.filter(|&then| now < then) {
            return BatchStep::WaitUntil(then);
        }
        if self.parts.is_empty() {
            let Some(due_at) = self.due_at() else {
                return if self.closed { BatchStep::Ended } else { BatchStep::Idle };
            };
            if let Some(then) = due_at.filter(|&then| now < then) {
                return BatchStep::WaitUntil(then);
            }
            self.begin_batch();
        }
        match self.parts.front() {
            Some(Part { batch, rejected: false }) => BatchStep::Write(batch.clone()),
            Some(Part { batch, rejected: true }) => BatchStep::Quarantine(batch.clone()),
            None => BatchStep::Idle,
        }
    }

    /// Returns the time at which the next batch is due, `Some(None)` if it is due at once, or
    /// `None` if no row waits.
    fn due_at(&self) -> Option<Option<Instant>> {
        let (_, pushed_at) = self.waiting.front()?;
        let first = self.next - self.waiting.len() as u64;
        let at_once = first < self.due_below || self.waiting.len() >= self.rules.max_rows;
        Some((!at_once).then(|| later(*pushed_at, self.rules.max_wait)))
    }

    fn begin_batch(&mut self) {
        let first = self.next - self.waiting.len() as u64;
        let count = self.waiting.len().min(self.rules.max_rows);
        let rows: Vec<R> = self.waiting.drain(..count).map(|(row, _)| row).collect();
        self.in_parts = count;
        self.parts.push_back(Part { batch: Batch::new(rows, first), rejected: false });
    }

    /// Records that the sink has confirmed the batch, or has kept the row that was to be
    /// quarantined.
    pub fn confirmed(&mut self) {
        self.parts.pop_front();
        if self.parts.is_empty() {
            self.in_parts = 0;
        }
        self.failures = self.rules.backoff.schedule();
        self.not_before = None;
    }

    /// Records that the sink has failed, or has not responded. The same step follows after the
    /// backoff, by the sample `u` of `0..1`.
    pub fn failed(&mut self, now: Instant, u: f64) {
        self.not_before = Some(later(now, self.failures.next(u)));
    }

    /// Records that the sink has rejected the batch for its content and has written none of it. The
    /// halves follow, or the quarantine of a single row.
    pub fn rejected(&mut self) {
        let Some(part) = self.parts.pop_front() else { return };
        match part.batch.split() {
            Some((first, second)) => {
                // The first half in front: rows are settled in their order.
                self.parts.push_front(Part { batch: second, rejected: false });
                self.parts.push_front(Part { batch: first, rejected: false });
            }
            None => self.parts.push_front(Part { rejected: true, ..part }),
        }
        self.failures = self.rules.backoff.schedule();
        self.not_before = None;
    }

    /// Makes the rows that are held due at once, and returns the number that
    /// [`settled`](BatchBuffer::settled) reaches when all of them are settled.
    pub const fn flush(&mut self) -> u64 {
        self.due_below = self.next;
        self.next
    }

    /// Takes no more rows, and makes those that are held due at once. A wait after a failure ends.
    pub fn close(&mut self) {
        self.closed = true;
        self.not_before = None;
        self.flush();
    }

    /// Returns the number below which every row is confirmed or quarantined.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let part = self.parts.front().map(|part| part.batch.numbers().start);
        part.unwrap_or(self.next - self.waiting.len() as u64)
    }

    /// Returns the rows that are held: waiting, or of a batch that is not settled as a whole.
    #[must_use]
    pub fn held(&self) -> usize {
        self.waiting.len() + self.in_parts
    }
}

impl<R> fmt::Debug for BatchBuffer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuffer")
            .field("held", &self.held())
            .field("settled", &self.settled())
            .finish_non_exhaustive()
    }
}
