//! What an allocation costs.

/// The bytes that an allocation of `bytes` takes from the system: with the allocator's header, in the
/// sizes that it deals in. For [`Key::heap_bytes`](super::Key::heap_bytes) and
/// [`Entry::heap_bytes`](super::Entry::heap_bytes).
///
/// These are glibc's: 8 bytes before each, multiples of 16, at least 32. jemalloc and mimalloc take
/// less for small ones and up to a quarter more for large ones.
///
/// ```
/// use resilience_core::keyed::allocated;
///
/// assert_eq!([0, 1, 24, 25, 40, 41].map(allocated), [0, 32, 32, 48, 48, 64]);
/// ```
#[must_use]
pub const fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let chunk = bytes.saturating_add(8 + 15) & !15;
    if chunk < 32 { 32 } else { chunk }
}
