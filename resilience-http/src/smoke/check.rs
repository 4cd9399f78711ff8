//! A check: one request, and the expected response.

use std::time::Duration;

use http::StatusCode;
use resilience_core::InvalidConfig;
use resilience_core::clock::MAX_WAIT;
use serde_json::Value;

/// A path to request with `GET`, and the expected response.
#[derive(Debug, Clone)]
#[must_use = "a check does nothing until it is given to a `SmokeBuilder`"]
pub struct SmokeCheck {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) body: Vec<Expected>,
    pub(super) within: Option<Duration>,
}

/// The expected values at a JSON pointer of a body.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) pointer: String,
    /// Any of these values; any value at all if the list is empty.
    pub(super) values: Vec<Value>,
}

impl SmokeCheck {
    /// Expects status 200 from this path, which begins with a slash and may have a query. The name
    /// of the check is the path.
    pub fn get(path: impl Into<String>) -> SmokeCheck {
        let path = path.into();
        let name = path.clone();
        SmokeCheck { name, path, status: 200, body: Vec::new(), within: None }
    }

    /// Expects a live process: status 200 and `status` `alive` at this path.
    pub fn health(path: impl Into<String>) -> SmokeCheck {
        SmokeCheck::get(path).named("health").json("/status", "alive")
    }

    /// Expects a ready service: status 200 and `status` `ready` or `degraded` at this path.
    pub fn ready(path: impl Into<String>) -> SmokeCheck {
        SmokeCheck::get(path).named("ready").one_of("/status", ["ready", "degraded"])
    }

    /// Expects a started service: status 200 and `status` `ready` or `degraded` at this path.
    pub fn startup(path: impl Into<String>) -> SmokeCheck {
        SmokeCheck::get(path).named("startup").one_of("/status", ["ready", "degraded"])
    }

    /// Sets the name of the check in the report. Names are unique in a suite.
    pub fn named(mut self, name: impl Into<String>) -> SmokeCheck {
        self.name = name.into();
        self
    }

    /// Expects this status; 200 by default.
    pub fn status(mut self, status: u16) -> SmokeCheck {
        self.status = status;
        self
    }

    /// Expects a JSON body with this value at this JSON pointer (RFC 6901), such as
    /// `/players/0/name`.
    pub fn json(self, pointer: impl Into<String>, value: impl Into<Value>) -> SmokeCheck {
        self.one_of(pointer, [value])
    }

    /// Expects a JSON body with one of these values at this JSON pointer.
    pub fn one_of<V: Into<Value>>(
        mut self,
        pointer: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> SmokeCheck {
        let values = values.into_iter().map(Into::into).collect();
        self.body.push(Expected { pointer: pointer.into(), values });
        self
    }

    /// Expects a JSON body with a value at this JSON pointer, which may be `null`.
    pub fn has(mut self, pointer: impl Into<String>) -> SmokeCheck {
        self.body.push(Expected { pointer: pointer.into(), values: Vec::new() });
        self
    }

    /// Expects the whole response within this time; the timeout of the suite by default.
    pub fn within(mut self, time: Duration) -> SmokeCheck {
        self.within = Some(time);
        self
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        self.first_error().map_or(Ok(()), |error| {
            Err(InvalidConfig::new(
                error.field(),
                format_args!("{} (check `{}`)", error.value(), self.name),
                error.bound(),
            ))
        })
    }

    fn first_error(&self) -> Option<InvalidConfig> {
        let quoted = |text: &str| format!("`{text}`");
        if self.name.is_empty() {
            return Some(InvalidConfig::new("name", quoted(""), "something"));
        }
        if !self.path.starts_with('/') {
            let bound = "one that begins with `/`";
            return Some(InvalidConfig::new("path", quoted(&self.path), bound));
        }
        if StatusCode::from_u16(self.status).is_err() {
            return Some(InvalidConfig::new("status", self.status, "between 100 and 999"));
        }
        let mut pointers = self.body.iter().map(|expected| &*expected.pointer);
        if let Some(bad) = pointers.find(|it| !it.is_empty() && !it.starts_with('/')) {
            let bound = "a JSON pointer: empty, or one that begins with `/`";
            return Some(InvalidConfig::new("json", quoted(bad), bound));
        }
        self.within.and_then(|within| time("within", within).err())
    }
}

/// Checks the bounds of a time limit.
pub(super) fn time(field: &'static str, time: Duration) -> Result<(), InvalidConfig> {
    if time.is_zero() || time > MAX_WAIT {
        let bound = "more than zero and at most 365 days";
        return Err(InvalidConfig::new(field, format_args!("{time:?}"), bound));
    }
    Ok(())
}
