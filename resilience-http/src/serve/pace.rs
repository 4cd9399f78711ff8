//! The pace at which a client must read, on a socket and on a stream of HTTP/2.

use std::time::{Duration, Instant};

use super::limits::Limits;

/// The shortest time over which the average pace of a reader is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// The least that a reader must take of what is there for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The longest time in which it takes nothing.
    write_timeout: Duration,
    window: Duration,
    /// Bytes in each window.
    least: u64,
}

impl Pace {
    /// Returns the pace of a stream of HTTP/2, whose windows show each byte that its client takes.
    pub(super) const fn of_stream(limits: &Limits) -> Pace {
        Pace::over(WINDOW, limits)
    }

    /// Returns the pace of a socket. Its window is as long as `write_timeout`, because the operating systems of both sides show
    /// only steps of some kilobytes, which an honest reader may need many seconds for.
    pub(super) fn of_socket(limits: &Limits) -> Pace {
        Pace::over(limits.write_timeout.max(WINDOW), limits)
    }

    const fn over(window: Duration, limits: &Limits) -> Pace {
        let least = limits.at_least.saturating_mul(window.as_secs());
        Pace { write_timeout: limits.write_timeout, window, least }
    }
}

/// Progress of a reader since bytes were there for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// When it last took something, or when bytes were there for it after it had all.
    last: Instant,
    /// When the current window began.
    window: Instant,
    /// Bytes taken in the current window.
    taken: u64,
}

impl Progress {
    /// Begins when bytes are there for a reader that had all before.
    pub(super) const fn new(now: Instant) -> Progress {
        Progress { last: now, window: now, taken: 0 }
    }

    /// Notes that more is there for it, though it has not taken what was there before.
    pub(super) const fn more(&mut self, now: Instant) {
        self.last = now;
    }

    /// Notes that it has taken `count` bytes.
    pub(super) const fn took(&mut self, count: u64, pace: &Pace, now: Instant) {
        self.last = now;
        self.taken = self.taken.saturating_add(count);
        if self.taken >= pace.least {
            self.window = now;
            self.taken = 0;
        }
    }

    /// Returns when it will have been too slow if it takes nothing before.
    pub(super) fn due(&self, pace: &Pace) -> Instant {
        let silent = self.last + pace.write_timeout;
        if pace.least == 0 { silent } else { silent.min(self.window + pace.window) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns after how many seconds a reader is ended that takes `bytes` every `every` seconds.
    fn ended(pace: Pace, bytes: u64, every: u32) -> Option<u32> {
        let begun = resilience_core::clock::now();
        let mut progress = Progress::new(begun);
        (1..1_000).find(|second| {
            let now = begun + SECOND * *second;
            let late = progress.due(&pace) <= now;
            if second % every == 0 {
                progress.took(bytes, &pace, now);
            }
            late
        })
    }

    #[test]
    fn a_reader_below_the_pace_is_ended() {
        let limits = Limits::default();
        let stream = Pace::of_stream(&limits);
        assert_eq!(ended(stream, 0, 1), Some(5));
        assert_eq!(ended(stream, 1, 1), Some(5));
        assert_eq!(ended(stream, 239, 1), Some(5));
        assert_eq!(ended(stream, 300, 1), None);
        let socket = Pace::of_socket(&limits);
        assert_eq!(ended(socket, 0, 1), Some(60));
        assert_eq!(ended(socket, 239, 1), Some(60));
        assert_eq!(ended(socket, 300, 1), None);
        // In steps, as sockets show them.
        assert_eq!(ended(socket, 64 << 10, 55), None);
        assert_eq!(ended(socket, 10_000, 55), Some(60));
    }

    #[test]
    fn without_a_pace_only_silence_counts() {
        let limits = Limits { at_least: 0, ..Limits::default() };
        for pace in [Pace::of_stream(&limits), Pace::of_socket(&limits)] {
            assert_eq!(ended(pace, 1, 59), None);
            assert_eq!(ended(pace, 1, 61), Some(60));
        }
    }
}
