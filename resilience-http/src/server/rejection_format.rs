//! Conversion of rejections into responses.
//!
//! | rejection | status | problem type | gRPC |
//! |---|---|---|---|
//! | rate limit | 429 | quota-exceeded | `RESOURCE_EXHAUSTED` |
//! | bulkhead, shed | 503 | temporary-reduced-capacity | `RESOURCE_EXHAUSTED` |
//! | circuit open | 503 | temporary-reduced-capacity | `UNAVAILABLE` |
//! | shutting down, retry budget spent | 503 | `about:blank` | `UNAVAILABLE` |
//! | deadline, timeout | 504 | `about:blank` | `DEADLINE_EXCEEDED` |
//! | an upload that is too large | 413 | `about:blank` | `RESOURCE_EXHAUSTED` |
//! | an upload that stalled | 408 | `about:blank` | `DEADLINE_EXCEEDED` |
//!
//! The body is `application/problem+json` (RFC 9457); the two problem types are those of the
//! RateLimit draft (draft-ietf-httpapi-ratelimit-headers). `Retry-After` is in whole seconds,
//! rounded up, so that a client that waits for it is not too early. A rejection by a rate limit has
//! a `RateLimit` field too. If a retry can never succeed, the response has [`x-resilience-retry:
//! never`](crate::propagate::attempt::RETRY).
//!
//! A server that is shutting down sends `Retry-After: 1`, the time in which its load balancer has
//! found another server, and on HTTP/1 `connection: close`, because the connection leads to the
//! server that is going away.
//!
//! All gRPC responses have the HTTP status 200. The gRPC status is in the head, without a body
//! ("Trailers-Only"), and the time to wait is in `grpc-retry-pushback-ms`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use resilience_core::{Quantity, Rejection, RejectionKind, RetryHint};
use serde_json::{Map, Value, json};

use super::fields;
use super::response_body::ResponseBody;
use crate::propagate::attempt::{GRPC_PUSHBACK, NEVER, NO_RETRY, RETRY};
use crate::propagate::is_grpc;

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// Time to wait after a rejection by a server that is shutting down.
const RETRY_AFTER_SHUTDOWN: Duration = Duration::from_secs(1);

/// The format of the responses to rejected requests. By default a response names the limit
/// (`layer`, as it is configured, and `limit`) but neither its key nor the observed number of
/// calls.
///
/// ```
/// use std::time::Duration;
/// use http::HeaderMap;
/// use resilience_core::{Rejection, RejectionKind};
/// use resilience_http::server::RejectionFormat;
///
/// let rejection = Rejection::new(RejectionKind::RateLimited, "api.rate_limit")
///     .with_key("tenant-7")
///     .with_limit(30)
///     .with_retry_after(Duration::from_millis(1_200));
/// let response = RejectionFormat::new().response::<()>(&rejection, &HeaderMap::new());
/// assert_eq!(response.status(), 429);
/// assert_eq!(response.headers()["retry-after"], "2");
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RejectionFormat {
    keys: bool,
    anonymous: bool,
}

impl RejectionFormat {
    /// Creates the default format.
    #[must_use]
    pub const fn new() -> RejectionFormat {
        RejectionFormat { keys: false, anonymous: false }
    }

    /// Adds the key of the limit, for keys that callers know, such as their own tenant.
    #[must_use]
    pub const fn with_keys(mut self) -> RejectionFormat {
        self.keys = true;
        self
    }

    /// Leaves out the layer and the limit.
    #[must_use]
    pub const fn anonymous(mut self) -> RejectionFormat {
        self.anonymous = true;
        self
    }

    /// Returns the response to a request with these headers, which determine whether it is a gRPC
    /// call.
    #[must_use]
    pub fn response<B>(
        &self,
        rejection: &Rejection,
        request: &HeaderMap,
    ) -> Response<ResponseBody<B>> {
        self.respond_to(Protocol { grpc: is_grpc(request), may_close: false }, rejection)
    }

    /// Returns the status of gRPC for `rejection`, with `grpc-retry-pushback-ms` in its metadata
    /// and `rejection` as its source. [`to_status`](crate::classify::to_status) converts any error,
    /// without names.
    #[cfg(feature = "grpc")]
    #[must_use]
    pub fn status(&self, rejection: &Rejection) -> tonic::Status {
        let mapping = StatusMapping::of(rejection.kind());
        let code = tonic::Code::from_i32(mapping.grpc.into());
        let mut metadata = HeaderMap::new();
        if let Some(pushback) = pushback(rejection) {
            metadata.insert(GRPC_PUSHBACK, pushback);
        }
        let metadata = tonic::metadata::MetadataMap::from_headers(metadata);
        let message = self.detail(&mapping, rejection).into_owned();
        let mut status = tonic::Status::with_metadata(code, message, metadata);
        status.set_source(std::sync::Arc::new(rejection.clone()));
        status
    }

    pub(crate) fn respond_to<B>(
        self,
        protocol: Protocol,
        rejection: &Rejection,
    ) -> Response<ResponseBody<B>> {
        self.build(protocol, &StatusMapping::of(rejection.kind()), rejection)
    }

    /// Builds the response with this mapping in place of the one of the rejection's kind.
    pub(super) fn build<B>(
        self,
        protocol: Protocol,
        mapping: &StatusMapping,
        rejection: &Rejection,
    ) -> Response<ResponseBody<B>> {
        let mut response = if protocol.grpc {
            self.for_grpc(mapping, rejection)
        } else {
            self.problem(mapping, rejection)
        };
        let headers = response.headers_mut();
        if is_final(rejection) {
            headers.insert(RETRY, NEVER);
        }
        if mapping.closes && protocol.may_close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    pub(super) const fn is_anonymous(self) -> bool {
        self.anonymous
    }

    fn problem<B>(
        self,
        mapping: &StatusMapping,
        rejection: &Rejection,
    ) -> Response<ResponseBody<B>> {
        let mut members = Map::new();
        let mut add = |name: &str, value: Value| members.insert(name.to_owned(), value);
        add("type", mapping.problem_type.into());
        add("title", mapping.title.into());
        add("status", mapping.status.as_u16().into());
        add("detail", self.detail(mapping, rejection).into());
        if !self.anonymous {
            add("layer", rejection.layer().into());
            add("violated-policies", json!([rejection.layer()]));
            if let Some(limit) = rejection.limit() {
                add("limit", quantity(limit));
            }
        }
        if self.keys
            && let Some(key) = rejection.key()
        {
            add("key", key.into());
        }
        let seconds = retry_after(rejection).map(whole_seconds);
        if let Some(seconds) = seconds {
            add("retry_after", seconds.into());
        }
        let mut response =
            Response::new(ResponseBody::generated(Value::Object(members).to_string()));
        *response.status_mut() = mapping.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // RFC 6585: a 429 must not be stored. The others say no more about the next request.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if rejection.kind() == RejectionKind::RateLimited && !self.anonymous {
            fields::add_exhausted(headers, rejection.layer(), rejection.retry_after());
        }
        response
    }

    /// "Trailers-Only": the status in the head, and no body.
    fn for_grpc<B>(
        self,
        mapping: &StatusMapping,
        rejection: &Rejection,
    ) -> Response<ResponseBody<B>> {
        let mut response = Response::new(ResponseBody::generated(""));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, mapping.grpc.into());
        if let Ok(message) =
            HeaderValue::try_from(percent_encoded(&self.detail(mapping, rejection)))
        {
            headers.insert(GRPC_MESSAGE, message);
        }
        if let Some(pushback) = pushback(rejection) {
            headers.insert(GRPC_PUSHBACK, pushback);
        }
        response
    }

    fn detail(self, mapping: &StatusMapping, rejection: &Rejection) -> Cow<'static, str> {
        if self.anonymous {
            return mapping.detail.into();
        }
        let mut detail = format!("{}: {}", rejection.layer(), mapping.detail);
        if let Some(limit) = rejection.limit() {
            // Writing to a string does not fail.
            let _written = write!(detail, " (limit {limit})");
        }
        detail.into()
    }
}

/// Returns `true` if a retry can never succeed.
fn is_final(rejection: &Rejection) -> bool {
    rejection.retry_hint() == RetryHint::Never
}

/// Returns the time after which a retry may succeed, if it is known.
fn retry_after(rejection: &Rejection) -> Option<Duration> {
    let is_shutdown = rejection.kind() == RejectionKind::ShuttingDown;
    rejection.retry_after().or(is_shutdown.then_some(RETRY_AFTER_SHUTDOWN))
}

/// Returns the value of `grpc-retry-pushback-ms`.
fn pushback(rejection: &Rejection) -> Option<HeaderValue> {
    if is_final(rejection) {
        return Some(NO_RETRY);
    }
    retry_after(rejection).map(|after| whole_milliseconds(after).into())
}

/// The protocol of a request, which determines the form of its response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    pub(crate) grpc: bool,
    /// Set for HTTP/1. HTTP/2 forbids `connection` (RFC 9113, 8.2.2).
    may_close: bool,
}

impl Protocol {
    pub(crate) fn of<B>(request: &Request<B>) -> Protocol {
        Protocol {
            grpc: is_grpc(request.headers()),
            may_close: request.version() < Version::HTTP_2,
        }
    }
}

/// The status of a rejection in HTTP and in gRPC.
pub(super) struct StatusMapping {
    status: StatusCode,
    problem_type: &'static str,
    /// Title of the problem type; for `about:blank`, the reason phrase of the status (RFC 9457,
    /// 4.2.1).
    title: &'static str,
    grpc: u16,
    detail: &'static str,
    /// Set if the connection is to be closed.
    closes: bool,
}

const BLANK: &str = "about:blank";
const RESOURCE_EXHAUSTED: u16 = 8;
const DEADLINE_EXCEEDED: u16 = 4;
const UNAVAILABLE: u16 = 14;

impl StatusMapping {
    /// A request body above the limit. The rest of it blocks the connection, which is closed.
    pub(super) const TOO_LARGE: StatusMapping = StatusMapping {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        problem_type: BLANK,
        title: "Content Too Large",
        grpc: RESOURCE_EXHAUSTED,
        detail: "the request has too many bytes",
        closes: true,
    };

    /// A request body that stalled ([RFC 9110,
    /// 15.5.9](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9)).
    pub(super) const STALLED: StatusMapping = StatusMapping {
        status: StatusCode::REQUEST_TIMEOUT,
        problem_type: BLANK,
        title: "Request Timeout",
        grpc: DEADLINE_EXCEEDED,
        detail: "the request came too slowly",
        closes: true,
    };

    const fn of(kind: RejectionKind) -> StatusMapping {
        let capacity = ("Temporary Reduced Capacity", REDUCED_CAPACITY);
        let unavailable = ("Service Unavailable", BLANK);
        let (status, (title, problem_type), grpc, detail) = match kind {
            RejectionKind::RateLimited => (
                StatusCode::TOO_MANY_REQUESTS,
                ("Quota Exceeded", QUOTA_EXCEEDED),
                RESOURCE_EXHAUSTED,
                "too many requests",
            ),
            RejectionKind::BulkheadFull => (
                StatusCode::SERVICE_UNAVAILABLE,
                capacity,
                RESOURCE_EXHAUSTED,
                "too many requests at once",
            ),
            RejectionKind::Shed => {
                (StatusCode::SERVICE_UNAVAILABLE, capacity, RESOURCE_EXHAUSTED, "overloaded")
            }
            RejectionKind::CircuitOpen => {
                (StatusCode::SERVICE_UNAVAILABLE, capacity, UNAVAILABLE, "a dependency is down")
            }
            RejectionKind::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                ("Gateway Timeout", BLANK),
                DEADLINE_EXCEEDED,
                "a dependency took too long",
            ),
            RejectionKind::DeadlineExceeded => (
                StatusCode::GATEWAY_TIMEOUT,
                ("Gateway Timeout", BLANK),
                DEADLINE_EXCEEDED,
                "the time for this request is over",
            ),
            RejectionKind::ShuttingDown => {
                (StatusCode::SERVICE_UNAVAILABLE, unavailable, UNAVAILABLE, "shutting down")
            }
            _ => (StatusCode::SERVICE_UNAVAILABLE, unavailable, UNAVAILABLE, "not available"),
        };
        let closes = matches!(kind, RejectionKind::ShuttingDown);
        StatusMapping { status, problem_type, title, grpc, detail, closes }
    }
}

/// Returns the exact value: programs read it.
fn quantity(quantity: Quantity) -> Value {
    match quantity {
        Quantity::Count(count) => count.into(),
        Quantity::Duration(duration) => format!("{duration:?}").into(),
        other => other.to_string().into(),
    }
}

/// Converts to whole seconds, rounded up.
pub(super) fn whole_seconds(after: Duration) -> u64 {
    after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0))
}

/// Converts to whole milliseconds, rounded up.
fn whole_milliseconds(after: Duration) -> u64 {
    u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Encodes `grpc-message`: `%` and every byte that is not printable ASCII become `%XX`
/// ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses)).
fn percent_encoded(message: &str) -> String {
    message.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            // Writing to a string does not fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    type Empty = http_body_util::Empty<bytes::Bytes>;

    fn body(response: Response<ResponseBody<Empty>>) -> Value {
        let mut collected = pin!(response.into_body().collect());
        match collected.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(body)) => serde_json::from_slice(&body.to_bytes()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    const HTTP: Protocol = Protocol { grpc: false, may_close: true };
    const GRPC: Protocol = Protocol { grpc: true, may_close: false };

    fn rejection_of(kind: RejectionKind) -> Rejection {
        Rejection::new(kind, "api").with_key("tenant").with_limit(7).with_observed(8)
    }

    #[test]
    fn every_kind_has_the_statuses_of_its_row() {
        for (kind, status, grpc) in [
            (RejectionKind::RateLimited, 429, "8"),
            (RejectionKind::BulkheadFull, 503, "8"),
            (RejectionKind::Shed, 503, "8"),
            (RejectionKind::CircuitOpen, 503, "14"),
            (RejectionKind::ShuttingDown, 503, "14"),
            (RejectionKind::TimedOut, 504, "4"),
            (RejectionKind::DeadlineExceeded, 504, "4"),
        ] {
            let response = RejectionFormat::new().respond_to::<Empty>(HTTP, &rejection_of(kind));
            assert_eq!(response.status(), status, "{kind:?}");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(body(response)["status"], status);
            let response = RejectionFormat::new().respond_to::<Empty>(GRPC, &rejection_of(kind));
            assert_eq!(
                (response.status(), &response.headers()[GRPC_STATUS]),
                (StatusCode::OK, &HeaderValue::from_static(grpc))
            );
        }
    }

    #[test]
    fn text_is_escaped() {
        let name = "a \"quoted\"\r\n\\ näme%\u{0}";
        let rejection = Rejection::new(RejectionKind::Shed, name.to_owned()).with_key("k\"");
        let problem = body(RejectionFormat::new().with_keys().respond_to(HTTP, &rejection));
        assert_eq!(problem["layer"], name);
        assert_eq!(problem["key"], "k\"");
        let response = RejectionFormat::new().respond_to::<Empty>(GRPC, &rejection);
        assert_eq!(
            response.headers()[GRPC_MESSAGE],
            "a \"quoted\"%0D%0A\\ n%C3%A4me%25%00: overloaded"
        );
    }

    #[test]
    fn the_body_has_the_configured_members_only() {
        let rejection = rejection_of(RejectionKind::RateLimited);
        let text =
            |rejections: RejectionFormat| body(rejections.respond_to(HTTP, &rejection)).to_string();
        assert!(!text(RejectionFormat::new()).contains("tenant"));
        assert!(!text(RejectionFormat::new()).contains('8'));
        assert!(text(RejectionFormat::new().with_keys()).contains("tenant"));
        assert!(!text(RejectionFormat::new().anonymous()).contains("api"));
        assert!(!text(RejectionFormat::new().anonymous()).contains('7'));
    }

    #[test]
    fn waits_are_rounded_up() {
        for (nanos, seconds, milliseconds) in [
            (0, 0, 0),
            (1, 1, 1),
            (1_000_000, 1, 1),
            (1_000_001, 1, 2),
            (999_999_999, 1, 1_000),
            (1_000_000_000, 1, 1_000),
            (1_000_000_001, 2, 1_001),
        ] {
            let after = Duration::from_nanos(nanos);
            assert_eq!(whole_seconds(after), seconds, "{nanos}");
            assert_eq!(whole_milliseconds(after), milliseconds, "{nanos}");
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn never_is_written_for_http_and_grpc() {
        let rejection = rejection_of(RejectionKind::RateLimited).never();
        let response = RejectionFormat::new().respond_to::<Empty>(HTTP, &rejection);
        assert_eq!(response.headers()[RETRY], NEVER);
        assert!(!response.headers().contains_key(RETRY_AFTER));
        let response = RejectionFormat::new().respond_to::<Empty>(GRPC, &rejection);
        assert_eq!(response.headers()[GRPC_PUSHBACK], "-1");
    }

    #[test]
    fn a_shutdown_closes_the_connection_and_allows_a_retry_after_a_second() {
        let rejection = rejection_of(RejectionKind::ShuttingDown);
        let response = RejectionFormat::new().respond_to::<Empty>(HTTP, &rejection);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[CONNECTION], "close");
        assert_eq!(body(response)["retry_after"], 1);
        let response = RejectionFormat::new().respond_to::<Empty>(GRPC, &rejection);
        assert_eq!(response.headers()[GRPC_PUSHBACK], "1000");
        assert!(!response.headers().contains_key(CONNECTION), "HTTP/2 has no such field");
        let other = rejection_of(RejectionKind::Shed);
        let response = RejectionFormat::new().respond_to::<Empty>(HTTP, &other);
        assert!(!response.headers().contains_key(CONNECTION));
    }
}
