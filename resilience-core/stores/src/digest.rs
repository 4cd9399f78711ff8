//! Digests of payloads and rows.

use resilience_core::flow::idempotency::Fingerprint;
use sha2::{Digest, Sha256};

/// Returns the SHA-256 of a payload.
///
/// ```
/// let digest = resilience_stores::fingerprint(b"abc").to_string();
/// assert!(digest.starts_with("ba7816bf8f01cfea"));
/// ```
#[must_use]
pub fn fingerprint(payload: &[u8]) -> Fingerprint {
    Fingerprint::new(Sha256::digest(payload).into())
}

/// Returns the SHA-256 of the fields of a row, in which no two rows of different fields are alike:
/// the length of each field is part of it.
///
/// ```
/// use resilience_stores::content_hash;
///
/// assert_ne!(content_hash(["ab", "c"]), content_hash(["a", "bc"]));
/// ```
#[must_use]
pub fn content_hash<T: AsRef<[u8]>>(fields: impl IntoIterator<Item = T>) -> Fingerprint {
    let mut digest = Sha256::new();
    for field in fields {
        let field = field.as_ref();
        digest.update((field.len() as u64).to_le_bytes());
        digest.update(field);
    }
    Fingerprint::new(digest.finalize().into())
}
