//! W3C Trace Context and Baggage, passed on unchanged.
//!
//! This module starts, samples and changes nothing: that is the work of a tracer. The trace headers
//! of a request are added to the calls that are made to serve it, so a service without a tracer
//! does not cut the trace in two. A call that already has such a header keeps its own.
//!
//! The headers come from strangers and are kept in memory, so they are validated and bounded. An
//! invalid `traceparent` is dropped, and its `tracestate` with it. A `tracestate` of more than 512
//! bytes and a `baggage` of more than 8,192 are dropped: these are the sizes that the
//! specifications require to be passed on.
//!
//! ```
//! use http::HeaderMap;
//! use resilience_http::propagate::Trace;
//!
//! let mut request = HeaderMap::new();
//! let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! request.insert("traceparent", parent.parse().unwrap());
//! let mut call = HeaderMap::new();
//! Trace::read(&request).write(&mut call);
//! assert_eq!(call["traceparent"], parent);
//! ```

use http::header::{HeaderMap, HeaderName, HeaderValue};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// See <https://www.w3.org/TR/trace-context/#tracestate-limits>.
const MAX_STATE: usize = 512;
/// See <https://www.w3.org/TR/baggage/#limits>.
const MAX_BAGGAGE: usize = 8_192;

/// The trace context and baggage of a request. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    parent: Option<HeaderValue>,
    state: Vec<HeaderValue>,
    baggage: Vec<HeaderValue>,
}

impl Trace {
    /// Reads the headers that are valid and within the size limits.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Trace {
        let parent = only(headers, &PARENT).filter(|value| is_parent(value.as_bytes())).cloned();
        let state = match parent {
            Some(_) => bounded(headers, &STATE, MAX_STATE),
            None => Vec::new(),
        };
        Trace { parent, state, baggage: bounded(headers, &BAGGAGE, MAX_BAGGAGE) }
    }

    /// Returns `true` if there is nothing to pass on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parent.is_none() && self.baggage.is_empty()
    }

    /// Adds the trace and the baggage to the headers of a call, unless the call has its own.
    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(parent) = &self.parent
            && !headers.contains_key(PARENT)
        {
            headers.insert(PARENT, parent.clone());
            headers.remove(STATE);
            append(headers, &STATE, &self.state);
        }
        if !headers.contains_key(BAGGAGE) {
            append(headers, &BAGGAGE, &self.baggage);
        }
    }
}

fn append(headers: &mut HeaderMap, name: &HeaderName, values: &[HeaderValue]) {
    for value in values {
        headers.append(name, value.clone());
    }
}

/// Returns the value of a header, or `None` if there are several.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns all values, or none if they are longer than `limit` bytes together, with the commas
/// between them.
fn bounded(headers: &HeaderMap, name: &HeaderName, limit: usize) -> Vec<HeaderValue> {
    let values = || headers.get_all(name).iter();
    let length = values().map(|value| value.len() + 1).sum::<usize>();
    if length <= limit + 1 { values().cloned().collect() } else { Vec::new() }
}

/// Validates `version "-" trace-id "-" parent-id "-" flags`. A later version may add fields.
fn is_parent(value: &[u8]) -> bool {
    let hex = |range: std::ops::Range<usize>| {
        value[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |range: std::ops::Range<usize>| value[range].iter().all(|byte| *byte == b'0');
    let length = match value.get(..2) {
        Some(b"00") => value.len() == 55,
        Some(b"ff") | None => false,
        // A later version: its further fields follow another dash.
        Some(_) => (value.len() == 55 || value.get(55) == Some(&b'-')) && value.len() <= MAX_STATE,
    };
    length
        && [2, 35, 52].into_iter().all(|dash| value[dash] == b'-')
        && [0..2, 3..35, 36..52, 53..55].into_iter().all(hex)
        && !zero(3..35)
        && !zero(36..52)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn parent(value: &str) -> bool {
        Trace::read(&headers(&[("traceparent", value)])).parent.is_some()
    }

    #[test]
    fn an_invalid_parent_is_dropped() {
        assert!(parent(VALID));
        assert!(parent(&VALID.replacen("00", "cc", 1)));
        assert!(parent(&format!("{}-what-comes-later", VALID.replacen("00", "cc", 1))));
        for bad in [
            "",
            "00",
            "00-",
            &VALID[..54],
            &VALID.to_uppercase(),
            &VALID.replacen("00", "ff", 1),
            &VALID.replacen('-', "_", 1),
            &format!("{VALID}-more"),
            &format!("{}.more", VALID.replacen("00", "cc", 1)),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(!parent(bad), "{bad}");
        }
        let twice = headers(&[("traceparent", VALID), ("traceparent", VALID)]);
        assert!(Trace::read(&twice).is_empty());
    }

    #[test]
    fn a_state_without_a_parent_is_dropped() {
        let alone = Trace::read(&headers(&[("tracestate", "a=1")]));
        assert!(alone.is_empty() && alone.state.is_empty());
        let both = headers(&[("traceparent", VALID), ("tracestate", "a=1"), ("tracestate", "b=2")]);
        let mut call = HeaderMap::new();
        Trace::read(&both).write(&mut call);
        assert_eq!(call, both);
    }

    #[test]
    fn a_call_keeps_its_own_headers() {
        let incoming =
            headers(&[("traceparent", VALID), ("tracestate", "a=1"), ("baggage", "u=1")]);
        let own = VALID.replace("00f0", "11f0");
        let mut call = headers(&[("traceparent", &own), ("baggage", "u=2")]);
        let before = call.clone();
        Trace::read(&incoming).write(&mut call);
        assert_eq!(call, before);
    }

    #[test]
    fn a_header_that_is_too_long_is_dropped() {
        let at = |name, length: usize| {
            let value = "x".repeat(length);
            Trace::read(&headers(&[("traceparent", VALID), (name, &value)]))
        };
        assert_eq!(at("tracestate", MAX_STATE).state.len(), 1);
        assert_eq!(at("tracestate", MAX_STATE + 1).state.len(), 0);
        assert_eq!(at("baggage", MAX_BAGGAGE).baggage.len(), 1);
        assert_eq!(at("baggage", MAX_BAGGAGE + 1).baggage.len(), 0);
    }
}
