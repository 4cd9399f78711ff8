//! Bounds of what is stored.

use super::store_error::{StoreError, StoreErrorKind};

/// The longest name, key or identifier in bytes.
pub const MAX_NAME: usize = 512;
/// The longest piece of free text in bytes: a reason, the evidence of a decision.
pub const MAX_TEXT: usize = 4_096;
/// The longest result of a completed key in bytes.
pub const MAX_RESULT: usize = 65_536;
/// The most rows of one batch.
pub const MAX_BATCH: usize = 10_000;
/// The most entries in the timeline of one run.
pub const MAX_ENTRIES: u64 = 10_000;

/// The largest payload of a message in bytes.
pub const MAX_MESSAGE: usize = 262_144;
/// The most messages of one claim.
pub const MAX_CLAIM: usize = 100;

/// Checks a name, key or identifier.
///
/// # Errors
/// [`InvalidInput`](StoreErrorKind::InvalidInput) if it is empty, longer than [`MAX_NAME`], or contains NUL.
pub fn check_name(what: &'static str, name: &str) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        let why =
            format!("`{what}` must have 1 to {MAX_NAME} bytes and no NUL, not {}", name.len());
        return Err(StoreError::new(StoreErrorKind::InvalidInput, "flow", why));
    }
    Ok(())
}

/// Checks a number of bytes or rows against its bound.
///
/// # Errors
/// [`InvalidInput`](StoreErrorKind::InvalidInput) if `size` is more than `limit`.
pub fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), StoreError> {
    if size > limit {
        let why = format!("`{what}` must be at most {limit}, not {size}");
        return Err(StoreError::new(StoreErrorKind::InvalidInput, "flow", why));
    }
    Ok(())
}

/// Returns `text` without NUL, cut to at most [`MAX_TEXT`] bytes at the boundary of a character.
#[must_use]
pub fn bounded_text(text: impl Into<String>) -> String {
    let mut text: String = text.into();
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or(0));
    text
}
