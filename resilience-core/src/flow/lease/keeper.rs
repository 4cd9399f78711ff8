//! Takes leases for a process, and gives back what is held at its end.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::oneshot;

use super::contender::Contender;
use super::guard::{Held, Lease};
use super::record::{Acquisition, LeaseRequest, LeaseStatus, LeaseVersion};
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

/// Leases that are held or were asked for.
#[derive(Default)]
struct Leases {
    closed: bool,
    slots: u32,
    held: HashMap<Fence, Arc<Held>>,
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
    /// The store's, or a rejection: another holder has the lease (`NotReady`, with the time that it has left), this
    /// keeper has too many (`BulkheadFull`) or was closed (`ShuttingDown`).
    pub async fn try_acquire(&self, name: impl Into<Name>) -> Result<Lease, Error<StoreError>> {
        let name = name.into();
        match self.attempt(&name, None).await? {
            Ok(lease) => Ok(lease),
            Err(status) => Err(held(&name, &status, status.remaining).into()),
        }
    }

    /// Takes the lease as soon as it is free: waits at most
    /// [`wait_at_most`](LeaseKeeperBuilder::wait_at_most), and no longer than the caller's
    /// [deadline](Deadline::current). Contenders ask at jittered intervals, in no order. A store that cannot be reached is
    /// asked again while there is time.
    ///
    /// Dropped, a lease that the store has granted meanwhile is given back.
    ///
    /// # Errors
    /// As those of [`try_acquire`](LeaseKeeper::try_acquire), once the next attempt would be too late.
    pub async fn acquire(&self, name: impl Into<Name>) -> Result<Lease, Error<StoreError>> {
        let name = name.into();
        let settings = &self.0.settings;
        let deadline = Deadline::after(clock::now(), settings.wait_at_most).or_current();
        let mut contender = Contender::new();
        loop {
            let attempt = self.attempt(&name, contender.stalled(clock::now())).await;
            let u = rand::rng().random();
            let now = clock::now();
            let (wait, error) = match attempt {
                Ok(Ok(lease)) => return Ok(lease),
                Ok(Err(status)) => {
                    let wait = contender.observe(&status, now, u);
                    (wait, Error::Rejected(held(&name, &status, wait)))
                }
                Err(Error::Service(error)) if error.is_transient() => {
                    (settings.term / 20 + (settings.term / 20).mul_f64(u), Error::Service(error))
                }
                Err(error) => return Err(error),
            };
            if wait >= deadline.remaining(now) {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Gives back every lease and takes no more. Work that still runs under one of them ends with `LeaseLost`.
    /// For a hook of the shutdown: `shutdown.hook("leases", move || async move { keeper.release_all().await })`.
    ///
    /// Dropped, leases that were not given back yet end with their term.
    ///
    /// # Errors
    /// The first of the store's; the others are tried all the same.
    pub async fn release_all(&self) -> Result<(), StoreError> {
        let held = {
            let mut leases = self.0.leases.lock();
            leases.closed = true;
            std::mem::take(&mut leases.held)
        };
        let now = clock::now();
        held.values().for_each(|held| held.end(now));
        let mut result = Ok(());
        for fence in held.into_keys() {
            let released = self.0.release(fence).await;
            result = result.and(released);
        }
        result
    }

    /// Returns the leases that are held or were asked for.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.0.leases.lock().slots
    }

    async fn attempt(
        &self,
        name: &Name,
        stalled: Option<LeaseVersion>,
    ) -> Result<Result<Lease, LeaseStatus>, Error<StoreError>> {
        // See docs/decisions/0035-an-acquired-lease-always-has-an-owner.md.
        check_name("lease", name.as_str()).map_err(Error::Service)?;
        let slot = Slot::reserve(&self.0)?;
        let settings = &self.0.settings;
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
                Acquisition::HeldByAnother(status) => Err(status),
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
        } else {
            leases.held.insert(fence.clone(), held.clone());
        }
        drop(leases);
        Lease::new(slot, fence, held)
    }

    pub(super) fn forget(&self, fence: &Fence) {
        self.leases.lock().held.remove(fence);
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

    /// Sets the time after which a lease ends unless it is renewed: 100 ms to a day, 60 s by default. A dead
    /// holder keeps a lease for up to this long, and up to twice as long if the store's clock was set back.
    pub fn term(mut self, term: Duration) -> LeaseKeeperBuilder {
        self.settings.term = term;
        self
    }

    /// Sets the longest wait of [`acquire`](LeaseKeeper::acquire): 5 minutes by default.
    pub fn wait_at_most(mut self, wait: Duration) -> LeaseKeeperBuilder {
        self.settings.wait_at_most = wait;
        self
    }

    /// Sets the most leases that are held or asked for at once: 1,024 by default.
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
        let leases = Mutex::default();
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
