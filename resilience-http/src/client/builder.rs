//! A client in the making.

use std::fmt;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, retry};
use resilience_core::InvalidConfig;
use resilience_core::keyed::KeyedLimits;
use resilience_core::profiles::Profile;
use tower_layer::Layer as _;

use super::gate::ConnectionGate;
use super::resilient::ResilientClient;
use super::service::{ResilientLayer, ResilientLayerBuilder};
use super::slots::ConnectionLimits;
use crate::classify::TransportError;
use crate::propagate::PropagateLayer;

/// A [`ResilientClient`] in the making.
#[must_use = "a builder does nothing until `build` is called"]
pub struct ResilientClientBuilder {
    layer: ResilientLayerBuilder,
    connections: ConnectionLimits,
    client: Source,
}

enum Source {
    Builder(Box<ClientBuilder>),
    Ready(Client),
}

impl ResilientClientBuilder {
    pub(super) fn new(profile: &Profile) -> ResilientClientBuilder {
        ResilientClientBuilder {
            layer: ResilientLayer::builder(profile),
            connections: ConnectionLimits::default(),
            client: Source::Builder(Box::default()),
        }
    }

    /// The bounds of connections.
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// How many authorities are known at once, in how many bytes, and for how long.
    pub fn authorities(mut self, limits: KeyedLimits) -> Self {
        self.layer = self.layer.authorities(limits);
        self
    }

    /// Gives every request that may not run twice an `Idempotency-Key`. See
    /// [`ResilientLayerBuilder::generate_keys`].
    pub fn generate_keys(mut self) -> Self {
        self.layer = self.layer.generate_keys();
        self
    }

    /// What servers are told of each attempt. See [`ResilientLayerBuilder::propagate`].
    pub fn propagate(mut self, what: PropagateLayer) -> Self {
        self.layer = self.layer.propagate(what);
        self
    }

    /// Tells servers nothing. See [`ResilientLayerBuilder::without_propagation`].
    pub fn without_propagation(mut self) -> Self {
        self.layer = self.layer.without_propagation();
        self
    }

    /// Ends the body of an answer that was waited for so long in vain. See
    /// [`ResilientLayerBuilder::body_stall`].
    pub fn body_stall(mut self, limit: Duration) -> Self {
        self.layer = self.layer.body_stall(limit);
        self
    }

    /// Builds reqwest's client from this: certificates, proxies, headers and time-outs are its own. Its
    /// retries and redirects are turned off, and as many idle connections kept as there may be.
    pub fn reqwest(mut self, builder: ClientBuilder) -> Self {
        self.client = Source::Builder(Box::new(builder));
        self
    }

    /// Calls this client, as it is. Build it with `retry(reqwest::retry::never())`, or its own retries come on
    /// top of the profile's and nobody counts them, and with
    /// [`connector_layer(ConnectionGate)`](super::ConnectionGate), or its pool opens more than there may be. If it
    /// follows redirects, where they lead is under no policy. A request that may not run twice is never
    /// repeated once it was given to it: it may have been redirected.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Source::Ready(client);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// If a bound is out of its own, or reqwest cannot make its client.
    pub fn build(self) -> Result<ResilientClient, BuildError> {
        let (client, layer) = match self.client {
            Source::Ready(client) => (client, self.layer.follows_redirects()),
            Source::Builder(builder) => {
                let builder = builder
                    .retry(retry::never())
                    .redirect(Policy::none())
                    .pool_max_idle_per_host(self.connections.idle_per_authority())
                    .connector_layer(ConnectionGate);
                (builder.build().map_err(TransportError::new)?, self.layer)
            }
        };
        let layer = layer.connections(self.connections).build()?;
        Ok(ResilientClient::over(layer.layer(client)))
    }
}

/// Why there is no client.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A value is out of its bounds.
    Config(InvalidConfig),
    /// reqwest could not make its client: a certificate, a proxy.
    Client(TransportError),
}

impl From<InvalidConfig> for BuildError {
    fn from(error: InvalidConfig) -> BuildError {
        BuildError::Config(error)
    }
}

impl From<TransportError> for BuildError {
    fn from(error: TransportError) -> BuildError {
        BuildError::Client(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Config(error) => error.fmt(f),
            BuildError::Client(error) => write!(f, "no client: {error}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Config(error) => Some(error),
            BuildError::Client(error) => Some(error),
        }
    }
}

impl fmt::Debug for ResilientClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, connections, .. } = self;
        f.debug_struct("ResilientClientBuilder")
            .field("layer", layer)
            .field("connections", connections)
            .finish_non_exhaustive()
    }
}
