//! Several processes share a store, and some are stopped or killed in the middle.
//!
//! A child is the test binary, which runs the one test `processes::child` with its orders in the
//! environment. The sizes of the issue are reached with `FLOW_FULL=1`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use resilience_core::flow::lease::{LeaseKeeper, LeaseStore};
use resilience_core::flow::{Fence, FencingToken};
use rustix::process::{Pid, Signal, kill_process};

/// A store with a log of its own and effects of its own.
pub(crate) trait Engine: Clone + Send + Sync + 'static {
    async fn open(url: &str) -> Self;
    /// Creates the log and the effects.
    async fn prepare(&self);
    fn leases(&self) -> Arc<dyn LeaseStore>;
    /// Writes to the log under a fence, which is checked in the same transaction.
    async fn write(&self, fence: &Fence, what: &str) -> bool;
    /// Returns the accepted writes in the order of the store.
    async fn log(&self) -> Vec<(u64, String)>;
    /// Has one effect for this message, however often it is delivered.
    async fn deliver(&self, message: &str);
    /// Returns the effects, and the messages that have one.
    async fn effects(&self) -> (u64, u64);
}

pub(crate) const ORDERS: &str = "FLOW_CHILD";
const PATIENCE: Duration = Duration::from_secs(120);

fn full() -> bool {
    std::env::var_os("FLOW_FULL").is_some()
}

/// A child process, the lines that it prints, and its input.
pub(crate) struct Worker {
    child: Child,
    lines: mpsc::Receiver<String>,
    input: ChildStdin,
}

impl Worker {
    pub(crate) fn spawn(url: &str, orders: &str) -> Worker {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--nocapture", "--test-threads=1"])
            .env(ORDERS, format!("{orders} {url}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The harness prints as well.
                let told = line.rsplit_once('>').map(|(_, told)| told.to_owned());
                if told.is_some_and(|told| sender.send(told).is_err()) {
                    return;
                }
            }
        });
        let input = child.stdin.take().unwrap();
        Worker { child, lines, input }
    }

    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn wait(mut self) {
        drop(self.input);
        assert!(self.child.wait().unwrap().success());
    }
}

pub(crate) fn say(line: impl std::fmt::Display) {
    println!(">{line}");
    std::io::stdout().flush().unwrap();
}

fn listen() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

/// The body of every child. Nothing without orders.
pub(crate) async fn child<E: Engine>() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let mut words = orders.splitn(3, ' ');
    let (what, number, url) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let store = E::open(url).await;
    match what {
        "sections" => sections(&store, number.parse().unwrap()).await,
        "hold" => hold(&store).await,
        "deliver" => deliver(&store, number).await,
        "open" => {}
        other => panic!("unknown orders: {other}"),
    }
}

async fn sections(store: &impl Engine, sections: u32) {
    let keeper = LeaseKeeper::builder(store.leases()).term(Duration::from_secs(2)).build().unwrap();
    let mut done = 0;
    while done < sections {
        let lease = keeper.acquire("daily").await.unwrap();
        let fence = lease.fence().clone();
        let section = lease.run(async {
            if !store.write(&fence, "enter").await {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            store.write(&fence, "leave").await
        });
        done += u32::from(section.await == Ok(true));
    }
}

async fn hold(store: &impl Engine) {
    let keeper =
        LeaseKeeper::builder(store.leases()).term(Duration::from_millis(300)).build().unwrap();
    let lease = keeper.acquire("daily").await.unwrap();
    assert!(store.write(lease.fence(), "holder").await);
    say(lease.token());
    listen();
    // Stopped meanwhile, and its lease is over. Its write goes to the store all the same.
    say(store.write(lease.fence(), "late").await);
}

/// Works off the deliveries of a file, from a line on.
async fn deliver(store: &impl Engine, orders: &str) {
    let (file, from) = orders.rsplit_once(':').unwrap();
    let deliveries = std::fs::read_to_string(file).unwrap();
    for (position, message) in deliveries.lines().enumerate().skip(from.parse().unwrap()) {
        store.deliver(message).await;
        say(position);
    }
    say("end");
}

pub(crate) async fn never_two_inside<E: Engine>(url: &str) {
    let store = E::open(url).await;
    store.prepare().await;
    let workers: Vec<_> = (0..20).map(|_| Worker::spawn(url, "sections 10")).collect();
    workers.into_iter().for_each(Worker::wait);
    let log = store.log().await;
    assert!(
        log.windows(2).all(|pair| pair[0].0 <= pair[1].0),
        "a former holder's write was accepted"
    );
    let sections = log.chunk_by(|one, next| one.0 == next.0);
    let left = sections.filter(|section| section.last().is_some_and(|last| last.1 == "leave"));
    assert_eq!(left.count(), 200, "{} writes", log.len());
}

pub(crate) async fn late_writes_are_refused<E: Engine>(url: &str) {
    let store = E::open(url).await;
    store.prepare().await;
    let keeper = LeaseKeeper::builder(store.leases()).build().unwrap();
    let rounds = if full() { 100 } else { 10 };
    for round in 0..rounds {
        let mut holder = Worker::spawn(url, "hold 0");
        let stale: u64 = holder.line().parse().unwrap();
        holder.signal(Signal::STOP);
        if round % 2 == 0 {
            // Half of the time another has the lease, half of the time it has only ended.
            let successor = keeper.acquire("daily").await.unwrap();
            assert!(store.write(successor.fence(), "successor").await);
            assert!(successor.token().get() > stale);
            successor.give_back().await;
        } else {
            let fence = Fence::new("daily", FencingToken::new(stale));
            while store.leases().admits(fence.clone()).await.unwrap() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        holder.input.write_all(b"go\n").unwrap();
        holder.signal(Signal::CONT);
        assert_eq!(holder.line(), "false", "round {round}");
        holder.wait();
    }
    let log = store.log().await;
    assert!(log.iter().all(|(_, what)| what != "late"));
    assert_eq!(log.iter().filter(|(_, what)| what == "holder").count(), rounds);
}

/// Returns each message once to five times, in an order that a seed gives.
fn deliveries(messages: u64, workers: u64) -> Vec<Vec<String>> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut lists = vec![Vec::new(); usize::try_from(workers).unwrap()];
    for message in 0..messages {
        for _ in 0..=next(5) {
            lists[usize::try_from(next(workers)).unwrap()].push(format!("message-{message}"));
        }
    }
    for list in &mut lists {
        for last in (1..list.len()).rev() {
            list.swap(last, usize::try_from(next(last as u64 + 1)).unwrap());
        }
    }
    lists
}

/// Returns the messages, each of which must have one effect.
pub(crate) async fn one_effect_each<E: Engine>(url: &str) -> u64 {
    let store = E::open(url).await;
    store.prepare().await;
    let messages = if full() { 10_000 } else { 600 };
    let lists = deliveries(messages, 8);
    let total: usize = lists.iter().map(Vec::len).sum();
    let folder = tempfile::tempdir().unwrap();
    let mut workers = tokio::task::JoinSet::new();
    for (number, list) in lists.into_iter().enumerate() {
        let file = folder.path().join(format!("deliveries-{number}"));
        std::fs::write(&file, list.join("\n")).unwrap();
        let url = url.to_owned();
        workers.spawn_blocking(move || {
            let (mut from, mut kills) = (0, 0);
            loop {
                let worker = Worker::spawn(&url, &format!("deliver {}:{from}", file.display()));
                // Killed after a few messages, wherever it is by then, until the list is short.
                let until = from + 10 + 7 * number;
                loop {
                    let line = worker.line();
                    if line == "end" {
                        worker.wait();
                        return kills;
                    }
                    from = line.parse::<usize>().unwrap() + 1;
                    if from >= until && from + 10 < list.len() && kills < 5 {
                        break;
                    }
                }
                // What it did after its last line is delivered again.
                worker.kill();
                kills += 1;
            }
        });
    }
    let kills: u32 = workers.join_all().await.into_iter().sum();
    assert!(kills >= 16, "{kills}");
    let effects = store.effects().await;
    assert_eq!(effects, (messages, messages), "{total} deliveries, {kills} kills");
    messages
}

pub(crate) fn open_at_once(url: &str, processes: usize) {
    let starters: Vec<_> = (0..processes).map(|_| Worker::spawn(url, "open 0")).collect();
    starters.into_iter().for_each(Worker::wait);
}
