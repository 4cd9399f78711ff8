//! Several processes share a file, and some are stopped or killed in the middle.
//!
//! A child is this test binary, which runs the one test `processes::child` with its orders in the environment. The sizes of the
//! issue are reached with `FLOW_FULL=1`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use resilience_core::flow::idempotency::{Completion, KeyRequest, Taken};
use resilience_core::flow::lease::LeaseKeeper;
use resilience_core::flow::{Fence, FencingToken};
use resilience_stores::fingerprint;
use resilience_stores::sqlite::{SqliteMigrations, SqliteStore, driver_error};
use rustix::process::{Pid, Signal, kill_process};

use crate::{count, folder, log, with_log, write};

const ORDERS: &str = "FLOW_CHILD";
const PATIENCE: Duration = Duration::from_secs(120);

fn full() -> bool {
    std::env::var_os("FLOW_FULL").is_some()
}

/// A child process, the lines that it prints, and its input.
struct Worker {
    child: Child,
    lines: mpsc::Receiver<String>,
    input: ChildStdin,
}

impl Worker {
    fn spawn(path: &Path, orders: &str) -> Worker {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--nocapture", "--test-threads=1"])
            .env(ORDERS, format!("{orders} {}", path.display()))
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

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn kill(mut self) -> mpsc::Receiver<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines
    }

    fn wait(mut self) {
        drop(self.input);
        assert!(self.child.wait().unwrap().success());
    }
}

fn say(line: impl std::fmt::Display) {
    println!(">{line}");
    std::io::stdout().flush().unwrap();
}

fn listen() {
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
}

/// The body of every child. Nothing without orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let mut words = orders.splitn(3, ' ');
    let (what, number, path) =
        (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let path = PathBuf::from(path);
    match what {
        "sections" => sections(&path, number.parse().unwrap()).await,
        "hold" => hold(&path).await,
        "deliver" => deliver(&path, number).await,
        "open" => {
            SqliteStore::open(&path).await.unwrap();
        }
        other => panic!("unknown orders: {other}"),
    }
}

async fn sections(path: &Path, sections: u32) {
    let store = SqliteStore::open(path).await.unwrap();
    let keeper =
        LeaseKeeper::builder(Arc::new(store.clone())).term(Duration::from_secs(2)).build().unwrap();
    let mut done = 0;
    while done < sections {
        let lease = keeper.acquire("daily").await.unwrap();
        let fence = lease.fence().clone();
        let section = lease.run(async {
            if !write(&store, &fence, "enter").await.unwrap() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            write(&store, &fence, "leave").await.unwrap()
        });
        done += u32::from(section.await == Ok(true));
    }
}

async fn hold(path: &Path) {
    let store = SqliteStore::open(path).await.unwrap();
    let keeper = LeaseKeeper::builder(Arc::new(store.clone()))
        .term(Duration::from_millis(300))
        .build()
        .unwrap();
    let lease = keeper.acquire("daily").await.unwrap();
    assert!(write(&store, lease.fence(), "holder").await.unwrap());
    say(lease.token());
    listen();
    // Stopped meanwhile, and its lease is over. Its write goes to the store all the same.
    say(write(&store, lease.fence(), "late").await.unwrap());
}

/// Works off the deliveries of a file, from a line on.
async fn deliver(path: &Path, orders: &str) {
    let (file, from) = orders.split_once(':').unwrap();
    let store = SqliteStore::open(path).await.unwrap();
    let deliveries = std::fs::read_to_string(path.with_file_name(file)).unwrap();
    for (position, message) in deliveries.lines().enumerate().skip(from.parse().unwrap()) {
        let (message, payload) = (message.to_owned(), fingerprint(message.as_bytes()));
        let request = KeyRequest::new(message.clone(), payload);
        let once = store.once(request, move |tx| {
            let insert = "INSERT INTO effects (message) VALUES (?1)";
            tx.driver().execute(insert, [message]).map_err(driver_error)?;
            Ok::<_, resilience_core::flow::StoreError>(Completion::of(1, ""))
        });
        match once.await.unwrap() {
            Ok(_) | Err(Taken::Done { .. }) => say(position),
            Err(taken) => panic!("{taken:?}"),
        }
    }
    say("end");
}

#[tokio::test]
async fn twenty_processes_are_never_two_inside() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    with_log(&store).await;
    let workers: Vec<_> = (0..20).map(|_| Worker::spawn(&path, "sections 10")).collect();
    workers.into_iter().for_each(Worker::wait);
    let log = log(&store).await;
    let complete = log.chunks(2).filter(|pair| pair.len() == 2 && pair[0].0 == pair[1].0).count();
    assert!(
        log.windows(2).all(|pair| pair[0].0 <= pair[1].0),
        "a former holder's write was accepted"
    );
    let sections = log.chunk_by(|one, next| one.0 == next.0);
    let left = sections.filter(|section| section.last().is_some_and(|last| last.1 == "leave"));
    assert_eq!(left.count(), 200, "{complete} pairs in {} writes", log.len());
}

#[tokio::test]
async fn the_late_write_of_a_stopped_holder_is_refused() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    with_log(&store).await;
    let keeper = LeaseKeeper::builder(Arc::new(store.clone())).build().unwrap();
    let rounds = if full() { 100 } else { 10 };
    for round in 0..rounds {
        let mut holder = Worker::spawn(&path, "hold 0");
        let stale: u64 = holder.line().parse().unwrap();
        holder.signal(Signal::STOP);
        if round % 2 == 0 {
            // Half of the time another has the lease, half of the time it has only ended.
            let successor = keeper.acquire("daily").await.unwrap();
            assert!(write(&store, successor.fence(), "successor").await.unwrap());
            assert!(successor.token().get() > stale);
            successor.give_back().await;
        } else {
            let fence = Fence::new("daily", FencingToken::new(stale));
            while resilience_core::flow::lease::LeaseStore::admits(&store, fence.clone())
                .await
                .unwrap()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        holder.input.write_all(b"go\n").unwrap();
        holder.signal(Signal::CONT);
        assert_eq!(holder.line(), "false", "round {round}");
        holder.wait();
    }
    let log = log(&store).await;
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

#[tokio::test]
async fn messages_delivered_again_and_again_have_one_effect_each_though_processes_are_killed() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    let created = store.transaction(|tx| {
        tx.driver()
            .execute_batch("CREATE TABLE effects (message TEXT NOT NULL)")
            .map_err(driver_error)
    });
    created.await.unwrap();
    let messages = if full() { 10_000 } else { 600 };
    let lists = deliveries(messages, 8);
    let total: usize = lists.iter().map(Vec::len).sum();
    let mut workers = tokio::task::JoinSet::new();
    for (number, list) in lists.into_iter().enumerate() {
        let file = format!("deliveries-{number}");
        std::fs::write(path.with_file_name(&file), list.join("\n")).unwrap();
        let path = path.clone();
        workers.spawn_blocking(move || {
            let (mut from, mut kills) = (0, 0);
            loop {
                let worker = Worker::spawn(&path, &format!("deliver {file}:{from}"));
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
    let effects = count(&store, "SELECT count(*) FROM effects").await;
    let distinct = count(&store, "SELECT count(DISTINCT message) FROM effects").await;
    assert_eq!((effects, distinct), (messages, messages), "{total} deliveries, {kills} kills");
    let done = count(&store, "SELECT count(*) FROM flow_keys WHERE done_rows = 1").await;
    assert_eq!(done, messages);
}

#[tokio::test]
async fn of_two_processes_that_start_at_once_one_migrates() {
    for _ in 0..3 {
        let (_folder, path) = folder();
        let starters: Vec<_> = (0..4).map(|_| Worker::spawn(&path, "open 0")).collect();
        starters.into_iter().for_each(Worker::wait);
        let store = SqliteStore::open(&path).await.unwrap();
        let applied = count(&store, "SELECT count(*) FROM flow_schema_history").await;
        assert_eq!(applied, u64::from(SqliteMigrations::latest()));
    }
}
