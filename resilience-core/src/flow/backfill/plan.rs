//! The order of work of one run. Pure: the time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::item::ItemState;
use super::progress::Progress;
use crate::config::InvalidConfig;
use crate::flow::limits::check_name;
use crate::flow::store_error::{StoreError, StoreErrorKind};

/// One run of a backfill over the items of a job, in their order.
///
/// Items that are final in the checkpoint are left out. All others are begun once in this run:
/// holes, those that were in flight when a former run was killed, and those that have failed
/// before. An item that fails is left to the next run, so that one bad day does not hold up the
/// others; retries within a run belong to the work.
///
/// ```
/// use resilience_core::clock;
/// use resilience_core::flow::backfill::{BackfillPlan, BackfillStep, ItemState};
///
/// let days = ["2026-01-17", "2026-01-18", "2026-01-19"].map(str::to_owned);
/// let mut plan = BackfillPlan::new(days, 1)?;
/// plan.resume("2026-01-17", ItemState::Done { rows: 156 })?; // out of the checkpoint
///
/// let now = clock::now();
/// let BackfillStep::Begin(item) = plan.step(now) else { unreachable!() };
/// assert_eq!(item, "2026-01-18");
/// assert_eq!(plan.step(now), BackfillStep::Wait); // one at a time
/// plan.ended(&item, Some(ItemState::Done { rows: 150 }));
/// assert!(matches!(plan.step(now), BackfillStep::Begin(item) if item == "2026-01-19"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct BackfillPlan {
    items: Vec<Item>,
    positions: HashMap<String, usize>,
    /// No item before this position is open.
    next: usize,
    max_in_flight: usize,
    draining: bool,
    /// The beginning of the first item.
    began_at: Option<Instant>,
    counts: Counts,
}

struct Item {
    name: String,
    course: Course,
}

/// The course of an item in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// To be begun.
    Open,
    InFlight,
    /// Loaded or skipped.
    Done,
    Quarantined,
    /// Left to the next run.
    Failed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    done: usize,
    quarantined: usize,
    failed: usize,
    in_flight: usize,
    /// The items that were ended in this run.
    ended: usize,
}

/// The next step of a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a worker has to handle each")]
pub enum BackfillStep {
    /// Begin this item, and report its end.
    Begin(String),
    /// Nothing to do until an item in flight ends.
    Wait,
    /// Nothing is in flight: every item was tried, or the backfill was drained.
    Finished,
}

impl BackfillPlan {
    /// Creates a run over `items`, of which at most `max_in_flight` are worked on at once.
    ///
    /// # Errors
    /// If there is no item, a name is empty, too long or there twice, or `max_in_flight` is zero.
    pub fn new(
        items: impl IntoIterator<Item = String>,
        max_in_flight: usize,
    ) -> Result<BackfillPlan, InvalidConfig> {
        if max_in_flight == 0 {
            return Err(InvalidConfig::new("max_in_flight", 0, "at least 1"));
        }
        let mut plan = BackfillPlan {
            items: Vec::new(),
            positions: HashMap::new(),
            next: 0,
            max_in_flight,
            draining: false,
            began_at: None,
            counts: Counts::default(),
        };
        for name in items {
            if check_name("item", &name).is_err() {
                return Err(InvalidConfig::new("items", name, "names of 1 to 512 bytes"));
            }
            if plan.positions.insert(name.clone(), plan.items.len()).is_some() {
                return Err(InvalidConfig::new("items", name, "in the list once"));
            }
            plan.items.push(Item { name, course: Course::Open });
        }
        if plan.items.is_empty() {
            return Err(InvalidConfig::new("items", "empty", "at least one item"));
        }
        Ok(plan)
    }

    /// Takes over the state of an item out of the checkpoint, before the first
    /// [`step`](BackfillPlan::step).
    ///
    /// # Errors
    /// [`InvalidInput`](StoreErrorKind::InvalidInput), if the job has no such item: the checkpoint
    /// is that of another job.
    pub fn resume(&mut self, item: &str, state: ItemState) -> Result<(), StoreError> {
        let Some(position) = self.positions.get(item).copied() else {
            let what = format!("the checkpoint has the item `{item}`, and the job has not");
            return Err(StoreError::new(StoreErrorKind::InvalidInput, "backfill", what));
        };
        // A failure of a former run: the item is tried again.
        if state.is_final() && self.course(position) == Course::Open {
            self.set(position, course_of(&state));
        }
        Ok(())
    }

    /// Returns the next step. An item that it returns is in flight.
    pub fn step(&mut self, now: Instant) -> BackfillStep {
        if self.counts.in_flight < self.max_in_flight
            && let Some(position) = self.next_open()
        {
            self.began_at.get_or_insert(now);
            self.set(position, Course::InFlight);
            return self
                .items
                .get(position)
                .map_or(BackfillStep::Wait, |item| BackfillStep::Begin(item.name.clone()));
        }
        if self.counts.in_flight > 0 { BackfillStep::Wait } else { BackfillStep::Finished }
    }

    /// Records the end of an item in flight: its state as the store has recorded it, or `None` if
    /// the item stays a hole (its input is not ready, the lease was lost, or the end could not be
    /// recorded). Without effect for an item that is not in flight.
    pub fn ended(&mut self, item: &str, state: Option<ItemState>) {
        let Some(position) = self.positions.get(item).copied() else { return };
        if self.course(position) != Course::InFlight {
            return;
        }
        self.counts.ended += 1;
        self.set(position, state.as_ref().map_or(Course::Failed, course_of));
    }

    /// Begins no more items. [`Finished`](BackfillStep::Finished) follows when those in flight have
    /// ended.
    pub const fn drain(&mut self) {
        self.draining = true;
    }

    /// Returns the progress at `now`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate is not precise to its 53rd bit")]
    pub fn progress(&self, now: Instant) -> Progress {
        let Counts { done, quarantined, failed, in_flight, ended } = self.counts;
        let total = self.items.len();
        let passed = self.began_at.map(|began| now.saturating_duration_since(began).as_secs_f64());
        let per_second = passed.filter(|&it| it > 0.0 && ended > 0).map(|it| ended as f64 / it);
        let left = (total - done - quarantined - failed) as f64;
        let eta = per_second.and_then(|rate| Duration::try_from_secs_f64(left / rate).ok());
        Progress { total, done, quarantined, failed, in_flight, per_second, eta }
    }

    fn next_open(&mut self) -> Option<usize> {
        if self.draining {
            return None;
        }
        // Items never become open again: the scan goes over each once in a run.
        while self.items.get(self.next).is_some_and(|item| item.course != Course::Open) {
            self.next += 1;
        }
        (self.next < self.items.len()).then_some(self.next)
    }

    fn course(&self, position: usize) -> Course {
        self.items.get(position).map_or(Course::Failed, |item| item.course)
    }

    fn set(&mut self, position: usize, course: Course) {
        let Some(item) = self.items.get_mut(position) else { return };
        if let Some(former) = self.counts.of(item.course) {
            *former -= 1;
        }
        item.course = course;
        if let Some(count) = self.counts.of(course) {
            *count += 1;
        }
    }
}

impl Counts {
    const fn of(&mut self, course: Course) -> Option<&mut usize> {
        match course {
            Course::Open => None,
            Course::InFlight => Some(&mut self.in_flight),
            Course::Done => Some(&mut self.done),
            Course::Quarantined => Some(&mut self.quarantined),
            Course::Failed => Some(&mut self.failed),
        }
    }
}

const fn course_of(state: &ItemState) -> Course {
    match state {
        ItemState::Done { .. } | ItemState::Skipped { .. } => Course::Done,
        ItemState::Failed { .. } => Course::Failed,
        ItemState::Quarantined { .. } => Course::Quarantined,
    }
}

impl fmt::Debug for BackfillPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackfillPlan").field("counts", &self.counts).finish_non_exhaustive()
    }
}
