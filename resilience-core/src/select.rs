//! One breaker, bulkhead or limit for all calls, or one for each key.
//!
//! A layer asks its [`Select`] whose state a request belongs to. [`One`] answers with the same handle
//! for every request. [`PerKey`] reads a key off the request and looks its handle up in a bounded
//! [`Keyed`] store, which makes it if it is not there.
//!
//! ```
//! use resilience_core::keyed::{Keyed, KeyedLimits};
//! use resilience_core::select::{PerKey, Select};
//!
//! # #[derive(Clone, Debug)] struct Handle;
//! # impl resilience_core::keyed::Entry for Handle {}
//! let store = Keyed::new(KeyedLimits::default(), |_host: &&'static str| Handle);
//! let per_host = PerKey::new(store.clone(), |url: &&'static str| url.split('/').next().unwrap_or(""));
//! let (_handle, host) = per_host.select(&"a.example/quotes", resilience_core::clock::now());
//! assert_eq!(host, "a.example");
//! assert_eq!(store.len(), 1);
//! ```

use std::fmt;
use std::time::Instant;

use crate::clock::Now;
use crate::keyed::{Entry, Key, Keyed};
use crate::name::Name;

/// Says whose state a request belongs to.
pub trait Select<Req> {
    /// The handle on that state. Clones share it.
    type Handle;
    /// Whose it is: `()` if everybody's.
    type Key: Owner;

    /// The handle for this request, and whose it is.
    fn select(&self, request: &Req, now: Instant) -> (Self::Handle, Self::Key);

    /// As [`select`](Select::select), for a caller that has not looked at the clock: a selector that does
    /// not need to know the time does not ask.
    #[inline]
    fn select_lazily(
        &self,
        request: &Req,
        now: impl FnOnce() -> Instant,
    ) -> (Self::Handle, Self::Key) {
        self.select(request, now())
    }
}

/// A selector that is kept for as long as what it selects is used, and so need not hand out a handle
/// where one of its own will do.
pub trait Lend<Req> {
    /// The handle on that state.
    type Handle;
    /// What has to be kept beside the selector.
    type Lent;

    /// Selects for this request.
    fn lend(&self, request: &Req, now: &mut Now) -> Self::Lent;

    /// The handle that was selected.
    fn handle<'a>(&'a self, lent: &'a Self::Lent) -> &'a Self::Handle;

    /// The name of the key that it is for, if there is a key.
    fn owner(lent: &Self::Lent) -> Option<Name>;
}

/// Whose state it is, for whoever has to be told.
pub trait Owner: Clone + Send + Sync + 'static {
    /// The key's name, if there is a key.
    fn name(&self) -> Option<Name>;
}

/// Everybody's.
impl Owner for () {
    fn name(&self) -> Option<Name> {
        None
    }
}

impl<K: Key> Owner for K {
    fn name(&self) -> Option<Name> {
        Some(Key::name(self))
    }
}

/// The same handle for every request.
#[derive(Debug, Clone)]
pub struct One<T>(T);

impl<T> One<T> {
    /// This one.
    pub const fn new(handle: T) -> One<T> {
        One(handle)
    }

    /// The handle.
    pub const fn handle(&self) -> &T {
        &self.0
    }
}

impl<Req, T: Clone> Select<Req> for One<T> {
    type Handle = T;
    type Key = ();

    #[inline]
    fn select(&self, _: &Req, _: Instant) -> (T, ()) {
        (self.0.clone(), ())
    }

    #[inline]
    fn select_lazily(&self, _: &Req, _: impl FnOnce() -> Instant) -> (T, ()) {
        (self.0.clone(), ())
    }
}

impl<Req, T> Lend<Req> for One<T> {
    type Handle = T;
    type Lent = ();

    #[inline]
    fn lend(&self, _: &Req, _: &mut Now) {}

    #[inline]
    fn handle<'a>(&'a self, (): &'a ()) -> &'a T {
        &self.0
    }

    fn owner((): &()) -> Option<Name> {
        None
    }
}

/// A handle for each key that a closure reads off the request, from a bounded store.
///
/// Clones share the store.
pub struct PerKey<K: Key, T, F> {
    store: Keyed<K, T>,
    key: F,
}

impl<K: Key, T: Entry, F> PerKey<K, T, F> {
    /// `key` reads the key off a request.
    pub fn new<Req>(store: Keyed<K, T>, key: F) -> PerKey<K, T, F>
    where
        F: Fn(&Req) -> K,
    {
        PerKey { store, key }
    }

    /// The store that the handles are kept in.
    pub fn store(&self) -> &Keyed<K, T> {
        &self.store
    }
}

impl<K: Key, T, F: Clone> Clone for PerKey<K, T, F> {
    fn clone(&self) -> PerKey<K, T, F> {
        PerKey { store: self.store.clone(), key: self.key.clone() }
    }
}

impl<K: Key, T, F> fmt::Debug for PerKey<K, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").finish_non_exhaustive()
    }
}

impl<Req, K, T, F> Select<Req> for PerKey<K, T, F>
where
    K: Key,
    T: Entry,
    F: Fn(&Req) -> K,
{
    type Handle = T;
    type Key = K;

    #[inline]
    fn select(&self, request: &Req, now: Instant) -> (T, K) {
        let key = (self.key)(request);
        (self.store.get(&key, now), key)
    }
}

impl<Req, K, T, F> Lend<Req> for PerKey<K, T, F>
where
    K: Key,
    T: Entry,
    F: Fn(&Req) -> K,
{
    type Handle = T;
    type Lent = (T, K);

    #[inline]
    fn lend(&self, request: &Req, now: &mut Now) -> (T, K) {
        let key = (self.key)(request);
        (self.store.with_known(&key, now, T::clone), key)
    }

    #[inline]
    fn handle<'a>(&'a self, (handle, _): &'a (T, K)) -> &'a T {
        handle
    }

    fn owner((_, key): &(T, K)) -> Option<Name> {
        Some(Key::name(key))
    }
}
