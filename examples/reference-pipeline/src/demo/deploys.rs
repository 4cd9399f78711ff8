//! Assertions on connections and deploys.

use super::arm::Run;
use super::assertions::{Assertion, count, cured};
use super::options::Size;

/// Permits of the `players` bulkhead, which bounds the connections.
const CONNECTIONS: u64 = 8;

/// Returns these assertions in the order of the table.
pub(super) fn all(before: &Run, after: &Run, size: Size) -> Vec<Assertion> {
    vec![
        connections(before, after, size),
        players(before, after, size),
        lost(before, after),
        let_through(before, after),
        unexplained(before, after),
    ]
}

/// *Before* must open a connection for each call, *after* at most one for each permit.
fn connections(before: &Run, after: &Run, size: Size) -> Assertion {
    let figures @ [was, is] = [before.upstream.connections, after.upstream.connections];
    let calls = size.players as u64;
    let target = format!("≤ {CONNECTIONS} (before ≥ {calls})");
    count("connections opened", figures, target, (1..=CONNECTIONS).contains(&is) && was >= calls)
}

fn players(before: &Run, after: &Run, size: Size) -> Assertion {
    let figures = [before.players.succeeded as u64, after.players.succeeded as u64];
    let holds = after.players.succeeded == size.players;
    count("calls over them that succeed", figures, size.players, holds)
}

/// Counts requests that failed while workers were restarted. *After* may cut no request off.
fn lost(before: &Run, after: &Run) -> Assertion {
    let figures = [before.restarts.load.failed, after.restarts.load.failed];
    let mut claim = cured("requests lost over rolling restarts", figures, 0, true);
    claim.holds &= after.restarts.unclean == 0 && after.restarts.load.requests > 0;
    claim
}

/// Counts faulty deploys that were accepted. The deploy without a fault must be accepted too.
fn let_through(before: &Run, after: &Run) -> Assertion {
    let figures = [before.deploys.let_through as u64, after.deploys.let_through as u64];
    let mut claim = cured("bad deploys let through", figures, 0, true);
    claim.holds &= !before.deploys.good_rejected && !after.deploys.good_rejected;
    claim
}

fn unexplained(before: &Run, after: &Run) -> Assertion {
    let figures = [before.deploys.unexplained as u64, after.deploys.unexplained as u64];
    cured("bad deploys not explained", figures, 0, true)
}
