//! How many requests are on the wire at once, their bodies included.
//!
//! A client's pool keeps what it has opened and opens what it has not: it bounds nothing. So there is a bound
//! above it: a request takes a slot of its authority and one of the total before it asks the pool for
//! a connection, and gives both back when the body of the response is over, since only then is the connection
//! free.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use resilience_core::bulkhead::{Acquire, Bulkhead, BulkheadPermit};
use resilience_core::{InvalidConfig, Rejection};

use super::returns::Returns;

/// The bounds of a client's connections: for each authority, and in total.
///
/// | | default |
/// |---|---|
/// | `per_authority` | 32 |
/// | `total` | 1,024 |
/// | `wait` | 1 s; longer than that is a rejection, [`BulkheadFull`](resilience_core::RejectionKind::BulkheadFull) |
/// | `max_queued` | 1,024 that wait, for each authority and for the total |
///
/// The wait is part of the attempt: an attempt timeout that is shorter ends it. It is short because there
/// should be none: a profile's bulkhead stands before it, and has the queue that one wants.
#[derive(Debug, Clone)]
#[must_use = "limits do nothing until a client is built with them"]
pub struct ConnectionLimits {
    per_authority: u32,
    total: u32,
    wait: Duration,
    max_queued: u32,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        let wait = Duration::from_secs(1);
        ConnectionLimits { per_authority: 32, total: 1_024, wait, max_queued: 1_024 }
    }
}

impl ConnectionLimits {
    /// The most connections to one authority; at least 1.
    pub const fn per_authority(mut self, connections: u32) -> Self {
        self.per_authority = connections;
        self
    }

    /// The most that are in use at once to all of them; at least 1.
    pub const fn total(mut self, connections: u32) -> Self {
        self.total = connections;
        self
    }

    /// How long a request waits for one; zero is to be refused at once.
    pub const fn wait_at_most(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// How many wait.
    pub const fn max_queued(mut self, requests: u32) -> Self {
        self.max_queued = requests;
        self
    }

    #[cfg(feature = "reqwest")]
    pub(super) fn idle_per_authority(&self) -> usize {
        self.per_authority as usize
    }

    pub(super) fn build(&self) -> Result<Slots, InvalidConfig> {
        let of = |connections, field, name: &'static str| {
            let named = |error: InvalidConfig| match error.field() {
                "max_concurrent" => InvalidConfig::new(field, error.value(), error.bound()),
                _ => error,
            };
            if connections == 0 {
                return Err(InvalidConfig::new(field, connections, "at least 1"));
            }
            let bulkhead = Bulkhead::builder().name(name).max_concurrent(connections);
            let bulkhead = bulkhead.wait_at_most(self.wait).max_queued(self.max_queued);
            bulkhead.build().map_err(named)
        };
        let own = of(self.per_authority, "per_authority", "connections")?;
        let total = of(self.total, "total", "connections.total")?;
        let returns = Returns::new(self.per_authority, own.clone());
        Ok(Slots { own, total, returns })
    }
}

/// The slots of an authority, and those of all.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    pub(super) own: Bulkhead,
    total: Bulkhead,
    pub(super) returns: Arc<Returns>,
}

impl Slots {
    /// For another authority of the same client.
    pub(super) fn fresh(&self) -> Slots {
        let own = self.own.fresh();
        let returns = self.returns.fresh(own.clone());
        Slots { own, total: self.total.clone(), returns }
    }

    pub(super) const fn total(&self) -> &Bulkhead {
        &self.total
    }

    pub(super) fn take(&self) -> Take {
        Take {
            own: self.own.acquire_owned(1),
            held: None,
            next: self.total.clone(),
            total: None,
            returns: self.returns.clone(),
        }
    }
}

/// A place on the wire.
pub(super) struct Slot {
    _own: BulkheadPermit,
    _total: BulkheadPermit,
    returns: Arc<Returns>,
    connection: Use,
}

/// What became of the connection that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// There was none.
    Unused,
    /// A request was given to one, and whatever ends now ends it.
    Busy,
    /// It is free again.
    Free,
}

impl Slot {
    pub(super) fn set(&mut self, connection: Use) {
        self.connection = connection;
    }
}

/// What is known of the connection is told before the permits are given back: that is when others look.
impl Drop for Slot {
    fn drop(&mut self) {
        match self.connection {
            Use::Unused => {}
            Use::Busy => self.returns.is_gone(),
            Use::Free => self.returns.comes_back(),
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

pin_project! {
    /// Waits for a slot: the authority's first, so that one that is slow does not take from the total what
    /// it cannot use.
    pub(super) struct Take {
        #[pin]
        own: Acquire,
        held: Option<BulkheadPermit>,
        next: Bulkhead,
        #[pin]
        total: Option<Acquire>,
        returns: Arc<Returns>,
    }
}

impl Future for Take {
    type Output = Result<Slot, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.total.is_none() {
            *this.held = Some(ready!(this.own.poll(cx))?);
            this.total.set(Some(this.next.acquire_owned(1)));
        }
        let Some(total) = this.total.as_mut().as_pin_mut() else { return Poll::Pending };
        let total = ready!(total.poll(cx));
        match (total, this.held.take()) {
            (Ok(total), Some(own)) => {
                let returns = this.returns.clone();
                Poll::Ready(Ok(Slot { _own: own, _total: total, returns, connection: Use::Unused }))
            }
            (Err(refused), _) => Poll::Ready(Err(refused.with_key("all authorities"))),
            (Ok(_), None) => Poll::Pending,
        }
    }
}
