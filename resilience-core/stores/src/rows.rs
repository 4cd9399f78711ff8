//! Bounds of a batch of rows, the same for each engine.

use resilience_core::flow::StoreError;
use resilience_core::flow::idempotency::RowHash;
use resilience_core::flow::limits::{MAX_BATCH, check_name, check_size};

/// Checks the names of a batch, and that there are at most [`MAX_BATCH`] rows.
pub(crate) fn check_rows(data_set: &str, rows: &[RowHash]) -> Result<(), StoreError> {
    check_size("rows", rows.len(), MAX_BATCH)?;
    check_name("data_set", data_set)?;
    rows.iter().try_for_each(|row| check_name("row", &row.key))
}
