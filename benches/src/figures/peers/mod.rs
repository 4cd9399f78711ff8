//! The peers, set up as their documentation does it, with limits that are never reached.

pub(super) mod backon;
pub(super) mod breakers;
pub(super) mod gax;
pub(super) mod governor;
pub(crate) mod maps;
pub(super) mod seatbelt;
pub(crate) mod tower;
pub(super) mod tower_resilience;

use std::num::NonZeroU32;
use std::time::Duration;

/// A time limit that no call reaches.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A number of permits that is never used up.
pub(super) const PERMITS: u32 = 1_000;

/// A rate that is never reached; the cell of governor is one nanosecond long.
pub(super) const PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000_000_000).unwrap();
