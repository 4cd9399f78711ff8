//! Keys of the standard types.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::{InlineStr, Key, allocation_size};
use crate::name::Name;

/// Bytes of the two counts of an `Arc`.
const COUNTS: usize = 2 * size_of::<usize>();

macro_rules! keys_by_display {
    ($($key:ty),+) => {
        $(impl Key for $key {
            type Stored = Self;

            fn name(&self) -> Name {
                self.to_string().into()
            }
        })+
    };
}
keys_by_display!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, bool, char);
keys_by_display!(IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr);

impl Key for &'static str {
    type Stored = Self;

    fn name(&self) -> Name {
        Name::from_static(self)
    }
}

/// The cheapest string key to pass on: its clones share the text.
impl Key for Arc<str> {
    type Stored = InlineStr;

    fn name(&self) -> Name {
        self.clone().into()
    }

    fn heap_bytes(&self) -> usize {
        allocation_size(COUNTS + self.len())
    }
}

impl Key for Name {
    type Stored = InlineStr;

    fn name(&self) -> Name {
        self.clone()
    }

    /// Counts a static name as if it were shared.
    fn heap_bytes(&self) -> usize {
        allocation_size(COUNTS + self.as_str().len())
    }
}

impl Key for String {
    type Stored = InlineStr;

    fn name(&self) -> Name {
        self.clone().into()
    }

    fn heap_bytes(&self) -> usize {
        allocation_size(self.len())
    }
}

impl Key for Box<str> {
    type Stored = InlineStr;

    fn name(&self) -> Name {
        self.to_string().into()
    }

    fn heap_bytes(&self) -> usize {
        allocation_size(self.len())
    }
}

/// Named by its hexadecimal digits: an identifier, a digest.
impl<const N: usize> Key for [u8; N] {
    type Stored = Self;

    fn name(&self) -> Name {
        let digits = self.iter().fold(String::with_capacity(2 * N), |mut digits, byte| {
            // Writing to a `String` never fails.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        digits.into()
    }
}

/// Named `a/b`: a tenant's endpoint, a shard of a table.
impl<A: Key, B: Key> Key for (A, B) {
    type Stored = Self;

    fn name(&self) -> Name {
        format!("{}/{}", self.0.name(), self.1.name()).into()
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes().saturating_add(self.1.heap_bytes())
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys() {
        assert_eq!(Key::name(&[0_u8, 0xab]).as_str(), "00ab");
        assert_eq!(Key::name(&("a.example", 7_u8)).as_str(), "a.example/7");
        assert_eq!(Key::name(&Box::<str>::from("x")).as_str(), "x");
    }

    #[test]
    fn heap_bytes_are_what_malloc_takes() {
        let text = "nineteen characters";
        assert_eq!(String::from(text).heap_bytes(), 32);
        assert_eq!(Box::<str>::from(text).heap_bytes(), 32);
        assert_eq!(Arc::<str>::from(text).heap_bytes(), 48);
        assert_eq!((Arc::<str>::from(text), 1_u64).heap_bytes(), 48);
        assert_eq!(String::new().heap_bytes(), 0);
    }
}
