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
/// The entries of a timeline that notes leave free, for takeovers, overrides and the end of the
/// run.
pub const RESERVED_ENTRIES: u64 = 100;

/// The largest payload of a message in bytes.
pub const MAX_MESSAGE: usize = 262_144;
/// The most messages of one claim.
pub const MAX_CLAIM: usize = 100;

/// Checks a name, key or identifier.
///
/// # Errors
/// [`InvalidInput`](StoreErrorKind::InvalidInput) if it is empty, longer than [`MAX_NAME`], or
/// contains NUL.
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

/// Checks that a timeline of `entries` takes this many notes.
///
/// # Errors
/// [`InvalidInput`](StoreErrorKind::InvalidInput) if fewer than [`RESERVED_ENTRIES`] would be left
/// free.
pub fn check_notes(entries: u64, notes: usize) -> Result<(), StoreError> {
    let (total, limit) = (entries.saturating_add(notes as u64), MAX_ENTRIES - RESERVED_ENTRIES);
    if total > limit {
        let why = format!(
            "`notes` must leave the timeline at most {limit} entries, so that the end fits, not {total}"
        );
        return Err(StoreError::new(StoreErrorKind::InvalidInput, "flow", why));
    }
    Ok(())
}

/// Checks that a timeline of `entries` takes an override and, after it, the end of the run.
///
/// # Errors
/// [`InvalidInput`](StoreErrorKind::InvalidInput) if it does not.
pub fn check_override(entries: u64) -> Result<(), StoreError> {
    let limit = MAX_ENTRIES - 1;
    if entries >= limit {
        let why = format!(
            "`override` must leave the timeline at most {limit} entries, so that the end fits, not {}",
            entries.saturating_add(1)
        );
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
