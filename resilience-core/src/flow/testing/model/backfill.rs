//! Runs of one backfill, which are killed, drained, overtaken and resumed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::clock;
use crate::flow::FencingToken;
use crate::flow::backfill::{
    BackfillPlan, BackfillStep, ItemEnd, ItemState, JobRecord, JobRequest, Opened,
};
use crate::flow::idempotency::Fingerprint;
use crate::flow::ledger::RunFailure;
use crate::model_input::{Rest, parse};

#[derive(Debug, Arbitrary)]
struct Input {
    items: u8,
    max_in_flight: u8,
    max_runs: u8,
    ops: Rest<Op>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    Step,
    /// An item in flight ends.
    End(u8, u8),
    Pass(u8),
    Drain,
    /// The run is killed, and the next one resumes.
    Kill,
    /// A run that was killed, and went on all the same, records an item.
    Late(u8),
}

struct World {
    now: Instant,
    names: Vec<String>,
    max_in_flight: usize,
    max_runs: u32,
    job: Option<JobRecord>,
    checkpoint: BTreeMap<String, ItemState>,
    /// The runs in which each item has failed, as the model counts them.
    failed_runs: BTreeMap<String, u32>,
    token: u64,
    plan: BackfillPlan,
    in_flight: Vec<String>,
    /// The items that this run has begun.
    begun: Vec<String>,
    drained: bool,
}

/// A final item is never begun again, an item is begun at most once in a run, holes and failures
/// are begun by the next run, a former run records nothing, and a run that is left alone settles
/// every item in at most `max_runs` runs.
pub fn backfill(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let names: Vec<String> = (0..input.items % 24).map(|number| format!("{number:02}")).collect();
    let max_in_flight = usize::from(input.max_in_flight % 5);
    let plan = BackfillPlan::new(names.clone(), max_in_flight);
    assert_eq!(plan.is_ok(), !names.is_empty() && max_in_flight > 0);
    let Ok(plan) = plan else { return };
    let mut world = World {
        now: clock::now(),
        names,
        max_in_flight,
        max_runs: u32::from(input.max_runs % 4) + 1,
        job: None,
        checkpoint: BTreeMap::new(),
        failed_runs: BTreeMap::new(),
        token: 0,
        plan,
        in_flight: Vec::new(),
        begun: Vec::new(),
        drained: false,
    };
    world.start();
    for op in input.ops.0 {
        match op {
            Op::Step => {
                world.step();
            }
            Op::End(which, drawn) => world.end(which, drawn),
            Op::Pass(millis) => world.now += Duration::from_millis(u64::from(millis)),
            Op::Drain => {
                world.plan.drain();
                world.drained = true;
            }
            Op::Kill => world.start(),
            Op::Late(which) => world.late(which),
        }
        world.check();
    }
    world.finish();
}

impl World {
    /// Starts the next run, whatever became of the former one.
    fn start(&mut self) {
        self.token += 1;
        let request = JobRequest {
            job: "job".to_owned(),
            definition: Fingerprint::new([1; 32]),
            fence: FencingToken::new(self.token),
        };
        let (opened, record) = JobRecord::open(self.job.as_ref(), &request);
        let expected = if self.job.is_none() { Opened::New } else { Opened::Resumed };
        assert_eq!(opened, expected);
        self.job = record;
        let other = JobRequest { definition: Fingerprint::new([2; 32]), ..request };
        let (opened, record) = JobRecord::open(self.job.as_ref(), &other);
        assert!(matches!(opened, Opened::OtherJob(_)) && record.is_none());
        let Ok(plan) = BackfillPlan::new(self.names.clone(), self.max_in_flight) else { return };
        self.plan = plan;
        for (item, state) in &self.checkpoint {
            assert!(self.plan.resume(item, state.clone()).is_ok());
        }
        assert!(self.plan.resume("another", ItemState::Done { rows: 1 }).is_err());
        self.in_flight.clear();
        self.begun.clear();
        self.drained = false;
    }

    /// Returns `false` if there is no item to begin.
    fn step(&mut self) -> bool {
        let is_open = |name: &&String| {
            let settled = self.checkpoint.get(*name).is_some_and(ItemState::is_final);
            !settled && !self.begun.contains(name)
        };
        let open = self.names.iter().find(is_open).filter(|_| !self.drained).cloned();
        match self.plan.step(self.now) {
            BackfillStep::Begin(item) => {
                assert_eq!(Some(&item), open.as_ref(), "not the first open item");
                assert!(self.in_flight.len() < self.max_in_flight);
                self.begun.push(item.clone());
                self.in_flight.push(item);
                true
            }
            BackfillStep::Wait => {
                assert!(!self.in_flight.is_empty());
                assert!(open.is_none() || self.in_flight.len() == self.max_in_flight);
                false
            }
            BackfillStep::Finished => {
                assert!(self.in_flight.is_empty() && open.is_none(), "an item is left");
                false
            }
        }
    }

    fn end(&mut self, which: u8, drawn: u8) {
        if self.in_flight.is_empty() {
            return;
        }
        let item = self.in_flight.remove(usize::from(which) % self.in_flight.len());
        let end = match drawn % 5 {
            0 => ItemEnd::Done { rows: u64::from(drawn) },
            1 => ItemEnd::Skipped { why: "no games".to_owned() },
            2 => ItemEnd::Failed { class: RunFailure::Permanent, why: "404".to_owned() },
            3 => ItemEnd::Failed { class: RunFailure::Transient, why: "503".to_owned() },
            // Stays a hole.
            _ => return self.plan.ended(&item, None),
        };
        let state = self.record(&item, &end);
        self.plan.ended(&item, Some(state));
    }

    fn record(&mut self, item: &str, end: &ItemEnd) -> ItemState {
        let fence = FencingToken::new(self.token);
        assert!(self.job.is_some_and(|job| job.admits(fence)));
        let former = self.checkpoint.get(item);
        let Some(state) = ItemState::after(former, end, fence, self.max_runs) else {
            unreachable!("`{item}` was final and begun again")
        };
        let runs = self.failed_runs.entry(item.to_owned()).or_default();
        match (&state, end) {
            (ItemState::Failed { runs: counted, .. }, _) => {
                *runs += 1;
                assert!(*counted == *runs && *runs < self.max_runs);
                // Recorded twice, since the response was lost.
                assert_eq!(
                    ItemState::after(Some(&state), end, fence, self.max_runs).as_ref(),
                    Some(&state)
                );
            }
            (ItemState::Quarantined { runs: counted, .. }, ItemEnd::Failed { class, .. }) => {
                *runs += 1;
                assert!(*counted == *runs);
                assert!(*class == RunFailure::Permanent || *runs == self.max_runs);
            }
            (ItemState::Done { .. } | ItemState::Skipped { .. }, _) => {}
            (state, end) => unreachable!("{state:?} after {end:?}"),
        }
        if state.is_final() {
            assert_eq!(ItemState::after(Some(&state), end, fence, self.max_runs), None);
        }
        self.checkpoint.insert(item.to_owned(), state.clone());
        state
    }

    fn late(&self, which: u8) {
        let former = FencingToken::new(u64::from(which) % self.token);
        assert!(!self.job.is_some_and(|job| job.admits(former)), "a former run records an item");
    }

    fn check(&self) {
        let progress = self.plan.progress(self.now);
        let count =
            |is: fn(&ItemState) -> bool| self.checkpoint.values().filter(|state| is(state)).count();
        let is_done =
            |state: &ItemState| matches!(state, ItemState::Done { .. } | ItemState::Skipped { .. });
        assert_eq!(progress.done, count(is_done));
        let is_quarantined = |state: &ItemState| matches!(state, ItemState::Quarantined { .. });
        assert_eq!(progress.quarantined, count(is_quarantined));
        assert_eq!((progress.total, progress.in_flight), (self.names.len(), self.in_flight.len()));
        assert!(progress.left() >= progress.in_flight);
        assert!(progress.per_second.is_none_or(|rate| rate.is_finite() && rate > 0.0));
    }

    /// Every item that is left fails: after `max_runs` more runs each is in quarantine.
    fn finish(&mut self) {
        for _ in 0..self.max_runs {
            self.start();
            loop {
                while self.step() {}
                if self.in_flight.is_empty() {
                    break;
                }
                self.end(0, 3);
                self.check();
            }
        }
        assert_eq!(self.checkpoint.len(), self.names.len(), "a hole is left");
        assert!(self.checkpoint.values().all(ItemState::is_final));
    }
}
