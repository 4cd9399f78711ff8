//! Asking, and comparing the response.

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Response, Url};
use serde_json::Value;

use super::check::{Expected, SmokeCheck};
use super::fault::SmokeFault;

/// The most bytes of a body that are read.
pub const MAX_BODY: usize = 64 * 1024;

/// Asks at `url` what `check` asks, within `limit`.
pub(super) async fn ask(
    client: &Client,
    url: Url,
    check: &SmokeCheck,
    limit: Duration,
) -> Result<(), SmokeFault> {
    // reqwest's timeout is on all of it, up to the end of the body.
    let response = client.get(url).timeout(limit).send().await;
    let mut response = response.map_err(|error| of_transport(&error, limit))?;
    let found = response.status().as_u16();
    let body = read(&mut response, limit).await;
    if found != check.status {
        let unwell = body.ok().map_or(Vec::new(), |body| unwell(&body));
        return Err(SmokeFault::Status { expected: check.status, found, unwell });
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
    let (pointer, expected, found) = (pointer.clone(), values.clone(), found.cloned());
    Err(SmokeFault::Value { pointer, expected, found })
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
    // The outermost says which request it was, which the report says too; the innermost says why.
    let mut why: &dyn Error = error;
    while let Some(source) = why.source() {
        why = source;
    }
    SmokeFault::Unreachable { error: why.to_string() }
}

/// What a probe's response says is down or impaired, the critical before the others.
fn unwell(body: &[u8]) -> Vec<String> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let Some(checks) = body.get("checks").and_then(Value::as_object) else {
        return reason(&body).into_iter().collect();
    };
    let mut unwell: Vec<_> = checks
        .iter()
        .filter_map(|(name, check)| {
            let state = check.get("status")?.as_str().filter(|state| *state != "up")?;
            let optional = check.get("critical").and_then(Value::as_bool) == Some(false);
            let error = check.get("error").and_then(Value::as_str);
            let error = error.map_or(String::new(), |error| format!(" ({error})"));
            Some((optional, format!("{name} is {state}{error}")))
        })
        .collect();
    unwell.sort();
    let unwell = unwell.into_iter().map(|(_, text)| text);
    reason(&body).into_iter().chain(unwell).collect()
}

/// Why a service is not ready, if it is not for a dependency.
fn reason(body: &Value) -> Option<String> {
    let reason = body.get("reason")?.as_str()?;
    (reason != "dependency").then(|| reason.replace('_', " "))
}
