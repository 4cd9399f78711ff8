//! What asks for an end from outside of the process.

use std::io;
use std::task::{Context, Poll};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, ctrl_c};

/// Signals that were not heard yet. Two of a kind that come at once are heard as one.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(windows)]
    ctrl_c: CtrlC,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Signals { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        if let Poll::Ready(Some(())) = self.terminate.poll_recv(cx) {
            return Poll::Ready("SIGTERM");
        }
        match self.interrupt.poll_recv(cx) {
            Poll::Ready(Some(())) => Poll::Ready("SIGINT"),
            _ => Poll::Pending,
        }
    }
}

#[cfg(windows)]
impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        Ok(Signals { ctrl_c: ctrl_c()? })
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        match self.ctrl_c.poll_recv(cx) {
            Poll::Ready(Some(())) => Poll::Ready("Ctrl-C"),
            _ => Poll::Pending,
        }
    }
}
