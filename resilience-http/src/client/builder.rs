//! The builder of a [`ResilientClient`].

use std::fmt;
#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, retry};
use resilience_core::keyed::KeyedLimits;
use resilience_core::profiles::Profile;
use resilience_core::{Classify, Error, InvalidConfig};
use tower_layer::Layer as _;

use super::classifier::ResponseHead;
use super::connection_limit::ConnectionLimitLayer;
use super::connection_permit::ConnectionLimits;
use super::recorded::ReqwestTransport;
use super::resilient::ResilientClient;
use super::service::{ResilientLayer, ResilientLayerBuilder};
#[cfg(feature = "tls")]
use super::tls::{TlsFileError, TlsFiles};
use crate::classify::TransportError;
use crate::propagate::InjectContextLayer;

/// A builder of a [`ResilientClient`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct ResilientClientBuilder {
    layer: ResilientLayerBuilder,
    connections: ConnectionLimits,
    client: ClientSource,
    #[cfg(feature = "tls")]
    tls: TlsFiles,
}

/// The reqwest client to use.
enum ClientSource {
    Builder(Box<ClientBuilder>),
    Ready { client: Client, follows_redirects: bool },
}

impl ResilientClientBuilder {
    pub(super) fn new(profile: &Profile) -> ResilientClientBuilder {
        ResilientClientBuilder {
            layer: ResilientLayer::builder(profile),
            connections: ConnectionLimits::default(),
            client: ClientSource::Builder(Box::default()),
            #[cfg(feature = "tls")]
            tls: TlsFiles::default(),
        }
    }

    /// Sets the bounds of connections.
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// Bounds the store of authorities. See [`ResilientLayerBuilder::authorities`].
    pub fn authorities(mut self, limits: KeyedLimits) -> Self {
        self.layer = self.layer.authorities(limits);
        self
    }

    /// Replaces the classifier of attempts. See [`ResilientLayerBuilder::classifier`].
    pub fn classifier<K>(mut self, classifier: K) -> Self
    where
        K: for<'a> Classify<ResponseHead<'a>, Error<TransportError>> + Send + Sync + 'static,
    {
        self.layer = self.layer.classifier(classifier);
        self
    }

    /// Adds an `Idempotency-Key` to every request that is not idempotent. See
    /// [`ResilientLayerBuilder::generate_keys`].
    pub fn generate_keys(mut self) -> Self {
        self.layer = self.layer.generate_keys();
        self
    }

    /// Sets the headers that each attempt carries. See [`ResilientLayerBuilder::propagate`].
    pub fn propagate(mut self, what: InjectContextLayer) -> Self {
        self.layer = self.layer.propagate(what);
        self
    }

    /// Declares the servers that are operated by the caller; no other server receives the headers.
    /// See [`ResilientLayerBuilder::trusted_hosts`].
    pub fn trusted_hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.layer = self.layer.trusted_hosts(hosts);
        self
    }

    /// Adds no headers to requests. See [`ResilientLayerBuilder::without_propagation`].
    pub fn without_propagation(mut self) -> Self {
        self.layer = self.layer.without_propagation();
        self
    }

    /// Ends the body of a response that yields no data for this duration. See
    /// [`ResilientLayerBuilder::body_stall`].
    pub fn body_stall(mut self, limit: Duration) -> Self {
        self.layer = self.layer.body_stall(limit);
        self
    }

    /// Trusts the root certificates in this PEM file, one or more, instead of the system's. Several
    /// calls add up.
    ///
    /// The file is read when the client is [built](Self::build), and never again: a new root needs
    /// a new client. Certificates that were added to reqwest's builder are trusted too; a whole TLS
    /// configuration set there is not changed. To trust the system's roots as well, use
    /// [`reqwest`](Self::reqwest) with `tls_certs_merge` instead.
    #[cfg(feature = "tls")]
    pub fn root_certificate(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.add_root(path.into());
        self
    }

    /// Presents this certificate to servers that request one (mutual TLS). The PEM files contain
    /// the chain, with the client's certificate first, and its private key (PKCS#8, PKCS#1 or SEC1,
    /// not encrypted). They may be the same file, and are read like
    /// [`root_certificate`](Self::root_certificate)s.
    #[cfg(feature = "tls")]
    pub fn identity(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.set_identity(certificates.into(), key.into());
        self
    }

    /// Builds reqwest's client from this builder: proxies, headers, timeouts and further TLS
    /// options come from it. Retries and redirects are turned off, and the pool keeps as many idle
    /// connections as [`ConnectionLimits::per_authority`].
    pub fn reqwest(mut self, builder: ClientBuilder) -> Self {
        self.client = ClientSource::Builder(Box::new(builder));
        self
    }

    /// Uses this client unchanged. Build it with `retry(reqwest::retry::never())`, or its own
    /// retries multiply with the profile's and are not counted, and with
    /// [`connector_layer(ConnectionLimitLayer)`](super::ConnectionLimitLayer), or its pool may
    /// exceed the connection limits.
    ///
    /// The client is assumed to follow redirects, which is reqwest's default and cannot be read
    /// from a client, and to send the headers of a request to the other host. Therefore no deadline
    /// or attempt number is sent, a request with an `Idempotency-Key` fails
    /// ([`Builder`](crate::classify::TransportFailure::Builder)), and a request that is not
    /// idempotent is never repeated after the client has it. To avoid this, use
    /// [`client_without_redirects`](Self::client_without_redirects) or [`reqwest`](Self::reqwest).
    pub fn client(mut self, client: Client) -> Self {
        self.client = ClientSource::Ready { client, follows_redirects: true };
        self
    }

    /// Uses this client like [`client`](Self::client), but with headers and keys. The client must
    /// have been built with `redirect(reqwest::redirect::Policy::none())`: otherwise other hosts
    /// receive both.
    pub fn client_without_redirects(mut self, client: Client) -> Self {
        self.client = ClientSource::Ready { client, follows_redirects: false };
        self
    }

    /// Creates the client.
    ///
    /// # Errors
    /// If a limit is out of bounds, another client of the profile has other authority limits, a
    /// file cannot be used, a header is set (`propagate`, `trusted_hosts`, `generate_keys`) that a
    /// [`client`](Self::client) which may follow redirects would send to other hosts, or reqwest
    /// cannot create its client.
    pub fn build(self) -> Result<ResilientClient, BuildError> {
        // See docs/decisions/0042-a-key-is-not-given-to-a-client-that-may-follow-redirects.md.
        let (client, layer) = match self.client {
            ClientSource::Ready { client, follows_redirects } => {
                #[cfg(feature = "tls")]
                self.tls.check_unset()?;
                let layer = self.layer;
                (client, if follows_redirects { layer.follows_redirects() } else { layer })
            }
            ClientSource::Builder(builder) => {
                #[cfg(feature = "tls")]
                let builder = self.tls.configure(*builder)?;
                let builder = builder
                    .retry(retry::never())
                    .redirect(Policy::none())
                    .pool_max_idle_per_host(self.connections.idle_per_authority())
                    .connector_layer(ConnectionLimitLayer);
                (builder.build().map_err(TransportError::new)?, self.layer)
            }
        };
        let layer = layer.connections(self.connections).build()?;
        Ok(ResilientClient::over(layer.layer(ReqwestTransport::new(client))))
    }
}

/// An error that prevents a client from being built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A value is out of its bounds.
    Config(InvalidConfig),
    /// reqwest could not create its client, for example because of a certificate or a proxy in its
    /// builder.
    Client(TransportError),
    /// A certificate or key file cannot be used.
    #[cfg(feature = "tls")]
    TlsFile(TlsFileError),
}

#[cfg(feature = "tls")]
impl From<TlsFileError> for BuildError {
    fn from(error: TlsFileError) -> BuildError {
        BuildError::TlsFile(error)
    }
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
            #[cfg(feature = "tls")]
            BuildError::TlsFile(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Config(error) => Some(error),
            BuildError::Client(error) => Some(error),
            #[cfg(feature = "tls")]
            BuildError::TlsFile(error) => Some(error),
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
