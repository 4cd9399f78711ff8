//! Settings that all authorities of a client share.

use super::authority::Authority;
use super::classifier::ClientClassifier;
use super::ours::Ours;
use crate::body::StallTimeout;
use crate::propagate::InjectContextLayer;

/// Settings for sending requests and reading responses.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) classifier: ClientClassifier,
    /// The headers for servers that may get any.
    pub(super) propagate: Option<InjectContextLayer>,
    /// The servers that may. `None` is all.
    pub(super) ours: Option<Ours>,
    pub(super) stall: Option<StallTimeout>,
    pub(super) generates_keys: bool,
}

impl Settings {
    /// Returns the headers that the servers of this authority get.
    pub(super) fn propagate_to(&self, authority: &Authority) -> Option<InjectContextLayer> {
        let is_ours = self.ours.as_ref().is_none_or(|ours| ours.contains(authority));
        self.propagate.filter(|_| is_ours)
    }
}
