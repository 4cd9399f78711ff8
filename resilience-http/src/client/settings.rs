//! What is the same for all authorities of a client.

use super::classifier::ClientClassifier;
use crate::body::StallTimeout;
use crate::propagate::PropagateLayer;

/// How requests are sent and answers read.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) classifier: ClientClassifier,
    pub(super) propagate: Option<PropagateLayer>,
    pub(super) stall: Option<StallTimeout>,
    pub(super) generates_keys: bool,
}
