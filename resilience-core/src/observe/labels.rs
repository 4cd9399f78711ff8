//! Bounds on the names that become labels.
//!
//! Every label value is a time series, which recorders and scrapers keep from then on. Keys come
//! from traffic, so without a bound the traffic would decide the number of series.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use ::metrics::SharedString;
use parking_lot::RwLock;

use crate::config::InvalidConfig;

/// The label shared by all names without a label of their own.
pub(super) const OTHER: &str = "other";

/// The longest name with a label of its own, in bytes, which bounds the memory.
const LONGEST: usize = 256;

/// The most keys with labels of their own. A scraper can handle ten thousand series of each kind.
const MOST_KEYS: usize = 10_000;

/// The choice of keys that become labels of [`Metrics`](super::Metrics); none by default.
///
/// ```
/// use resilience_core::observe::{KeyLabels, Metrics};
///
/// let metrics = Metrics::new(KeyLabels::first(100)?);
/// let by_tier = Metrics::new(KeyLabels::map(|tenant| match tenant {
///     "acme" | "globex" => "gold",
///     _ => "standard",
/// }));
/// # let _ = (metrics, by_tier);
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[derive(Debug, Default)]
pub struct KeyLabels(Policy);

#[derive(Default)]
enum Policy {
    #[default]
    None,
    First(FirstNames),
    Map(Box<dyn Fn(&str) -> &'static str + Send + Sync>),
}

/// A label, and `true` if no other name shares the label.
pub(super) struct Labelled {
    pub(super) label: Option<SharedString>,
    pub(super) own: bool,
}

impl KeyLabels {
    /// Returns the choice of no keys: events of all keys are counted together.
    #[must_use]
    pub fn none() -> KeyLabels {
        KeyLabels::default()
    }

    /// Returns the choice of the first `keys` distinct keys, which keep their labels. All other
    /// keys, and keys longer than 256 bytes, share the label `other`.
    ///
    /// A label is not freed when its key is evicted, since the recorder would keep the old series
    /// and get a new one.
    ///
    /// # Errors
    /// If `keys` is not between 1 and 10,000.
    pub fn first(keys: usize) -> Result<KeyLabels, InvalidConfig> {
        if !(1..=MOST_KEYS).contains(&keys) {
            return Err(InvalidConfig::new(
                "keys",
                keys,
                format_args!("between 1 and {MOST_KEYS}"),
            ));
        }
        Ok(KeyLabels(Policy::First(FirstNames::new(keys))))
    }

    /// Returns the choice of the label that `map` returns for a key, such as a tier or a region.
    /// The labels are `'static`, so their number is bounded by the program. `map` is called for
    /// each event with a key, outside of every lock.
    pub fn map(map: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> KeyLabels {
        KeyLabels(Policy::Map(Box::new(map)))
    }

    pub(super) fn of(&self, key: Option<&str>) -> Labelled {
        match (&self.0, key) {
            (_, None) => Labelled { label: None, own: true },
            (Policy::None, Some(_)) => Labelled { label: None, own: false },
            (Policy::First(names), Some(key)) => names.label(key),
            (Policy::Map(map), Some(key)) => Labelled { label: Some(map(key).into()), own: false },
        }
    }

    /// Returns the key's own label if it has one. Assigns no label.
    pub(super) fn known(&self, key: &str) -> Option<SharedString> {
        match &self.0 {
            Policy::First(names) => names.known(key),
            Policy::None | Policy::Map(_) => None,
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::None => f.write_str("None"),
            Policy::First(names) => write!(f, "First({})", names.max),
            Policy::Map(_) => f.write_str("Map"),
        }
    }
}

/// The first `max` distinct names, which are kept for ever.
pub(super) struct FirstNames {
    max: usize,
    seen: RwLock<HashSet<Arc<str>>>,
}

impl FirstNames {
    pub(super) fn new(max: usize) -> FirstNames {
        FirstNames { max, seen: RwLock::default() }
    }

    pub(super) fn label(&self, name: &str) -> Labelled {
        let own = self.known(name).or_else(|| self.admit(name));
        match own {
            Some(label) => Labelled { label: Some(label), own: true },
            None => Labelled { label: Some(OTHER.into()), own: false },
        }
    }

    fn known(&self, name: &str) -> Option<SharedString> {
        self.seen.read().get(name).map(|name| SharedString::from_shared(name.clone()))
    }

    fn admit(&self, name: &str) -> Option<SharedString> {
        // See docs/decisions/0007-label-values-are-bounded-in-this-library.md.
        // A key named `other` must not be mixed up with the shared label.
        if name.len() > LONGEST || name == OTHER || self.seen.read().len() >= self.max {
            return None;
        }
        let name: Arc<str> = name.into();
        let mut seen = self.seen.write();
        if seen.len() >= self.max && !seen.contains(&name) {
            return None;
        }
        seen.insert(name.clone());
        Some(SharedString::from_shared(name))
    }
}
