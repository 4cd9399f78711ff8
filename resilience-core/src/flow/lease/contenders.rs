//! The contenders of one process, by the name of the lease. Pure.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::contender::Contender;
use super::record::{LeaseStatus, LeaseVersion};
use crate::name::Name;

/// A bounded set of [`Contender`]s, which outlive single attempts: repeated short attempts detect a
/// lease that stands still as one long wait does.
///
/// At the bound, the least recently used contender is evicted. A lease that was evicted is watched
/// anew from its next attempt.
#[derive(Debug)]
pub(super) struct Contenders {
    limit: usize,
    /// The number of the last use. Uses are counted, since instants may be equal.
    uses: u64,
    entries: HashMap<Name, (Contender, u64)>,
    /// The names by their last use: exactly those of `entries`.
    by_use: BTreeMap<u64, Name>,
}

impl Contenders {
    /// Creates an empty set for at most `limit` leases.
    pub(super) fn new(limit: usize) -> Contenders {
        let (entries, by_use) = (HashMap::new(), BTreeMap::new());
        Contenders { limit, uses: 0, entries, by_use }
    }

    /// Returns the state of the lease that has stood still for two terms at `now`.
    pub(super) fn stalled(&self, name: &Name, now: Instant) -> Option<LeaseVersion> {
        self.entries.get(name).and_then(|(contender, _)| contender.stalled(now))
    }

    /// Records a status that was received at `now`, and returns the wait before the next request.
    /// See [`Contender::observe`].
    pub(super) fn observe(
        &mut self,
        name: &Name,
        status: &LeaseStatus,
        now: Instant,
        u: f64,
    ) -> Duration {
        let mut contender = self.remove(name).unwrap_or_default();
        let wait = contender.observe(status, now, u);
        if self.entries.len() >= self.limit
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, name.clone());
        self.entries.insert(name.clone(), (contender, self.uses));
        wait
    }

    /// Removes the contender of a lease that was acquired.
    pub(super) fn remove(&mut self, name: &Name) -> Option<Contender> {
        let (contender, last_use) = self.entries.remove(name)?;
        self.by_use.remove(&last_use);
        Some(contender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::flow::FencingToken;

    const TERM: Duration = Duration::from_secs(60);

    fn status() -> LeaseStatus {
        let version = LeaseVersion { token: FencingToken::new(1), renewals: 0 };
        LeaseStatus { holder: "dead".to_owned(), version, term: TERM, remaining: TERM }
    }

    #[test]
    fn the_least_recently_used_is_evicted() {
        let now = clock::now();
        let mut contenders = Contenders::new(2);
        let [a, b, c] = ["a", "b", "c"].map(Name::from);
        for name in [&a, &b, &a, &c] {
            contenders.observe(name, &status(), now, 0.0);
        }
        let stalled = |name| contenders.stalled(name, now + TERM * 2).is_some();
        assert_eq!([&a, &b, &c].map(stalled), [true, false, true]);
        assert_eq!((contenders.entries.len(), contenders.by_use.len()), (2, 2));
    }

    #[test]
    fn a_contender_is_forgotten_with_the_lease_it_waited_for() {
        let now = clock::now();
        let mut contenders = Contenders::new(2);
        let name = Name::from("a");
        contenders.observe(&name, &status(), now, 0.0);
        assert!(contenders.remove(&name).is_some());
        assert_eq!(contenders.stalled(&name, now + TERM * 2), None);
        assert!(contenders.by_use.is_empty());
    }
}
