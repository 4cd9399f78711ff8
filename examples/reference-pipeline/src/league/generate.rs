//! A generated league with plausible box scores.
//!
//! The numbers are drawn so that their sums and shares resemble basketball's: about 88 shots a
//! side, 46 % of them made, a hundred-odd points. No other module relies on more than that. Every
//! run with a seed gives the same league.

use jiff::civil::{Date, date};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;

use super::teams::TEAMS;
use super::{League, TeamGame};
use crate::seeded;

/// First day of the generated season.
const OPENING_DAY: Date = date(2031, 10, 21);
const SEASON: &str = "2031-32";
/// First of the generated team ids; real feeds have none this small.
const FIRST_TEAM_ID: u64 = 9_001;

/// Returns a season of `days` consecutive game days.
#[must_use]
pub fn league(seed: u64, days: usize) -> League {
    let mut random = seeded::stream(seed, "league");
    let mut games = 0;
    let mut rows = Vec::new();
    for day in OPENING_DAY.series(jiff::Span::new().days(1)).take(days) {
        let mut teams: Vec<usize> = (0..TEAMS.len()).collect();
        teams.shuffle(&mut random);
        let today = random.random_range(3..=7);
        for pair in teams.chunks_exact(2).take(today) {
            games += 1;
            rows.extend(game(&mut random, games, day, pair[0], pair[1]));
        }
    }
    League::new(rows)
}

/// Figures of one side, before the winner is known.
struct Side {
    fgm: u32,
    fga: u32,
    fg3m: u32,
    fg3a: u32,
    ftm: u32,
    fta: u32,
    oreb: u32,
    dreb: u32,
    ast: u32,
    tov: u32,
    stl: u32,
    blk: u32,
    pf: u32,
}

impl Side {
    fn play(random: &mut Xoshiro256PlusPlus) -> Side {
        let fga = random.random_range(78..=98);
        let fg3a = random.random_range(24..=42);
        let fta = random.random_range(12..=30);
        let fg3m = share(random, fg3a, 28..=44);
        let inside = share(random, fga - fg3a, 46..=60);
        Side {
            fgm: inside + fg3m,
            fga,
            fg3m,
            fg3a,
            ftm: share(random, fta, 66..=88),
            fta,
            oreb: random.random_range(6..=15),
            dreb: random.random_range(26..=40),
            ast: random.random_range(17..=33),
            tov: random.random_range(8..=19),
            stl: random.random_range(3..=12),
            blk: random.random_range(1..=9),
            pf: random.random_range(14..=26),
        }
    }

    fn points(&self) -> u32 {
        2 * self.fgm + self.fg3m + self.ftm
    }

    /// Adds one made free throw, which breaks a draw.
    fn edge_ahead(&mut self) {
        self.ftm += 1;
        self.fta += 1;
    }
}

/// Returns a part of `of`, its percentage drawn from a range.
fn share(random: &mut Xoshiro256PlusPlus, of: u32, percent: std::ops::RangeInclusive<u32>) -> u32 {
    of * random.random_range(percent) / 100
}

fn game(
    random: &mut Xoshiro256PlusPlus,
    number: u64,
    day: Date,
    home: usize,
    away: usize,
) -> [TeamGame; 2] {
    let mut hosts = Side::play(random);
    let guests = Side::play(random);
    if hosts.points() == guests.points() {
        hosts.edge_ahead();
    }
    let home_short = TEAMS[home].0;
    let away_short = TEAMS[away].0;
    let row = |team: usize, matchup: String, own: &Side, other: &Side| {
        box_score(format!("99{number:08}"), day, team, matchup, own, other)
    };
    [
        row(home, format!("{home_short} vs. {away_short}"), &hosts, &guests),
        row(away, format!("{away_short} @ {home_short}"), &guests, &hosts),
    ]
}

fn box_score(
    game_id: String,
    game_date: Date,
    team: usize,
    matchup: String,
    own: &Side,
    other: &Side,
) -> TeamGame {
    let (short, name) = TEAMS[team];
    let margin = f64::from(own.points()) - f64::from(other.points());
    TeamGame {
        season_year: Some(SEASON.into()),
        team_id: FIRST_TEAM_ID + team as u64,
        team_abbreviation: Some(short.into()),
        team_name: name.into(),
        game_id,
        game_date,
        matchup: Some(matchup),
        wl: if margin > 0.0 { "W" } else { "L" }.into(),
        min: Some(48.0),
        fgm: count(own.fgm),
        fga: count(own.fga),
        fg_pct: rate(own.fgm, own.fga),
        fg3m: count(own.fg3m),
        fg3a: count(own.fg3a),
        fg3_pct: rate(own.fg3m, own.fg3a),
        ftm: count(own.ftm),
        fta: count(own.fta),
        ft_pct: rate(own.ftm, own.fta),
        oreb: count(own.oreb),
        dreb: count(own.dreb),
        reb: count(own.oreb + own.dreb),
        ast: count(own.ast),
        tov: count(own.tov),
        stl: count(own.stl),
        blk: count(own.blk),
        blka: count(other.blk),
        pf: count(own.pf),
        pfd: count(other.pf),
        pts: own.points(),
        plus_minus: Some(margin),
    }
}

fn count(number: u32) -> Option<f64> {
    Some(number.into())
}

/// Returns the share to three decimals, as feeds do.
fn rate(made: u32, tried: u32) -> Option<f64> {
    Some((1_000.0 * f64::from(made) / f64::from(tried)).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_league() {
        let league = league(2_026, 60);
        assert_eq!(league.days().len(), 60);
        assert_eq!(league.fingerprint().unwrap(), "16feed71dd9fa9a6");
    }

    #[test]
    fn box_scores_are_plausible() {
        let league = league(1, 60);
        let rows: Vec<_> = league.days().flat_map(|day| league.on(day).unwrap()).collect();
        let mean = rows.iter().map(|row| f64::from(row.pts)).sum::<f64>() / rows.len() as f64;
        assert!((95.0..125.0).contains(&mean), "{mean} points a game");
        for sides in rows.chunks(2) {
            let [a, b] = sides else { panic!("a game with one side") };
            assert_eq!(a.game_id, b.game_id);
            assert_eq!(a.plus_minus.unwrap() + b.plus_minus.unwrap(), 0.0);
            assert_ne!(a.wl, b.wl);
        }
    }
}
