//! Counters, histograms and gauges for the `metrics` facade.

mod catalog;
mod series;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ::metrics::{Counter, Gauge, Histogram};
use parking_lot::Mutex;

use super::Gauges;
use super::event::Event;
use super::labels::{FirstNames, KeyLabels};
use super::listener::Listen;
use super::words::CircuitState;
use super::{names, words};
use crate::rejection::Rejection;
use series::{Cache, Place, Word};

/// The most names of layers with labels of their own. Names come from configuration, except in a
/// program that makes a policy for each request.
const MOST_LAYERS: usize = 256;

/// Counts each [`Event`] through the `metrics` facade, under the names of [`names`].
///
/// - **The recorder** is the one that is installed at the time of an event; without one, events are
///   not counted. Names are described to each recorder once. (Recorders are distinguished by
///   address: a test that creates several at one address needs a `Metrics` for each.)
/// - **Series are bounded.** Labels are words of fixed lists, the first 256 names of layers, and
///   the keys that [`KeyLabels`] chooses: none by default.
/// - **Handles are cached**, so that counting in an existing series allocates nothing.
///
/// Clones share everything. Use one for the whole process: two would choose different keys for
/// labels.
///
/// ```
/// use resilience_core::observe::{KeyLabels, Listen, Metrics, Tracing, set_default};
/// use resilience_core::retry::RetryBudget;
///
/// let metrics = Metrics::new(KeyLabels::first(100)?);
/// set_default(metrics.clone().and(Tracing::new()))?;
///
/// // From time to time: gauges are polled.
/// let budget = RetryBudget::default();
/// metrics.record(&budget, "odds-api", None);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    keys: KeyLabels,
    layers: FirstNames,
    counters: Cache<Counter>,
    histograms: Cache<Histogram>,
    gauges: Cache<Gauge>,
    /// The sequence number of the latest recorded change of each circuit, bounded by the labels.
    /// Locked while the gauges of a circuit are set, so that concurrent changes never leave two
    /// states at 1, or none.
    shown: Mutex<HashMap<Place, u64>>,
}

impl Metrics {
    /// Creates metrics with these labels for keys.
    #[must_use]
    pub fn new(keys: KeyLabels) -> Metrics {
        Metrics(Arc::new(Inner {
            keys,
            layers: FirstNames::new(MOST_LAYERS),
            counters: Cache::default(),
            histograms: Cache::default(),
            gauges: Cache::default(),
            shown: Mutex::default(),
        }))
    }

    /// Reads `gauges` and records them for the layer of this name, and for `key` if the state
    /// belongs to a key.
    ///
    /// A key without a label of its own is left out: a gauge shared by several keys would show the
    /// last one recorded.
    pub fn record(&self, gauges: &dyn Gauges, layer: &str, key: Option<&str>) {
        let place = self.0.place(layer, key);
        if place.own {
            gauges.gauges(&mut |name, value| self.0.gauges.get(place.series(name, [])).set(value));
        }
    }
}

impl Default for Metrics {
    /// Creates metrics without labels for keys.
    fn default() -> Metrics {
        Metrics::new(KeyLabels::none())
    }
}

impl Inner {
    fn place(&self, layer: &str, key: Option<&str>) -> Place {
        let layer = self.layers.label(layer);
        let key = self.keys.of(key);
        Place { layer: layer.label, key: key.label, own: layer.own && key.own }
    }

    fn count<const N: usize>(&self, place: &Place, name: &'static str, words: [Word; N]) {
        self.counters.get(place.series(name, words)).increment(1);
    }

    fn reject(&self, name: &'static str, rejection: &Rejection) {
        let place = self.place(rejection.layer(), rejection.key());
        self.count(&place, name, [(names::REJECTION_KIND, rejection.kind().as_str())]);
    }

    /// Records a change, unless a newer one is recorded: events are sent outside of the circuit's
    /// lock, so an older change may come after a newer one.
    fn changed(&self, place: &Place, sequence: u64, now: CircuitState) {
        let mut shown = self.shown.lock();
        let latest = shown.entry(place.clone()).or_default();
        if sequence >= *latest {
            *latest = sequence;
            self.show(place, now);
        }
    }

    /// Records an evicted circuit as closed, since it is closed when it is created again.
    fn forgotten(&self, store: &str, key: &str) {
        let Some(label) = self.keys.known(key) else { return };
        let place = Place { key: Some(label), ..self.place(store, None) };
        let shown = self.shown.lock();
        if place.own && shown.contains_key(&place) {
            self.show(&place, CircuitState::Closed);
        }
    }

    /// Sets the gauge of the state `now` to 1 and those of all other states to 0.
    fn show(&self, place: &Place, now: CircuitState) {
        for state in words::circuit_states() {
            let series = place.series(names::CIRCUIT_STATUS, [state_word(state)]);
            self.gauges.get(series).set(if state == now { 1.0 } else { 0.0 });
        }
    }
}

fn state_word(state: CircuitState) -> Word {
    (names::CIRCUIT_STATE, state.as_str())
}

impl Listen for Metrics {
    fn event(&self, event: &Event<'_>) {
        let metrics = &*self.0;
        match *event {
            Event::RetryScheduled { layer, outcome, delay, .. } => {
                let place = metrics.place(layer, None);
                metrics.count(&place, names::RETRIES, [(names::OUTCOME, outcome.as_str())]);
                metrics.histograms.get(place.series(names::RETRY_DELAY, [])).record(delay);
            }
            Event::RetryStopped { layer, reason, .. } => {
                let place = metrics.place(layer, None);
                metrics.count(&place, names::RETRY_STOPS, [(names::STOP_REASON, reason.as_str())]);
            }
            Event::RetrySucceeded { layer, .. } => {
                metrics.count(&metrics.place(layer, None), names::RETRY_RECOVERIES, []);
            }
            Event::Rejected(rejection) => metrics.reject(names::REJECTIONS, rejection),
            Event::WouldReject(rejection) => metrics.reject(names::WOULD_REJECT, rejection),
            Event::CircuitChanged { layer, key, sequence, from, to, reason, .. } => {
                let place = metrics.place(layer, key);
                let change = [
                    state_word(to),
                    (names::CIRCUIT_PREVIOUS_STATE, from.as_str()),
                    (names::CIRCUIT_REASON, reason.as_str()),
                ];
                metrics.count(&place, names::CIRCUIT_TRANSITIONS, change);
                // Several circuits in one series have no one state.
                if place.own {
                    metrics.changed(&place, sequence, to);
                }
            }
            Event::UnknownError { layer, .. } => {
                metrics.count(&metrics.place(layer, None), names::UNKNOWN_ERRORS, []);
            }
            Event::RatePaused { layer, key, pause } => {
                let place = metrics.place(layer, key);
                metrics.count(&place, names::RATE_PAUSES, []);
                metrics.histograms.get(place.series(names::RATE_PAUSE_DURATION, [])).record(pause);
            }
            // Without the key as a label: evicted keys are unbounded in number.
            Event::KeyEvicted { store, key, reason } => {
                let place = metrics.place(store, None);
                metrics.count(
                    &place,
                    names::EVICTIONS,
                    [(names::EVICTION_REASON, reason.as_str())],
                );
                metrics.forgotten(store, key);
            }
            Event::ShutdownChanged { layer, to, .. } => {
                let place = metrics.place(layer, None);
                metrics.count(
                    &place,
                    names::SHUTDOWN_TRANSITIONS,
                    [(names::SHUTDOWN_PHASE, to.as_str())],
                );
            }
            Event::PoolCreateFailed { layer, .. } => {
                metrics.count(&metrics.place(layer, None), names::POOL_CREATE_FAILURES, []);
            }
            Event::PoolRetired { layer, reason } => {
                let why = [(names::POOL_REASON, reason.as_str())];
                metrics.count(&metrics.place(layer, None), names::POOL_RETIRED, why);
            }
            Event::ProfilesReloaded { error } => {
                let result = if error.is_none() { "accepted" } else { "rejected" };
                let place = Place::default();
                metrics.count(&place, names::PROFILE_RELOADS, [(names::RELOAD_RESULT, result)]);
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("keys", &self.0.keys).finish_non_exhaustive()
    }
}
