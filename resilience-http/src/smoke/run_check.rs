//! Sending the request of a check, and comparing the response.

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Response, Url};
use serde_json::Value;

use super::check::{Expected, SmokeCheck};
use super::fault::SmokeFault;

/// The most bytes of a response body that are read: 64 KiB.
pub const MAX_BODY: usize = 64 * 1024;

/// Sends the request of `check` to `url`, and compares the response. Ends within `limit`.
pub(super) async fn run_check(
    client: &Client,
    url: Url,
    check: &SmokeCheck,
    limit: Duration,
) -> Result<(), SmokeFault> {
    // reqwest's timeout covers the whole exchange, to the end of the body.
    let response = client.get(url).timeout(limit).send().await;
    let mut response = response.map_err(|error| of_transport(&error, limit))?;
    let found = response.status().as_u16();
    let body = read(&mut response, limit).await;
    if found != check.status {
        let unhealthy = body.ok().map_or(Vec::new(), |body| unhealthy_checks(&body));
        return Err(SmokeFault::Status { expected: check.status, found, unhealthy });
    }
    let body = body?;
    if check.body.is_empty() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&body).map_err(|_| SmokeFault::NotJson)?;
    check.body.iter().try_for_each(|expected| compare(expected, &body))
}

fn compare(expected: &Expected, body: &Value) -> Result<(), SmokeFault> {
    let Expected { pointer, values } = expected;
    let found = body.pointer(pointer);
    if found.is_some_and(|found| values.is_empty() || values.contains(found)) {
        return Ok(());
    }
    Err(SmokeFault::Value {
        pointer: pointer.clone(),
        expected: values.clone(),
        found: found.cloned(),
    })
}

async fn read(response: &mut Response, limit: Duration) -> Result<Vec<u8>, SmokeFault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| of_transport(&error, limit))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(SmokeFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn of_transport(error: &reqwest::Error, limit: Duration) -> SmokeFault {
    if error.is_timeout() {
        return SmokeFault::TooSlow { limit };
    }
    // The outer errors repeat the URL, which the report shows already; the innermost has the cause.
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    SmokeFault::Unreachable { error: cause.to_string() }
}

/// Returns the checks that a probe response reports as down or impaired, critical ones first.
fn unhealthy_checks(body: &[u8]) -> Vec<String> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let Some(checks) = body.get("checks").and_then(Value::as_object) else {
        return reason(&body).into_iter().collect();
    };
    let mut unhealthy: Vec<_> = checks
        .iter()
        .filter_map(|(name, check)| {
            let state = check.get("status")?.as_str().filter(|state| *state != "up")?;
            let optional = check.get("critical").and_then(Value::as_bool) == Some(false);
            let error = check.get("error").and_then(Value::as_str);
            let error = error.map_or(String::new(), |error| format!(" ({error})"));
            Some((optional, format!("{name} is {state}{error}")))
        })
        .collect();
    unhealthy.sort();
    let unhealthy = unhealthy.into_iter().map(|(_, text)| text);
    reason(&body).into_iter().chain(unhealthy).collect()
}

/// Returns the reason why a service is not ready, unless it is a dependency.
fn reason(body: &Value) -> Option<String> {
    let reason = body.get("reason")?.as_str()?;
    (reason != "dependency").then(|| reason.replace('_', " "))
}
