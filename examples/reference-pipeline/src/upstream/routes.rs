//! Routes of the upstream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, StatusCode};
use jiff::civil::Date;
use parking_lot::Mutex;
use resilience_core::clock;
use resilience_http::clock::wall_now;

use super::faults::{Fault, Plan, SLOW};
use super::hang_up::HangUp;
use super::ledger::{Caller, Ledger, Part};
use super::odds::OddsApi;
use super::outage::Outage;
use super::replies::{self, Reply};
use crate::BoxError;
use crate::league::League;
use crate::scrape::CLIENT;

pub(super) struct Upstream {
    league: League,
    plan: Plan,
    outage: Outage,
    ledger: Mutex<Ledger>,
    odds: Mutex<OddsApi>,
    connections: AtomicU64,
}

/// Delay before a call of a half-open circuit breaker is rejected, so that calls made at the same
/// time overlap.
const HALF_OPEN_DELAY: Duration = Duration::from_millis(500);

impl Upstream {
    pub(super) fn new(league: League, seed: u64, herd: usize) -> Upstream {
        let plan = Plan::new(seed, &league);
        Upstream {
            league,
            plan,
            outage: Outage::new(herd),
            ledger: Mutex::default(),
            odds: Mutex::default(),
            connections: AtomicU64::new(0),
        }
    }

    pub(super) async fn respond<B>(&self, request: Request<B>) -> Result<Reply, BoxError> {
        let caller = caller(&request);
        let path = request.uri().path();
        match path.split('/').skip(1).collect::<Vec<_>>()[..] {
            ["days"] => replies::json(&self.league.days().collect::<Vec<_>>()),
            ["days", day] => self.day(caller, day).await,
            ["herd", _] => Ok(self.herd(&caller).await),
            ["dead", _] => Ok(self.dead(&caller)),
            ["failing", _] => Ok(replies::empty(StatusCode::SERVICE_UNAVAILABLE)),
            ["half-open", _] => Ok(self.half_open(&caller).await),
            ["odds", _] => self.board(),
            ["_ledger"] => self.statement(),
            _ => Ok(replies::empty(StatusCode::NOT_FOUND)),
        }
    }

    async fn day(&self, caller: Caller, day: &str) -> Result<Reply, BoxError> {
        let Ok(day) = day.parse::<Date>() else {
            return Ok(replies::empty(StatusCode::BAD_REQUEST));
        };
        let rows = self.league.on(day).unwrap_or_default();
        let nth = self.arrive(Part::Season, &caller);
        match self.plan.fault(day, nth) {
            None => replies::rows(rows),
            Some(Fault::Slow) => {
                tokio::time::sleep(SLOW).await;
                replies::rows(rows)
            }
            Some(Fault::Truncated) => replies::cut_rows(rows),
            Some(Fault::Reset) => Err(HangUp::Reset.into()),
            Some(Fault::Gone) => Ok(replies::empty(StatusCode::NOT_FOUND)),
            Some(Fault::Failed(status)) => Ok(replies::empty(StatusCode::from_u16(status)?)),
            Some(Fault::ThrottledForSeconds(seconds)) => {
                self.sent_retry_after(caller, Duration::from_secs(seconds));
                replies::retry_later(StatusCode::TOO_MANY_REQUESTS, seconds)
            }
            Some(Fault::ThrottledUntilDate { status, ahead }) => {
                let now = wall_now();
                let date = replies::next_date(now, ahead)?;
                self.sent_retry_after(caller, date.duration_since(now)?);
                let date = httpdate::HttpDate::from(date);
                replies::retry_later(StatusCode::from_u16(status)?, date)
            }
        }
    }

    async fn herd(&self, caller: &Caller) -> Reply {
        self.arrive(Part::Herd, caller);
        let rejected = self.outage.rejects().await;
        replies::empty(if rejected { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK })
    }

    fn dead(&self, caller: &Caller) -> Reply {
        self.arrive(Part::Dead, caller);
        replies::empty(StatusCode::SERVICE_UNAVAILABLE)
    }

    async fn half_open(&self, caller: &Caller) -> Reply {
        self.arrive(Part::HalfOpen, caller);
        tokio::time::sleep(HALF_OPEN_DELAY).await;
        replies::empty(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn board(&self) -> Result<Reply, BoxError> {
        match self.odds.lock().arrive(clock::now()) {
            None => Ok(replies::empty(StatusCode::OK)),
            Some(wait) => replies::retry_later(StatusCode::TOO_MANY_REQUESTS, wait.as_secs()),
        }
    }

    fn statement(&self) -> Result<Reply, BoxError> {
        let poison = self.plan.poison().map(|day| format!("/days/{day}")).unwrap_or_default();
        let odds = self.odds.lock().statement();
        let connections = self.connections.load(Ordering::Relaxed);
        replies::json(&self.ledger.lock().statement(&poison, odds, connections))
    }

    /// Counts a connection on the port that counts them.
    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    fn arrive(&self, part: Part, caller: &Caller) -> u32 {
        self.ledger.lock().arrive(clock::now(), part, caller)
    }

    fn sent_retry_after(&self, caller: Caller, wait: Duration) {
        self.ledger.lock().sent_retry_after(caller, clock::now() + wait);
    }
}

fn caller<B>(request: &Request<B>) -> Caller {
    let client = request.headers().get(CLIENT).and_then(|name| name.to_str().ok());
    Caller { client: client.unwrap_or_default().into(), path: request.uri().path().into() }
}
