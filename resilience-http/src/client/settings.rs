//! Settings that are shared by all authorities of a client.

use super::authority::Authority;
use super::classifier::ClientClassifier;
use super::trusted_hosts::TrustedHosts;
use crate::body::StallTimeout;
use crate::propagate::InjectContextLayer;

/// Settings for sending requests and reading responses.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) classifier: ClientClassifier,
    /// Headers for the trusted hosts.
    pub(super) propagate: Option<InjectContextLayer>,
    /// Hosts that receive the headers. `None`: all hosts.
    pub(super) trusted_hosts: Option<TrustedHosts>,
    pub(super) stall: Option<StallTimeout>,
    pub(super) generates_keys: bool,
}

impl Settings {
    /// Returns the headers that servers of this authority receive.
    pub(super) fn propagate_to(&self, authority: &Authority) -> Option<InjectContextLayer> {
        let hosts = self.trusted_hosts.as_ref();
        let is_trusted = hosts.is_none_or(|hosts| hosts.contains(authority));
        self.propagate.filter(|_| is_trusted)
    }
}
