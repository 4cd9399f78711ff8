//! `RateLimit` and `RateLimit-Policy`: lists of named items (draft-ietf-httpapi-ratelimit-headers,
//! RFC 9651).

use std::cmp::Reverse;
use std::time::Duration;

use http::HeaderMap;
use resilience_core::clock::MAX_WAIT;
use sfv::visitor::{
    EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, Never, ParameterVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::{Hints, Policy, QuotaUnit, joined};

/// An item of either field. The two fields have no parameter name in common.
#[derive(Debug, Default)]
struct LimitItem {
    name: String,
    remaining: Option<u64>,
    reset: Option<Duration>,
    quota: Option<u64>,
    unit: QuotaUnit,
    window: Option<Duration>,
}

/// The most items that are read of a field. A longer list is malformed.
const MAX_ITEMS: usize = 16;

pub(super) fn read(headers: &HeaderMap) -> Option<Hints> {
    let limits = items(headers, "ratelimit", |item| item.remaining.is_some());
    let policies = items(headers, "ratelimit-policy", |item| item.quota.is_some());
    // Exhausted limits first, of these the longest wait, then the fewest units left.
    let exhausted = |item: &LimitItem| item.remaining == Some(0);
    let wait = |item: &LimitItem| if exhausted(item) { item.reset } else { None };
    let worst = limits.iter().min_by_key(|item| {
        (!exhausted(item), Reverse(wait(item)), item.remaining, Reverse(item.reset))
    });
    let policy = match worst {
        Some(worst) => policies.iter().find(|policy| policy.name == worst.name),
        None => {
            policies.iter().min_by(|a, b| a.units_per_second().total_cmp(&b.units_per_second()))
        }
    };
    if worst.is_none() && policy.is_none() {
        return None;
    }
    Some(Hints {
        retry_after: None,
        remaining: worst.and_then(|worst| worst.remaining),
        reset: worst.and_then(|worst| worst.reset),
        policy: policy.and_then(LimitItem::policy),
    })
}

impl LimitItem {
    fn policy(&self) -> Option<Policy> {
        self.quota.map(|quota| Policy { quota, unit: self.unit, window: self.window })
    }

    /// Returns the units allowed per second, or infinity without a window, so that such a policy
    /// sorts last.
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    fn units_per_second(&self) -> f64 {
        match (self.quota, self.window) {
            (Some(quota), Some(window)) => quota as f64 / window.as_secs_f64(),
            _ => f64::INFINITY,
        }
    }
}

/// Returns the items of a field, or none if the field is malformed or an item is not `complete`.
fn items(
    headers: &HeaderMap,
    field: &str,
    complete: impl Fn(&LimitItem) -> bool,
) -> Vec<LimitItem> {
    let mut read = List(Vec::new());
    let parsed = joined(headers, field)
        .map(|bytes| Parser::new(&bytes).parse_list_with_visitor(&mut read).is_ok());
    if parsed == Some(true) && read.0.iter().all(complete) { read.0 } else { Vec::new() }
}

/// A field that is not a list of named limits.
#[derive(Debug)]
struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a list of named limits")
    }
}

impl std::error::Error for Malformed {}

struct List(Vec<LimitItem>);

impl<'de> ListVisitor<'de> for &mut List {
    type Out = ();
    type Error = Malformed;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Malformed> {
        if self.0.len() == MAX_ITEMS {
            return Err(Malformed);
        }
        self.0.push(LimitItem::default());
        self.0.last_mut().map(Entry).ok_or(Malformed)
    }

    fn finish(self) -> Result<(), Malformed> {
        Ok(())
    }
}

struct Entry<'a>(&'a mut LimitItem);

impl<'de> EntryVisitor<'de> for Entry<'_> {
    type Error = Malformed;

    fn item(self) -> Result<impl ItemVisitor<'de>, Malformed> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Malformed> {
        Err::<Never, _>(Malformed)
    }
}

impl<'de> ItemVisitor<'de> for Entry<'_> {
    type Out = ();
    type Error = Malformed;

    fn bare_item(
        self,
        item: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Malformed> {
        let name = item.as_string().ok_or(Malformed)?;
        self.0.name = name.as_str().to_owned();
        Ok(self)
    }
}

impl<'de> ParameterVisitor<'de> for Entry<'_> {
    type Out = ();
    type Error = Malformed;

    /// Stores a parameter. The last of a name wins (RFC 9651 §4.2.3.2), and unknown names are
    /// ignored.
    fn parameter(
        &mut self,
        key: &'de KeyRef,
        value: BareItemFromInput<'de>,
    ) -> Result<(), Malformed> {
        match key.as_str() {
            "r" => self.0.remaining = Some(whole(&value)?),
            "t" => self.0.reset = Some(seconds(&value)?),
            "q" => self.0.quota = Some(whole(&value)?),
            "w" => self.0.window = Some(seconds(&value)?).filter(|window| !window.is_zero()),
            "qu" => self.0.unit = unit(&value)?,
            _ => {}
        }
        if key.as_str() == "w" && self.0.window.is_none() { Err(Malformed) } else { Ok(()) }
    }

    fn finish(self) -> Result<(), Malformed> {
        Ok(())
    }
}

fn whole(value: &BareItemFromInput<'_>) -> Result<u64, Malformed> {
    let number = value.as_integer().ok_or(Malformed)?;
    u64::try_from(i64::from(number)).map_err(|_| Malformed)
}

fn seconds(value: &BareItemFromInput<'_>) -> Result<Duration, Malformed> {
    Ok(Duration::from_secs(whole(value)?).min(MAX_WAIT))
}

/// Reads a unit: a string in newer versions of the draft, a token in older ones.
fn unit(value: &BareItemFromInput<'_>) -> Result<QuotaUnit, Malformed> {
    let string = value.as_string().map(sfv::StringRef::as_str);
    match string.or_else(|| value.as_token().map(sfv::TokenRef::as_str)) {
        Some("requests") => Ok(QuotaUnit::Requests),
        Some("content-bytes") => Ok(QuotaUnit::ContentBytes),
        Some("concurrent-requests") => Ok(QuotaUnit::ConcurrentRequests),
        Some(_) => Ok(QuotaUnit::Other),
        None => Err(Malformed),
    }
}
