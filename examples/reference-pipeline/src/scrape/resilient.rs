//! *After*: the same calls under a profile.
//!
//! ```text
//! deadline              no call takes longer than this
//!   bulkhead            limits concurrent calls, for each upstream separately
//!     retry             by status, transport error and budget; jittered; not before the hint
//!       rate limit      calls queue, and a 429's hint pauses the queue
//!         breaker       stops calls to an unavailable upstream
//!           attempt timeout
//!             fetch     one shared client, body included
//! ```
//!
//! Rows are upserted, so that a row that arrives twice is stored once. Errors are reported. The
//! layers and their limits are in `profiles.toml`; in this module they are one call.

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Response, StatusCode};
use jiff::civil::Date;
use reqwest::{Client, Url};
use resilience_core::Error;
use resilience_core::profiles::{Profile, Profiles};
use resilience_http::StatusClassifier;
use resilience_http::classify::TransportError;
use resilience_http::client::{ConnectionLimits, ResilientClient};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::fetch::fetch;
use super::store::Store;
use super::{CLIENT, Job, Pipeline, profiles};
use crate::BoxError;
use crate::league::TeamGame;

type Fetch = BoxCloneSyncService<Url, Response<Bytes>, Error<TransportError>>;

/// Pipeline of the *after* arm. Clones share the stacks.
#[derive(Debug, Clone)]
pub struct Resilient {
    base: Url,
    /// Stacks of the job's upstreams.
    fetch: Vec<Fetch>,
    /// Client of the job in which connections are counted. Its bodies are read outside the attempt.
    client: Option<ResilientClient>,
    store: Store,
}

impl Resilient {
    /// Creates a pipeline that calls `base` under the name `client`, within the limits of the job's
    /// profiles.
    ///
    /// # Errors
    /// If a profile is missing.
    pub fn new(
        base: Url,
        client: &str,
        job: Job,
        profiles: &Profiles,
        store: Store,
    ) -> Result<Resilient, BoxError> {
        let shared = shared_client(client)?;
        let stack = |name: &&str| Ok(stack(shared.clone(), &profiles.profile(name)?));
        let fetch = profiles::of(job).iter().map(stack).collect::<Result<_, BoxError>>()?;
        let counts = (job == Job::Connections).then(|| profiles.profile(profiles::PLAYERS));
        let client = counts.transpose()?.map(|profile| counted_client(&profile)).transpose()?;
        Ok(Resilient { base, fetch, client, store })
    }

    /// Returns the body of a 200. Any other status is an error.
    async fn get(&self, upstream: usize, path: &str) -> Result<Bytes, BoxError> {
        let fetch = self.fetch.get(upstream).ok_or("no such upstream")?;
        let response = fetch.clone().oneshot(self.base.join(path)?).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(status.to_string().into()),
        }
    }
}

fn stack(client: Client, profile: &Profile) -> Fetch {
    let service = ServiceBuilder::new()
        .layer(profile.layer_with(StatusClassifier))
        .map_err(Error::Service)
        .service(service_fn(move |url: Url| fetch(client.clone(), url)));
    // Boxed in a statement of its own: `boxed` in the builder is very slow to compile.
    BoxCloneSyncService::new(service)
}

/// Returns the client of the process. Only one layer may retry, so reqwest's own retries are off.
fn shared_client(name: &str) -> Result<Client, BoxError> {
    let names = HeaderMap::from_iter([(http::HeaderName::from_static(CLIENT), name.parse()?)]);
    // A proxy of the environment must not be used for loopback addresses.
    let builder = Client::builder().no_proxy().retry(reqwest::retry::never());
    Ok(builder.default_headers(names).build()?)
}

/// Returns a client with as many connections as the profile's bulkhead has permits.
fn counted_client(profile: &Profile) -> Result<ResilientClient, BoxError> {
    let most = profile.plan().max_in_flight.ok_or("`players` has no bulkhead")?;
    let limits = ConnectionLimits::default().per_authority(most);
    let builder = Client::builder().no_proxy();
    Ok(ResilientClient::builder(profile).connections(limits).reqwest(builder).build()?)
}

impl Pipeline for Resilient {
    async fn days(&self) -> Result<Vec<Date>, BoxError> {
        Ok(serde_json::from_slice(&self.get(0, "/days").await?)?)
    }

    async fn day(&self, day: Date) -> Result<(), BoxError> {
        let body = self.get(0, &format!("/days/{day}")).await?;
        let rows = serde_json::Deserializer::from_slice(&body).into_iter::<TeamGame>();
        self.store.upsert(rows.collect::<Result<_, _>>()?).await
    }

    async fn call(&self, path: String) -> Result<(), BoxError> {
        self.get(0, &path).await.map(|_| ())
    }

    async fn player(&self, url: String) -> Result<(), BoxError> {
        let client = self.client.as_ref().ok_or("no client")?;
        let response = client.get(url).await?.error_for_status()?;
        Ok(response.bytes().await.map(|_| ())?)
    }

    async fn quote(&self, host: usize, url: String) -> Result<(), BoxError> {
        self.get(host, &url).await.map(|_| ())
    }
}
