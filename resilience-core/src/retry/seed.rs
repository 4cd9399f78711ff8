//! The source of samples.
//!
//! Calls that drew the same delays would retry in step. Each call therefore has a stream of its
//! own: the thread's cryptographic generator by default, or the next numbered stream of a seed.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The seed of a policy, and the number of streams that were taken from it.
#[derive(Debug)]
pub(crate) struct Seed {
    seed: u64,
    streams: AtomicU64,
}

impl Seed {
    pub(crate) const fn new(seed: u64) -> Seed {
        Seed { seed, streams: AtomicU64::new(0) }
    }

    fn stream(&self) -> SmallRng {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        // An odd multiplier sends distinct streams to distinct seeds; `seed_from_u64` mixes them.
        SmallRng::seed_from_u64(self.seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

/// The samples of one call, made after the first failure.
#[derive(Debug)]
pub(crate) enum Samples {
    Thread,
    Stream(SmallRng),
}

impl Samples {
    pub(crate) fn new(seed: Option<&Seed>) -> Samples {
        seed.map_or(Samples::Thread, |seed| Samples::Stream(seed.stream()))
    }

    /// Returns the next sample of `0..1`.
    pub(crate) fn next(&mut self) -> f64 {
        match self {
            Samples::Thread => rand::rng().random(),
            Samples::Stream(stream) => stream.random(),
        }
    }
}
