//! The responses to probes.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use resilience_core::health::{CheckReport, Criticality, HealthReport};
use serde_json::{Map, Value, json};

pub(super) type ProbeResponse = Response<Full<Bytes>>;

/// Returns the response to a liveness probe.
pub(super) fn alive(method: &Method) -> ProbeResponse {
    response(method, StatusCode::OK, Bytes::from_static(br#"{"status":"alive"}"#))
}

/// Returns the response to a readiness or startup probe.
pub(super) fn of_report(method: &Method, report: &HealthReport, details: bool) -> ProbeResponse {
    let ready = report.readiness.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = response(method, status, Bytes::from(body(report, details).to_string()));
    if let Some(wait) = report.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds(wait).into());
    }
    response
}

/// Returns a 405 with the allowed methods.
pub(super) fn not_allowed(method: &Method) -> ProbeResponse {
    let body = Bytes::from_static(br#"{"error":"method not allowed"}"#);
    let mut response = response(method, StatusCode::METHOD_NOT_ALLOWED, body);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// Returns a 404.
pub(super) fn not_found(method: &Method) -> ProbeResponse {
    response(method, StatusCode::NOT_FOUND, Bytes::from_static(br#"{"error":"not found"}"#))
}

fn response(method: &Method, status: StatusCode, body: Bytes) -> ProbeResponse {
    let length = HeaderValue::from(body.len());
    // A HEAD response has the headers of the GET response (RFC 9110 §9.3.2), its length included.
    let body = if *method == Method::HEAD { Bytes::new() } else { body };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, length);
    response
}

/// Returns the wait in whole seconds, rounded up so that no client comes early. At least 1: zero
/// would make clients loop.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn body(report: &HealthReport, details: bool) -> Value {
    let mut body = Map::new();
    body.insert("status".into(), report.readiness.as_str().into());
    if let Some(reason) = report.reason {
        body.insert("reason".into(), reason.as_str().into());
    }
    let checks = report.checks.iter().map(|it| (it.name.to_string(), check(it, details)));
    body.insert("checks".into(), checks.collect::<Map<_, _>>().into());
    body.into()
}

fn check(check: &CheckReport, details: bool) -> Value {
    let critical = check.criticality == Criticality::Critical;
    let mut fields = Map::new();
    fields.insert("status".into(), check.state.as_str().into());
    fields.insert("critical".into(), critical.into());
    if let Some(failure) = &check.failure {
        fields.insert("error".into(), failure.to_string().into());
        if let Some(detail) = failure.detail().filter(|_| details) {
            fields.insert("detail".into(), detail.into());
        }
    }
    let lengths = [("age_ms", check.age), ("duration_ms", check.took)];
    for (name, length) in lengths {
        if let Some(length) = length {
            fields.insert(name.into(), json!(millis(length)));
        }
    }
    if let Some(circuit) = check.circuit {
        fields.insert("circuit".into(), circuit.to_string().into());
    }
    fields.into()
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        let wait = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([wait(0), wait(1), wait(1_000), wait(1_001)], [1, 1, 1, 2]);
        assert_eq!(seconds(Duration::new(3, 1)), 4);
    }
}
