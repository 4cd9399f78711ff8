//! Takes leases for a process, and gives back what is held at its end.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::contenders::Contenders;
use super::guard::{Held, Lease};
use super::record::{Acquisition, LeaseRequest, LeaseStatus};
use super::store::LeaseStore;
use crate::clock;
use crate::config::{self, InvalidConfig};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::flow::fence::Fence;
use crate::flow::limits::check_name;
use crate::flow::store_error::{StoreError, StoreErrorKind};
use crate::name::Name;
use crate::observe::Gauges;
use crate::rejection::{Rejection, RejectionKind, Unit};
use crate::timeout::within;

/// Releases of [`LeaseKeeper::release_all`] that a store handles at once: fewer than wait in a
/// store's queue.
const RELEASES_AT_ONCE: usize = 16;

/// Takes leases of one store. Clones share everything.
#[derive(Clone)]
pub struct LeaseKeeper(Arc<Shared>);

pub(super) struct Shared {
    pub(super) store: Arc<dyn LeaseStore>,
    settings: Settings,
    leases: Mutex<Leases>,
}

struct Settings {
    holder: Name,
    term: Duration,
    wait_at_most: Duration,
    max_leases: u32,
}

/// Leases that are held or were requested.
struct Leases {
    closed: bool,
    slots: u32,
    held: HashMap<Fence, Arc<Held>>,
    contenders: Contenders,
}

/// A lease of another holder, and the wait before the next request.
struct Contended {
    status: LeaseStatus,
    wait: Duration,
}

impl LeaseKeeper {
    /// Starts from the defaults of [`LeaseKeeperBuilder`].
    pub fn builder(store: Arc<dyn LeaseStore>) -> LeaseKeeperBuilder {
        let holder = Name::from(format!("process-{}", std::process::id()));
        let (term, wait_at_most) = (Duration::from_secs(60), Duration::from_secs(300));
        LeaseKeeperBuilder {
            store,
            settings: Settings { holder, term, wait_at_most, max_leases: 1_024 },
        }
    }

    /// Takes the lease if it is free.
    ///
    /// Dropped, a lease that the store has granted meanwhile is given back.
    ///
    /// # Errors
    /// The store's, or a rejection: another holder has the lease (`NotReady`, with the time that it
    /// has left), this keeper has too many (`BulkheadFull`) or was closed (`ShuttingDown`).
    pub async fn try_acquire(&self, name: impl Into<Name>) -> Result<Lease, Error<StoreError>> {
        let name = name.into();
        match self.attempt(&name).await? {
            Ok(lease) => Ok(lease),
            Err(Contended { status, .. }) => Err(held(&name, &status, status.remaining).into()),
        }
    }

    /// Takes the lease as soon as it is free: waits at most
    /// [`wait_at_most`](LeaseKeeperBuilder::wait_at_most), and no longer than the caller's
    /// [deadline](Deadline::current). Contenders ask at jittered intervals, in no order. A store
    /// that cannot be reached is asked again while there is time.
    ///
    /// Dropped, a lease that the store has granted meanwhile is given back.
    ///
    /// # Errors
    /// As those of [`try_acquire`](LeaseKeeper::try_acquire), once the next attempt would be too
    /// late.
    pub async fn acquire(&self, name: impl Into<Name>) -> Result<Lease, Error<StoreError>> {
        let name = name.into();
        let settings = &self.0.settings;
        let deadline = Deadline::after(clock::now(), settings.wait_at_most).or_current();
        loop {
            let (wait, error) = match self.attempt(&name).await {
                Ok(Ok(lease)) => return Ok(lease),
                Ok(Err(Contended { status, wait })) => {
                    (wait, Error::Rejected(held(&name, &status, wait)))
                }
                Err(Error::Service(error)) if error.is_transient() => {
                    let (shortest, u) = (settings.term / 20, rand::rng().random());
                    (shortest + shortest.mul_f64(u), Error::Service(error))
                }
                Err(error) => return Err(error),
            };
            if wait >= deadline.remaining(clock::now()) {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Ends the work under every lease, gives the leases back, and takes no more. The work ends
    /// with `LeaseLost`; a lease is given back once its work was dropped. For a hook of the
    /// shutdown: `shutdown.hook("leases", move || async move { keeper.release_all().await })`.
    ///
    /// Takes at most one term in all, and no longer than the caller's
    /// [deadline](Deadline::current): leases that were not given back by then end with their term,
    /// also if this is dropped.
    ///
    /// # Errors
    /// The first of the store's, or [`TimedOut`](StoreErrorKind::TimedOut); the other leases are
    /// given back all the same.
    pub async fn release_all(&self) -> Result<(), StoreError> {
        let held = {
            let mut leases = self.0.leases.lock();
            leases.closed = true;
            std::mem::take(&mut leases.held)
        };
        let now = clock::now();
        held.values().for_each(|held| held.end(now));
        let permits = Arc::new(Semaphore::new(RELEASES_AT_ONCE));
        let mut releasing = JoinSet::new();
        for (fence, held) in held {
            let (shared, permits) = (self.0.clone(), permits.clone());
            releasing.spawn(async move {
                // Work that is in a poll goes on until the poll returns: the lease is its own until
                // then.
                held.work_ended().await;
                let _permit = permits.acquire().await;
                shared.release(fence).await
            });
        }
        let deadline = Deadline::after(now, self.0.settings.term).or_current();
        let mut result = Ok(());
        let all = async {
            while let Some(released) = releasing.join_next().await {
                let panicked = |_| Err(failed("the release of a lease panicked"));
                result =
                    std::mem::replace(&mut result, Ok(())).and(released.unwrap_or_else(panicked));
            }
        };
        match within(deadline, all).await {
            Ok(()) => result,
            Err(_late) => result.and(Err(late("leases were not given back in time"))),
        }
    }

    /// Returns the leases that are held or were requested.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.0.leases.lock().slots
    }

    async fn attempt(&self, name: &Name) -> Result<Result<Lease, Contended>, Error<StoreError>> {
        // See docs/decisions/0035-an-acquired-lease-always-has-an-owner.md.
        check_name("lease", name.as_str()).map_err(Error::Service)?;
        let slot = Slot::reserve(&self.0)?;
        let settings = &self.0.settings;
        let stalled = self.0.leases.lock().contenders.stalled(name, clock::now());
        let request = LeaseRequest::new(name.as_str(), settings.holder.as_str(), settings.term)
            .with_stalled(stalled);
        let (sent, shared, name) = (clock::now(), self.0.clone(), name.clone());
        let (answer, answered) = oneshot::channel();
        // A task of its own: if nobody waits any more, the lease is dropped, which gives it back.
        tokio::spawn(async move {
            let acquired = shared.store.try_acquire(request).await;
            let _ = answer.send(acquired.map(|acquisition| match acquisition {
                Acquisition::Acquired(token) => {
                    Ok(shared.hold(slot, Fence::new(name, token), sent))
                }
                Acquisition::HeldByAnother(status) => Err(shared.contend(&name, status)),
            }));
        });
        match within(Deadline::after(sent, settings.term), answered).await {
            Ok(Ok(acquired)) => acquired.map_err(Error::Service),
            Ok(Err(_panicked)) => Err(Error::Service(failed("the request for a lease panicked"))),
            Err(_late) => Err(Error::Service(late("the request for a lease was not answered"))),
        }
    }
}

impl Shared {
    /// Registers a lease that the store has granted.
    fn hold(self: &Arc<Shared>, slot: Slot, fence: Fence, sent: std::time::Instant) -> Lease {
        let held = Arc::new(Held::new(self.settings.term, sent));
        let mut leases = self.leases.lock();
        if leases.closed {
            held.end(clock::now());
        }
        leases.contenders.remove(&fence.lease);
        leases.held.insert(fence.clone(), held.clone());
        drop(leases);
        Lease::new(slot, fence, held)
    }

    /// Records that another holder has the lease.
    fn contend(&self, name: &Name, status: LeaseStatus) -> Contended {
        let (now, u) = (clock::now(), rand::rng().random());
        let wait = self.leases.lock().contenders.observe(name, &status, now, u);
        Contended { status, wait }
    }

    /// Removes a lease. Returns `false` if it is not there:
    /// [`release_all`](LeaseKeeper::release_all) has taken it.
    pub(super) fn forget(&self, fence: &Fence) -> bool {
        self.leases.lock().held.remove(fence).is_some()
    }

    /// Gives a lease back, within its term.
    pub(super) async fn release(&self, fence: Fence) -> Result<(), StoreError> {
        let deadline = Deadline::after(clock::now(), self.settings.term);
        match within(deadline, self.store.release(fence)).await {
            Ok(released) => released.map(drop),
            Err(_late) => Err(late("the release of a lease was not answered")),
        }
    }
}

/// A place among the leases of a keeper.
pub(super) struct Slot(pub(super) Arc<Shared>);

impl Slot {
    fn reserve(shared: &Arc<Shared>) -> Result<Slot, Rejection> {
        let mut leases = shared.leases.lock();
        if leases.closed {
            return Err(Rejection::new(RejectionKind::ShuttingDown, "lease"));
        }
        if leases.slots >= shared.settings.max_leases {
            return Err(Rejection::new(RejectionKind::BulkheadFull, "lease")
                .with_limit(u64::from(shared.settings.max_leases))
                .with_observed(u64::from(leases.slots))
                .with_unit(Unit::Permits));
        }
        leases.slots += 1;
        Ok(Slot(shared.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.leases.lock().slots -= 1;
    }
}

fn held(name: &Name, status: &LeaseStatus, wait: Duration) -> Rejection {
    Rejection::new(RejectionKind::NotReady, "lease")
        .with_key(name.clone())
        .with_limit(status.term)
        .with_retry_after(wait)
}

fn late(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::TimedOut, "lease", what)
}

fn failed(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Other, "lease", what)
}

/// Leases in use, as `resilience.leases.in_use`.
impl Gauges for LeaseKeeper {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit("resilience.leases.in_use", f64::from(self.in_use()));
    }
}

impl fmt::Debug for LeaseKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseKeeper")
            .field("holder", &self.0.settings.holder)
            .field("term", &self.0.settings.term)
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`LeaseKeeper`].
#[must_use]
pub struct LeaseKeeperBuilder {
    store: Arc<dyn LeaseStore>,
    settings: Settings,
}

impl LeaseKeeperBuilder {
    /// Sets the name of this process, for people. `process-` and its number by default.
    pub fn holder(mut self, holder: impl Into<Name>) -> LeaseKeeperBuilder {
        self.settings.holder = holder.into();
        self
    }

    /// Sets the time after which a lease ends unless it is renewed: 100 ms to a day, 60 s by
    /// default. A dead holder keeps a lease for up to this long, and up to twice as long if the
    /// store's clock was set back.
    pub fn term(mut self, term: Duration) -> LeaseKeeperBuilder {
        self.settings.term = term;
        self
    }

    /// Sets the longest wait of [`acquire`](LeaseKeeper::acquire): 5 minutes by default.
    pub fn wait_at_most(mut self, wait: Duration) -> LeaseKeeperBuilder {
        self.settings.wait_at_most = wait;
        self
    }

    /// Sets the most leases that are held or requested at once: 1,024 by default. As many leases of
    /// other holders are watched between attempts.
    pub fn max_leases(mut self, leases: u32) -> LeaseKeeperBuilder {
        self.settings.max_leases = leases;
        self
    }

    /// Creates the keeper.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<LeaseKeeper, InvalidConfig> {
        let settings = self.settings;
        let bounds = Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);
        if !bounds.contains(&settings.term) {
            let term = format!("{:?}", settings.term);
            return Err(InvalidConfig::new("term", term, "between 100 ms and one day"));
        }
        config::wait("wait_at_most", settings.wait_at_most)?;
        if settings.max_leases == 0 {
            return Err(InvalidConfig::new("max_leases", 0, "at least 1"));
        }
        check_name("holder", settings.holder.as_str())
            .map_err(|_| InvalidConfig::new("holder", &settings.holder, "1 to 512 bytes"))?;
        let contenders = Contenders::new(settings.max_leases as usize);
        let leases = Leases { closed: false, slots: 0, held: HashMap::new(), contenders };
        let leases = Mutex::new(leases);
        Ok(LeaseKeeper(Arc::new(Shared { store: self.store, settings, leases })))
    }
}

impl fmt::Debug for LeaseKeeperBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseKeeperBuilder")
            .field("holder", &self.settings.holder)
            .field("term", &self.settings.term)
            .finish_non_exhaustive()
    }
}
