//! An HTTP client with a profile's policies for each authority.
//!
//! One circuit for all hosts opens for all of them when one is down. A map of circuits beside the
//! client grows with every host name that a stranger supplies. A retry that repeats a POST pays
//! twice. A connection pool bounds nothing. [`ResilientClient`] is reqwest's client with all of
//! these handled:
//!
//! ```no_run
//! # #[cfg(feature = "reqwest")] {
//! use resilience_core::profiles::Profiles;
//! use resilience_http::client::ResilientClient;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ResilientClient::new(&Profiles::standard()?.profile("scraper.stats")?)?;
//! let odds = client.get("https://odds.example/today").send().await?.text().await?;
//! let bet = client.post("https://odds.example/bets").json(&["57", "2.35"]).send().await?;
//! # let _ = (odds, bet);
//! # Ok(())
//! # }
//! # }
//! ```
//!
//! Each [`Authority`] (scheme, host and port) has its own state of the whole profile: bulkhead,
//! rate limiter, circuit breaker and retry budget. The state is created by the first request,
//! follows reloads of the profile, and is kept in a bounded store. Idle authorities are evicted; an
//! authority with an open circuit or with requests in flight stays. The budget belongs to the
//! authority and not to the client, as in gRPC: it protects the server, and retries to a server
//! that is down do not use up the budget of the others.
//!
//! - **Retries** are made by the profile only. reqwest's own are off. hyper-util repeats a request
//!   only if it could not be started on a pooled connection that had died, so it never reached the
//!   wire.
//! - **Idempotency**: the request determines which failures are retried, see
//!   [`idempotency`](crate::idempotency).
//! - **Request bodies** that are streams are sent once, or recorded up to a limit and sent again:
//!   as a [`body::ReplayBody`](crate::body::ReplayBody) in an `http::Request`, or in a
//!   `RecordedRequest` request of reqwest's.
//! - **Response bodies**: the call returns at the head of the response, and nothing is retried
//!   after that. A body that breaks off is an error of the reader. The call ends with the body: see
//!   [below](#when-a-call-is-over).
//! - **Hints**: a response that reports an [exhausted rate limit](crate::hints) pauses the limiter
//!   of the authority, whatever its status.
//! - **Headers** carry the time left and the attempt number to each server: see
//!   [`propagate`](ResilientLayerBuilder::propagate). With
//!   [`trusted_hosts`](ResilientLayerBuilder::trusted_hosts), only the declared servers receive
//!   them.
//! - **Connections** are bounded: [`ConnectionLimits`].
//! - **Redirects** are not followed: the target is another authority with its own limits. Put
//!   `tower_http`'s `FollowRedirect` above the client, and each step is a call.
//!
//! # When a call is over
//!
//! A call is over when the body of its response has ended. Until then it holds its connection
//! permit, its bulkhead permit and the admission of the circuit breaker, which records exactly one
//! outcome:
//!
//! | the response | outcome for the circuit |
//! |---|---|
//! | a head that is a failure | the classification of the head, at once |
//! | a body that ended | a success; for gRPC the status in the trailers |
//! | a body that broke off, or [stalled](ResilientLayerBuilder::body_stall) | a failure |
//! | a body that was dropped unread | the classification of the head |
//! | a body that was dropped midway | abandoned: nothing is recorded, unless the circuit is configured otherwise |
//!
//! The duration that a circuit with a slow-call threshold measures ends with the body. The retry,
//! its budget, the rate limiter, the deadline and the attempt timeout end with the head.
//!
//! # TLS
//!
//! With the feature `tls` reqwest's client uses rustls, and trusts the system's roots or your own:
//!
//! ```no_run
//! # #[cfg(all(feature = "reqwest", feature = "tls"))] {
//! # use resilience_core::profiles::Profiles;
//! # use resilience_http::client::ResilientClient;
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ResilientClient::builder(&Profiles::standard()?.profile("scraper.stats")?)
//!     .root_certificate("/etc/pki/internal-ca.pem")
//!     .identity("/etc/pki/us.pem", "/etc/pki/us.key")
//!     .build()?; // "`root_certificate` /etc/pki/internal-ca.pem: cannot be read: .."
//! # Ok(())
//! # }
//! # }
//! ```
//!
//! The TLS handshake is part of the attempt, and counts towards its timeout. The classification of
//! a failed handshake depends on the cause: see
//! [`TransportFailure::Certificate`](crate::classify::TransportFailure::Certificate) and
//! [`Tls`](crate::classify::TransportFailure::Tls).
//!
//! # Any other client
//!
//! [`ResilientLayer`] does the same for every service of `http::Request`s, such as hyper-util's
//! client. [`BoundedConnector`] bounds its open connections exactly:
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Empty;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::client::legacy::connect::HttpConnector;
//! use hyper_util::rt::TokioExecutor;
//! use resilience_core::profiles::Profiles;
//! use resilience_http::client::{BoundedConnector, ConnectionLimits, ResilientLayer};
//! use tower::ServiceBuilder;
//!
//! let profile = Profiles::standard()?.profile("scraper.stats")?;
//! let limits = ConnectionLimits::default().per_authority(8);
//! let connector = BoundedConnector::new(HttpConnector::new(), &limits)?;
//! let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
//! let service = ServiceBuilder::new()
//!     .layer(ResilientLayer::builder(&profile).connections(limits).build()?)
//!     .service(client);
//! # let _ = service;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Cancellation
//!
//! Dropping a call, or its response, gives back its permits, leaves every queue and cancels the
//! attempt. The connection of the attempt is closed, since the rest of the response is still to
//! come on it.

mod authority;
mod body;
mod body_guard;
mod call_scope;
mod classifier;
mod connection_count;
mod connection_limit;
mod connection_permit;
mod connector;
mod request;
mod response;
mod service;
mod settings;
mod site;
mod transport;
mod trusted_hosts;

#[cfg(feature = "reqwest")]
mod builder;
#[cfg(feature = "reqwest")]
mod recorded;
#[cfg(feature = "reqwest")]
mod request_builder;
#[cfg(feature = "reqwest")]
mod resilient;
#[cfg(all(feature = "reqwest", feature = "tls"))]
mod tls;

pub use authority::Authority;
pub use body::ClientBody;
pub use body_guard::BodyGuard;
pub use classifier::{ClientClassifier, ResponseHead};
pub use connection_limit::{ConnectionLimitLayer, ConnectionLimited};
pub use connection_permit::ConnectionLimits;
pub use connector::{BoundedConnector, BoundedIo};
pub use request::{CloneCall, HttpRequest, NonReplayableBody, Replayable, RequestWithIdempotency};
pub use response::{HttpResponse, TransportResponse, UntilBodyEnds};
pub use service::{ResilientLayer, ResilientLayerBuilder, ResilientService, ResponseFuture};
pub use transport::{Attempt, Transport};

#[cfg(feature = "reqwest")]
pub use builder::{BuildError, ResilientClientBuilder};
#[cfg(feature = "reqwest")]
pub use recorded::{RecordedRequest, ReqwestTransport};
#[cfg(feature = "reqwest")]
pub use request_builder::{RequestBuilder, RequestFuture, UnsentRequest};
#[cfg(feature = "reqwest")]
pub use resilient::ResilientClient;
#[cfg(all(feature = "reqwest", feature = "tls"))]
pub use tls::{TlsFileError, TlsFileProblem};
