//! All windows of one circuit.
//!
//! Most of a hundred thousand keys see a handful of calls and then nothing. So the first calls are kept
//! as bits beside the circuit, and the windows are made when that no longer says all there is to know:
//! a call falls out of the first bucket, or a window of calls is full, or there are too many.

use super::count::CountWindow;
use super::time::TimeWindow;
use super::{Counts, Mark, SlidingWindow, Span, width};
use crate::breaker::tick::Tick;

#[derive(Debug, Clone)]
pub(in crate::breaker) enum Tally {
    Few(Few),
    Full(Box<[Window]>),
}

/// Calls that are all in every window, and in the first bucket of those that have buckets.
#[derive(Debug, Clone, Copy)]
pub(in crate::breaker) struct Few {
    anchor: Tick,
    failures: u32,
    slow: u32,
    len: u8,
}

#[derive(Debug, Clone)]
pub(in crate::breaker) enum Window {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Default for Tally {
    fn default() -> Tally {
        Tally::Few(Few { anchor: Tick::NEVER, failures: 0, slow: 0, len: 0 })
    }
}

impl Tally {
    #[inline]
    pub(in crate::breaker) fn record(&mut self, spans: &[SlidingWindow], at: Tick, mark: Mark) {
        if spans.is_empty() {
            return;
        }
        if !matches!(self, Tally::Full(_)) && self.record_few(spans, at, mark) {
            return;
        }
        if let Tally::Full(windows) = self {
            for window in windows {
                window.record(at, mark);
            }
        }
    }

    /// Records among the few, or makes the windows that will do.
    fn record_few(&mut self, spans: &[SlidingWindow], at: Tick, mark: Mark) -> bool {
        let Tally::Few(few) = self else { return false };
        if few.is_over(spans, at) {
            *few = Few { anchor: at, failures: 0, slow: 0, len: 0 };
        }
        if few.has_room(spans, at) {
            few.record(mark);
            return true;
        }
        *self = Tally::Full(few.spread(spans));
        false
    }

    /// What is in window `index` at the latest call.
    #[inline]
    pub(in crate::breaker) fn counts(&self, index: usize) -> Counts {
        match self {
            Tally::Few(few) => few.counts(),
            Tally::Full(windows) => windows.get(index).map(Window::counts).unwrap_or_default(),
        }
    }

    /// What is in window `index` at `at`.
    pub(in crate::breaker) fn counts_at(
        &self,
        spans: &[SlidingWindow],
        index: usize,
        at: Tick,
    ) -> Counts {
        match (self, spans.get(index)) {
            (Tally::Few(few), Some(span)) if !few.has_left(*span, at) => few.counts(),
            (Tally::Full(windows), Some(_)) => {
                windows.get(index).map(|window| window.counts_at(at)).unwrap_or_default()
            }
            _ => Counts::default(),
        }
    }

    pub(in crate::breaker) fn heap_bytes(&self) -> impl Iterator<Item = usize> {
        let windows = match self {
            Tally::Few(_) => &[],
            Tally::Full(windows) => &**windows,
        };
        let own = size_of_val(windows);
        windows.iter().map(Window::heap_bytes).chain((own > 0).then_some(own))
    }
}

impl Few {
    /// A word of bits for each.
    const MOST: u8 = 32;

    fn record(&mut self, mark: Mark) {
        self.failures |= u32::from(mark.failed) << self.len;
        self.slow |= u32::from(mark.slow) << self.len;
        self.len += 1;
    }

    fn counts(&self) -> Counts {
        Counts {
            calls: self.len.into(),
            failures: self.failures.count_ones().into(),
            slow: self.slow.count_ones().into(),
        }
    }

    /// Whether `span` has left the first bucket, with all calls in it, behind.
    fn has_left(&self, span: SlidingWindow, at: Tick) -> bool {
        match span.0 {
            Span::Calls(_) => false,
            Span::Time { length, buckets } => {
                at.since(self.anchor) / width(length, buckets) >= u64::from(buckets)
            }
        }
    }

    /// Nobody remembers these calls.
    fn is_over(&self, spans: &[SlidingWindow], at: Tick) -> bool {
        self.len == 0 || spans.iter().all(|&span| self.has_left(span, at))
    }

    fn has_room(&self, spans: &[SlidingWindow], at: Tick) -> bool {
        let in_span = |span: &SlidingWindow| match span.0 {
            Span::Calls(calls) => u32::from(self.len) < calls,
            Span::Time { length, buckets } => at.since(self.anchor) < width(length, buckets),
        };
        self.len < Few::MOST && spans.iter().all(in_span)
    }

    /// The same calls in windows of their own.
    fn spread(self, spans: &[SlidingWindow]) -> Box<[Window]> {
        let mut windows: Box<[Window]> = spans.iter().map(|&span| Window::new(span)).collect();
        for call in 0..self.len {
            let mark =
                Mark { failed: self.failures >> call & 1 == 1, slow: self.slow >> call & 1 == 1 };
            for window in &mut windows {
                window.record(self.anchor, mark);
            }
        }
        windows
    }
}

impl Window {
    fn new(span: SlidingWindow) -> Window {
        match span.0 {
            Span::Calls(calls) => Window::Count(CountWindow::new(calls)),
            Span::Time { length, buckets } => {
                Window::Time(TimeWindow::new(width(length, buckets), buckets))
            }
        }
    }

    #[inline]
    fn record(&mut self, at: Tick, mark: Mark) {
        match self {
            Window::Count(window) => window.record(mark),
            Window::Time(window) => window.record(at, mark),
        }
    }

    #[inline]
    fn counts(&self) -> Counts {
        match self {
            Window::Count(window) => window.counts(),
            Window::Time(window) => window.counts(),
        }
    }

    fn counts_at(&self, at: Tick) -> Counts {
        match self {
            Window::Count(window) => window.counts(),
            Window::Time(window) => window.counts_at(at),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Window::Count(window) => window.heap_bytes(),
            Window::Time(window) => window.heap_bytes(),
        }
    }
}
