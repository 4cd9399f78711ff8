//! State that is polled from time to time.

/// State that changes with every call: permits in use, tokens left, keys kept. Counting up and down
/// by events would drift with the first call that is cancelled between two events, so a recorder
/// reads the state instead. Implementations take what they need under their lock and visit after
/// it; names are those of [`names`](super::names), values are in their units.
///
/// ```
/// use resilience_core::observe::{Gauges, names};
/// use resilience_core::retry::RetryBudget;
///
/// let budget = RetryBudget::builder().reserve(10).build()?;
/// let mut seen = Vec::new();
/// budget.gauges(&mut |name, value| seen.push((name, value)));
/// assert_eq!(seen, [(names::BUDGET_AVAILABLE, 10.0)]);
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
pub trait Gauges {
    /// Calls `visit` with each name and its current value, at most once for a name. A recorder
    /// keeps the last value of a name that is no longer visited.
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64));
}
