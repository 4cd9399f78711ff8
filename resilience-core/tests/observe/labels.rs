//! The traffic does not decide the number of series.

use resilience_core::observe::{Event, KeyLabels, Listen, Metrics};
use resilience_core::{Rejection, RejectionKind};

use crate::recorder::Notebook;

fn refuse(metrics: &Metrics, layer: &str, key: &str) {
    let rejection =
        Rejection::new(RejectionKind::RateLimited, layer.to_owned()).with_key(key.to_owned());
    metrics.event(&Event::Rejected(&rejection));
}

fn series(layer: &str, key: &str) -> String {
    format!(
        "resilience.rejections{{resilience.layer.name={layer},resilience.key={key},\
         resilience.rejection.kind=rate_limited}}"
    )
}

/// A million keys: a hundred labels and `other`, every event counted, and not a byte more kept than
/// after the first thousand.
#[test]
fn a_million_keys_are_a_hundred_series() {
    let (notebook, metrics) = (Notebook::default(), Metrics::new(KeyLabels::first(100).unwrap()));
    notebook.during(|| {
        (0..1_000).for_each(|key| refuse(&metrics, "edge", &key.to_string()));
        let rest = allocation_counter::measure(|| {
            (1_000..1_000_000).for_each(|key| refuse(&metrics, "edge", &key.to_string()));
        });
        assert!(rest.count_total >= 999_000, "the keys themselves are counted");
        assert!(rest.bytes_current <= 0, "{rest:?}");
    });
    assert_eq!(notebook.registered(), 101);
    assert_eq!(notebook.value(&series("edge", "99")), Some(1.0));
    assert_eq!(notebook.value(&series("edge", "other")), Some(999_900.0));
}

#[test]
fn the_first_keys_keep_their_labels_in_every_layer() {
    let (notebook, metrics) = (Notebook::default(), Metrics::new(KeyLabels::first(1).unwrap()));
    notebook.during(|| {
        refuse(&metrics, "a", "one");
        refuse(&metrics, "a", "two");
        refuse(&metrics, "b", "two");
        refuse(&metrics, "b", "one");
    });
    let of = |layer, key| notebook.value(&series(layer, key));
    assert_eq!((of("a", "one"), of("a", "other")), (Some(1.0), Some(1.0)));
    assert_eq!((of("b", "one"), of("b", "other")), (Some(1.0), Some(1.0)));
}

#[test]
fn a_key_called_other_and_one_that_is_too_long_are_of_the_rest() {
    let (notebook, metrics) = (Notebook::default(), Metrics::new(KeyLabels::first(9).unwrap()));
    notebook.during(|| {
        refuse(&metrics, "a", "other");
        refuse(&metrics, "a", &"x".repeat(257));
        refuse(&metrics, "a", &"x".repeat(256));
    });
    assert_eq!(notebook.value(&series("a", "other")), Some(2.0));
    assert_eq!(notebook.value(&series("a", &"x".repeat(256))), Some(1.0));
}

#[test]
fn threads_that_come_together_do_not_exceed_the_bound() {
    let metrics = Metrics::new(KeyLabels::first(8).unwrap());
    let notebook = Notebook::default();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (metrics, notebook) = (&metrics, &notebook);
            scope.spawn(move || {
                notebook.during(|| {
                    (0..500).for_each(|key| refuse(metrics, "edge", &format!("{thread} {key}")));
                });
            });
        }
    });
    let series = notebook.read();
    assert_eq!(series.len(), 9);
    assert_eq!(series.iter().map(|(_, value)| value[0]).sum::<f64>(), 2_000.0);
}

#[test]
fn names_of_layers_are_bounded_as_well() {
    let (notebook, metrics) = (Notebook::default(), Metrics::default());
    notebook.during(|| {
        (0..10_000).for_each(|call| refuse(&metrics, &format!("policy of call {call}"), "key"));
    });
    assert_eq!(notebook.read().len(), 257);
}

#[test]
fn bounds_of_the_bound() {
    for keys in [0, 10_001, usize::MAX] {
        assert_eq!(KeyLabels::first(keys).unwrap_err().field(), "keys");
    }
    assert!(KeyLabels::first(1).is_ok() && KeyLabels::first(10_000).is_ok());
}
