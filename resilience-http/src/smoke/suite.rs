//! All that is asked of a service.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use resilience_core::{InvalidConfig, clock};

use super::ask;
use super::check::{SmokeCheck, time};
use super::report::{SmokeReport, SmokeResult};

/// A suite that can be run against a service, any number of times.
#[derive(Debug, Clone)]
pub struct Smoke {
    base: String,
    client: Client,
    checks: Vec<Planned>,
}

#[derive(Debug, Clone)]
struct Planned {
    check: SmokeCheck,
    url: Url,
    limit: Duration,
}

/// A [`Smoke`] in the making. Begins with no checks, and five seconds for each.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct SmokeBuilder {
    base: String,
    timeout: Duration,
    client: Option<Client>,
    checks: Vec<SmokeCheck>,
}

impl Smoke {
    /// A suite for the service at this URL, to which the paths of the checks are appended.
    pub fn of(base: impl Into<String>) -> SmokeBuilder {
        let (base, timeout) = (base.into(), Duration::from_secs(5));
        SmokeBuilder { base, timeout, client: None, checks: Vec::new() }
    }

    /// Asks everything, in order, whatever comes of it. Dropped, it asks no further.
    pub async fn run(&self) -> SmokeReport {
        let mut results = Vec::with_capacity(self.checks.len());
        for Planned { check, url, limit } in &self.checks {
            let began = clock::now();
            let fault = ask::ask(&self.client, url.clone(), check, *limit).await.err();
            let took = clock::now().saturating_duration_since(began);
            let (name, path) = (check.name.clone(), check.path.clone());
            results.push(SmokeResult { name, path, took, fault });
        }
        SmokeReport { base: self.base.clone(), results }
    }
}

impl SmokeBuilder {
    /// Asks this too.
    pub fn check(mut self, check: SmokeCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// Asks `/health`, `/startup` and `/ready`.
    pub fn probes(self) -> Self {
        self.check(SmokeCheck::health("/health"))
            .check(SmokeCheck::startup("/startup"))
            .check(SmokeCheck::ready("/ready"))
    }

    /// How long each may take that does not say so itself.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks with this client: for certificates, headers, proxies. By default it is a plain one that
    /// follows no redirects and uses the proxies of the environment.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The suite.
    ///
    /// # Errors
    /// If the URL is none, there is nothing to ask, two checks have one name, or a value of a check is
    /// out of its bounds.
    pub fn build(self) -> Result<Smoke, InvalidConfig> {
        time("timeout", self.timeout)?;
        let base = self.base.trim_end_matches('/').to_owned();
        parse(&base)?;
        if self.checks.is_empty() {
            return Err(InvalidConfig::new("checks", 0, "at least 1"));
        }
        let mut checks: Vec<Planned> = Vec::with_capacity(self.checks.len());
        for check in self.checks {
            check.validate()?;
            if checks.iter().any(|other| other.check.name == check.name) {
                return Err(InvalidConfig::new(
                    "name",
                    format_args!("`{}`", check.name),
                    "the name of one check only",
                ));
            }
            let url = parse(&format!("{base}{}", check.path))?;
            let limit = check.within.unwrap_or(self.timeout);
            checks.push(Planned { check, url, limit });
        }
        let client = match self.client {
            Some(client) => client,
            None => plain()?,
        };
        Ok(Smoke { base, client, checks })
    }
}

fn parse(url: &str) -> Result<Url, InvalidConfig> {
    let parsed = Url::parse(url).ok();
    parsed
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| InvalidConfig::new("base", format_args!("`{url}`"), "an http or https URL"))
}

/// A redirect is a response of its own, and to ask twice would hide a failure.
fn plain() -> Result<Client, InvalidConfig> {
    let builder =
        Client::builder().redirect(redirect::Policy::none()).retry(reqwest::retry::never());
    builder.build().map_err(|error| InvalidConfig::new("client", error, "one that can be built"))
}
