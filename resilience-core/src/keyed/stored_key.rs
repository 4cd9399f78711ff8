//! Stored form of a key.

use std::hash::{BuildHasher, Hash, Hasher};

use super::{Key, allocation_size};
use crate::name::Name;

/// Stored form of a [key](Key): the key itself, or something smaller that identifies it as well.
pub trait StoredKey<K>: Send + Sync + 'static {
    /// Returns the stored form of this key.
    fn from_key(key: &K) -> Self;

    /// Returns the hash of a key for lookups. Equal keys must have equal hashes.
    #[inline]
    fn hash_key(key: &K, hasher: &impl BuildHasher) -> u64
    where
        K: Hash,
    {
        hasher.hash_one(key)
    }

    /// Returns `true` if this is the stored form of `key`. Called under a lock of the store: must
    /// not use the store.
    fn matches(&self, key: &K) -> bool;

    /// Returns the name of the key for people.
    fn name(&self) -> Name;

    /// Returns the heap bytes that the stored form owns, which count towards the store's bound. See
    /// [`allocation_size`].
    fn heap_bytes(&self) -> usize;
}

/// Stores a clone of the key.
impl<K: Key> StoredKey<K> for K {
    #[inline]
    fn from_key(key: &K) -> K {
        key.clone()
    }

    #[inline]
    fn matches(&self, key: &K) -> bool {
        self == key
    }

    fn name(&self) -> Name {
        Key::name(self)
    }

    fn heap_bytes(&self) -> usize {
        Key::heap_bytes(self)
    }
}

/// A string stored inline up to 22 bytes, on the heap above.
///
/// Stored form of `String` and `Arc<str>`: most hosts and tenants take no allocation, and a lookup
/// compares them without following a pointer.
#[derive(Debug)]
pub struct InlineStr(Repr);

#[derive(Debug)]
enum Repr {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

/// The bytes that fit into three words with a length and a discriminant.
const SHORT: usize = 22;

impl InlineStr {
    pub(super) fn new(text: &str) -> InlineStr {
        let mut bytes = [0; SHORT];
        let Some(prefix) = bytes.get_mut(..text.len()) else {
            return InlineStr(Repr::Long(text.into()));
        };
        prefix.copy_from_slice(text.as_bytes());
        InlineStr(Repr::Short { len: text.len() as u8, bytes })
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { len, bytes } => &bytes[..SHORT.min((*len).into())],
            Repr::Long(text) => text.as_bytes(),
        }
    }
}

impl<K: Key<Stored = InlineStr> + AsRef<str>> StoredKey<K> for InlineStr {
    fn from_key(key: &K) -> InlineStr {
        InlineStr::new(key.as_ref())
    }

    /// Hashes the bytes alone: nothing else is hashed, so no terminator is needed.
    #[inline]
    fn hash_key(key: &K, hasher: &impl BuildHasher) -> u64 {
        let mut hasher = hasher.build_hasher();
        hasher.write(key.as_ref().as_bytes());
        hasher.finish()
    }

    #[inline]
    fn matches(&self, key: &K) -> bool {
        self.as_bytes() == key.as_ref().as_bytes()
    }

    fn name(&self) -> Name {
        String::from_utf8_lossy(self.as_bytes()).into_owned().into()
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Short { .. } => 0,
            Repr::Long(text) => allocation_size(text.len()),
        }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_words() {
        assert_eq!(size_of::<InlineStr>(), 24);
    }

    proptest! {
        #[test]
        fn an_inline_str_matches_its_own_key_only(text in ".{0,30}", other in ".{0,30}") {
            let stored = <InlineStr as StoredKey<String>>::from_key(&text);
            prop_assert!(stored.matches(&text));
            prop_assert_eq!(stored.matches(&other), text == other);
            // Zeros fill the unused bytes, and may be part of a key.
            let longer = text.clone() + "\0";
            prop_assert!(!stored.matches(&longer));
            let bytes = if text.len() <= SHORT { 0 } else { allocation_size(text.len()) };
            prop_assert_eq!(<InlineStr as StoredKey<String>>::heap_bytes(&stored), bytes);
            let name = <InlineStr as StoredKey<String>>::name(&stored);
            prop_assert_eq!(name.as_str(), text);
        }
    }
}
