//! Chance that can be run again.
//!
//! Two arms are only comparable if the same things go wrong for both, so whatever is random here
//! is a function of the seed and of what it is drawn for, not of who asked first. The generator is a
//! named algorithm: a seed means the same league next year.

use std::fmt::Display;
use std::hash::Hasher;

use fnv::FnvHasher;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

/// The random numbers that belong to `purpose` under `seed`.
#[must_use]
pub fn stream(seed: u64, purpose: impl Display) -> Xoshiro256PlusPlus {
    let mut hasher = FnvHasher::default();
    hasher.write(format!("{seed}/{purpose}").as_bytes());
    Xoshiro256PlusPlus::seed_from_u64(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn a_stream_is_its_seed_and_its_purpose() {
        let first = |seed, purpose: &str| stream(seed, purpose).random::<u64>();
        assert_eq!(first(7, "faults"), first(7, "faults"));
        assert_ne!(first(7, "faults"), first(8, "faults"));
        assert_ne!(first(7, "faults"), first(7, "league"));
    }
}
