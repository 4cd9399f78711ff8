//! The bound on concurrent connections, response bodies included.
//!
//! A client's pool opens a connection whenever it has no idle one: it bounds nothing. The bound is
//! therefore above the pool. An attempt takes a permit of its authority and a permit of the total
//! before it asks the pool for a connection, and gives both back when the body of the response has
//! ended, since only then is the connection free.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use resilience_core::bulkhead::{Acquire, Bulkhead, BulkheadPermit};
use resilience_core::{InvalidConfig, Rejection};

use super::connection_count::ConnectionCount;

/// The bounds of a client's connections: for each authority, and in total.
///
/// | | default |
/// |---|---|
/// | `per_authority` | 32 |
/// | `total` | 1,024 |
/// | `wait_at_most` | 1 s; after that the attempt is rejected, [`BulkheadFull`](resilience_core::RejectionKind::BulkheadFull) |
/// | `max_queued` | 1,024 waiting attempts, for each authority and for the total |
///
/// The wait is part of the attempt, so a shorter attempt timeout ends it. The default is short
/// because the profile's bulkhead is above and is the place to queue.
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
    /// Sets the most connections to one authority; at least 1.
    pub const fn per_authority(mut self, connections: u32) -> Self {
        self.per_authority = connections;
        self
    }

    /// Sets the most connections in use at once to all authorities; at least 1.
    pub const fn total(mut self, connections: u32) -> Self {
        self.total = connections;
        self
    }

    /// Sets the longest wait for a permit; zero rejects at once.
    pub const fn wait_at_most(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sets the most waiting attempts, for each authority and for the total.
    pub const fn max_queued(mut self, requests: u32) -> Self {
        self.max_queued = requests;
        self
    }

    #[cfg(feature = "reqwest")]
    pub(super) fn idle_per_authority(&self) -> usize {
        self.per_authority as usize
    }

    pub(super) fn build(&self) -> Result<ConnectionPermits, InvalidConfig> {
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
        let per_authority = of(self.per_authority, "per_authority", "connections")?;
        let total = of(self.total, "total", "connections.total")?;
        let connections = ConnectionCount::new(self.per_authority, per_authority.clone());
        Ok(ConnectionPermits { per_authority, total, connections })
    }
}

/// The connection permits of an authority, and those of the client. Clones share both.
#[derive(Debug, Clone)]
pub(super) struct ConnectionPermits {
    pub(super) per_authority: Bulkhead,
    total: Bulkhead,
    pub(super) connections: Arc<ConnectionCount>,
}

impl ConnectionPermits {
    /// Returns the permits of another authority of the same client, with the same total.
    pub(super) fn fresh(&self) -> ConnectionPermits {
        let per_authority = self.per_authority.fresh();
        let connections = self.connections.fresh(per_authority.clone());
        ConnectionPermits { per_authority, total: self.total.clone(), connections }
    }

    pub(super) const fn total(&self) -> &Bulkhead {
        &self.total
    }

    pub(super) fn acquire(&self) -> AcquireConnection {
        AcquireConnection {
            own: self.per_authority.acquire_owned(1),
            own_permit: None,
            total: self.total.clone(),
            acquire_total: None,
            connections: self.connections.clone(),
        }
    }
}

/// Permission to use one connection, of the authority and of the total.
pub(super) struct ConnectionPermit {
    _own: BulkheadPermit,
    _total: BulkheadPermit,
    connections: Arc<ConnectionCount>,
    used: ConnectionUse,
}

/// The use of a connection under its permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionUse {
    /// No connection was used.
    Unused,
    /// A request is in flight; dropping the permit now means that the connection is lost.
    InUse,
    /// The connection returned to the pool.
    Idle,
}

impl ConnectionPermit {
    pub(super) fn set_use(&mut self, used: ConnectionUse) {
        self.used = used;
    }
}

impl Drop for ConnectionPermit {
    // Runs before the permits are dropped, so the next attempt finds the count up to date.
    fn drop(&mut self) {
        match self.used {
            ConnectionUse::Unused => {}
            ConnectionUse::InUse => self.connections.closed(),
            ConnectionUse::Idle => self.connections.returned(),
        }
    }
}

impl fmt::Debug for ConnectionPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPermit").finish_non_exhaustive()
    }
}

pin_project! {
    /// Waits for a connection permit: first of the authority, then of the total, so that attempts
    /// queued for a slow authority hold nothing of the total.
    pub(super) struct AcquireConnection {
        #[pin]
        own: Acquire,
        own_permit: Option<BulkheadPermit>,
        total: Bulkhead,
        #[pin]
        acquire_total: Option<Acquire>,
        connections: Arc<ConnectionCount>,
    }
}

impl Future for AcquireConnection {
    type Output = Result<ConnectionPermit, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.acquire_total.is_none() {
            *this.own_permit = Some(ready!(this.own.poll(cx))?);
            this.acquire_total.set(Some(this.total.acquire_owned(1)));
        }
        let Some(total) = this.acquire_total.as_mut().as_pin_mut() else { return Poll::Pending };
        let total = ready!(total.poll(cx));
        match (total, this.own_permit.take()) {
            (Ok(total), Some(own)) => Poll::Ready(Ok(ConnectionPermit {
                _own: own,
                _total: total,
                connections: this.connections.clone(),
                used: ConnectionUse::Unused,
            })),
            (Err(rejection), _) => Poll::Ready(Err(rejection.with_key("all authorities"))),
            (Ok(_), None) => Poll::Pending,
        }
    }
}
