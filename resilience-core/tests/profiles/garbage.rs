//! Whatever is in the file, nothing panics.

use proptest::prelude::*;
use resilience_core::profiles::Profiles;

#[test]
fn junk_is_rejected_or_read() {
    let junk = [
        String::new(),
        "\u{feff}[a]\ndeadline = \"1s\"".into(),
        "\u{feff}".into(),
        "\0".into(),
        "[".repeat(1 << 20),
        "a".repeat(1 << 20),
        "a.".repeat(100_000),
        format!("[{}]", vec!["a"; 10_000].join(".")),
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}{}", "{a=".repeat(50_000), "}".repeat(50_000)),
        format!("[a]\ndeadline = \"{}s\"", "9".repeat(1_000_000)),
        format!("[a]\n{} = 1", "é".repeat(100_000)),
        format!("[a]\ndeadline = \"{}\"", "é".repeat(100_000)),
        "#".repeat((1 << 20) + 1),
        "[a]\ndeadline = inf".into(),
        "[a]\ndeadline = nan".into(),
        "[a]\ndeadline = 0x7FFFFFFFFFFFFFFFF".into(),
        "[a]\ndeadline = 1979-05-27T07:32:00Z".into(),
        "[a]\ndeadline = \"1s\"\nbulkhead = { max_concurrent = 0xFFFF_FFFF_FFFF }".into(),
        "[a]\r\ndeadline = \"1s\"\r\n".into(),
        "[\"\"]\ndeadline = \"1s\"".into(),
    ];
    for text in junk {
        if let Err(error) = Profiles::from_toml(&text) {
            assert!(error.to_string().len() < 1_000, "{error}");
        }
    }
}

#[test]
fn a_text_may_begin_with_a_byte_order_mark_and_end_its_lines_with_two() {
    let profiles = Profiles::from_toml("\u{feff}[a]\r\ndeadline = \"1s\"\r\n").unwrap();
    assert_eq!(profiles.names(), ["a"]);
    assert!(Profiles::from_toml("").unwrap().names().is_empty());
}

/// Keys that there are, so that the values are looked at.
const KEYS: [&str; 33] = [
    "deadline",
    "attempt_timeout",
    "bulkhead",
    "retry",
    "rate",
    "breaker",
    "max_concurrent",
    "wait",
    "max_queued",
    "order",
    "attempts",
    "base",
    "cap",
    "jitter",
    "factor",
    "budget",
    "reserve",
    "budget_window",
    "per_second",
    "per_minute",
    "calls",
    "per",
    "burst",
    "min_gap",
    "warm_up",
    "longest_hint",
    "consecutive_failures",
    "failure_rate",
    "window",
    "minimum_calls",
    "break_for",
    "probes",
    "throttled",
];

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0_u32..50).prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| if n.is_nan() { "nan".into() } else { format!("{n:e}") }),
        prop::sample::select(vec!["ns", "ms", "s", "m", "h", "days", "M", "%", ""])
            .prop_flat_map(|unit| (0_u64..=u64::MAX).prop_map(move |n| format!("\"{n}{unit}\""))),
        (0_u32..200).prop_map(|n| format!("\"{n}s\"")),
        (0_u32..200).prop_map(|n| format!("\"{n}%\"")),
        prop::sample::select(vec!["true", "inf", "[]", "{}", "\"full\"", "\"none\"", "\"fifo\""])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 24, 8, |inner| {
        prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), inner, 0..8).prop_map(
            |table| {
                let pairs: Vec<_> =
                    table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            },
        )
    })
}

proptest! {
    #[test]
    fn no_values_panic(values in prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), value(), 0..10)) {
        let mut text = String::from("[a]\n");
        for (key, value) in values {
            text.push_str(&format!("{key} = {value}\n"));
        }
        let _ = Profiles::from_toml(&text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = Profiles::from_toml(&text);
    }

    /// A preset with a few characters exchanged.
    #[test]
    fn no_typo_panics(changes in prop::collection::vec((0_usize..6_000, any::<char>()), 1..6)) {
        let mut text: Vec<char> = include_str!("../../profiles.toml").chars().collect();
        for (at, character) in changes {
            let at = at % text.len();
            text[at] = character;
        }
        let _ = Profiles::from_toml(&text.into_iter().collect::<String>());
    }
}
