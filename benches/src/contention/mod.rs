//! The experiment `contention`: the time and the calls that each backoff needs until all clients
//! have written the same row.
//!
//! Clients that overwrite each other's row (a lock document, a counter, a table under concurrent
//! DML) can all succeed, one at a time, if the losers retry at different moments. The experiment
//! repeats *Exponential Backoff and Jitter* (AWS Architecture Blog, 2015) with delays from the
//! library's [`Backoff`](resilience_core::retry::Backoff), and compares the means with the
//! published ones.

mod cap_mass;
mod chart;
mod check;
mod model;
mod peers;
mod point;
mod published;
mod report;
mod rules;

use tower::BoxError;

use crate::options::Options;
use crate::output;
use check::Check;
use model::Network;
use point::Point;
use rules::Rule;

/// Runs every rule at every number of clients, and prints and writes the results. Returns `true` if
/// all checks hold.
///
/// # Errors
/// Fails if a rule cannot be built, or a file cannot be written.
pub fn run(options: &Options) -> Result<bool, BoxError> {
    let rules = rules::all()?;
    let points = points(&rules, &clients(options.quick), options)?;
    let masses = cap_mass::measure(options.seed)?;
    let mut checks = check::published(&points);
    checks.extend(check::ours(&points));
    checks.extend(check::cap_mass(&masses));

    print!("{}", report::table(&points));
    print!("{}", report::cap_mass(&masses));
    print!("{}", report::checks(&checks));
    output::write(options, "contention.json", &report::json(options, &points, &masses, &checks))?;
    output::write(options, "contention.csv", &report::csv(&points))?;
    output::write(options, "contention.svg", &chart::svg(&points))?;
    Ok(checks.iter().all(Check::holds))
}

fn clients(quick: bool) -> Vec<u32> {
    if quick { vec![10, 50, 100, 190] } else { (1..=20).map(|tens| tens * 10).collect() }
}

fn points(rules: &[Rule], clients: &[u32], options: &Options) -> Result<Vec<Point>, BoxError> {
    let network = Network::new()?;
    let mut points = Vec::with_capacity(rules.len() * clients.len());
    for rule in rules {
        eprint!("{:<24}", rule.name);
        for &clients in clients {
            eprint!(" {clients}");
            points.push(Point::measure(rule, clients, &network, options));
        }
        eprintln!();
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests the published order of the algorithms as inequalities.
    #[test]
    fn the_algorithms_have_the_published_order() {
        let options = Options { trials: 40, ..Options::default() };
        let rules = rules::all().unwrap();
        let rules: Vec<Rule> = rules.into_iter().filter(|rule| rule.is_published()).collect();
        let points = points(&rules, &[100, 190], &options).unwrap();
        let at = |name, clients| {
            let point = point::find(&points, name, clients).unwrap();
            (point.calls.mean, point.makespan_ms.mean)
        };
        let (full, equal) = (at(rules::FULL, 100), at(rules::EQUAL, 100));
        assert!(full.1 < equal.1, "time: full {full:?}, equal {equal:?}");
        let (full, textbook) = (at(rules::FULL, 190), at(rules::TEXTBOOK, 190));
        assert!(textbook.0 > full.0, "calls: textbook {textbook:?}, full {full:?}");
        let (ours, textbook) = (at(rules::OURS, 100), at(rules::TEXTBOOK, 100));
        assert!(ours.1 < textbook.1, "time: ours {ours:?}, textbook {textbook:?}");
    }
}
