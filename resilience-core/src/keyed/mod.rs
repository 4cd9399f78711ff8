//! One bounded store behind everything that is kept for each key.
//!
//! A breaker for each host and a limit for each tenant are a map, and its keys come from outside. Maps of
//! policies usually grow for ever, or are swept all at once, or are caches, which forget the wrong
//! things: an open circuit, a permit that is out, the first failures of a key that is new. [`Keyed`] is
//! made for states:
//!
//! - at most so many keys **and** so many bytes, its own structures and the allocator's rounding
//!   included, at every instant;
//! - a key without calls is evicted after an idle time, by the caller's `now`, unless its state
//!   [remembers](Entry::remembers_until) something that a new one would not: a bucket that is not full, a
//!   failure that is still counted;
//! - for a key that is new, room is made by the one of a few that loses least: a state that is as good as
//!   new before one that remembers, one that remembers for a short time before one that does so for long,
//!   and of those that lose the same, the key that is asked for less. So a flood of new keys replaces itself;
//! - what is [pinned](Entry::is_pinned) is never let go of. If all that is in reach is pinned, the new
//!   key shares one **overflow** state with all others in that situation: calls are still limited,
//!   together, and counted ([`KeyedSnapshot::overflowed`]);
//! - all of this happens on the calls themselves, in bounded steps: no task, no sweep, no rehash of
//!   everything.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use std::time::Duration;
//! use resilience_core::keyed::{Entry, Keyed};
//!
//! #[derive(Clone, Default)]
//! struct Calls(Arc<AtomicU64>);
//! impl Entry for Calls {
//!     fn heap_bytes(&self) -> usize {
//!         resilience_core::keyed::allocated(24) // an `Arc` counts in 16 bytes
//!     }
//! }
//!
//! let calls = Keyed::builder()
//!     .max_keys(10_000)
//!     .idle(Duration::from_secs(60))
//!     .build(|_host: &&'static str| Calls::default())?;
//! let now = resilience_core::clock::now();
//! calls.with(&"a.example", now, |calls| calls.0.fetch_add(1, Ordering::Relaxed));
//! assert_eq!(calls.with(&"a.example", now, |calls| calls.0.load(Ordering::Relaxed)), 1);
//! // Nobody asks for two minutes: it begins anew.
//! let later = now + Duration::from_secs(120);
//! assert_eq!(calls.with(&"a.example", later, |calls| calls.0.load(Ordering::Relaxed)), 0);
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "tokio"),
    doc = "
[`Keyed`]: crate
[`KeyedSnapshot::overflowed`]: crate"
)]

mod allocation;
mod kept;
mod key;

#[cfg(feature = "tokio")]
mod bounds;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod index;
#[cfg(feature = "tokio")]
mod lanes;
#[cfg(feature = "tokio")]
mod limits;
#[cfg(feature = "tokio")]
mod meta;
#[cfg(feature = "tokio")]
mod shard;
#[cfg(feature = "tokio")]
mod slab;
#[cfg(feature = "tokio")]
mod snapshot;
#[cfg(feature = "tokio")]
mod store;
#[cfg(feature = "tokio")]
mod ticks;

use std::hash::Hash;
use std::time::Instant;

use crate::name::Name;

pub use crate::observe::words::EvictionReason;
pub use allocation::allocated;
pub use kept::{Kept, Text};

#[cfg(feature = "tokio")]
pub use builder::KeyedBuilder;
#[cfg(feature = "tokio")]
pub use limits::KeyedLimits;
#[cfg(feature = "tokio")]
pub use snapshot::KeyedSnapshot;
#[cfg(feature = "tokio")]
pub use store::Keyed;

/// What state can be kept for: a host, a tenant, a shard.
///
/// `Eq` is asked under a lock of the store: it compares, and calls nobody. `Hash` and `Clone` are not.
///
/// ```
/// use resilience_core::keyed::Key;
/// use resilience_core::Name;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Tenant(u32);
/// impl Key for Tenant {
///     type Kept = Self;
///     fn name(&self) -> Name {
///         format!("tenant {}", self.0).into()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key of a keyed store",
    note = "keys are strings, numbers, addresses and pairs of keys; for a type of your own implement `keyed::Key`, with `type Kept = Self`"
)]
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    /// What a store keeps of it: `Self`, or [`Text`] if it is nothing but one.
    type Kept: Kept<Self>;

    /// What people call it. Asked for when there is something to tell.
    fn name(&self) -> Name;

    /// Bytes that a clone of it owns outside of itself, which count towards the store's bound if a clone
    /// is what is kept. See [`allocated`].
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// State that is kept for a key: a handle whose clones share it.
///
/// `Clone` runs under a lock of the store, and must not use the store. Its panics, and those of a key's
/// `Eq`, leave the store as it was. `Drop` runs outside of the locks.
pub trait Entry: Clone + Send + Sync + 'static {
    /// Whether it must not be let go of at `now`: an open circuit, a permit that is out, a handle
    /// that somebody still holds.
    ///
    /// Asked under a lock of the store, only when it would otherwise be let go: it looks, and calls
    /// nobody.
    fn is_pinned(&self, now: Instant) -> bool {
        let _ = now;
        false
    }

    /// Returns until when the state differs, at `now`, from that of a new key if no call comes: until a
    /// bucket is full, or a failure is out of its window. `None` if it does not differ any more.
    ///
    /// While it does, idle time alone does not evict the key. If room is needed, the key whose state is as
    /// new soonest goes first; a state that no time heals returns an instant that is far ahead. Unlike what
    /// is [pinned](Self::is_pinned), it can go: a flood does not push new keys into the overflow state.
    ///
    /// Called under a lock of the store, for a few keys of a call and after [`is_pinned`](Self::is_pinned):
    /// it reads, changes nothing that `now` decides, and calls no other code. The default is `None`.
    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        let _ = now;
        None
    }

    /// Bytes that it owns outside of itself, which count towards the store's bound. Asked once, when
    /// it is put there. See [`allocated`].
    fn heap_bytes(&self) -> usize {
        0
    }

    /// Returns `true` if the circuit of a state rejects calls at this time. `None` for states without a
    /// circuit, whose stores have no gauge of open ones.
    ///
    /// Called under a lock of the store: it reads, and calls no user code.
    const IS_OPEN: Option<fn(&Self, Instant) -> bool> = None;
}
