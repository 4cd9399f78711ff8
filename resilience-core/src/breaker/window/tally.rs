//! All windows of one circuit.
//!
//! Most of a hundred thousand keys see a handful of calls and then nothing. So the first calls are kept
//! as bits beside the circuit, and the windows are made when that no longer says all there is to know:
//! a call falls out of the first bucket, or a window of calls is full, or there are too many.

use std::num::NonZeroU8;

use super::count::CountWindow;
use super::time::TimeWindow;
use super::{Counts, Mark, Room, SlidingWindow, Span, width};
use crate::tick::Tick;

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
    /// One more than there are calls. Never nothing, which spares a [`Tally`] a word.
    next: NonZeroU8,
}

#[derive(Debug, Clone)]
pub(in crate::breaker) enum Window {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Default for Tally {
    fn default() -> Tally {
        Tally::Few(Few::none(Tick::NEVER))
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
            *few = Few::none(at);
        }
        if few.has_room(spans, at) {
            few.record(mark);
            return true;
        }
        *self = Tally::Full(few.spread(spans));
        false
    }

    /// How many good calls [`credit`](Tally::credit) can take for as many [`record`](Tally::record)ed.
    pub(in crate::breaker) fn room(&self, spans: &[SlidingWindow]) -> Room {
        match self {
            _ if spans.is_empty() => Room::ENDLESS,
            Tally::Few(few) => few.room(spans),
            Tally::Full(windows) => windows.iter().map(Window::room).fold(Room::ENDLESS, Room::and),
        }
    }

    /// Records so many good calls, of those that there was [room](Tally::room) for.
    pub(in crate::breaker) fn credit(&mut self, calls: u32) {
        match self {
            Tally::Few(few) => few.credit(calls),
            Tally::Full(windows) => windows.iter_mut().for_each(|window| window.credit(calls)),
        }
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

    /// Returns when every window has moved past the calls that failed or were slow; [`Tick::NEVER`] if only
    /// more calls can move it.
    pub(in crate::breaker) fn good_again_at(&self, spans: &[SlidingWindow]) -> Tick {
        let last = match self {
            Tally::Few(few) if few.counts().is_bad() => {
                spans.iter().map(|span| few.left_at(*span)).max()
            }
            Tally::Few(_) => None,
            Tally::Full(windows) => {
                let bad = windows.iter().filter(|window| window.counts().is_bad());
                bad.map(Window::empty_at).max()
            }
        };
        last.unwrap_or(Tick::LONG_AGO)
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

    const fn none(anchor: Tick) -> Few {
        Few { anchor, failures: 0, slow: 0, next: NonZeroU8::MIN }
    }

    const fn len(&self) -> u8 {
        self.next.get() - 1
    }

    fn record(&mut self, mark: Mark) {
        self.failures |= u32::from(mark.failed) << self.len();
        self.slow |= u32::from(mark.slow) << self.len();
        self.next = self.next.saturating_add(1);
    }

    /// Of those that [`has_room`](Few::has_room) would find room for, one after the other.
    fn room(&self, spans: &[SlidingWindow]) -> Room {
        if self.len() == 0 {
            // The next call says when the first bucket begins.
            return Room::NONE;
        }
        let most = Room { calls: u32::from(Few::MOST - self.len()), until: Tick::NEVER };
        let in_span = |span: &SlidingWindow| match span.0 {
            Span::Calls(calls) => {
                Room { calls: calls.saturating_sub(self.len().into()), until: Tick::NEVER }
            }
            Span::Time { length, buckets } => {
                let until = self.anchor.after_ns(width(length, buckets));
                Room { calls: u32::MAX, until }
            }
        };
        spans.iter().map(in_span).fold(most, Room::and)
    }

    fn credit(&mut self, calls: u32) {
        // A good call is two bits that are not set.
        let calls = u8::try_from(calls).unwrap_or(u8::MAX);
        self.next = self.next.saturating_add(calls.min(Few::MOST - self.len()));
    }

    fn counts(&self) -> Counts {
        Counts {
            calls: self.len().into(),
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

    /// Returns when `span` has left the first bucket, with all calls in it, behind.
    fn left_at(&self, span: SlidingWindow) -> Tick {
        match span.0 {
            Span::Calls(_) => Tick::NEVER,
            Span::Time { length, buckets } => {
                let length = width(length, buckets).saturating_mul(buckets.into());
                self.anchor.after_ns(length)
            }
        }
    }

    /// Nobody remembers these calls.
    fn is_over(&self, spans: &[SlidingWindow], at: Tick) -> bool {
        self.len() == 0 || spans.iter().all(|&span| self.has_left(span, at))
    }

    fn has_room(&self, spans: &[SlidingWindow], at: Tick) -> bool {
        let in_span = |span: &SlidingWindow| match span.0 {
            Span::Calls(calls) => u32::from(self.len()) < calls,
            Span::Time { length, buckets } => at.since(self.anchor) < width(length, buckets),
        };
        self.len() < Few::MOST && spans.iter().all(in_span)
    }

    /// The same calls in windows of their own.
    fn spread(self, spans: &[SlidingWindow]) -> Box<[Window]> {
        let mut windows: Box<[Window]> = spans.iter().map(|&span| Window::new(span)).collect();
        for call in 0..self.len() {
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

    fn room(&self) -> Room {
        match self {
            Window::Count(_) => Room::ENDLESS,
            Window::Time(window) => Room { calls: u32::MAX, until: window.ends() },
        }
    }

    fn credit(&mut self, calls: u32) {
        match self {
            Window::Count(window) => window.credit(calls),
            Window::Time(window) => window.credit(calls),
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
