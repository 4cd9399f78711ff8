//! What a store keeps of a key.

use std::hash::{BuildHasher, Hash, Hasher};

use super::{Key, allocated};
use crate::name::Name;

/// What a store keeps of a key: the [key](Key) itself, or something smaller that tells it from all others
/// as well.
pub trait Kept<K>: Send + Sync + 'static {
    /// What is kept of this key.
    fn of(key: &K) -> Self;

    /// What it is looked for by: the key's own hash, or another that is the same for keys that are equal.
    #[inline]
    fn hash_of(key: &K, hasher: &impl BuildHasher) -> u64
    where
        K: Hash,
    {
        hasher.hash_one(key)
    }

    /// Whether it is of this key. Asked under a lock of the store: it compares, and calls nobody.
    fn is_of(&self, key: &K) -> bool;

    /// What people call the key.
    fn name(&self) -> Name;

    /// Bytes that it owns outside of itself, which count towards the store's bound. See [`allocated`].
    fn heap_bytes(&self) -> usize;
}

/// A clone of it.
impl<K: Key> Kept<K> for K {
    #[inline]
    fn of(key: &K) -> K {
        key.clone()
    }

    #[inline]
    fn is_of(&self, key: &K) -> bool {
        self == key
    }

    fn name(&self) -> Name {
        Key::name(self)
    }

    fn heap_bytes(&self) -> usize {
        Key::heap_bytes(self)
    }
}

/// A text of up to 22 bytes in place; a longer one on the heap.
///
/// Of a `String` or an `Arc<str>`, this is what is kept: most hosts and tenants take no allocation, and a
/// lookup compares them without following a pointer.
#[derive(Debug)]
pub struct Text(Repr);

#[derive(Debug)]
enum Repr {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

/// As many as fit into three words with their number, and the mark that there is no pointer.
const SHORT: usize = 22;

impl Text {
    pub(super) fn new(text: &str) -> Text {
        let mut bytes = [0; SHORT];
        let Some(place) = bytes.get_mut(..text.len()) else { return Text(Repr::Long(text.into())) };
        place.copy_from_slice(text.as_bytes());
        Text(Repr::Short { len: text.len() as u8, bytes })
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short { len, bytes } => &bytes[..SHORT.min((*len).into())],
            Repr::Long(text) => text.as_bytes(),
        }
    }
}

impl<K: Key<Kept = Text> + AsRef<str>> Kept<K> for Text {
    fn of(key: &K) -> Text {
        Text::new(key.as_ref())
    }

    /// Of the bytes only: nothing else is hashed, so no mark needs to say where they end.
    #[inline]
    fn hash_of(key: &K, hasher: &impl BuildHasher) -> u64 {
        let mut hasher = hasher.build_hasher();
        hasher.write(key.as_ref().as_bytes());
        hasher.finish()
    }

    #[inline]
    fn is_of(&self, key: &K) -> bool {
        self.as_bytes() == key.as_ref().as_bytes()
    }

    fn name(&self) -> Name {
        String::from_utf8_lossy(self.as_bytes()).into_owned().into()
    }

    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Short { .. } => 0,
            Repr::Long(text) => allocated(text.len()),
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
        assert_eq!(size_of::<Text>(), 24);
    }

    proptest! {
        #[test]
        fn a_text_is_itself_and_no_other(text in ".{0,30}", other in ".{0,30}") {
            let kept = <Text as Kept<String>>::of(&text);
            prop_assert!(kept.is_of(&text));
            prop_assert_eq!(kept.is_of(&other), text == other);
            // Zeros fill what is left, and are a text's own as well.
            let longer = text.clone() + "\0";
            prop_assert!(!kept.is_of(&longer));
            let bytes = if text.len() <= SHORT { 0 } else { allocated(text.len()) };
            prop_assert_eq!(<Text as Kept<String>>::heap_bytes(&kept), bytes);
            let name = <Text as Kept<String>>::name(&kept);
            prop_assert_eq!(name.as_str(), text);
        }
    }
}
