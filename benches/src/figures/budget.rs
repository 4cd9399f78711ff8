//! A deposit into a retry budget.

use std::sync::Arc;

use resilience_core::clock;
use resilience_core::retry::RetryBudget;
use tower::BoxError;
use tower::retry::budget::{Budget, TpsBudget};

use super::floor::{Lines, floor};
use super::peers::gax;
use super::{Figure, names};
use crate::cost::{Role, Subject};

pub(super) fn figure() -> Result<Figure, BoxError> {
    let mut subjects = floor(|lines: &Lines| {
        lines.clock();
        lines.add(0);
    });
    let (theirs, ours) = (Arc::new(TpsBudget::default()), RetryBudget::percent(10.0)?);
    let (timed, now) = (RetryBudget::percent(10.0)?, clock::now());
    let deposit = move || theirs.deposit();
    let call_started = move || ours.call_started(clock::now());
    subjects.extend([
        Subject::function(Role::Ours, names::CALL_STARTED, call_started),
        Subject::function(Role::Ours, "our call_started, the time being known", move || {
            timed.call_started(now)
        }),
        Subject::function(Role::Peer, names::TPS_BUDGET, deposit)
            .lacks("exact withdrawals; ratios other than 1/n (0.4 is 0.5)"),
    ]);
    subjects.extend(gax::throttlers());
    Ok(Figure::new(names::DEPOSIT, "one clock read, one read-modify-write", subjects))
}
