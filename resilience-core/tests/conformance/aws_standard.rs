//! AWS SDKs' standard retry mode: the retry behaviour specification 2.1 and its predecessor, as the
//! suite of smithy-rs (`retries/strategy/standard`) states them. Their tests pin the jitter's
//! multiplier to 1, and so does `u = 1` here.

use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy, StopReason, Verdict};
use resilience_core::{Outcome, RetryHint, clock};

use crate::{Call, Next, ms};

const F: Outcome = Outcome::transient();
const T: Outcome = Outcome::Throttled(RetryHint::None);
const S: Outcome = Outcome::Success;

struct Setting {
    quota: u32,
    attempts: u32,
    max_backoff: u64,
}

const DEFAULTS: Setting = Setting { quota: 500, attempts: 3, max_backoff: 20_000 };

fn v2_1(setting: &Setting) -> RetryPolicy {
    let cap = ms(setting.max_backoff);
    RetryPolicy::builder()
        .max_attempts(setting.attempts)
        .backoff(Backoff::full_jitter(ms(50).min(cap), cap))
        .throttled_backoff(Backoff::full_jitter(ms(1_000).min(cap), cap))
        .budget(RetryBudget::aws_2_1().with_capacity(setting.quota).unwrap())
        .build()
        .unwrap()
}

fn v2_0(setting: &Setting) -> RetryPolicy {
    let cap = ms(setting.max_backoff);
    RetryPolicy::builder()
        .max_attempts(setting.attempts)
        .backoff(Backoff::full_jitter(ms(1_000), cap))
        .budget(RetryBudget::aws_2_0().with_capacity(setting.quota).unwrap())
        .unlimited_elapsed()
        .build()
        .unwrap()
}

fn tokens<C>(policy: &RetryPolicy<C>) -> f64 {
    policy.budget().unwrap().available(clock::now())
}

/// (outcome, what follows, tokens left) for one call.
fn check<C>(policy: &RetryPolicy<C>, rows: &[(Outcome, Next, f64)]) {
    let mut call = Call::new(policy, 1.0);
    for (row, (outcome, next, left)) in rows.iter().enumerate() {
        assert_eq!(&call.ends(*outcome), next, "row {row}");
        assert_eq!(tokens(policy), *left, "row {row}");
    }
}

const fn wait(millis: u64) -> Next {
    Next::Wait(ms(millis))
}
const SPENT: Next = Next::Stop(StopReason::BudgetExhausted);
const ENOUGH: Next = Next::Stop(StopReason::AttemptsExhausted);

#[test]
fn retry_behaviour_2_1() {
    check(&v2_1(&DEFAULTS), &[(F, wait(50), 486.), (F, wait(100), 472.), (S, Next::Done, 486.)]);
    check(&v2_1(&DEFAULTS), &[(F, wait(50), 486.), (F, wait(100), 472.), (F, ENOUGH, 472.)]);
    let five = |quota| Setting { quota, attempts: 5, ..DEFAULTS };
    check(&v2_1(&five(14)), &[(F, wait(50), 0.), (F, SPENT, 0.)]);
    check(&v2_1(&five(0)), &[(F, SPENT, 0.)]);
    check(&v2_1(&five(20)), &[(F, wait(50), 6.), (F, SPENT, 6.)]);
    let policy = v2_1(&five(30));
    check(&policy, &[(F, wait(50), 16.), (F, wait(100), 2.), (S, Next::Done, 16.)]);
    check(&policy, &[(F, wait(50), 2.), (S, Next::Done, 16.)]);
    check(&v2_1(&DEFAULTS), &[(T, wait(1_000), 495.), (S, Next::Done, 500.)]);
    check(
        &v2_1(&Setting { attempts: 5, max_backoff: 200, ..DEFAULTS }),
        &[
            (F, wait(50), 486.),
            (F, wait(100), 472.),
            (F, wait(200), 458.),
            (F, wait(200), 444.),
            (F, ENOUGH, 444.),
        ],
    );
}

/// A first attempt that succeeds earns one, up to the capacity.
#[test]
fn a_success_earns_one() {
    let policy = v2_1(&Setting { quota: 20, ..DEFAULTS });
    check(&policy, &[(F, wait(50), 6.), (F, SPENT, 6.)]);
    for left in 7..=20 {
        check(&policy, &[(S, Next::Done, f64::from(left))]);
    }
    check(&policy, &[(S, Next::Done, 20.)]);
}

/// The AWS SDK clamps a hint to five seconds beyond the own delay, and so calls earlier than a
/// longer hint. This crate waits for the hint and spreads out after it, by at most the own
/// delay. A hint shorter than the own delay changes nothing in either.
#[test]
fn hints_spread_out() {
    let with = |hint| Call::new(&v2_1(&DEFAULTS), 1.0).ends(Outcome::Transient(hint));
    assert_eq!(with(RetryHint::After(ms(3_000))), wait(3_050)); // theirs: 3 s
    assert_eq!(with(RetryHint::After(ms(10))), wait(60)); // theirs: 50 ms, all in step
    assert_eq!(with(RetryHint::After(ms(10_000))), wait(10_050)); // theirs: 5.05 s, too early
    assert_eq!(with(RetryHint::None), wait(50));
}

/// Long-polling operations: a refused quota still keeps the caller for the delay; nothing else
/// does.
#[test]
fn long_polling_is_paced() {
    let setting = Setting { quota: 0, ..DEFAULTS };
    let paced = |outcome| {
        let policy = RetryPolicy::builder()
            .backoff(Backoff::full_jitter(ms(50), ms(20_000)))
            .throttled_backoff(Backoff::full_jitter(ms(1_000), ms(20_000)))
            .budget(RetryBudget::aws_2_1().with_capacity(setting.quota).unwrap())
            .wait_out_rejected_retry()
            .build()
            .unwrap();
        let now = clock::now();
        match policy.start(now).decide(now, None, outcome, 1.0) {
            Verdict::Stop { pause, .. } => pause,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(paced(F), ms(50));
    assert_eq!(paced(T), ms(1_000));
    assert_eq!(paced(Outcome::Permanent), ms(0));
}

/// A service's own numbers: base 25 ms, four attempts.
#[test]
fn per_service_override() {
    let policy = RetryPolicy::builder()
        .max_attempts(4)
        .backoff(Backoff::full_jitter(ms(25), ms(20_000)))
        .budget(RetryBudget::aws_2_1())
        .build()
        .unwrap();
    let mut call = Call::new(&policy, 1.0);
    let waits = [call.ends(F), call.ends(F), call.ends(F), call.ends(S)];
    assert_eq!(waits, [wait(25), wait(50), wait(100), Next::Done]);
}

#[test]
fn standard_mode_before_2_1() {
    let five = |quota, max_backoff| v2_0(&Setting { quota, attempts: 5, max_backoff });
    check(
        &five(500, 20_000),
        &[
            (F, wait(1_000), 495.),
            (F, wait(2_000), 490.),
            (F, wait(4_000), 485.),
            (F, wait(8_000), 480.),
            (F, ENOUGH, 480.),
        ],
    );
    check(
        &v2_0(&DEFAULTS),
        &[(F, wait(1_000), 495.), (F, wait(2_000), 490.), (S, Next::Done, 495.)],
    );
    let mut call = Call::new(&five(500, 3_000), 1.0);
    let waits = [call.ends(F), call.ends(F), call.ends(F), call.ends(F)];
    assert_eq!(waits, [wait(1_000), wait(2_000), wait(3_000), wait(3_000)]);
    check(&five(5, 20_000), &[(F, wait(1_000), 0.), (F, SPENT, 0.)]);
}

/// A time-out costs ten, and a success returns what the last retry cost.
#[test]
fn time_outs_cost_twice() {
    let policy = v2_0(&Setting { quota: 100, attempts: 5, max_backoff: 20_000 });
    let late = Outcome::TimedOut;
    check(&policy, &[(late, wait(1_000), 90.), (late, wait(2_000), 80.), (S, Next::Done, 90.)]);
    let policy = v2_0(&Setting { quota: 20, attempts: 3, max_backoff: 20_000 });
    check(&policy, &[(late, wait(1_000), 10.), (late, wait(2_000), 0.), (late, ENOUGH, 0.)]);
    for restored in 1..=20 {
        check(&policy, &[(S, Next::Done, f64::from(restored))]);
    }
}

/// The AWS SDK caps a 30 s hint at 20 s, earlier than the hint. This crate waits, or ends the
/// call if the wait does not fit.
#[test]
fn a_long_hint_is_kept_or_rejected() {
    let outcome = Outcome::throttled(ms(30_000));
    let kept = Call::new(&v2_0(&DEFAULTS), 0.0).ends(outcome);
    assert_eq!(kept, wait(30_000));
    let refused = Call::new(&v2_0(&DEFAULTS), 0.0).within(ms(20_000)).ends(outcome);
    assert!(matches!(refused, Next::Stop(StopReason::DeadlineTooNear { .. })), "{refused:?}");
}

/// Attempt 33 and beyond: the cap, without overflow.
#[test]
fn attempts_past_the_width_of_an_integer() {
    let mut schedule = Backoff::full_jitter(ms(1_000), ms(20_000)).unwrap().schedule();
    let last = (0..5_000).map(|_| schedule.next(1.0)).last();
    assert_eq!(last, Some(ms(20_000)));
}

/// A 2xx that classifies as retryable is retried: waiters.
#[test]
fn a_response_can_be_retried() {
    let mut polls = 0;
    let policy = RetryPolicy::builder()
        .backoff(Backoff::none())
        .classify(|result: Result<&&str, &std::io::Error>| match result {
            Ok(&"PENDING") => Outcome::transient(),
            _ => Outcome::Success,
        })
        .build()
        .unwrap();
    let state = resilience_core::retry::retry_blocking(&policy, || {
        polls += 1;
        Ok::<_, std::io::Error>(if polls < 3 { "PENDING" } else { "ACTIVE" })
    });
    assert_eq!((state.unwrap(), polls), ("ACTIVE", 3));
}
