//! The choice between a handle for all calls and a handle for each key.
//!
//! A layer has a [`Select`], which returns the handle of a request. [`One`] returns the same handle
//! for every request. [`PerKey`] reads a key off the request and looks its handle up in a bounded
//! [`Keyed`] store, which makes it if it is missing.
//!
//! ```
//! use resilience_core::keyed::{Keyed, KeyedLimits};
//! use resilience_core::select::PerKey;
//!
//! # #[derive(Clone, Debug)] struct Handle;
//! # impl resilience_core::keyed::Entry for Handle {}
//! let store = Keyed::new(KeyedLimits::default(), |_host: &&'static str| Handle);
//! let per_host = PerKey::new(store.clone(), |url: &&'static str| url.split('/').next().unwrap_or(""));
//! let (_handle, host) = per_host.get(&"a.example/quotes", resilience_core::clock::now());
//! assert_eq!(host, "a.example");
//! assert_eq!(store.len(), 1);
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::clock::Now;
use crate::keyed::{Entry, Key, Keyed};
use crate::name::Name;

/// Returns the handle that a request belongs to.
///
/// A selector lives as long as its selections are used, so `handle` borrows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` selects no state for a `{Req}`",
    label = "a layer with one state for each key reads the key off each request",
    note = "a key is read by a closure `|request: &{Req}| -> Key {{ .. }}`; its result implements `keyed::Key`"
)]
pub trait Select<Req> {
    /// The handle. Clones share its state.
    type Handle;
    /// The selection that a call keeps. Nothing is selected by default.
    type Selected: Default;

    /// Selects for this request, if nothing is selected yet.
    fn select(&self, selected: &mut Self::Selected, request: &Req, now: &mut Now);

    /// Returns the handle, if one is selected.
    fn handle<'a>(&'a self, selected: &'a Self::Selected) -> Option<&'a Self::Handle>;

    /// Returns the name of the selected key, if there is a key.
    fn key(selected: &Self::Selected) -> Option<Name>;

    /// Returns the name of the key for a rejection and its event; also of a selector for one key.
    fn whose(&self, selected: &Self::Selected) -> Option<Name> {
        Self::key(selected)
    }
}

/// A handle for all requests.
#[derive(Debug, Clone)]
pub struct One<T> {
    handle: T,
    /// The key of all requests, if they are of one.
    key: Option<Name>,
}

impl<T> One<T> {
    /// Returns a selector of this handle.
    pub const fn new(handle: T) -> One<T> {
        One { handle, key: None }
    }

    /// Returns a selector of this handle, for requests that are all of this key.
    #[cfg(feature = "profiles")]
    pub(crate) const fn of_key(handle: T, key: Option<Name>) -> One<T> {
        One { handle, key }
    }

    /// Returns the handle.
    pub const fn handle(&self) -> &T {
        &self.handle
    }
}

impl<Req, T> Select<Req> for One<T> {
    type Handle = T;
    type Selected = ();

    #[inline(always)]
    fn select(&self, (): &mut (), _: &Req, _: &mut Now) {}

    #[inline(always)]
    fn handle<'a>(&'a self, (): &'a ()) -> Option<&'a T> {
        Some(&self.handle)
    }

    fn key((): &()) -> Option<Name> {
        None
    }

    fn whose(&self, (): &()) -> Option<Name> {
        self.key.clone()
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
    /// Returns a selector that reads the key off a request with `key`.
    pub fn new<Req>(store: Keyed<K, T>, key: F) -> PerKey<K, T, F>
    where
        F: Fn(&Req) -> K,
    {
        PerKey { store, key }
    }

    /// Returns the handle for this request, and its key.
    pub fn get<Req>(&self, request: &Req, now: Instant) -> (T, K)
    where
        F: Fn(&Req) -> K,
    {
        let key = (self.key)(request);
        (self.store.get(&key, now), key)
    }

    /// Returns the store of the handles.
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
    type Selected = Option<(T, K)>;

    fn select(&self, selected: &mut Self::Selected, request: &Req, now: &mut Now) {
        if selected.is_none() {
            let key = (self.key)(request);
            *selected = Some((self.store.with_known(&key, now, T::clone), key));
        }
    }

    fn handle<'a>(&'a self, selected: &'a Self::Selected) -> Option<&'a T> {
        selected.as_ref().map(|(handle, _)| handle)
    }

    fn key(selected: &Self::Selected) -> Option<Name> {
        selected.as_ref().map(|(_, key)| Key::name(key))
    }
}

/// Reads the weight of a request: the permits or tokens that it costs. Closures `Fn(&Req) -> u32`
/// do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not weigh a `{Req}`",
    label = "permits and tokens are counted by the weight of a request",
    note = "weigh with a closure `|request: &{Req}| -> u32 {{ .. }}`"
)]
pub trait Weigh<Req> {
    /// Returns the weight of this request. A bulkhead always admits 0, and counts nothing for it; a
    /// rate limiter makes it wait for gaps and pauses only. A weight above the limit or the burst
    /// is rejected for good.
    fn weigh(&self, request: &Req) -> u32;
}

impl<F, Req> Weigh<Req> for F
where
    F: Fn(&Req) -> u32,
{
    fn weigh(&self, request: &Req) -> u32 {
        self(request)
    }
}

/// Weighs every request as 1: the default.
#[derive(Debug, Clone, Copy, Default)]
#[doc(hidden)]
pub struct UnitWeight;

impl<Req> Weigh<Req> for UnitWeight {
    fn weigh(&self, _: &Req) -> u32 {
        1
    }
}

/// For a selector that cannot be cloned, or is costly to clone.
impl<Req, Sel: Select<Req>> Select<Req> for Arc<Sel> {
    type Handle = Sel::Handle;
    type Selected = Sel::Selected;

    fn select(&self, selected: &mut Self::Selected, request: &Req, now: &mut Now) {
        Sel::select(self, selected, request, now);
    }

    fn handle<'a>(&'a self, selected: &'a Self::Selected) -> Option<&'a Self::Handle> {
        Sel::handle(self, selected)
    }

    fn key(selected: &Self::Selected) -> Option<Name> {
        Sel::key(selected)
    }

    fn whose(&self, selected: &Self::Selected) -> Option<Name> {
        Sel::whose(self, selected)
    }
}
