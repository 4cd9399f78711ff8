//! The lowest rate at which a client must read, on a socket and on an HTTP/2 stream.

use std::time::{Duration, Instant};

use super::limits::Limits;

/// Shortest time over which the average rate of a reader is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// The lowest rate at which a reader must take available bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct MinRate {
    /// Longest time without any byte taken.
    write_timeout: Duration,
    window: Duration,
    /// Least bytes in each window.
    min_bytes: u64,
}

impl MinRate {
    /// Returns the rate for an HTTP/2 stream, whose flow control shows each byte that its client
    /// takes.
    pub(super) const fn of_stream(limits: &Limits) -> MinRate {
        MinRate::over(WINDOW, limits)
    }

    /// Returns the rate for a socket. Its window is `write_timeout`, because the buffers of both
    /// operating systems show progress in steps of some kilobytes only, for which a well-behaved
    /// slow reader may need many seconds.
    pub(super) fn of_socket(limits: &Limits) -> MinRate {
        MinRate::over(limits.write_timeout.max(WINDOW), limits)
    }

    const fn over(window: Duration, limits: &Limits) -> MinRate {
        let min_bytes = limits.at_least.saturating_mul(window.as_secs());
        MinRate { write_timeout: limits.write_timeout, window, min_bytes }
    }
}

/// Progress of a reader since bytes became available.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Time of the last byte taken, or of the first byte available after everything was read.
    last: Instant,
    /// Start of the current window.
    window: Instant,
    /// Bytes taken in the current window.
    taken: u64,
}

impl Progress {
    /// Starts when bytes become available to a reader that had read everything.
    pub(super) const fn new(now: Instant) -> Progress {
        Progress { last: now, window: now, taken: 0 }
    }

    /// Notes more available bytes, before the reader has taken all earlier ones.
    pub(super) const fn more(&mut self, now: Instant) {
        self.last = now;
    }

    /// Notes that the reader has taken `count` bytes.
    pub(super) const fn took(&mut self, count: u64, min_rate: &MinRate, now: Instant) {
        self.last = now;
        self.taken = self.taken.saturating_add(count);
        if self.taken >= min_rate.min_bytes {
            self.window = now;
            self.taken = 0;
        }
    }

    /// Returns when the reader becomes too slow if it takes nothing more.
    pub(super) fn due(&self, min_rate: &MinRate) -> Instant {
        let silent = self.last + min_rate.write_timeout;
        if min_rate.min_bytes == 0 { silent } else { silent.min(self.window + min_rate.window) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the second in which a reader is too slow that takes `bytes` every `every` seconds.
    fn ended(min_rate: MinRate, bytes: u64, every: u32) -> Option<u32> {
        let begun = resilience_core::clock::now();
        let mut progress = Progress::new(begun);
        (1..1_000).find(|second| {
            let now = begun + SECOND * *second;
            let late = progress.due(&min_rate) <= now;
            if second % every == 0 {
                progress.took(bytes, &min_rate, now);
            }
            late
        })
    }

    #[test]
    fn a_reader_below_the_pace_is_ended() {
        let limits = Limits::default();
        let stream = MinRate::of_stream(&limits);
        assert_eq!(ended(stream, 0, 1), Some(5));
        assert_eq!(ended(stream, 1, 1), Some(5));
        assert_eq!(ended(stream, 239, 1), Some(5));
        assert_eq!(ended(stream, 300, 1), None);
        let socket = MinRate::of_socket(&limits);
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
        for min_rate in [MinRate::of_stream(&limits), MinRate::of_socket(&limits)] {
            assert_eq!(ended(min_rate, 1, 59), None);
            assert_eq!(ended(min_rate, 1, 61), Some(60));
        }
    }
}
