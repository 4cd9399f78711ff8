use tower_layer::Layer;

use super::part::{Assembly, Slot};
use crate::config::InvalidConfig;

/// A part that a stack does not have. Applied to a service, it is that service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absent;

impl<S> Layer<S> for Absent {
    type Service = S;

    fn layer(&self, inner: S) -> S {
        inner
    }
}

impl<K> Slot<K> for Absent {
    type Layer = Absent;

    fn fill(self, _: &mut Assembly<'_, K>) -> Result<Absent, InvalidConfig> {
        Ok(Absent)
    }
}
