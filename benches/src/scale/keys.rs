//! Cost of a lookup, by the number of keys.

use std::time::Duration;

use resilience_core::InvalidConfig;
use resilience_core::keyed::KeyedLimits;
use tower::BoxError;

use super::figure::Figure;
use super::sweep::{At, Sweep};
use super::{Group, resident, tenfolds};
use crate::cost::Effort;
use crate::figures::keys::{Asked, random};
use crate::figures::{lookup, maps, names};

pub(super) const GROUP: Group = Group { names: &[HOT, RANDOM], measure };

const HOT: &str = "lookup of a hot key";
const RANDOM: &str = "lookup of a random key";
/// An upper bound for the bytes of a key in all maps, with a table that is being doubled.
const BYTES_A_KEY: u64 = 1_000;
/// The most keys in moka: inserting more takes minutes.
const MOST_IN_MOKA: u64 = 1_000_000;
const MOKA: &str = "moka, get";
const DASHMAP: &str = "dashmap, get + clone";

/// Keys that are numbers, from zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) count: usize,
    /// Set if one key is accessed again and again; otherwise keys are random.
    pub(super) hot: bool,
}

impl Asked for Numbers {
    type Key = u64;

    fn all(&self) -> impl ExactSizeIterator<Item = u64> {
        (0..self.count).map(|key| key as u64)
    }

    fn ask<R>(&self, ask: impl FnOnce(&u64) -> R) -> R {
        ask(&if self.hot { 0 } else { random() % self.count as u64 })
    }
}

fn measure(quick: bool) -> Result<Vec<Figure>, BoxError> {
    let mut hot = Figure::new(HOT, "keys", "CPU ns of a lookup");
    let mut any = Figure::new(RANDOM, "keys", "CPU ns of a lookup");
    let (mut beside, mut moka) = (None, None);
    let most = if quick { 100_000 } else { 10_000_000 };
    for size in tenfolds(10, most) {
        if resident::available().is_some_and(|bytes| bytes < size * BYTES_A_KEY) {
            println!("skipped: lookups among {size} keys: too little memory is free");
            break;
        }
        let effort = Effort { rounds: if quick { 11 } else { 31 }, ..Effort::new(quick).warm() };
        let [hottest, others] = sweeps(size, effort)?;
        hottest.draw(&mut hot);
        others.draw(&mut any);
        beside = others.ratio((names::OUR_WITH, size), (DASHMAP, size));
        moka = others.ratio((names::OUR_WITH, size), (MOKA, size)).or(moka);
        // A process that ends gives memory back at once; an allocator takes minutes for millions of
        // keys.
        std::mem::forget((hottest, others));
    }
    let growth = hot.growth(names::OUR_WITH);
    hot.timed("ours, with: the most keys / ten", 1.2, growth);
    any.timed("ours, with / dashmap, at the most keys", 1.0, beside);
    any.timed("ours, with / moka, at the most keys that it has", 1.0, moka);
    Ok(vec![hot, any])
}

/// Returns limits for a number of keys of any size.
pub(super) fn room(keys: usize) -> Result<KeyedLimits, InvalidConfig> {
    KeyedLimits::new(keys, usize::MAX, Duration::from_secs(600))
}

/// Measures every map, first with the hot key, then with random keys.
fn sweeps(size: u64, effort: Effort) -> Result<[Sweep; 2], BoxError> {
    let count = usize::try_from(size)?;
    let ways = [true, false].map(|hot| Numbers { count, hot });
    let mut subjects = maps::unbounded(&ways);
    if size <= MOST_IN_MOKA {
        subjects.extend(maps::moka(&ways));
    }
    subjects.extend(lookup::ours(&ways, room(count.max(100_000))?));
    subjects.retain(|subject| subject.name != names::OUR_GET);
    let points = subjects.into_iter().map(|subject| At::new(size, subject));
    // Subjects alternate between the hot key and random keys, map by map.
    let (hot, any): (Vec<_>, Vec<_>) = points.enumerate().partition(|(index, _)| index % 2 == 0);
    let measure = |points: Vec<(usize, At)>| {
        Sweep::measure(points.into_iter().map(|(_, at)| at).collect(), effort)
    };
    Ok([measure(hot)?, measure(any)?])
}
