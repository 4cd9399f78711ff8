//! What is the same for all authorities of a client.

use crate::body::StallTimeout;
use crate::classify::HttpClassifier;
use crate::propagate::PropagateLayer;

/// How requests are sent and answers read.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) classifier: HttpClassifier,
    pub(super) propagate: Option<PropagateLayer>,
    pub(super) stall: Option<StallTimeout>,
    pub(super) generates_keys: bool,
}
