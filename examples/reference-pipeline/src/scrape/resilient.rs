//! *After*: the same calls on the layers.
//!
//! ```text
//! deadline            nobody waits longer than this
//!   retry             by status, transport error and budget; jittered; never before the hint
//!     attempt timeout the attempt ends, the call does not
//!       fetch         one shared client, body included
//! ```
//!
//! and then an upsert, so that whatever comes twice lands once. What fails says so, by name.

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Response, StatusCode};
use jiff::civil::Date;
use reqwest::{Client, Url};
use resilience_core::retry::RetryLayer;
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use resilience_core::{Error, InvalidConfig};
use resilience_http::classify::TransportError;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::fetch::fetch;
use super::profile::Profile;
use super::store::Store;
use super::{CLIENT, Job, Pipeline};
use crate::BoxError;
use crate::league::TeamGame;

type Fetch = BoxCloneSyncService<Url, Response<Bytes>, Error<TransportError>>;

/// The pipeline after.
#[derive(Debug, Clone)]
pub struct Resilient {
    base: Url,
    fetch: Fetch,
    store: Store,
}

impl Resilient {
    /// Asks `base` under the name `client`, with the limits that suit the job.
    ///
    /// # Errors
    /// If `base` is no URL, or a limit is out of its bounds.
    pub fn new(base: &str, client: &str, job: Job, store: Store) -> Result<Resilient, BoxError> {
        let fetch = stack(shared_client(client)?, Profile::of(job)?)?;
        Ok(Resilient { base: base.parse()?, fetch, store })
    }

    /// The body of a good answer, or what was wrong with it.
    async fn get(&self, path: &str) -> Result<Bytes, BoxError> {
        let response = self.fetch.clone().oneshot(self.base.join(path)?).await?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            status => Err(status.to_string().into()),
        }
    }
}

fn stack(client: Client, profile: Profile) -> Result<Fetch, InvalidConfig> {
    Ok(ServiceBuilder::new()
        .boxed_clone_sync()
        .layer(DeadlineLayer::new(profile.total)?)
        .layer(RetryLayer::new(profile.retry))
        .layer(TimeoutLayer::new(profile.attempt)?)
        .map_err(Error::Service)
        .service(service_fn(move |url| fetch(client.clone(), url))))
}

/// One client for the process. Exactly one layer retries, so reqwest's own retries are off.
fn shared_client(name: &str) -> Result<Client, BoxError> {
    let names = HeaderMap::from_iter([(http::HeaderName::from_static(CLIENT), name.parse()?)]);
    // No proxy: this is about the loopback, whatever the environment says.
    let builder = Client::builder().no_proxy().retry(reqwest::retry::never());
    Ok(builder.default_headers(names).build()?)
}

impl Pipeline for Resilient {
    async fn days(&self) -> Result<Vec<Date>, BoxError> {
        Ok(serde_json::from_slice(&self.get("/days").await?)?)
    }

    async fn day(&self, day: Date) -> Result<(), BoxError> {
        let body = self.get(&format!("/days/{day}")).await?;
        let rows = serde_json::Deserializer::from_slice(&body).into_iter::<TeamGame>();
        self.store.upsert(rows.collect::<Result<_, _>>()?).await
    }

    async fn call(&self, path: String) -> Result<(), BoxError> {
        self.get(&path).await.map(|_| ())
    }
}
