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

/// So long no call takes.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// So many at once there never are.
pub(super) const PERMITS: u32 = 1_000;

/// So many a second there never are, and governor's cell is one nanosecond long.
pub(super) const PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000_000_000).unwrap();
