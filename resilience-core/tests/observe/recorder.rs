//! A recorder that remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};
use parking_lot::Mutex;

/// Values by series, written as `name{label=value,..}` in the order in which the labels were given.
#[derive(Clone, Default)]
pub(crate) struct Notebook(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    values: BTreeMap<String, Vec<f64>>,
    described: Vec<(String, Option<Unit>)>,
    registered: usize,
}

/// A series of the recorder. A counter adds up, a gauge keeps the last value, a histogram keeps
/// all values.
struct Page(Notebook, String);

impl Page {
    fn change(&self, change: impl FnOnce(&mut Vec<f64>)) {
        change(self.0.0.lock().values.entry(self.1.clone()).or_default());
    }
}

impl CounterFn for Page {
    fn increment(&self, value: u64) {
        self.change(|all| {
            *all = vec![
                all.first().unwrap_or(&0.0) + f64::from(u32::try_from(value).unwrap_or(u32::MAX)),
            ]
        });
    }

    fn absolute(&self, _: u64) {
        unimplemented!("nothing here sets a counter");
    }
}

impl GaugeFn for Page {
    fn increment(&self, _: f64) {
        unimplemented!("a gauge that counts drifts");
    }

    fn decrement(&self, _: f64) {
        unimplemented!("a gauge that counts drifts");
    }

    fn set(&self, value: f64) {
        self.change(|all| *all = vec![value]);
    }
}

impl HistogramFn for Page {
    fn record(&self, value: f64) {
        self.change(|all| all.push(value));
    }
}

impl Notebook {
    /// Runs `work` with this recorder.
    pub(crate) fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        with_local_recorder(self, work)
    }

    /// All series and their values, sorted.
    pub(crate) fn read(&self) -> Vec<(String, Vec<f64>)> {
        self.0.lock().values.clone().into_iter().collect()
    }

    /// The value of a counter or a gauge.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.0.lock().values.get(series).and_then(|all| all.first().copied())
    }

    /// Times that a handle was asked for.
    pub(crate) fn registered(&self) -> usize {
        self.0.lock().registered
    }

    pub(crate) fn described(&self) -> Vec<(String, Option<Unit>)> {
        self.0.lock().described.clone()
    }

    fn page(&self, key: &Key) -> Arc<Page> {
        self.0.lock().registered += 1;
        let labels: Vec<_> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
        Arc::new(Page(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>) {
        self.0.lock().described.push((name.as_str().to_owned(), unit));
    }
}

impl Recorder for Notebook {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.page(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.page(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.page(key))
    }
}
