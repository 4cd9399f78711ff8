//! A batch writer and a sink that rejects, fails, and loses its responses.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::clock;
use crate::flow::batch::{Batch, BatchBuffer, BatchRules, BatchStep, PushError};
use crate::model_input::{Rest, parse, unreachable_input};
use crate::retry::Backoff;

#[derive(Debug, Arbitrary)]
struct Input {
    max_rows: u8,
    max_buffered: u8,
    max_wait: u8,
    backoff: u8,
    ops: Rest<Op>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    Pass(u8),
    /// Pushes a row, which the sink rejects if it is a multiple of five.
    Push(u8),
    /// Takes a step; the sink responds, or fails before or after the effect.
    Step(u8),
    Flush,
    Close,
}

struct World {
    now: Instant,
    rules: BatchRules,
    buffer: BatchBuffer<u8>,
    /// Every row that was taken, by its number, and when.
    pushed: Vec<(u8, Instant)>,
    /// What became of each settled row: `true` if it was confirmed, `false` if it was quarantined.
    settled: Vec<bool>,
    /// Rows below this number are due at once.
    flushed: u64,
    closed: bool,
    /// The step that has to come again, and not before when.
    again: Option<(std::ops::Range<u64>, Instant)>,
}

/// Rows are settled in their order, each once, the rejected ones in quarantine and all others in
/// the sink; what failed is written again as it was; no more rows are held than may be; and after a
/// close the buffer empties itself.
pub fn batch(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let millis = |drawn: u8| Duration::from_millis(u64::from(drawn % 16));
    let wait = millis(input.backoff);
    let backoff = if wait.is_zero() { Ok(Backoff::none()) } else { Backoff::constant(wait) };
    let Ok(backoff) = backoff else { unreachable_input(&input) };
    let mut rules = BatchRules::new(backoff);
    rules.max_rows = usize::from(input.max_rows % 16);
    rules.max_buffered = usize::from(input.max_buffered % 64);
    rules.max_wait = millis(input.max_wait);
    let valid =
        rules.max_rows > 0 && rules.max_buffered >= rules.max_rows && !rules.max_wait.is_zero();
    let buffer = BatchBuffer::new(rules);
    assert_eq!(buffer.is_ok(), valid, "{rules:?}");
    let Ok(buffer) = buffer else { return };
    let mut world = World {
        now: clock::now(),
        rules,
        buffer,
        pushed: Vec::new(),
        settled: Vec::new(),
        flushed: 0,
        closed: false,
        again: None,
    };
    for op in input.ops.0 {
        world.apply(op);
        world.check();
    }
    world.drain();
}

impl World {
    fn apply(&mut self, op: Op) {
        match op {
            Op::Pass(millis) => self.now += Duration::from_millis(u64::from(millis % 32)),
            Op::Push(row) => self.push(row),
            Op::Step(drawn) => {
                self.step(drawn);
            }
            Op::Flush => {
                self.flushed = self.pushed.len() as u64;
                assert_eq!(self.buffer.flush(), self.flushed);
            }
            Op::Close => self.close(),
        }
    }

    fn close(&mut self) {
        self.buffer.close();
        (self.closed, self.flushed) = (true, self.pushed.len() as u64);
        if let Some((_, not_before)) = &mut self.again {
            *not_before = self.now;
        }
    }

    fn push(&mut self, row: u8) {
        let full = self.buffer.held() >= self.rules.max_buffered;
        match self.buffer.push(row, self.now) {
            Ok(number) => {
                assert!(!self.closed && !full);
                assert_eq!(number, self.pushed.len() as u64);
                self.pushed.push((row, self.now));
            }
            Err(PushError::Closed(given)) => assert!(self.closed && given == row),
            Err(PushError::Full(given)) => assert!(!self.closed && full && given == row),
        }
    }

    /// Returns `false` if there was nothing to do.
    fn step(&mut self, drawn: u8) -> bool {
        let first = self.settled.len();
        match self.buffer.step(self.now) {
            BatchStep::Write(batch) => self.write(&batch, drawn),
            BatchStep::Quarantine(row) => {
                self.repeats(&row);
                assert_eq!((row.rows().len(), row.rows()[0] % 5), (1, 0), "a good row");
                if drawn.is_multiple_of(4) {
                    self.fail(&row);
                } else {
                    self.settled.push(false);
                    self.buffer.confirmed();
                }
            }
            BatchStep::WaitUntil(then) => {
                assert!(then > self.now);
                match &self.again {
                    Some((_, not_before)) => assert_eq!(then, *not_before),
                    None => assert_eq!(then, self.pushed[first].1 + self.rules.max_wait),
                }
                return false;
            }
            BatchStep::Idle => {
                assert!(!self.closed && first == self.pushed.len());
                return false;
            }
            BatchStep::Ended => {
                assert!(self.closed && first == self.pushed.len());
                return false;
            }
        }
        true
    }

    fn write(&mut self, batch: &Batch<u8>, drawn: u8) {
        self.repeats(batch);
        let first = self.settled.len();
        let rows: Vec<u8> =
            self.pushed[first..first + batch.rows().len()].iter().map(|(row, _)| *row).collect();
        assert_eq!(batch.rows(), rows, "other rows than were pushed");
        assert_eq!(batch.numbers(), first as u64..(first + rows.len()) as u64);
        assert!(rows.len() <= self.rules.max_rows);
        if drawn.is_multiple_of(4) {
            self.fail(batch);
        } else if rows.iter().any(|row| row % 5 == 0) {
            self.buffer.rejected();
        } else {
            self.settled.extend(rows.iter().map(|_| true));
            self.buffer.confirmed();
        }
    }

    fn fail(&mut self, batch: &Batch<u8>) {
        self.buffer.failed(self.now, 0.5);
        self.again = Some((batch.numbers(), self.now + self.rules.backoff.schedule().next(0.5)));
    }

    /// Checks that a step after a failure is the step that failed, and not too soon.
    fn repeats(&mut self, batch: &Batch<u8>) {
        if let Some((numbers, not_before)) = self.again.take() {
            assert_eq!(batch.numbers(), numbers, "another batch than the one that failed");
            assert!(self.now >= not_before, "before its backoff has ended");
        }
    }

    fn check(&self) {
        assert_eq!(self.buffer.settled(), self.settled.len() as u64);
        assert!(self.buffer.held() <= self.rules.max_buffered);
        assert!(self.buffer.held() >= self.pushed.len() - self.settled.len());
        for (row, confirmed) in self.pushed.iter().zip(&self.settled) {
            assert_eq!(
                *confirmed,
                row.0 % 5 != 0,
                "a good row in quarantine, or a bad one written"
            );
        }
    }

    fn drain(&mut self) {
        self.close();
        // Each row takes at most one write of each size, and its quarantine.
        for _ in 0..self.pushed.len() * 8 + 1 {
            if !self.step(1) {
                break;
            }
            self.check();
        }
        assert!(matches!(self.buffer.step(self.now), BatchStep::Ended), "rows are left");
        assert_eq!((self.settled.len(), self.buffer.held()), (self.pushed.len(), 0));
    }
}
