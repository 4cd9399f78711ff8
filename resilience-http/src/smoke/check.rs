//! One thing that is asked of a service.

use std::time::Duration;

use http::StatusCode;
use resilience_core::InvalidConfig;
use resilience_core::clock::MAX_WAIT;
use serde_json::Value;

/// A path that is asked for with `GET`, and what has to come back.
#[derive(Debug, Clone)]
#[must_use = "a check does nothing until it is given to a `SmokeBuilder`"]
pub struct SmokeCheck {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) body: Vec<Expected>,
    pub(super) within: Option<Duration>,
}

/// What is expected at a place in a JSON body.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) pointer: String,
    /// Any of these; anything at all if there are none.
    pub(super) values: Vec<Value>,
}

impl SmokeCheck {
    /// Expects 200 from this path, which begins with a slash and may have a query. Named by the path.
    pub fn get(path: impl Into<String>) -> SmokeCheck {
        let path = path.into();
        let name = path.clone();
        SmokeCheck { name, path, status: 200, body: Vec::new(), within: None }
    }

    /// That the process is alive, asked at this path: 200, `status` is `alive`.
    pub fn health(path: impl Into<String>) -> SmokeCheck {
        SmokeCheck::get(path).named("health").json("/status", "alive")
    }

    /// That it may be sent requests, asked at this path: 200, `status` is `ready` or `degraded`.
    pub fn ready(path: impl Into<String>) -> SmokeCheck {
        SmokeCheck::get(path).named("ready").one_of("/status", ["ready", "degraded"])
    }

    /// That it has started, asked at this path: 200, `status` is `ready` or `degraded`.
    pub fn startup(path: impl Into<String>) -> SmokeCheck {
        SmokeCheck::get(path).named("startup").one_of("/status", ["ready", "degraded"])
    }

    /// What the report calls it.
    pub fn named(mut self, name: impl Into<String>) -> SmokeCheck {
        self.name = name.into();
        self
    }

    /// Expects this status.
    pub fn status(mut self, status: u16) -> SmokeCheck {
        self.status = status;
        self
    }

    /// Expects a JSON body with this value at this place, a JSON pointer (RFC 6901) such as
    /// `/players/0/name`.
    pub fn json(self, pointer: impl Into<String>, value: impl Into<Value>) -> SmokeCheck {
        self.one_of(pointer, [value])
    }

    /// Expects a JSON body with one of these values at this place.
    pub fn one_of<V: Into<Value>>(
        mut self,
        pointer: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> SmokeCheck {
        let values = values.into_iter().map(Into::into).collect();
        self.body.push(Expected { pointer: pointer.into(), values });
        self
    }

    /// Expects a JSON body with something at this place, which may be null.
    pub fn has(mut self, pointer: impl Into<String>) -> SmokeCheck {
        self.body.push(Expected { pointer: pointer.into(), values: Vec::new() });
        self
    }

    /// Expects the whole response within this time, not the suite's.
    pub fn within(mut self, time: Duration) -> SmokeCheck {
        self.within = Some(time);
        self
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        self.flaw().map_or(Ok(()), |flaw| {
            Err(InvalidConfig::new(
                flaw.field(),
                format_args!("{} (check `{}`)", flaw.value(), self.name),
                flaw.bound(),
            ))
        })
    }

    fn flaw(&self) -> Option<InvalidConfig> {
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

/// A time that something may take.
pub(super) fn time(field: &'static str, time: Duration) -> Result<(), InvalidConfig> {
    if time.is_zero() || time > MAX_WAIT {
        let bound = "more than zero and at most 365 days";
        return Err(InvalidConfig::new(field, format_args!("{time:?}"), bound));
    }
    Ok(())
}
