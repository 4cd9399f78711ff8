//! The wait of a call for its deadline.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

use super::shared::{self, Share};
use crate::deadline::Deadline;

pin_project! {
    /// A wait for one point in time after another. No timer is set before the first poll.
    #[derive(Debug, Default)]
    pub(crate) struct Wait {
        #[pin]
        timer: Option<Timer>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = TimerProj]
    enum Timer {
        Shared { share: Share },
        Own { #[pin] sleep: Sleep },
    }
}

impl Wait {
    /// Returns `Ready` once `then` has come. Otherwise the polling task is woken at `then`.
    ///
    /// No timer is set under an outer deadline that comes no later: the future that enforces the
    /// outer deadline polls this one and drops it in time. The outer deadline is read at each poll,
    /// since a future can outlive the deadline that it was first polled under.
    pub(crate) fn poll(self: Pin<&mut Self>, then: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        if Deadline::current().is_some_and(|current| current <= then) {
            return Poll::Pending;
        }
        let mut timer = self.project().timer;
        match timer.as_mut().as_pin_mut().map(Timer::project) {
            Some(TimerProj::Own { sleep }) => return poll_own(sleep, then, cx),
            Some(TimerProj::Shared { share }) if share.rings_by(then, cx) => return Poll::Pending,
            // The share has fired, or would fire too late.
            Some(TimerProj::Shared { .. }) | None => {}
        }
        if let Some(share) = shared::join(then, cx) {
            timer.set(Some(Timer::Shared { share }));
            return Poll::Pending;
        }
        timer.set(Some(Timer::Own { sleep: tokio::time::sleep_until(then.instant().into()) }));
        match timer.as_pin_mut().map(Timer::project) {
            Some(TimerProj::Own { sleep }) => poll_own(sleep, then, cx),
            Some(TimerProj::Shared { .. }) | None => Poll::Pending,
        }
    }
}

fn poll_own(mut sleep: Pin<&mut Sleep>, then: Deadline, cx: &mut Context<'_>) -> Poll<()> {
    let then = tokio::time::Instant::from_std(then.instant());
    if sleep.deadline() != then {
        sleep.as_mut().reset(then);
    }
    // Unconstrained: the inner future may use up the task's cooperative budget at every poll, and
    // the timer must fire all the same.
    pin!(unconstrained(sleep)).poll(cx)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::JoinSet;
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;
    use crate::clock;
    use crate::timer::shared::SHARES;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn paused() -> Runtime {
        Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }

    fn after(wait: Duration) -> Deadline {
        Deadline::after(clock::now(), wait)
    }

    /// Waits, and returns the time that passed.
    async fn wait_for(wait: Duration) -> Duration {
        let began = clock::now();
        let then = after(wait);
        let mut timer = pin!(Wait::default());
        poll_fn(|cx| timer.as_mut().poll(then, cx)).await;
        clock::now() - began
    }

    /// Waits of up to twice the shared timer, begun one after another; many are dropped early.
    #[test]
    fn each_ends_at_its_own_time() {
        paused().block_on(async {
            let mut random = SmallRng::seed_from_u64(1);
            let mut waits = JoinSet::new();
            for _ in 0..2_000 {
                let wait = random.random_range(0..40_000) * MS;
                let patience = random.random_range(0..80_000) * MS;
                waits.spawn(async move {
                    match tokio::time::timeout(patience, wait_for(wait)).await {
                        Ok(took) => assert_eq!(took, wait),
                        Err(_) => assert!(patience <= wait),
                    }
                });
                tokio::time::sleep(random.random_range(0..40) * MS).await;
            }
            while let Some(ended) = waits.join_next().await {
                ended.unwrap();
            }
        });
    }

    #[test]
    fn far_deadlines_share_and_near_ones_do_not() {
        let runtime = paused();
        let _entered = runtime.enter();
        let poll = |then| {
            let mut wait = spawn(Box::pin(Wait::default()));
            assert_pending!(wait.enter(|cx, wait| wait.get_mut().as_mut().poll(then, cx)));
            wait
        };
        let is_shared = |wait: &Pin<Box<Wait>>| matches!(wait.timer, Some(Timer::Shared { .. }));
        assert!(!is_shared(&poll(after(SECOND - MS))), "nothing is set for what is near");
        let first = poll(after(10 * SECOND));
        assert!(is_shared(&first));
        assert!(is_shared(&poll(after(10 * SECOND))));
        assert!(!is_shared(&poll(after(9 * SECOND))), "it rings too late");
        let others: Vec<_> = (1..SHARES).map(|_| poll(after(11 * SECOND))).collect();
        assert!(others.iter().all(|wait| is_shared(wait)));
        assert!(!is_shared(&poll(after(11 * SECOND))), "there is no room");
        drop(others);
        assert!(is_shared(&poll(after(11 * SECOND))), "and now there is");
        drop(first);
        assert!(is_shared(&poll(after(12 * SECOND))), "it stays set");
    }

    #[test]
    fn a_deadline_in_centuries_shares_with_nearer_ones() {
        let runtime = paused();
        let _entered = runtime.enter();
        let years = clock::now() + 500 * 365 * (24 * 3_600 * SECOND);
        let waits = [Deadline::at(years), after(3_600 * SECOND), after(60 * SECOND)].map(|then| {
            let mut wait = spawn(Box::pin(Wait::default()));
            assert_pending!(wait.enter(|cx, wait| wait.get_mut().as_mut().poll(then, cx)));
            wait
        });
        assert!(waits.iter().all(|wait| matches!(wait.timer, Some(Timer::Shared { .. }))));
        let hour = || wait_for(3_600 * SECOND);
        assert_eq!(paused().block_on(hour()), 3_600 * SECOND, "woken early, and not late");
    }

    #[test]
    fn the_task_that_polled_last_is_woken() {
        paused().block_on(async {
            let then = after(5 * SECOND);
            let mut wait = pin!(Wait::default());
            let mut former = spawn(());
            let mut latter = spawn(());
            assert_pending!(former.enter(|cx, _| wait.as_mut().poll(then, cx)));
            assert_pending!(latter.enter(|cx, _| wait.as_mut().poll(then, cx)));
            tokio::time::sleep(6 * SECOND).await;
            assert_eq!((former.is_woken(), latter.is_woken()), (false, true));
            assert_ready!(latter.enter(|cx, _| wait.as_mut().poll(then, cx)));
        });
    }

    /// After a failed attempt the next deadline may be nearer.
    #[test]
    fn a_wait_may_become_shorter() {
        paused().block_on(async {
            let began = clock::now();
            let far = after(30 * SECOND);
            let near = after(2 * SECOND);
            let mut wait = pin!(Wait::default());
            poll_fn(|cx| {
                assert_pending!(wait.as_mut().poll(far, cx));
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| wait.as_mut().poll(near, cx)).await;
            assert_eq!(clock::now() - began, 2 * SECOND);
        });
    }

    /// A share of an earlier round may have the slab index of a share of this round.
    #[test]
    fn dropping_a_share_of_an_earlier_round_removes_no_other() {
        paused().block_on(async {
            let mut early = Box::pin(Wait::default());
            let mut late = Box::pin(Wait::default());
            let mut former = spawn(());
            let mut latter = spawn(());
            let then = after(5 * SECOND);
            assert_pending!(former.enter(|cx, _| early.as_mut().poll(then, cx)));
            tokio::time::sleep(6 * SECOND).await;
            let then = after(5 * SECOND);
            assert_pending!(latter.enter(|cx, _| late.as_mut().poll(then, cx)));
            assert_pending!(former.enter(|cx, _| early.as_mut().poll(then, cx)));
            drop(early);
            tokio::time::sleep(6 * SECOND).await;
            assert!(latter.is_woken());
            assert_ready!(latter.enter(|cx, _| late.as_mut().poll(then, cx)));
        });
    }

    /// A runtime drives only its own timers, and only while it runs.
    #[test]
    fn runtimes_do_not_share() {
        let mut task = spawn(());
        let mut wait = Box::pin(Wait::default());
        let idle = paused();
        let busy = paused();
        idle.block_on(async {
            assert_pending!(task.enter(|cx, _| wait.as_mut().poll(after(5 * SECOND), cx)));
        });
        assert_eq!(busy.block_on(wait_for(7 * SECOND)), 7 * SECOND);
    }

    /// A runtime that ends fires its bell, and the wait continues in another runtime.
    #[test]
    fn a_wait_may_continue_in_another_runtime() {
        let mut task = spawn(());
        let mut wait = Box::pin(Wait::default());
        let former = paused();
        let then = former.block_on(async { after(5 * SECOND) });
        former.block_on(async {
            assert_pending!(task.enter(|cx, _| wait.as_mut().poll(then, cx)));
        });
        drop(former);
        assert!(task.is_woken());
        paused().block_on(async {
            poll_fn(|cx| wait.as_mut().poll(then, cx)).await;
            assert!(then.has_passed(clock::now()));
            assert_eq!(wait_for(7 * SECOND).await, 7 * SECOND);
        });
    }
}
