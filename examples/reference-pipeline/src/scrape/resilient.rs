//! *After*: the same calls under a profile.
//!
//! ```text
//! deadline              nobody waits longer than this
//!   bulkhead            so many at once, for each upstream by itself
//!     retry             by status, transport error and budget; jittered; never before the hint
//!       rate limit      in line, and a 429's hint stops the line
//!         breaker       a dead upstream is left alone
//!           attempt timeout
//!             fetch     one shared client, body included
//! ```
//!
//! and then an upsert, so that whatever comes twice lands once. What fails says so, by name. Which of the
//! layers there are, and their limits, is in `profiles.toml`; here it is one call.

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

/// The pipeline after.
#[derive(Debug, Clone)]
pub struct Resilient {
    base: Url,
    /// The upstream's, or each host's.
    fetch: Vec<Fetch>,
    /// The same profile where an answer is not read inside of the attempt, and connections are counted.
    client: Option<ResilientClient>,
    store: Store,
}

impl Resilient {
    /// Asks `base` under the name `client`, within the limits of the job's upstreams.
    ///
    /// # Errors
    /// If there is no profile for one of them.
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

    /// The body of a good answer, or what was wrong with it.
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
    // Boxed when its type is known: inferred through a `boxed` above, it takes rustc all there is.
    BoxCloneSyncService::new(service)
}

/// One client for the process. Exactly one layer retries, so reqwest's own retries are off.
fn shared_client(name: &str) -> Result<Client, BoxError> {
    let names = HeaderMap::from_iter([(http::HeaderName::from_static(CLIENT), name.parse()?)]);
    // No proxy: this is about the loopback, whatever the environment says.
    let builder = Client::builder().no_proxy().retry(reqwest::retry::never());
    Ok(builder.default_headers(names).build()?)
}

/// As many connections as its bulkhead lets calls be under way.
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
        let answer = client.get(url).await?.error_for_status()?;
        Ok(answer.bytes().await.map(|_| ())?)
    }

    async fn quote(&self, host: usize, url: String) -> Result<(), BoxError> {
        self.get(host, &url).await.map(|_| ())
    }
}
