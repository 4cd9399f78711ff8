//! The child processes: each prints `ready` to stdout, and something of it blocks.

use std::fs::File;
use std::future::{pending, poll_fn};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Barrier};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use resilience_core::observe::Event;
use resilience_core::shutdown::{Phase, Shutdown, ShutdownBuilder};
use tokio::runtime::{Builder, Runtime};

use super::TOTAL;
use crate::{MS, SECOND};

pub(super) const CHILDREN: [(&str, fn()); 21] = [
    ("handler before", handler_before),
    ("handler after", handler_after),
    ("never polled", never_polled),
    ("all workers", all_workers),
    ("hook", hook),
    ("hook drop", hook_drop),
    ("runtime", runtime_that_hangs),
    ("token", token),
    ("run dropped", run_dropped),
    ("paused clock", paused_clock),
    ("two", two),
    ("listener", listener),
    ("waker", waker),
    ("stderr locked", stderr_locked),
    ("stderr full", stderr_full),
    ("stdout full", stdout_full),
    ("hooks done", hooks_done),
    ("signals", signals),
    ("signals, listener", signals_listener),
    ("finishes", finishes),
    ("not opted in", not_opted_in),
];

/// Bounds of 800 ms in all, and what each phase prints.
fn builder() -> ShutdownBuilder {
    let builder = Shutdown::builder().grace(MS * 100).drain(MS * 300).unwind(MS * 100);
    builder.hooks(MS * 300).total(TOTAL).listen(|event: &Event<'_>| {
        if let Event::ShutdownChanged { to, .. } = event {
            eprintln!("phase {to}");
        }
    })
}

fn exiting() -> ShutdownBuilder {
    builder().exit_process_at_total()
}

/// A child with signals and two hooks.
fn built(builder: ShutdownBuilder) -> Shutdown {
    let mut shutdown = builder.build().unwrap().on_signals().unwrap();
    shutdown.hook("flush", || async {}).hook("goodbye", || async {});
    shutdown
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn block() -> ! {
    loop {
        thread::park();
    }
}

fn ready() {
    println!("ready");
}

/// Blocks until the parent process writes a line.
fn wait_for_go() {
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// The only thread of a runtime blocks before the first signal.
fn handler_before() {
    runtime().block_on(async {
        let shutdown = built(exiting());
        tokio::spawn(shutdown.token().run("handler", async {
            ready();
            block()
        }));
        shutdown.run().await
    });
}

/// The only thread of a runtime blocks once the shutdown has begun.
fn handler_after() {
    runtime().block_on(async {
        let shutdown = built(exiting());
        let draining = shutdown.token().draining();
        tokio::spawn(shutdown.token().run("handler", async {
            ready();
            draining.await;
            block()
        }));
        shutdown.run().await
    });
}

/// There is not even a runtime.
fn never_polled() {
    let _shutdown = built(exiting());
    ready();
    block()
}

fn all_workers() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let shutdown = built(exiting());
        let both = Arc::new(Barrier::new(2));
        for _ in 0..2 {
            let both = both.clone();
            tokio::spawn(shutdown.token().run("handler", async move {
                if both.wait().is_leader() {
                    ready();
                }
                block()
            }));
        }
        tokio::spawn(shutdown.run());
        pending::<()>().await;
    });
}

fn hook() {
    runtime().block_on(async {
        let mut shutdown = exiting().build().unwrap().on_signals().unwrap();
        shutdown.hook("first", || async {});
        shutdown.hook("blocks", || async { block() as () });
        shutdown.hook("last", || async {});
        ready();
        shutdown.run().await
    });
}

struct Blocks;

impl Drop for Blocks {
    fn drop(&mut self) {
        block()
    }
}

fn hook_drop() {
    runtime().block_on(async {
        let mut shutdown = exiting().build().unwrap().on_signals().unwrap();
        shutdown.hook("blocks", || async {
            let _blocks = Blocks;
            pending::<()>().await;
        });
        shutdown.hook("last", || async {});
        ready();
        shutdown.run().await
    });
}

/// The runtime waits for a blocking task after an end that was clean.
fn runtime_that_hangs() {
    let runtime = runtime();
    let report = runtime.block_on(async {
        let shutdown = built(exiting());
        tokio::task::spawn_blocking(|| block() as ());
        ready();
        shutdown.run().await
    });
    assert!(report.is_clean());
    drop(runtime);
}

/// Without signals.
fn token() {
    let mut shutdown = exiting().build().unwrap();
    shutdown.hook("flush", || async {});
    let token = shutdown.token();
    thread::spawn(move || {
        wait_for_go();
        token.begin("test");
    });
    let _work = shutdown.token().track("work").unwrap();
    ready();
    block()
}

fn run_dropped() {
    runtime().block_on(async {
        let shutdown = built(exiting());
        let not_ready = shutdown.token().not_ready();
        ready();
        tokio::select! {
            _report = shutdown.run() => {}
            () = not_ready => {}
        }
    });
    block()
}

/// Hours of tokio's time do not end it, and do not put off its end either.
fn paused_clock() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let shutdown = exiting().build().unwrap();
        tokio::time::sleep(SECOND * 36_000).await;
        ready();
        wait_for_go();
        shutdown.token().begin("test");
        shutdown.run().await;
        tokio::time::sleep(SECOND * 36_000).await;
    });
    block()
}

fn two() {
    let _patient = built(exiting().total(SECOND * 600));
    let _hasty = built(exiting().name("hasty"));
    ready();
    block()
}

fn listener() {
    let _shutdown = built(exiting().listen(|_: &Event<'_>| block()));
    ready();
    block()
}

impl Wake for Blocks {
    fn wake(self: Arc<Blocks>) {
        block()
    }
}

fn waker() {
    let shutdown = built(exiting());
    let mut waiting = Box::pin(shutdown.token().not_ready());
    let blocks = Waker::from(Arc::new(Blocks));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&blocks)).is_pending());
    ready();
    block()
}

/// The lock of stderr is held by the thread that blocks.
fn stderr_locked() {
    let _shutdown = built(exiting());
    let _lock = io::stderr().lock();
    ready();
    block()
}

/// Stderr is not read, and a write to it blocks.
fn stderr_full() {
    let _shutdown = built(exiting());
    ready();
    fill(io::stderr().as_fd().try_clone_to_owned().unwrap().into())
}

fn fill(mut output: File) -> ! {
    loop {
        output.write_all(&[b'.'; 1 << 16]).unwrap();
    }
}

/// Stdout is not read, and std writes to it when a process exits.
fn stdout_full() {
    let _shutdown = built(exiting());
    ready();
    print!("left in the buffer");
    fill(io::stdout().as_fd().try_clone_to_owned().unwrap().into())
}

/// The thread blocks after the hooks.
fn hooks_done() {
    runtime().block_on(async {
        let shutdown = built(exiting());
        ready();
        shutdown.run().await
    });
    block()
}

/// The total is long, so only signals end the process.
fn signals() {
    let _shutdown = built(exiting().total(SECOND * 600));
    ready();
    block()
}

/// Phases come though their listener blocks.
fn signals_listener() {
    let shutdown = built(exiting().total(SECOND * 600).listen(|_: &Event<'_>| block()));
    let token = shutdown.token();
    ready();
    for phase in [Phase::NotReady, Phase::Forced] {
        while token.phase() < phase {
            thread::park_timeout(MS);
        }
        eprintln!("phase {phase}");
    }
    block()
}

/// A shutdown that ends in time ends as without the setting.
fn finishes() {
    let report = runtime().block_on(async {
        let mut shutdown = built(exiting());
        shutdown.hook("fails", || async { Err::<(), _>("on purpose") });
        let draining = shutdown.token().draining();
        tokio::spawn(shutdown.token().run("handler", draining));
        ready();
        shutdown.run().await
    });
    eprintln!("{report}");
    std::process::exit(report.exit_code().into());
}

/// Nothing ends it while its thread is blocked, and all goes on after that.
fn not_opted_in() {
    let report = runtime().block_on(async {
        let shutdown = built(builder());
        tokio::spawn(shutdown.token().run("handler", async {
            // Once `run` was polled.
            let mut polled = false;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut polled, true) {
                    ().into()
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
            ready();
            wait_for_go();
        }));
        shutdown.run().await
    });
    eprintln!("{report}");
    std::process::exit(report.exit_code().into());
}

/// A bound on every wait of the parent.
pub(super) const LONG: Duration = Duration::from_secs(30);
