//! A simulation of clients, a network and one row, in virtual time.
//!
//! Each client reads the row's version, and writes on the condition that the version is unchanged.
//! A client with a lost write backs off and reads again. The server takes no time; every message
//! takes one hop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand_distr::{Distribution, Normal, NormalError};

use super::rules::Rule;

/// Latency of a message: normally distributed, 10 ms with a standard deviation of 2 ms.
#[derive(Debug)]
pub(super) struct Network(Normal<f64>);

impl Network {
    pub(super) fn new() -> Result<Network, NormalError> {
        Normal::new(0.010, 0.002).map(Network)
    }

    fn hop(&self, rng: &mut SmallRng) -> Duration {
        Duration::from_secs_f64(self.0.sample(rng).abs())
    }
}

/// Cost until every client has written once.
#[derive(Debug, Default)]
pub(super) struct Race {
    /// Conditional writes, lost ones included.
    pub(super) calls: u32,
    /// Virtual time from the start until the last client receives the response to its write.
    pub(super) makespan: Duration,
}

/// A message that reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Read,
    Write { seen: u32 },
}

/// Simulates `clients` that start at once, each with its own session of `rule`.
pub(super) fn race(clients: u32, rule: &Rule, network: &Network, rng: &mut SmallRng) -> Race {
    let mut sessions: Vec<_> = (0..clients).map(|_| rule.session(rng)).collect();
    let mut arrivals: BinaryHeap<_> = (0..sessions.len())
        .map(|client| Reverse((network.hop(rng), client, Arrival::Read)))
        .collect();
    let mut version = 0;
    let mut race = Race::default();
    while let Some(Reverse((now, client, arrival))) = arrivals.pop() {
        let answered = now + network.hop(rng);
        match arrival {
            Arrival::Read => {
                let written = answered + network.hop(rng);
                arrivals.push(Reverse((written, client, Arrival::Write { seen: version })));
            }
            Arrival::Write { seen } => {
                race.calls += 1;
                race.makespan = race.makespan.max(answered);
                if seen == version {
                    version += 1;
                } else {
                    let retried = answered + sessions[client](rng) + network.hop(rng);
                    arrivals.push(Reverse((retried, client, Arrival::Read)));
                }
            }
        }
    }
    race
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;
    use rand::SeedableRng;

    fn run(clients: u32, seed: u64) -> Race {
        let rules = rules::all().unwrap();
        let ours = rules.iter().find(|rule| rule.name == rules::OURS).unwrap();
        race(clients, ours, &Network::new().unwrap(), &mut SmallRng::seed_from_u64(seed))
    }

    #[test]
    fn a_client_alone_takes_two_round_trips() {
        let race = run(1, 1);
        assert_eq!(race.calls, 1);
        assert!((25..55).contains(&race.makespan.as_millis()), "{race:?}");
    }

    #[test]
    fn losers_of_a_first_round_must_write_again() {
        // All clients read before the first write arrives: one client wins, and each of the other
        // 19 writes at least twice.
        assert!(run(20, 2).calls >= 39);
    }

    #[test]
    fn a_seed_repeats_a_race() {
        let (one, two) = (run(30, 3), run(30, 3));
        assert_eq!((one.calls, one.makespan), (two.calls, two.makespan));
    }
}
