//! All windows of one circuit.
//!
//! Most of a hundred thousand keys see a handful of calls and then none. So the first calls are
//! kept as bits beside the circuit. The windows are made when the bits no longer suffice: when a
//! call falls out of the first bucket, a window of calls is full, or there are too many calls.

use std::num::NonZeroU8;

use super::count::CountWindow;
use super::time::TimeWindow;
use super::{CallMark, Counts, SlidingWindow, UncountedSuccesses, WindowSpan, width};
use crate::clock::tick::Tick;

#[derive(Debug, Clone)]
pub(in crate::breaker) enum CallWindows {
    FewCalls(FewCalls),
    Full(Box<[Window]>),
}

/// Calls that are all in every window, and in the first bucket of those that have buckets.
#[derive(Debug, Clone, Copy)]
pub(in crate::breaker) struct FewCalls {
    anchor: Tick,
    failures: u32,
    slow: u32,
    /// The number of calls plus one: never zero, which makes a [`CallWindows`] a word smaller.
    next: NonZeroU8,
}

#[derive(Debug, Clone)]
pub(in crate::breaker) enum Window {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Default for CallWindows {
    fn default() -> CallWindows {
        CallWindows::FewCalls(FewCalls::none(Tick::NEVER))
    }
}

impl CallWindows {
    #[inline]
    pub(in crate::breaker) fn record(&mut self, spans: &[SlidingWindow], at: Tick, mark: CallMark) {
        if spans.is_empty() {
            return;
        }
        if !matches!(self, CallWindows::Full(_)) && self.record_few(spans, at, mark) {
            return;
        }
        if let CallWindows::Full(windows) = self {
            for window in windows {
                window.record(at, mark);
            }
        }
    }

    /// Records the call among the first few. Returns `false` if it does not fit, after making the
    /// windows.
    fn record_few(&mut self, spans: &[SlidingWindow], at: Tick, mark: CallMark) -> bool {
        let CallWindows::FewCalls(few) = self else { return false };
        if few.is_over(spans, at) {
            *few = FewCalls::none(at);
        }
        if few.fits_one(spans, at) {
            few.record(mark);
            return true;
        }
        *self = CallWindows::Full(few.spread(spans));
        false
    }

    /// Returns the number of successes that [`count_successes`](CallWindows::count_successes) may
    /// record in place of [`record`](CallWindows::record).
    pub(in crate::breaker) fn uncounted_successes(
        &self,
        spans: &[SlidingWindow],
    ) -> UncountedSuccesses {
        match self {
            _ if spans.is_empty() => UncountedSuccesses::UNBOUNDED,
            CallWindows::FewCalls(few) => few.uncounted_successes(spans),
            CallWindows::Full(windows) => windows
                .iter()
                .map(Window::uncounted_successes)
                .fold(UncountedSuccesses::UNBOUNDED, UncountedSuccesses::and),
        }
    }

    /// Records successes, of those [allowed](CallWindows::uncounted_successes).
    pub(in crate::breaker) fn count_successes(&mut self, calls: u32) {
        match self {
            CallWindows::FewCalls(few) => few.count_successes(calls),
            CallWindows::Full(windows) => {
                windows.iter_mut().for_each(|window| window.count_successes(calls))
            }
        }
    }

    /// Returns the counts of window `index` at the latest call.
    #[inline]
    pub(in crate::breaker) fn counts(&self, index: usize) -> Counts {
        match self {
            CallWindows::FewCalls(few) => few.counts(),
            CallWindows::Full(windows) => {
                windows.get(index).map(Window::counts).unwrap_or_default()
            }
        }
    }

    /// Returns the counts of window `index` at `at`.
    pub(in crate::breaker) fn counts_at(
        &self,
        spans: &[SlidingWindow],
        index: usize,
        at: Tick,
    ) -> Counts {
        match (self, spans.get(index)) {
            (CallWindows::FewCalls(few), Some(span)) if !few.has_left(*span, at) => few.counts(),
            (CallWindows::Full(windows), Some(_)) => {
                windows.get(index).map(|window| window.counts_at(at)).unwrap_or_default()
            }
            _ => Counts::default(),
        }
    }

    /// Returns when every window has moved past the calls that failed or were slow; [`Tick::NEVER`]
    /// if only more calls can move it.
    pub(in crate::breaker) fn good_again_at(&self, spans: &[SlidingWindow]) -> Tick {
        let last = match self {
            CallWindows::FewCalls(few) if few.counts().is_bad() => {
                spans.iter().map(|span| few.left_at(*span)).max()
            }
            CallWindows::FewCalls(_) => None,
            CallWindows::Full(windows) => {
                let bad = windows.iter().filter(|window| window.counts().is_bad());
                bad.map(Window::empty_at).max()
            }
        };
        last.unwrap_or(Tick::LONG_AGO)
    }

    pub(in crate::breaker) fn heap_bytes(&self) -> impl Iterator<Item = usize> {
        let windows = match self {
            CallWindows::FewCalls(_) => &[],
            CallWindows::Full(windows) => &**windows,
        };
        let own = size_of_val(windows);
        windows.iter().map(Window::heap_bytes).chain((own > 0).then_some(own))
    }
}

impl FewCalls {
    /// The bits of a word.
    const MOST: u8 = 32;

    const fn none(anchor: Tick) -> FewCalls {
        FewCalls { anchor, failures: 0, slow: 0, next: NonZeroU8::MIN }
    }

    const fn len(&self) -> u8 {
        self.next.get() - 1
    }

    fn record(&mut self, mark: CallMark) {
        self.failures |= u32::from(mark.failed) << self.len();
        self.slow |= u32::from(mark.slow) << self.len();
        self.next = self.next.saturating_add(1);
    }

    /// Returns the number of successes in a row for which [`fits_one`](FewCalls::fits_one) stays
    /// `true`.
    fn uncounted_successes(&self, spans: &[SlidingWindow]) -> UncountedSuccesses {
        if self.len() == 0 {
            // The next call begins the first bucket.
            return UncountedSuccesses::NONE;
        }
        let most = UncountedSuccesses {
            calls: u32::from(FewCalls::MOST - self.len()),
            until: Tick::NEVER,
        };
        let in_span = |span: &SlidingWindow| match span.0 {
            WindowSpan::Calls(calls) => UncountedSuccesses {
                calls: calls.saturating_sub(self.len().into()),
                until: Tick::NEVER,
            },
            WindowSpan::Time { length, buckets } => {
                let until = self.anchor.after_ns(width(length, buckets));
                UncountedSuccesses { calls: u32::MAX, until }
            }
        };
        spans.iter().map(in_span).fold(most, UncountedSuccesses::and)
    }

    fn count_successes(&mut self, calls: u32) {
        // A success is two bits that are not set.
        let calls = u8::try_from(calls).unwrap_or(u8::MAX);
        self.next = self.next.saturating_add(calls.min(FewCalls::MOST - self.len()));
    }

    fn counts(&self) -> Counts {
        Counts {
            calls: self.len().into(),
            failures: self.failures.count_ones().into(),
            slow: self.slow.count_ones().into(),
        }
    }

    /// Returns `true` if `span` has moved past the first bucket, which holds all calls.
    fn has_left(&self, span: SlidingWindow, at: Tick) -> bool {
        match span.0 {
            WindowSpan::Calls(_) => false,
            WindowSpan::Time { length, buckets } => {
                at.since(self.anchor) / width(length, buckets) >= u64::from(buckets)
            }
        }
    }

    /// Returns when `span` has moved past the first bucket, which holds all calls.
    fn left_at(&self, span: SlidingWindow) -> Tick {
        match span.0 {
            WindowSpan::Calls(_) => Tick::NEVER,
            WindowSpan::Time { length, buckets } => {
                let length = width(length, buckets).saturating_mul(buckets.into());
                self.anchor.after_ns(length)
            }
        }
    }

    /// Returns `true` when every window has moved past these calls.
    fn is_over(&self, spans: &[SlidingWindow], at: Tick) -> bool {
        self.len() == 0 || spans.iter().all(|&span| self.has_left(span, at))
    }

    fn fits_one(&self, spans: &[SlidingWindow], at: Tick) -> bool {
        let in_span = |span: &SlidingWindow| match span.0 {
            WindowSpan::Calls(calls) => u32::from(self.len()) < calls,
            WindowSpan::Time { length, buckets } => at.since(self.anchor) < width(length, buckets),
        };
        self.len() < FewCalls::MOST && spans.iter().all(in_span)
    }

    /// Returns windows with the same calls.
    fn spread(self, spans: &[SlidingWindow]) -> Box<[Window]> {
        let mut windows: Box<[Window]> = spans.iter().map(|&span| Window::new(span)).collect();
        for call in 0..self.len() {
            let mark = CallMark {
                failed: self.failures >> call & 1 == 1,
                slow: self.slow >> call & 1 == 1,
            };
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
            WindowSpan::Calls(calls) => Window::Count(CountWindow::new(calls)),
            WindowSpan::Time { length, buckets } => {
                Window::Time(TimeWindow::new(width(length, buckets), buckets))
            }
        }
    }

    #[inline]
    fn record(&mut self, at: Tick, mark: CallMark) {
        match self {
            Window::Count(window) => window.record(mark),
            Window::Time(window) => window.record(at, mark),
        }
    }

    fn uncounted_successes(&self) -> UncountedSuccesses {
        match self {
            Window::Count(_) => UncountedSuccesses::UNBOUNDED,
            Window::Time(window) => UncountedSuccesses { calls: u32::MAX, until: window.ends() },
        }
    }

    fn count_successes(&mut self, calls: u32) {
        match self {
            Window::Count(window) => window.count_successes(calls),
            Window::Time(window) => window.count_successes(calls),
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

    fn empty_at(&self) -> Tick {
        match self {
            Window::Count(_) => Tick::NEVER,
            Window::Time(window) => window.empty_at(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Window::Count(window) => window.heap_bytes(),
            Window::Time(window) => window.heap_bytes(),
        }
    }
}
