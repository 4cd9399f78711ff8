//! Signals that begin a shutdown.

use std::future::poll_fn;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::task::{Context, Poll};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, ctrl_c};

use super::exit::{Notice, spawn};
use super::token::ShutdownToken;

/// Receiver of signals. Signals of one kind that arrive before the first is received count as one.
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

/// Receives signals from now on, on threads of its own that live as long as the process.
pub(super) fn listen_apart(token: &ShutdownToken, notices: &Sender<Notice>) -> io::Result<()> {
    let (steps, announced) = mpsc::channel();
    let (ready, started) = mpsc::channel();
    let announcing = token.clone();
    spawn("shutdown-begin", move || {
        announced.into_iter().for_each(|step| announcing.shared().announce_begin(&step));
    })?;
    let token = token.clone();
    let notices = notices.clone();
    spawn("shutdown-signal", move || {
        let received = receive(&ready, |signal| {
            // Neither receiver ends before the process.
            let _gone = notices.send(Notice::Signal);
            let _gone = steps.send(token.shared().begin_quietly(signal.into()));
        });
        if let Err(error) = received {
            let _gone = ready.send(Err(error));
        }
    })?;
    started.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

/// Passes each signal to `on_signal`, for ever. Reports to `ready` once signals are received.
fn receive(ready: &Sender<io::Result<()>>, on_signal: impl Fn(&'static str)) -> io::Result<()> {
    // tokio wakes the signal drivers of all runtimes, so this one receives what a blocked one does
    // not.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let _gone = ready.send(Ok(()));
        loop {
            on_signal(poll_fn(|cx| signals.poll(cx)).await);
        }
    })
}
