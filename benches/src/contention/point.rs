//! Means over many races of one rule at one number of clients.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::model::{self, Network};
use super::rules::Rule;
use crate::options::Options;
use crate::stats::Mean;

#[derive(Debug)]
pub(super) struct Point {
    pub(super) rule: &'static str,
    pub(super) source: &'static str,
    pub(super) clients: u32,
    pub(super) calls: Mean,
    pub(super) makespan_ms: Mean,
}

impl Point {
    /// Runs `options.trials` races. Every rule gets the same seeds, so that differences between
    /// points come from the rules.
    pub(super) fn measure(
        rule: &Rule,
        clients: u32,
        network: &Network,
        options: &Options,
    ) -> Point {
        let (calls, makespan): (Vec<f64>, Vec<f64>) = (0..options.trials)
            .map(|trial| {
                let stream = u64::from(clients) << 32 | u64::from(trial);
                // The multiplication (by 2^64 / φ) spreads small seeds over all bits. Without it,
                // seeds and trials would differ in the same bits, and two seeds would share races.
                let seed = options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream;
                let mut rng = SmallRng::seed_from_u64(seed);
                let race = model::race(clients, rule, network, &mut rng);
                (f64::from(race.calls), race.makespan.as_secs_f64() * 1e3)
            })
            .unzip();
        Point {
            rule: rule.name,
            source: rule.source,
            clients,
            calls: Mean::of(&calls),
            makespan_ms: Mean::of(&makespan),
        }
    }
}

pub(super) fn find<'p>(points: &'p [Point], rule: &str, clients: u32) -> Option<&'p Point> {
    points.iter().find(|point| point.rule == rule && point.clients == clients)
}
