//! A suite of checks, and its builder.

use std::time::Duration;

use reqwest::{Client, Url, redirect};
use resilience_core::{InvalidConfig, clock};

use super::check::{SmokeCheck, time};
use super::report::{SmokeReport, SmokeResult};
use super::run_check::run_check;

/// A suite of checks for a service, which can be run any number of times. Clones share the client.
#[derive(Debug, Clone)]
pub struct Smoke {
    base: String,
    client: Client,
    checks: Vec<PlannedCheck>,
}

/// A check with its URL and time limit.
#[derive(Debug, Clone)]
struct PlannedCheck {
    check: SmokeCheck,
    url: Url,
    limit: Duration,
}

/// A builder of a [`Smoke`] suite. Starts without checks, and with a timeout of five seconds for
/// each.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct SmokeBuilder {
    base: String,
    timeout: Duration,
    client: Option<Client>,
    checks: Vec<SmokeCheck>,
}

impl Smoke {
    /// Starts a suite for the service at this URL, to which the paths of the checks are appended.
    pub fn of(base: impl Into<String>) -> SmokeBuilder {
        let timeout = Duration::from_secs(5);
        SmokeBuilder { base: base.into(), timeout, client: None, checks: Vec::new() }
    }

    /// Runs all checks in order, also after a failure. Dropping the future cancels the current
    /// check and skips the rest.
    pub async fn run(&self) -> SmokeReport {
        let mut results = Vec::with_capacity(self.checks.len());
        for PlannedCheck { check, url, limit } in &self.checks {
            let began = clock::now();
            let fault = run_check(&self.client, url.clone(), check, *limit).await.err();
            let took = clock::now().saturating_duration_since(began);
            results.push(SmokeResult {
                name: check.name.clone(),
                path: check.path.clone(),
                took,
                fault,
            });
        }
        SmokeReport { base: self.base.clone(), results }
    }
}

impl SmokeBuilder {
    /// Adds a check.
    pub fn check(mut self, check: SmokeCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// Adds checks of `/health`, `/startup` and `/ready`.
    pub fn probes(self) -> Self {
        self.check(SmokeCheck::health("/health"))
            .check(SmokeCheck::startup("/startup"))
            .check(SmokeCheck::ready("/ready"))
    }

    /// Sets the time limit of every check without its own [`within`](SmokeCheck::within).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Uses this client, for example for certificates, headers or proxies. The default client
    /// follows no redirects and uses the proxies of the environment.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Creates the suite.
    ///
    /// # Errors
    /// If the URL is invalid, there are no checks, two checks have the same name, or a value of a
    /// check is out of its bounds.
    pub fn build(self) -> Result<Smoke, InvalidConfig> {
        time("timeout", self.timeout)?;
        let base = self.base.trim_end_matches('/').to_owned();
        parse(&base)?;
        if self.checks.is_empty() {
            return Err(InvalidConfig::new("checks", 0, "at least 1"));
        }
        let mut checks: Vec<PlannedCheck> = Vec::with_capacity(self.checks.len());
        for check in self.checks {
            check.validate()?;
            if checks.iter().any(|other| other.check.name == check.name) {
                return Err(InvalidConfig::new(
                    "name",
                    format_args!("`{}`", check.name),
                    "a name that no other check has",
                ));
            }
            let url = parse(&format!("{base}{}", check.path))?;
            let limit = check.within.unwrap_or(self.timeout);
            checks.push(PlannedCheck { check, url, limit });
        }
        let client = match self.client {
            Some(client) => client,
            None => default_client()?,
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

/// Returns a client without redirects, which would hide a wrong response, and without retries,
/// which would hide a failure.
fn default_client() -> Result<Client, InvalidConfig> {
    let builder =
        Client::builder().redirect(redirect::Policy::none()).retry(reqwest::retry::never());
    builder.build().map_err(|error| InvalidConfig::new("client", error, "one that can be built"))
}
