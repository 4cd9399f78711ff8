//! Drives a shutdown from phase to phase.

use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::Phase;
#[cfg(feature = "signal")]
use super::signals::Signals;
use super::token::ShutdownToken;
use crate::timer::Alarm;

#[derive(Debug)]
pub(super) struct Driver {
    token: ShutdownToken,
    alarm: Option<(Instant, Alarm)>,
    #[cfg(feature = "signal")]
    signals: Option<Signals>,
}

impl Driver {
    pub(super) const fn new(token: ShutdownToken) -> Driver {
        Driver {
            token,
            alarm: None,
            #[cfg(feature = "signal")]
            signals: None,
        }
    }

    pub(super) const fn token(&self) -> &ShutdownToken {
        &self.token
    }

    #[cfg(feature = "signal")]
    pub(super) fn listen(&mut self, signals: Signals) {
        self.signals = Some(signals);
    }

    /// Drives the shutdown until this phase.
    pub(super) async fn until(&mut self, phase: Phase) {
        std::future::poll_fn(|cx| self.poll(phase, cx)).await;
    }

    pub(super) fn poll(&mut self, until: Phase, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.token.shared();
        // Before `advance`, so that work that ends after it wakes this task.
        shared.set_driver(cx.waker());
        loop {
            #[cfg(feature = "signal")]
            while let Some(Poll::Ready(name)) =
                self.signals.as_mut().map(|signals| signals.poll(cx))
            {
                self.token.begin(name);
            }
            let due = shared.advance();
            if shared.phase() >= until {
                return Poll::Ready(());
            }
            let Some(due) = due else { return Poll::Pending };
            let (at, alarm) = self.alarm.get_or_insert_with(|| (due, Alarm::at(due)));
            if *at != due {
                *at = due;
                *alarm = Alarm::at(due);
            }
            ready!(alarm.poll(cx));
            self.alarm = None;
        }
    }
}
