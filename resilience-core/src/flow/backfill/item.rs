//! The stored state of one item. Pure.

use crate::flow::fence::FencingToken;
use crate::flow::ledger::RunFailure;
use crate::flow::limits::bounded_text;

/// The end of an item in one run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a store has to handle each")]
pub enum ItemEnd {
    /// The item was loaded.
    Done {
        /// The rows written.
        rows: u64,
    },
    /// Nothing had to be loaded, which is as final as rows are.
    Skipped {
        /// The reason.
        why: String,
    },
    /// The item was not loaded, after its retries.
    Failed {
        /// The class of the failure: [`Permanent`](RunFailure::Permanent) quarantines the item at
        /// once.
        class: RunFailure,
        /// The reason.
        why: String,
    },
}

/// The state of an item as a store keeps it. An item without a state is a hole: it was never ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a store has to handle each")]
pub enum ItemState {
    /// The item was loaded.
    Done {
        /// The rows written.
        rows: u64,
    },
    /// Nothing had to be loaded.
    Skipped {
        /// The reason.
        why: String,
    },
    /// The item has failed and is tried again by the next run.
    Failed {
        /// The runs in which it has failed.
        runs: u32,
        /// The token of the last of them.
        fence: FencingToken,
        /// The class of the last failure.
        class: RunFailure,
        /// The reason of the last failure.
        why: String,
    },
    /// The item is not tried any more: its failure is permanent, or it has failed too often.
    Quarantined {
        /// The runs in which it has failed.
        runs: u32,
        /// The class of the last failure.
        class: RunFailure,
        /// The reason of the last failure.
        why: String,
    },
}

impl ItemState {
    /// Returns the state after an end in the run of this token, or `None` if `former` is final: the
    /// first final state stays. An item is quarantined by a permanent failure, or when it has
    /// failed in `max_runs` runs. A failure that is recorded twice in one run counts once.
    #[must_use]
    pub fn after(
        former: Option<&ItemState>,
        end: &ItemEnd,
        fence: FencingToken,
        max_runs: u32,
    ) -> Option<ItemState> {
        let failed_before = match former {
            None => 0,
            Some(ItemState::Failed { runs, fence: last, .. }) if *last == fence => {
                runs.saturating_sub(1)
            }
            Some(ItemState::Failed { runs, .. }) => *runs,
            Some(_) => return None,
        };
        Some(match end {
            ItemEnd::Done { rows } => ItemState::Done { rows: *rows },
            ItemEnd::Skipped { why } => ItemState::Skipped { why: bounded_text(why.as_str()) },
            ItemEnd::Failed { class, why } => {
                let runs = failed_before.saturating_add(1);
                let (class, why) = (*class, bounded_text(why.as_str()));
                if class == RunFailure::Permanent || runs >= max_runs {
                    ItemState::Quarantined { runs, class, why }
                } else {
                    ItemState::Failed { runs, fence, class, why }
                }
            }
        })
    }

    /// Returns `true` if no run tries the item again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, ItemState::Failed { .. })
    }
}
