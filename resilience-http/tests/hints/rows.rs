//! Rows of the drafts' own examples, of Envoy, and of fields that must be ignored.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use resilience_core::RetryHint;
use resilience_core::clock::MAX_WAIT;
use resilience_http::StatusClassifier;
use resilience_http::hints::{Hints, QuotaUnit, grpc};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

/// The time of Envoy's rows.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + SECONDS(1_000_000_000)
}

fn read(lines: &[(&'static str, &str)]) -> Hints {
    Hints::from_headers(&headers(lines), now())
}

/// The rows of both formats of Envoy's reset header.
#[test]
fn envoy_reset_rows() {
    for (field, value, expected) in [
        ("ratelimit-reset", "5", Some(SECONDS(5))),
        ("ratelimit-reset", "2.5", None),
        ("ratelimit-reset", "Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("x-ratelimit-reset", "1000000007", Some(SECONDS(7))),
        ("x-ratelimit-reset", "1000000000", Some(SECONDS(0))),
        ("x-ratelimit-reset", "999999999", None),
        ("x-ratelimit-reset", "1000000007.5", None),
    ] {
        assert_eq!(read(&[(field, value)]).reset, expected, "{field}: {value}");
    }
    assert_eq!(
        read(&[("ratelimit-reset", "7"), ("x-ratelimit-reset", "9")]).reset,
        Some(SECONDS(7))
    );
}

/// The meaning of a number follows from its size alone.
#[test]
fn a_reset_is_seconds_unix_seconds_or_unix_milliseconds() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_082_800_500);
    let year = MAX_WAIT.as_secs();
    for (value, expected) in [
        ("0", Some(SECONDS(0))),
        ("60", Some(SECONDS(60))),
        ("31536000", Some(MAX_WAIT)),
        ("31536001", None),
        ("1764082800", None), // half a second ago
        ("1764082801", Some(Duration::from_millis(500))),
        (&(1_764_082_800 + year).to_string(), Some(MAX_WAIT - Duration::from_millis(500))),
        (&(1_764_082_801 + year).to_string(), None),
        ("1764082800750", Some(Duration::from_millis(250))),
        ("1764082800499", None),
        ("99999999999999999999", None),
        ("-1", None),
        ("", None),
        ("60s", None),
    ] {
        for field in ["x-ratelimit-reset", "x-rate-limit-reset"] {
            let hints = Hints::from_headers(&headers(&[(field, value)]), now);
            assert_eq!(hints.reset, expected, "{field}: {value}");
        }
    }
}

#[test]
fn the_examples_of_the_drafts_are_read() {
    let hints = read(&[
        ("ratelimit", "\"default\";r=50;t=30"),
        ("ratelimit-policy", "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400"),
    ]);
    assert_eq!((hints.remaining, hints.reset, hints.policy), (Some(50), Some(SECONDS(30)), None));
    assert_eq!((hints.retry_hint(), hints.pause()), (RetryHint::None, None));

    let hints = read(&[("ratelimit-policy", "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400")]);
    let policy = hints.policy.unwrap();
    assert_eq!((policy.quota, policy.window), (1_000, Some(SECONDS(86_400))), "the slower policy");

    let hints = read(&[
        ("ratelimit", "\"peruser\";r=0;t=9;pk=:cHM=:"),
        (
            "ratelimit-policy",
            "\"peruser\";q=65535;qu=\"content-bytes\";w=10;pk=:cHM=:;x=\"comment\"",
        ),
    ]);
    let policy = hints.policy.unwrap();
    assert_eq!((policy.quota, policy.unit), (65_535, QuotaUnit::ContentBytes));
    assert_eq!(hints.pause(), Some(SECONDS(9)));
}

#[test]
fn the_most_restrictive_of_several_limits_is_used() {
    for (field, remaining, reset) in [
        ("\"a\";r=5;t=1, \"b\";r=2;t=9", 2, Some(9)),
        ("\"a\";r=5;t=1, \"b\";r=5;t=9", 5, Some(9)),
        ("\"a\";r=0;t=1, \"b\";r=0;t=9", 0, Some(9)),
        ("\"a\";r=0;t=1, \"b\";r=1;t=9", 0, Some(1)),
        ("\"a\";r=0, \"b\";r=0;t=9", 0, Some(9)),
        ("\"a\";r=0", 0, None),
    ] {
        let hints = read(&[("ratelimit", field)]);
        assert_eq!(
            (hints.remaining, hints.reset),
            (Some(remaining), reset.map(SECONDS)),
            "{field}"
        );
    }
    // The lines of a list-valued field form one list.
    let hints = read(&[("ratelimit", "\"a\";r=7"), ("ratelimit", "\"b\";r=3")]);
    assert_eq!(hints.remaining, Some(3));
}

#[test]
fn the_unit_of_a_quota_is_read() {
    for (unit, expected) in [
        ("", QuotaUnit::Requests),
        (";qu=\"requests\"", QuotaUnit::Requests),
        (";qu=content-bytes", QuotaUnit::ContentBytes),
        (";qu=\"concurrent-requests\"", QuotaUnit::ConcurrentRequests),
        (";qu=\"tokens\"", QuotaUnit::Other),
    ] {
        let hints = read(&[("ratelimit-policy", &format!("\"a\";q=1{unit}"))]);
        assert_eq!(hints.policy.map(|policy| policy.unit), Some(expected), "{unit}");
    }
}

/// A server that sends the new fields does not mean the old ones.
#[test]
fn the_newest_field_is_used() {
    let both = read(&[("x-ratelimit-remaining", "7"), ("ratelimit", "\"a\";r=0;t=5")]);
    assert_eq!((both.remaining, both.reset), (Some(0), Some(SECONDS(5))));
}

/// The newest of the older families is used; all their names are read.
#[test]
fn the_newest_family_is_used() {
    const FAMILIES: [[&str; 3]; 3] = [
        ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
        ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
        ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"],
    ];
    let lines = FAMILIES.iter().zip(["1", "2", "3"]);
    let lines: Vec<_> = lines.flat_map(|(names, value)| names.map(|name| (name, value))).collect();
    for (skipped, number) in [(0, 1), (3, 2), (6, 3)] {
        let hints = read(&lines[skipped..]);
        let quota = hints.policy.map(|policy| policy.quota);
        assert_eq!((quota, hints.remaining), (Some(number), Some(number)), "{number}");
        assert_eq!(hints.reset, Some(SECONDS(number)), "{number}");
    }
}

#[test]
fn the_slowest_of_several_policies_is_used() {
    for (field, quota) in [
        ("\"a\";q=9;w=3, \"b\";q=10;w=5", 10),
        ("\"a\";q=1, \"b\";q=1000;w=1", 1_000), // the rate of the first is unknown
        ("\"a\";q=7", 7),
    ] {
        let hints = read(&[("ratelimit-policy", field)]);
        assert_eq!(hints.policy.map(|policy| policy.quota), Some(quota), "{field}");
    }
}

/// The size limit is exact.
#[test]
fn the_largest_field_is_read() {
    let items = |many: usize| vec!["\"a\";r=1"; many].join(",");
    let of_bytes = |many: usize| format!("\"{}\";r=1", "a".repeat(many - 6));
    for (field, remaining) in [
        (items(16), Some(1)),
        (items(17), None),
        (of_bytes(4_096), Some(1)),
        (of_bytes(4_097), None),
    ] {
        assert_eq!(read(&[("ratelimit", &field)]).remaining, remaining, "{}", field.len());
    }
}

#[test]
fn a_malformed_field_is_ignored() {
    for field in [
        "",
        "default;r=1;t=2", // a token is not a name
        "\"a\"",           // r is required
        "\"a\";t=3",
        "\"a\";r=-1",
        "\"a\";r=1.0",
        "\"a\";r=0;t=-3",
        "\"a\";r=0;t=\"3\"",
        "\"a\";r=0;t=3,",       // a comma too many
        "\"a\";r=0;t=3, \"b\"", // one invalid item invalidates the list
        "(\"a\");r=0;t=3",
        "\"a;r=0",
        &"\"a\";r=0;t=1, ".repeat(20),
        &format!("\"{}\";r=0", "a".repeat(5_000)),
    ] {
        let hints = read(&[("ratelimit", field)]);
        assert_eq!(hints, Hints::default(), "{field}");
    }
    for field in ["\"a\";w=1", "\"a\";q=1;w=0", "\"a\";q=-1", "\"a\";q=1;qu=3"] {
        assert_eq!(read(&[("ratelimit-policy", field)]), Hints::default(), "{field}");
    }
}

#[test]
fn after_a_malformed_field_the_older_ones_are_used() {
    let hints =
        read(&[("ratelimit", "r=1"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "8")]);
    assert_eq!(hints.retry_hint(), RetryHint::After(SECONDS(8)));
}

#[test]
fn the_older_fields_are_read() {
    let hints = read(&[
        ("ratelimit-limit", "100, 100;w=60"),
        ("ratelimit-remaining", "0"),
        ("ratelimit-reset", "50"),
    ]);
    assert_eq!(hints.policy.map(|policy| policy.quota), Some(100));
    assert_eq!((hints.remaining, hints.pause()), (Some(0), Some(SECONDS(50))));
    // GitLab sends Unix seconds under the name that the drafts define in seconds.
    let unix = read(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "1000000007")]);
    assert_eq!(unix.pause(), Some(SECONDS(7)));
    let long = read(&[("ratelimit-reset", "99999999999999999999999")]);
    assert_eq!(long.reset, Some(MAX_WAIT));
    // Docker Hub sends no reset, so there is no wait.
    let docker = read(&[("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")]);
    assert_eq!((docker.remaining, docker.policy.map(|it| it.quota)), (Some(0), Some(100)));
    assert_eq!((docker.pause(), docker.retry_hint()), (None, RetryHint::None));
    let spaced = read(&[("ratelimit-limit", "100 , 100;w=60")]);
    assert_eq!(spaced.policy.map(|policy| policy.quota), Some(100));
    // Of two values the more restrictive is used.
    let two = read(&[
        ("x-rate-limit-limit", "8"),
        ("x-rate-limit-limit", "6"),
        ("x-rate-limit-remaining", "3"),
        ("x-rate-limit-remaining", "0"),
        ("x-rate-limit-reset", "4"),
        ("x-rate-limit-reset", "2"),
    ]);
    assert_eq!((two.remaining, two.reset), (Some(0), Some(SECONDS(4))));
    assert_eq!(two.policy.map(|policy| policy.quota), Some(6));
}

#[test]
fn retry_after_wins_over_limits() {
    let both = [("retry-after", "2"), ("ratelimit", "\"a\";r=0;t=60")];
    assert_eq!(read(&both).retry_hint(), RetryHint::After(SECONDS(2)));
    let malformed = [("retry-after", "soon"), ("ratelimit", "\"a\";r=0;t=60")];
    assert_eq!(read(&malformed).retry_hint(), RetryHint::After(SECONDS(60)));
}

#[test]
fn a_limit_that_is_replenished_now_causes_no_pause() {
    assert_eq!(read(&[("ratelimit", "\"a\";r=0;t=0")]).pause(), None);
    assert_eq!(read(&[("ratelimit", "\"a\";r=0;t=1")]).pause(), Some(SECONDS(1)));
}

#[test]
fn the_classifier_reads_limits_for_429_and_503() {
    let spent = headers(&[("ratelimit", "\"a\";r=0;t=60")]);
    let left = headers(&[("ratelimit", "\"a\";r=1;t=60")]);
    for status in 100..600 {
        let status = StatusCode::from_u16(status).unwrap();
        let expected = match status.as_u16() {
            429 | 503 => RetryHint::After(SECONDS(60)),
            _ => RetryHint::None,
        };
        assert_eq!(StatusClassifier.outcome(status, &spent).hint(), expected, "{status}");
        assert_eq!(StatusClassifier.outcome(status, &left).hint(), RetryHint::None, "{status}");
    }
}

/// The rows of gRPC proposal A6.
#[test]
fn grpc_pushback_rows() {
    const NAME: &str = "grpc-retry-pushback-ms";
    for (values, expected) in [
        (&[][..], RetryHint::None),
        (&["1000"], RetryHint::After(SECONDS(1))),
        (&["5000"], RetryHint::After(SECONDS(5))),
        (&["0"], RetryHint::After(SECONDS(0))),
        (&["31536000001"], RetryHint::After(MAX_WAIT)),
        (&["99999999999999999999"], RetryHint::After(MAX_WAIT)),
        (&["-1"], RetryHint::Never),
        (&["1.5"], RetryHint::Never),
        (&["soon"], RetryHint::Never),
        (&[""], RetryHint::Never),
        (&["1000", "1000"], RetryHint::Never),
    ] {
        let lines: Vec<_> = values.iter().map(|value| (NAME, *value)).collect();
        assert_eq!(grpc::hint(&headers(&lines)), expected, "{values:?}");
    }
}

#[test]
fn grpc_details_rows() {
    // Status { details: [RetryInfo { 3 s }] }, padded and not.
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let any = [&[0x0a, 40][..], url, &[0x12, 4, 0x0a, 2, 0x08, 3]].concat();
    let status = [&[0x1a, 48][..], &any].concat();
    let text = base64(&status);
    assert!(text.ends_with('='));
    for value in [text.as_str(), text.trim_end_matches('=')] {
        let details = [("grpc-status-details-bin", value)];
        assert_eq!(grpc::hint(&headers(&details)), RetryHint::After(SECONDS(3)));
        for (pushback, expected) in [
            ("5000", RetryHint::After(SECONDS(5))),
            ("1000", RetryHint::After(SECONDS(3))),
            ("-1", RetryHint::Never),
        ] {
            let both = [details[0], ("grpc-retry-pushback-ms", pushback)];
            assert_eq!(grpc::hint(&headers(&both)), expected);
        }
    }
    // Trailing bits after the last byte are ignored.
    let stray = base64(&[&status[..], &[0x40]].concat());
    let stray = [("grpc-status-details-bin", &stray[..67])];
    assert_eq!(grpc::details(&headers(&stray)), RetryHint::After(SECONDS(3)));
    for bad in ["****", "A", &"A".repeat(9_000), &text[1..]] {
        assert_eq!(grpc::details(&headers(&[("grpc-status-details-bin", bad)])), RetryHint::None);
    }
    // The largest value that is read: 8,192 letters.
    for (bytes, expected) in [(6_144, RetryHint::After(SECONDS(3))), (6_145, RetryHint::None)] {
        let message = bytes - status.len() - 3;
        let length = [(message & 0x7f) | 0x80, message >> 7].map(|it| u8::try_from(it).unwrap());
        let long = [&status[..], &[0x12], &length, &vec![b'x'; message]].concat();
        let long = base64(&long);
        assert_eq!(grpc::details(&headers(&[("grpc-status-details-bin", &long)])), expected);
    }
    let twice = [("grpc-status-details-bin", text.as_str()); 2];
    assert_eq!(grpc::details(&headers(&twice)), RetryHint::None);
}

/// A minimal encoder, independent of the one under test.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            (0..4).map(move |at| match at <= chunk.len() {
                true => char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]),
                false => '=',
            })
        })
        .collect()
}
