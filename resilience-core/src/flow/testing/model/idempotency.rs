//! A key, and everything that was ever done with it.

use std::time::Duration;

use arbitrary::Arbitrary;

use crate::flow::FencingToken;
use crate::flow::idempotency::{Completion, Fingerprint, KeyRecord, KeyRequest, Taken};
use crate::model_input::{Rest, parse};
use crate::timestamp::Timestamp;

#[derive(Debug, Arbitrary)]
struct Input {
    claim_for: u8,
    ttl: u8,
    ops: Rest<Op>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    Pass(u8),
    Step(i8),
    Claim {
        other_payload: bool,
        fence: Option<u8>,
    },
    /// Completes the claim that was made this many claims ago.
    Complete(u8, u8),
    Abandon(u8),
}

/// Everything that was granted, in order.
struct Granted {
    token: FencingToken,
    other_payload: bool,
    fence: Option<FencingToken>,
    until: Timestamp,
    /// The time after which the key is forgotten.
    expires: Timestamp,
    rows: Option<u64>,
    given_back: bool,
}

/// A key has one effect until it expires, only the last claim may complete it, and an empty success
/// leaves it free.
pub fn idempotency(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let millis = |drawn: u8| Duration::from_millis(u64::from(drawn % 32) + 1);
    let (claim_for, ttl) = (millis(input.claim_for), millis(input.ttl));
    let (mut now, mut tokens) = (Timestamp::EPOCH, 0);
    let mut record: Option<KeyRecord> = None;
    let mut granted: Vec<Granted> = Vec::new();
    for op in input.ops.0 {
        match op {
            Op::Pass(time) => now = now.saturating_add(Duration::from_millis(u64::from(time % 32))),
            Op::Step(step) => now = Timestamp::from_millis(now.as_millis() + i64::from(step)),
            Op::Claim { other_payload, fence } => {
                tokens += 1;
                let next = FencingToken::new(tokens);
                let payload = Fingerprint::new([u8::from(other_payload); 32]);
                let mut request = KeyRequest::new("key", payload).claim_for(claim_for).ttl(ttl);
                request.fence = fence.map(|drawn| FencingToken::new(u64::from(drawn % 4)));
                let claimed = KeyRecord::claim(record.as_ref(), &request, next, now);
                let last = granted.last().filter(|it| !it.given_back && now < it.expires);
                match claimed {
                    Ok(claimed) => {
                        if let Some(last) = last {
                            assert!(last.other_payload == other_payload && last.rows.is_none());
                            let succeeds = last.fence.is_some() && request.fence > last.fence;
                            assert!(succeeds || now >= last.until, "taken from a living claim");
                            assert!(request.fence >= last.fence);
                        }
                        let until = now.saturating_add(claim_for);
                        granted.push(Granted {
                            token: next,
                            other_payload,
                            fence: request.fence,
                            until,
                            expires: until.saturating_add(ttl),
                            rows: None,
                            given_back: false,
                        });
                        record = Some(claimed);
                    }
                    Err(taken) => assert_taken(last, &taken, other_payload, request.fence, now),
                }
            }
            Op::Complete(back, rows) => {
                let Some(index) = back_to(&granted, back) else { continue };
                let last = index + 1 == granted.len();
                let grant = &mut granted[index];
                let may = last && !grant.given_back && grant.rows.is_none();
                let claimed = record.as_ref().is_some_and(|it| it.is_claimed_by(grant.token));
                assert_eq!(claimed, may);
                if let Some(current) = record.as_mut().filter(|_| claimed) {
                    let rows = u64::from(rows % 3);
                    let completion = Completion::of(rows, "");
                    let kept = current.complete(&completion, ttl, now);
                    assert_eq!(kept, rows > 0, "an empty success leaves the key free");
                    grant.expires = now.saturating_add(ttl);
                    (grant.rows, grant.given_back) = (kept.then_some(rows), !kept);
                    record = record.filter(|_| kept);
                }
            }
            Op::Abandon(back) => {
                let Some(index) = back_to(&granted, back) else { continue };
                let last = index + 1 == granted.len();
                let grant = &mut granted[index];
                let claimed = record.as_ref().is_some_and(|it| it.is_claimed_by(grant.token));
                assert_eq!(claimed, last && !grant.given_back && grant.rows.is_none());
                if claimed {
                    (grant.given_back, record) = (true, None);
                }
            }
        }
    }
}

fn back_to(granted: &[Granted], back: u8) -> Option<usize> {
    granted.len().checked_sub(1 + usize::from(back % 3))
}

#[expect(clippy::panic, reason = "a key that is free and was refused breaks the promise")]
fn assert_taken(
    last: Option<&Granted>,
    taken: &Taken,
    other_payload: bool,
    fence: Option<FencingToken>,
    now: Timestamp,
) {
    let Some(last) = last else { panic!("refused, though the key is free: {taken:?}") };
    match taken {
        Taken::Conflict => assert_ne!(last.other_payload, other_payload),
        Taken::Done { rows, .. } => assert_eq!(Some(*rows), last.rows),
        Taken::Fenced(greater) => assert!(fence < Some(*greater) && last.fence == Some(*greater)),
        Taken::InProgress { remaining } => {
            assert!(last.rows.is_none() && now < last.until);
            assert_eq!(*remaining, last.until.saturating_duration_since(now));
        }
    }
}
