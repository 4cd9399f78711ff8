//! A client in the making.

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
use super::recorded::ReqwestTransport;
use super::resilient::ResilientClient;
use super::service::{ResilientLayer, ResilientLayerBuilder};
use super::slots::ConnectionLimits;
#[cfg(feature = "tls")]
use super::tls::{TlsFileError, TlsFiles};
use crate::classify::TransportError;
use crate::propagate::InjectContextLayer;

/// A [`ResilientClient`] in the making.
#[must_use = "a builder does nothing until `build` is called"]
pub struct ResilientClientBuilder {
    layer: ResilientLayerBuilder,
    connections: ConnectionLimits,
    client: Source,
    #[cfg(feature = "tls")]
    tls: TlsFiles,
}

enum Source {
    Builder(Box<ClientBuilder>),
    Ready { client: Client, follows_redirects: bool },
}

impl ResilientClientBuilder {
    pub(super) fn new(profile: &Profile) -> ResilientClientBuilder {
        ResilientClientBuilder {
            layer: ResilientLayer::builder(profile),
            connections: ConnectionLimits::default(),
            client: Source::Builder(Box::default()),
            #[cfg(feature = "tls")]
            tls: TlsFiles::default(),
        }
    }

    /// The bounds of connections.
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// Bounds the authorities that are known at once: their number, bytes and idle time.
    pub fn authorities(mut self, limits: KeyedLimits) -> Self {
        self.layer = self.layer.authorities(limits);
        self
    }

    /// Replaces the classifier, which decides for all policies what became of an attempt. See
    /// [`ResilientLayerBuilder::classifier`].
    pub fn classifier<K>(mut self, classifier: K) -> Self
    where
        K: for<'a> Classify<ResponseHead<'a>, Error<TransportError>> + Send + Sync + 'static,
    {
        self.layer = self.layer.classifier(classifier);
        self
    }

    /// Gives every request that may not run twice an `Idempotency-Key`. See
    /// [`ResilientLayerBuilder::generate_keys`].
    pub fn generate_keys(mut self) -> Self {
        self.layer = self.layer.generate_keys();
        self
    }

    /// Replaces the headers that each attempt gives its server. See [`ResilientLayerBuilder::propagate`].
    pub fn propagate(mut self, what: InjectContextLayer) -> Self {
        self.layer = self.layer.propagate(what);
        self
    }

    /// Declares the servers that are the caller's own; all others get no headers of ours. See
    /// [`ResilientLayerBuilder::ours`].
    pub fn ours(mut self, authorities: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.layer = self.layer.ours(authorities);
        self
    }

    /// Adds no headers for servers. See [`ResilientLayerBuilder::without_propagation`].
    pub fn without_propagation(mut self) -> Self {
        self.layer = self.layer.without_propagation();
        self
    }

    /// Ends the body of a response that yields nothing for this long. See
    /// [`ResilientLayerBuilder::body_stall`].
    pub fn body_stall(mut self, limit: Duration) -> Self {
        self.layer = self.layer.body_stall(limit);
        self
    }

    /// Trusts the roots in this PEM file, one certificate or more, and no longer the system's. Called several
    /// times, it trusts all of them.
    ///
    /// The file is read when the client is [built](Self::build), and not again: for a new root there must be a
    /// new client. Certificates that reqwest's builder was given are trusted too; a whole TLS configuration that it was
    /// given is not changed. For the system's roots as well, leave this out and give
    /// [`reqwest`](Self::reqwest) a builder with `tls_certs_merge`.
    #[cfg(feature = "tls")]
    pub fn root_certificate(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.add_root(path.into());
        self
    }

    /// Shows servers that ask for one this certificate (mutual TLS): PEM files of the chain, our own certificate
    /// first, and of its private key (PKCS#8, PKCS#1 or SEC1, not encrypted). They may be one file, and are read
    /// as [`root_certificate`](Self::root_certificate)s are.
    #[cfg(feature = "tls")]
    pub fn identity(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.set_identity(certificates.into(), key.into());
        self
    }

    /// Builds reqwest's client from this: proxies, headers, time-outs and whatever else of TLS are its own. Its
    /// retries and redirects are turned off, and as many idle connections kept as there may be.
    pub fn reqwest(mut self, builder: ClientBuilder) -> Self {
        self.client = Source::Builder(Box::new(builder));
        self
    }

    /// Calls this client, as it is. Build it with `retry(reqwest::retry::never())`, or its own retries come on
    /// top of the profile's, uncounted, and with
    /// [`connector_layer(ConnectionLimitLayer)`](super::ConnectionLimitLayer), or its pool opens more than there may be.
    ///
    /// It may follow redirects, as reqwest's clients do by default and which cannot be read off a client, and sends a
    /// request's headers to the other host. So no deadline or attempt number is sent, a request with an `Idempotency-Key`
    /// is an error ([`Builder`](crate::classify::TransportFailure::Builder)), and a request that may not run twice is
    /// never repeated once the client has it. Where that is too little, use
    /// [`client_without_redirects`](Self::client_without_redirects) or [`reqwest`](Self::reqwest).
    pub fn client(mut self, client: Client) -> Self {
        self.client = Source::Ready { client, follows_redirects: true };
        self
    }

    /// Calls this client, as [`client`](Self::client) does, but with headers and keys: it must have been built with
    /// `redirect(reqwest::redirect::Policy::none())`. If it follows redirects after all, other hosts get both.
    pub fn client_without_redirects(mut self, client: Client) -> Self {
        self.client = Source::Ready { client, follows_redirects: false };
        self
    }

    /// The client.
    ///
    /// # Errors
    /// If a bound is out of its own, another client of the profile has other authorities, a file cannot be used, a
    /// [`client`](Self::client) that may follow redirects would give a header away that was asked for (`propagate`, `ours`,
    /// `generate_keys`), or reqwest cannot make its client.
    pub fn build(self) -> Result<ResilientClient, BuildError> {
        // See docs/decisions/0042-a-key-is-not-given-to-a-client-that-may-follow-redirects.md.
        let (client, layer) = match self.client {
            Source::Ready { client, follows_redirects } => {
                #[cfg(feature = "tls")]
                self.tls.none_given()?;
                let layer = self.layer;
                (client, if follows_redirects { layer.follows_redirects() } else { layer })
            }
            Source::Builder(builder) => {
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

/// Why there is no client.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A value is out of its bounds.
    Config(InvalidConfig),
    /// reqwest could not make its client: a certificate that it was given itself, a proxy.
    Client(TransportError),
    /// A file of certificates or of a key cannot be used.
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
