//! A client under a profile, with a state for each authority.
//!
//! One circuit for all hosts opens for all when one is down; a map of circuits that somebody keeps beside
//! the client grows with every host that a stranger names; a retry that repeats a POST pays twice; a
//! pool bounds nothing. [`ResilientClient`] is reqwest's client with all of it decided, in one call:
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
//! For each [`Authority`] (scheme, host and port) there is the whole profile: bulkhead, rate limit, circuit,
//! retry budget. They are made when a request comes, follow the profile's reloads, and are kept in a bounded
//! store: an authority that nobody asks for is let go, one whose circuit is open or that has requests under
//! way stays. That the budget is an authority's and not the client's is deliberate, as in gRPC: it protects the server,
//! and the retries of one that is down do not use up what others need.
//!
//! - **Retries** are the profile's only. reqwest's own are off; hyper-util sends a request anew that it could not begin
//!   on a connection that died in the pool, which never was on the wire.
//! - **Which requests** are sent again is a property of the request: [`idempotency`](crate::idempotency).
//! - **Bodies** of requests that are streams are sent once, or recorded under a cap and sent again: as a
//!   [`body::ReplayBody`](crate::body::ReplayBody) in an `http::Request`, or in a `Recorded` request of reqwest's. A response is returned at its head, and nothing is
//!   retried after that: a body that breaks off is the reader's error. But the call is over when the body is:
//!   see [below](#when-a-call-is-over).
//! - **Hints**: a response that says that a rate limit is [used up](crate::hints) pauses the authority's limiter, good or bad.
//! - **Headers** give each server the time that is left and the number of the attempt: see
//!   [`propagate`](ResilientLayerBuilder::propagate). With [`ours`](ResilientLayerBuilder::ours), only declared servers get them.
//! - **Connections** are bounded: [`ConnectionLimits`].
//! - **Redirects** are not followed: where they lead is another authority, with its own limits. Put
//!   `tower_http`'s `FollowRedirect` above, and each step is a call.
//!
//! # When a call is over
//!
//! When the body of its response has ended. So long it holds its slot, the permit of the profile's bulkhead, and
//! the admission of the circuit, which hears of it once:
//!
//! | the response | is to the circuit |
//! |---|---|
//! | a head that is a failure | what the head says, at once |
//! | a body that ended | a success; with gRPC what its trailers say |
//! | a body that broke off, or [stalled](ResilientLayerBuilder::body_stall) | a failure |
//! | a body that nobody began to read | what the head says, when it is dropped |
//! | a body that was dropped midway | abandoned: nothing, unless the circuit is told otherwise |
//!
//! A circuit that counts slow calls takes their time up to there. The retry and its budget, the rate limit, the deadline and the
//! attempt timeout are over with the head.
//!
//! # TLS
//!
//! With the feature `tls` reqwest's client speaks it by rustls, and trusts the system's roots or those of one's own:
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
//! A handshake is part of the attempt, and of its timeout. What comes of one that fails depends on why: see
//! [`TransportFailure::Certificate`](crate::classify::TransportFailure::Certificate) and
//! [`Tls`](crate::classify::TransportFailure::Tls).
//!
//! # Any other client
//!
//! [`ResilientLayer`] does the same for every service of `http::Request`s, as hyper-util's client is one
//! ([`BoundedConnector`] bounds what it opens, exactly):
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
//! # Dropping a call
//!
//! Or its response: gives back its permits, its slot and its place in every queue, and cancels the attempt: the connection that
//! it was on is closed, since nobody knows what is still to come on it.

mod authority;
mod body;
mod body_guard;
mod classifier;
mod connection_limit;
mod connector;
mod ours;
mod request;
mod response;
mod returns;
mod scope;
mod service;
mod settings;
mod site;
mod slots;
mod transport;

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
pub use body::HeldBody;
pub use body_guard::BodyGuard;
pub use classifier::{ClientClassifier, ResponseHead};
pub use connection_limit::{ConnectionLimitLayer, ConnectionLimited};
pub use connector::{BoundedConnector, BoundedIo};
pub use request::{CloneCall, HttpRequest, NonReplayableBody, Replayable, RequestWithIdempotency};
pub use response::{HttpResponse, TransportResponse, UntilBodyEnds};
pub use service::{ResilientLayer, ResilientLayerBuilder, ResilientService, ResponseFuture};
pub use slots::ConnectionLimits;
pub use transport::{Attempt, Transport};

#[cfg(feature = "reqwest")]
pub use builder::{BuildError, ResilientClientBuilder};
#[cfg(feature = "reqwest")]
pub use recorded::{Recorded, ReqwestTransport};
#[cfg(feature = "reqwest")]
pub use request_builder::{RequestBuilder, RequestFuture, Unsent};
#[cfg(feature = "reqwest")]
pub use resilient::ResilientClient;
#[cfg(all(feature = "reqwest", feature = "tls"))]
pub use tls::{TlsFileError, TlsFileProblem};
