//! A bounded store of state per key.
//!
//! A breaker per host and a limit per tenant need a map, and its keys come from outside. Maps of
//! policies usually grow without bound, or are swept all at once, or are caches, which evict the
//! wrong entries: an open circuit, a permit in use, the first failures of a new key. [`Keyed`] is
//! made for such states:
//!
//! - The number of keys **and** the bytes are bounded at every instant, its own structures and the
//!   allocator's rounding included.
//! - A key without calls is evicted after an idle time, by the caller's `now`, unless its state
//!   [remembers](Entry::remembers_until) something that a new one would not: a bucket that is not
//!   full, a failure that is still counted.
//! - A new key evicts the entry, among a few, that loses least: a state as good as new before one
//!   that remembers, one that remembers for a short time before one that does so for long, and then
//!   the key with fewer accesses. So a flood of new keys evicts itself.
//! - A [pinned](Entry::is_pinned) entry is never evicted. If all candidates are pinned, the new key
//!   shares one **overflow** state with all others in that situation: their calls are limited
//!   together, and counted ([`KeyedSnapshot::overflowed`]).
//! - All of this happens on the calls themselves, in bounded steps: no task, no full sweep, no full
//!   rehash.
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
//!         resilience_core::keyed::allocation_size(24) // 16 bytes of counts in an `Arc`
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
//! // Two minutes without a call: it begins anew.
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

mod key;
mod stored_key;

#[cfg(feature = "tokio")]
mod block_vec;
#[cfg(feature = "tokio")]
mod bounds;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod index;
#[cfg(feature = "tokio")]
mod limits;
#[cfg(feature = "tokio")]
mod meta;
#[cfg(feature = "tokio")]
mod shard;
#[cfg(feature = "tokio")]
mod store;
#[cfg(feature = "tokio")]
mod striped_lock;
#[cfg(feature = "tokio")]
mod ticks;

use std::hash::Hash;
use std::time::Instant;

use crate::name::Name;

pub use crate::observe::words::EvictionReason;
pub use stored_key::{InlineStr, StoredKey};

#[cfg(feature = "tokio")]
pub use builder::KeyedBuilder;
#[cfg(feature = "tokio")]
pub use limits::KeyedLimits;
#[cfg(feature = "tokio")]
pub use store::{Keyed, KeyedSnapshot};

/// Returns the bytes that an allocation of `bytes` takes from the system, with the allocator's
/// header and rounding. For [`Key::heap_bytes`] and [`Entry::heap_bytes`].
///
/// The figures are glibc's: an 8-byte header, multiples of 16, at least 32. jemalloc and mimalloc
/// take less for small allocations and up to a quarter more for large ones.
///
/// ```
/// use resilience_core::keyed::allocation_size;
///
/// assert_eq!([0, 1, 24, 25, 40, 41].map(allocation_size), [0, 32, 32, 48, 48, 64]);
/// ```
#[must_use]
pub const fn allocation_size(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let chunk = bytes.saturating_add(8 + 15) & !15;
    if chunk < 32 { 32 } else { chunk }
}

/// A key of a `Keyed` store: a host, a tenant, a shard.
///
/// `Eq` runs under a lock of the store and must not use the store; `Hash` and `Clone` run outside.
///
/// ```
/// use resilience_core::keyed::Key;
/// use resilience_core::Name;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Tenant(u32);
/// impl Key for Tenant {
///     type Stored = Self;
///     fn name(&self) -> Name {
///         format!("tenant {}", self.0).into()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a key of a keyed store",
    note = "keys are strings, numbers, addresses and pairs of keys; for a type of your own implement `keyed::Key`, with `type Stored = Self`"
)]
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    /// Stored form of the key: `Self`, or [`InlineStr`] for a plain string.
    type Stored: StoredKey<Self>;

    /// Returns the name for rejections, events and metrics. Called only when one of these is made.
    fn name(&self) -> Name;

    /// Returns the heap bytes that a clone owns, which count towards the store's bound if the
    /// stored form is a clone. See [`allocation_size`].
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// The state of a key: a handle that shares the state with its clones.
///
/// `Clone` runs under a lock of the store and must not use the store. Its panics, and those of a
/// key's `Eq`, leave the store unchanged. `Drop` runs outside of the locks.
pub trait Entry: Clone + Send + Sync + 'static {
    /// Returns `true` if the entry must not be evicted at `now`: an open circuit, a permit in use,
    /// a handle that is held elsewhere. The default is `false`.
    ///
    /// Called under a lock of the store, only for candidates of an eviction: it must not use the
    /// store.
    fn is_pinned(&self, now: Instant) -> bool {
        let _ = now;
        false
    }

    /// Returns the instant until which the state differs from that of a new key if no call comes:
    /// when a bucket is full, or a failure leaves its window. `None`, the default, if it does not
    /// differ.
    ///
    /// Until then idle time alone does not evict the key. An eviction prefers the key with the
    /// state that is soonest as new; a state that time does not restore returns an instant far
    /// ahead. Unlike a [pinned](Self::is_pinned) entry it can be evicted: a flood does not push new
    /// keys into the overflow state.
    ///
    /// Called under a lock of the store, for a few keys of a call and after
    /// [`is_pinned`](Self::is_pinned): it must not use the store.
    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        let _ = now;
        None
    }

    /// Returns the heap bytes that the entry owns, which count towards the store's bound. Called
    /// once, before the insertion. See [`allocation_size`].
    fn heap_bytes(&self) -> usize {
        0
    }

    /// Returns `true` if the circuit of a state rejects calls at this time. `None` for states
    /// without a circuit, whose stores have no gauge of open circuits.
    ///
    /// Called under a lock of the store: it must not use the store.
    const IS_OPEN: Option<fn(&Self, Instant) -> bool> = None;
}
