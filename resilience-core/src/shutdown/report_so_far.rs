//! The report at any moment.

use std::time::Instant;

use super::Phase;
use super::report::{PhaseReport, ShutdownReport, WorkReport};
use super::shared::Shared;

impl Shared {
    /// Returns the report so far. Before a phase begins, its figures are those of the current work
    /// in flight.
    pub(super) fn report(&self, now: Instant) -> ShutdownReport {
        let state = self.state.lock();
        let ends = state.entered.iter().skip(1).map(|&(_, at, _)| at).chain([now]);
        let phases = state.entered.iter().zip(ends).map(|(&(phase, from, in_flight), to)| {
            PhaseReport { phase, took: to.saturating_duration_since(from), in_flight }
        });
        let now_in = state.sequence.phase();
        let work = self.work.iter().zip(state.closed).zip(state.forced);
        let work = work.filter_map(|((work, closed), forced)| {
            let (left, finished_after_all) = work.count.left_and_finished();
            let in_flight =
                if now_in < Phase::Draining { left } else { closed + work.count.late() };
            let cut = if now_in < Phase::Forced {
                left
            } else {
                forced.saturating_sub(finished_after_all)
            };
            Some(WorkReport {
                name: work.name.get()?.clone(),
                in_flight,
                finished: in_flight.saturating_sub(cut),
                cut,
                left: left.min(cut),
            })
        });
        ShutdownReport {
            name: self.name.clone(),
            reason: state.reason.clone(),
            forced: state.sequence.is_forced(),
            phases: phases.filter(|phase| phase.phase != Phase::Stopped).collect(),
            work: work.filter(|work| work.in_flight > 0).collect(),
            hooks: self.hooks.reports(now),
        }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;
    use crate::clock;
    use crate::shutdown::{HookEnd, Shutdown};

    const SECOND: Duration = Duration::from_secs(1);

    fn ends(report: &ShutdownReport) -> Vec<(Duration, HookEnd)> {
        report.hooks.iter().map(|hook| (hook.took, hook.end.clone())).collect()
    }

    /// At every moment the report is of the same work and the same hooks.
    #[tokio::test(start_paused = true)]
    async fn the_report_so_far_leaves_nothing_out() {
        let mut shutdown = Shutdown::builder().grace(SECOND).drain(SECOND).build().unwrap();
        shutdown.hook("first", || async {});
        shutdown.hook("second", || tokio::time::sleep(SECOND));
        shutdown.hook("third", || async {});
        let token = shutdown.token();
        let work = token.track("work").unwrap();
        let done = token.track("work").unwrap();
        let so_far = || token.shared().report(clock::now());
        let expect = |phases: &[Phase], finished, cut, hooks: &[(Duration, HookEnd)], code| {
            let report = so_far();
            assert!(report.phases.iter().map(|phase| &phase.phase).eq(phases), "{report}");
            let work = &report.work[0];
            assert_eq!((work.finished, work.cut, work.left), (finished, cut, cut), "{report}");
            assert_eq!((&*ends(&report), report.exit_code()), (hooks, code), "{report}");
        };
        let phases = [Phase::NotReady, Phase::Draining, Phase::Flushing];
        let none = Duration::ZERO;
        let skipped = [(); 3].map(|()| (none, HookEnd::Skipped));
        expect(&[], 0, 2, &skipped, 3);
        token.begin("test");
        expect(&phases[..1], 0, 2, &skipped, 3);
        let mut run = spawn(shutdown.run());
        assert_pending!(run.poll());
        tokio::time::advance(SECOND).await;
        assert_pending!(run.poll());
        drop(done);
        expect(&phases[..2], 1, 1, &skipped, 3);
        drop(work);
        assert_pending!(run.poll());
        tokio::time::advance(SECOND / 2).await;
        let [.., third] = skipped;
        let second = (SECOND / 2, HookEnd::Unfinished);
        expect(&phases, 2, 0, &[(none, HookEnd::Done), second, third], 2);
        tokio::time::advance(SECOND / 2).await;
        let report = assert_ready!(run.poll());
        assert_eq!((report.exit_code(), so_far()), (0, report.clone()));
    }

    /// A report never calls an interrupted hook done.
    #[tokio::test(start_paused = true)]
    async fn a_hook_that_is_dropped_with_run_is_unfinished() {
        let mut shutdown = Shutdown::builder().grace(Duration::ZERO).build().unwrap();
        shutdown.hook("dropped", pending::<()>).hook("next", || async {});
        let token = shutdown.token();
        token.begin("test");
        let mut run = spawn(shutdown.run());
        assert_pending!(run.poll());
        drop(run);
        tokio::time::advance(SECOND).await;
        let skipped = (Duration::ZERO, HookEnd::Skipped);
        assert_eq!(
            ends(&token.shared().report(clock::now())),
            [(SECOND, HookEnd::Unfinished), skipped]
        );
    }
}
