//! Ends the process at `total`, from a thread that waits for no other.
//!
//! One thread counts the time and ends the process; it runs no user code. With signals there are
//! two more: one receives them on a runtime of its own and changes the phase, and one notifies
//! wakers and listeners of it, which are user code and may block.

use std::fmt;
use std::io::{self, Write};
use std::process;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::token::ShutdownToken;
use crate::clock;
use crate::observe::Rounded;

/// Added to the exit code of the report.
const CODE: u8 = 4;

/// The signal that ends the process at once.
const LAST_SIGNAL: u32 = 3;

/// Time for the report to be written, and then for the process to exit.
const MOMENT: Duration = Duration::from_secs(1);

/// A notice to the thread that ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The shutdown has begun. Sent once.
    Begun,
    /// A signal was received.
    #[cfg(feature = "signal")]
    Signal,
}

/// The reason for which the process is ended.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Total(Duration),
    LastSignal,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Total(total) => {
                write!(f, "the process still runs {} after its shutdown began", Rounded(*total))
            }
            Cause::LastSignal => f.write_str("a third signal was received"),
        }
    }
}

/// Starts the thread, which lives as long as the process.
pub(super) fn start(
    token: ShutdownToken,
    total: Duration,
    notices: Receiver<Notice>,
) -> io::Result<()> {
    // See docs/decisions/0029-a-blocked-thread-is-ended-by-another-thread.md.
    spawn("shutdown-exit", move || {
        if let Some(cause) = wait(total, &notices) {
            let (text, code) = last_words(&token, cause);
            end_process(&text, code)
        }
    })
}

pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Waits until the process is to be ended. Returns `None` if nothing can begin the shutdown any
/// more.
fn wait(total: Duration, notices: &Receiver<Notice>) -> Option<Cause> {
    let mut notice = notices.recv().ok()?;
    // This thread is outside of every runtime, so its clock is the operating system's also while a
    // test has paused tokio's.
    let end = clock::later(clock::now(), total);
    let mut signals = 0;
    loop {
        signals += u32::from(notice != Notice::Begun);
        if signals == LAST_SIGNAL {
            return Some(Cause::LastSignal);
        }
        match notices.recv_timeout(end.saturating_duration_since(clock::now())) {
            Ok(next) => notice = next,
            Err(_over) => return Some(Cause::Total(total)),
        }
    }
}

/// Returns the text that is printed, and the exit code.
fn last_words(token: &ShutdownToken, cause: Cause) -> (String, u8) {
    let report = token.shared().report(clock::now());
    let code = CODE | report.exit_code();
    let name = &report.name;
    (format!("{name}: {cause}; exit code {code}, the report so far:\n{report}\n"), code)
}

/// Ends the process, whatever blocks: the lock or the pipe of an output, or what the operating
/// system runs at the exit of a process.
fn end_process(text: &str, code: u8) -> ! {
    let (printed, wait) = mpsc::channel();
    let copy = text.to_owned();
    let printing = spawn("shutdown-print", move || {
        print(&copy);
        // The receiver is gone if the moment is over.
        let _late = printed.send(());
    });
    match printing {
        Ok(()) => wait.recv_timeout(MOMENT).unwrap_or_default(),
        Err(_no_thread) => print(text),
    }
    let aborting = spawn("shutdown-abort", || {
        let (_never, wait) = mpsc::channel::<()>();
        let _over = wait.recv_timeout(MOMENT);
        process::abort()
    });
    // Without that thread `exit` alone has to do.
    drop(aborting);
    process::exit(code.into())
}

/// Writes to stderr if that is possible.
fn print(text: &str) {
    // The descriptor rather than `io::stderr()`, since a blocked thread may hold the lock of that
    // one.
    #[cfg(unix)]
    if let Ok(stderr) = std::os::fd::AsFd::as_fd(&io::stderr()).try_clone_to_owned() {
        let _closed = std::fs::File::from(stderr).write_all(text.as_bytes());
        return;
    }
    let _closed = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use tokio_test::assert_pending;
    use tokio_test::task::spawn;

    use super::*;
    use crate::shutdown::Shutdown;

    const SECOND: Duration = Duration::from_secs(1);

    /// A handler blocks the thread that polls `run`, so that no poll comes.
    #[tokio::test(start_paused = true)]
    async fn the_book_shows_what_is_printed_of_a_blocked_process() {
        let mut shutdown = Shutdown::builder().build().unwrap();
        shutdown.hook("flush", || async {}).hook("deregister", || async {});
        let token = shutdown.token();
        let mut requests = [(); 3].map(|()| Some(token.track("http").unwrap()));
        token.begin("SIGTERM");
        let mut run = spawn(shutdown.run());
        assert_pending!(run.poll());
        tokio::time::advance(SECOND * 5).await;
        assert_pending!(run.poll());
        requests[..2].fill_with(|| None);
        tokio::time::advance(SECOND * 24).await;
        let (text, code) = last_words(&token, Cause::Total(SECOND * 29));
        assert_eq!(code, 7);
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/shutdown.md");
        let book = std::fs::read_to_string(book).unwrap();
        assert!(book.contains(&format!("```text\n{text}```")), "{text}");
    }

    #[test]
    fn only_the_beginning_counts_the_time_and_only_signals_count() {
        let wait_for = |total, notices: &[Notice]| {
            let (sender, receiver) = mpsc::channel();
            notices.iter().for_each(|notice| sender.send(*notice).unwrap());
            let cause = wait(total, &receiver);
            drop(sender);
            cause.map(|cause| matches!(cause, Cause::LastSignal))
        };
        let short = Duration::from_millis(1);
        assert_eq!(wait_for(short, &[Notice::Begun]), Some(false));
        assert_eq!(wait_for(short, &[Notice::Begun; 4]), Some(false));
        #[cfg(feature = "signal")]
        {
            let begun = Notice::Begun;
            let signal = Notice::Signal;
            assert_eq!(wait_for(short, &[signal, signal, begun]), Some(false));
            assert_eq!(wait_for(SECOND * 60, &[signal, begun, signal, signal]), Some(true));
            assert_eq!(wait_for(SECOND * 60, &[begun, signal, signal, signal]), Some(true));
        }
        let (gone, receiver) = mpsc::channel();
        drop(gone);
        assert!(wait(short, &receiver).is_none());
    }
}
