//! Reproducible random numbers.
//!
//! The arms are comparable only if both meet the same faults, so each random number is a function
//! of the seed and its purpose, and not of the order of requests. The generator is a named
//! algorithm, so a seed gives the same numbers in every version of `rand`.

use std::fmt::Display;
use std::hash::Hasher;

use fnv::FnvHasher;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

/// Returns the random numbers for `purpose` under `seed`.
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
    fn a_stream_depends_on_seed_and_purpose() {
        let first = |seed, purpose: &str| stream(seed, purpose).random::<u64>();
        assert_eq!(first(7, "faults"), first(7, "faults"));
        assert_ne!(first(7, "faults"), first(8, "faults"));
        assert_ne!(first(7, "faults"), first(7, "league"));
    }
}
