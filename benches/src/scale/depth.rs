//! Cost of a call and size of its future, by the number of nested layers.

use std::time::Duration;

use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::stack::Stack;
use resilience_core::timeout::TimeoutLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer as TowerTimeoutLayer;
use tower::{BoxError, Layer, Service};

use super::Group;
use super::figure::Figure;
use super::sweep::{At, Sweep};
use crate::cost::{Effort, Role, Subject};
use crate::figures::{Answer, plain, stack};
use crate::stats::float;

pub(super) const GROUP: Group = Group { names: &[COST, BYTES], measure };

const COST: &str = "depth";
const BYTES: &str = "depth in bytes";
const BULKHEAD: &str = "our Bulkhead";
const LIMIT: &str = "tower ConcurrencyLimit";
const TIMEOUT: &str = "our Timeout";
const TOWER_TIMEOUT: &str = "tower Timeout";
const STACK: &str = "our standard stack";
const FOUR: &str = "tower, four layers";
const FOUR_LACKS: &str = "breaker, rate limit, retry budget, total deadline, backoff";

const TIMEOUT_LACKS: &str = "a deadline passed inwards";
const LIMIT_LACKS: &str = "a bounded queue, refusals";
/// Limits that no call of this figure reaches.
const PERMITS: u32 = 1_000;
const LONG: Duration = Duration::from_secs(30);

/// In bytes, of ten layers: a call that may wait keeps a handle on the service below, which has its
/// own handle inside, a word more for each layer. The less there is else in a call, the more of it
/// they are.
const HANDLES: f64 = 8.0 * 45.0;

/// A kind of layer that is nested in itself: its role, name and missing features.
#[derive(Clone, Copy)]
struct Kind(Role, &'static str, &'static str);

struct Nests {
    points: Vec<At>,
    bytes: Figure,
}

impl Nests {
    fn add<S>(&mut self, Kind(role, name, lacks): Kind, depth: u64, service: S)
    where
        S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + 'static,
        S::Future: Send,
    {
        self.bytes.add(name, lacks, depth, float(size_of::<S::Future>()));
        let subject = Subject::service(role, name, service).lacks(lacks);
        self.points.push(At::new(depth, subject));
    }
}

/// Adds a kind of layer at depths 1 to 10. Each depth is another type, which rules out a loop.
macro_rules! nest {
    ($nests:ident, $kind:expr, $inner:ident => $around:expr) => {
        nest!($nests, $kind, $inner => $around, 1 2 3 4 5 6 7 8 9 10)
    };
    ($nests:ident, $kind:expr, $inner:ident => $around:expr, $($depth:literal)+) => {{
        let kind = $kind;
        let $inner = Answer::READY;
        $(
            let $inner = $around;
            $nests.add(kind, $depth, $inner.clone());
        )+
    }};
}

fn measure(quick: bool) -> Result<Vec<Figure>, BoxError> {
    let Nests { points, mut bytes } = nests()?;
    let mut cost = Figure::new(COST, "layers", "CPU ns of a call");
    Sweep::measure(points, Effort::new(quick))?.draw(&mut cost);
    for (what, name) in [
        ("bulkheads: ten / ten times one", BULKHEAD),
        ("timeouts: ten / ten times one", TIMEOUT),
        ("standard stacks: ten / ten times one", STACK),
    ] {
        cost.timed(what, 1.2, cost.growth(name).map(|grown| grown / 10.0));
    }
    for (what, name, handles) in [
        ("bulkheads: ten, but for their handles / ten times one", BULKHEAD, HANDLES),
        ("timeouts: ten / ten times one", TIMEOUT, 0.0),
        ("standard stacks: ten, but for their handles / ten times one", STACK, HANDLES),
    ] {
        let ten = bytes.at(name, 10).map(|ten| ten - handles);
        let grown = ten.zip(bytes.at(name, 1)).map(|(ten, one)| ten / (10.0 * one));
        bytes.exact(what, 1.2, grown);
    }
    Ok(vec![cost, bytes])
}

fn nests() -> Result<Nests, BoxError> {
    let bytes = Figure::new(BYTES, "layers", "bytes of a call's future");
    let mut nests = Nests { points: Vec::new(), bytes };
    let ours = BulkheadLayer::new(Bulkhead::builder().max_concurrent(PERMITS).build()?);
    nest!(nests, Kind(Role::Ours, BULKHEAD, ""), inner => ours.layer(inner));
    let theirs = ConcurrencyLimitLayer::new(PERMITS as usize);
    nest!(nests, Kind(Role::Peer, LIMIT, LIMIT_LACKS), inner => theirs.layer(inner));
    let ours = TimeoutLayer::new(LONG)?;
    nest!(nests, Kind(Role::Ours, TIMEOUT, ""), inner => ours.layer(inner));
    let theirs = TowerTimeoutLayer::new(LONG);
    nest!(nests, Kind(Role::Peer, TOWER_TIMEOUT, TIMEOUT_LACKS), inner => theirs.layer(inner));
    nest!(nests, Kind(Role::Ours, STACK, ""), inner => stack::standard(Stack::builder(), inner)?);
    nest!(nests, Kind(Role::Peer, FOUR, FOUR_LACKS), inner => plain::four(inner));
    Ok(nests)
}
