//! The subjects: reqwest alone, and reqwest inside of the layers of each library.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, Request, Response, Url};
use reqwest_middleware::ClientBuilder;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use resilience_core::Error;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::profiles::Profiles;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::stack::Stack;
use resilience_http::StatusClassifier;
use resilience_http::client::{ConnectionLimits, ReqwestTransport, ResilientClient};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::{RetryBudgetBuilder, RetryLayer};
use tower_resilience_timelimiter::TimeLimiterLayer;

pub(super) const BARE: &str = "bare reqwest";
pub(super) const OURS: &str = "ours, the standard stack and a rate limit";

type Made = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A named client. `call` returns a boxed future that reads the response to its end.
pub(super) struct Subject {
    pub(super) name: &'static str,
    pub(super) lacks: &'static str,
    pub(super) call: Arc<dyn Fn() -> Made + Send + Sync>,
}

/// Time limit of a call.
const LIMIT: Duration = Duration::from_secs(30);

/// Rate limit, above any rate that the benchmark reaches.
const PER_SECOND: u32 = 1_000_000_000;

/// Size of the bulkheads, above the number of concurrent tasks, so that no call waits.
const PERMITS: u32 = 1_024;

/// Returns all subjects, each with its own client.
///
/// # Errors
/// Fails if a client or a layer cannot be built.
pub(super) fn all(address: SocketAddr, connections: usize) -> Result<Vec<Subject>, BoxError> {
    let url: Url = format!("http://{address}/players/57").parse()?;
    let client = || client(connections);
    Ok(vec![
        bare(client()?, url.clone()),
        ours(client()?, url.clone())?,
        whole(client()?, url.clone())?,
        resilient(connections, url.clone())?,
        middleware(client()?, url.clone()),
        tower_resilience(client()?, url)?,
    ])
}

fn client(connections: usize) -> Result<Client, BoxError> {
    let builder = Client::builder().no_proxy().retry(reqwest::retry::never());
    Ok(builder.pool_max_idle_per_host(connections).build()?)
}

/// Makes a subject from a closure that is written like a handler: it creates each future where it
/// awaits it.
fn subject<F>(
    name: &'static str,
    lacks: &'static str,
    call: impl Fn() -> F + Send + Sync + 'static,
) -> Subject
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    Subject { name, lacks, call: Arc::new(move || Box::pin(call())) }
}

async fn read(answer: Response) -> Result<(), BoxError> {
    answer.bytes().await?;
    Ok(())
}

fn bare(client: Client, url: Url) -> Subject {
    subject(BARE, "everything", move || {
        let (client, url) = (client.clone(), url.clone());
        async move { read(client.get(url).send().await?).await }
    })
}

/// A request type of the caller: cheap to move and clone, and converted to a [`Request`] for each
/// attempt.
#[derive(Clone)]
struct Get(Arc<Url>);

impl From<Get> for Request {
    fn from(Get(url): Get) -> Request {
        Request::new(Method::GET, Url::clone(&url))
    }
}

fn ours(client: Client, url: Url) -> Result<Subject, BoxError> {
    let stack = Stack::standard("bench")
        .classifier(StatusClassifier)
        .bulkhead(Bulkhead::builder().max_concurrent(PERMITS))
        .rate_limit(RateLimiter::builder().quota(Quota::per_second(PER_SECOND)))
        .build()?;
    let client = ServiceExt::<Get>::map_err(ReqwestTransport::new(client), Error::Service);
    let (service, get) = (stack.layer(client), Get(Arc::new(url)));
    Ok(subject(OURS, "", move || {
        let (service, get) = (service.clone(), get.clone());
        async move { read(service.oneshot(get).await?).await }
    }))
}

/// Returns a subject like [`ours`] that sends [`Request`]s and copies each with `try_clone`. The
/// difference from [`ours`] is the cost that [`Get`] avoids.
fn whole(client: Client, url: Url) -> Result<Subject, BoxError> {
    let stack = Stack::standard("bench")
        .classifier(StatusClassifier)
        .bulkhead(Bulkhead::builder().max_concurrent(PERMITS))
        .replay(Request::try_clone)
        .rate_limit(RateLimiter::builder().quota(Quota::per_second(PER_SECOND)))
        .build()?;
    let service = stack.layer(client.map_err(Error::Service));
    Ok(subject("ours, of whole requests", "", move || {
        let (service, request) = (service.clone(), Request::new(Method::GET, url.clone()));
        async move { read(service.oneshot(request).await?).await }
    }))
}

/// Returns a subject that calls through a [`ResilientClient`]. In addition to a stack it has
/// policies for each authority, bounded connections, response bodies that hold the call's permits,
/// hints, and headers with the remaining time.
fn resilient(connections: usize, url: Url) -> Result<Subject, BoxError> {
    let profiles = Profiles::from_toml(&format!(
        "[bench]\n\
         deadline = \"30s\"\n\
         bulkhead = {{ max_concurrent = {PERMITS} }}\n\
         retry = {{ max_attempts = 3, backoff = {{ base = \"100ms\", cap = \"10s\" }} }}\n\
         rate_limit = {{ per_second = {PER_SECOND} }}\n\
         circuit_breaker = {{ failure_rate = \"50%\", window = {{ count = 100 }}, break_for = \"10s\" }}\n",
    ))?;
    let limits =
        ConnectionLimits::default().per_authority(u32::try_from(connections)?).total(PERMITS);
    let client = ResilientClient::builder(&profiles.profile("bench")?)
        .connections(limits)
        .reqwest(Client::builder().no_proxy())
        .build()?;
    Ok(subject("ours, ResilientClient", "", move || {
        let (client, request) = (client.clone(), Request::new(Method::GET, url.clone()));
        async move { read(client.execute(request).await?).await }
    }))
}

fn middleware(client: Client, url: Url) -> Subject {
    let policy = ExponentialBackoff::builder().build_with_max_retries(2);
    let retry = RetryTransientMiddleware::new_with_policy(policy);
    let client = ClientBuilder::new(client).with(retry).build();
    let lacks = "bulkhead, rate limit, breaker, budget, deadline";
    subject("reqwest-middleware's retry", lacks, move || {
        let (client, url) = (client.clone(), url.clone());
        async move { read(client.get(url).send().await?).await }
    })
}

fn tower_resilience(client: Client, url: Url) -> Result<Subject, BoxError> {
    let send = service_fn(move |url: Url| {
        let answer = client.get(url).send();
        async { Ok::<_, BoxError>(answer.await?) }
    });
    let limited = boxed(TimeLimiterLayer::builder().timeout_duration(LIMIT).build().layer(send));
    let admitted = boxed(CircuitBreakerLayer::builder().build()?.layer(limited));
    let rate = RateLimiterLayer::builder()
        .limit_for_period(PER_SECOND as usize)
        .refresh_period(Duration::from_secs(1))
        .build()?;
    let paced = boxed(rate.layer(admitted));
    let budget = RetryBudgetBuilder::new().token_bucket().build()?;
    let retry: RetryLayer<Url, Response, BoxError> =
        RetryLayer::builder().max_attempts(3).budget(budget).build();
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(PERMITS as usize).build()?;
    let service = boxed(bulkhead.layer(retry.layer(paced)));
    let lacks = "statuses (an answer is a success), total deadline, hints";
    Ok(subject("tower-resilience, five layers", lacks, move || {
        let (service, url) = (service.clone(), url.clone());
        async move { read(service.oneshot(url).await?).await }
    }))
}

/// Converts a service's errors to [`BoxError`], because each layer of tower-resilience has its own
/// error type.
fn boxed<S>(
    service: S,
) -> impl Service<Url, Response = Response, Error = BoxError, Future: Send + 'static>
+ Clone
+ Send
+ Sync
+ 'static
where
    S: Service<Url, Response = Response, Future: Send + 'static> + Clone + Send + Sync + 'static,
    S::Error: std::fmt::Display + 'static,
{
    service.map_err(|error| BoxError::from(error.to_string()))
}
