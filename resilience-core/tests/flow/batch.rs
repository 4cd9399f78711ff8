//! Batches: no row is lost, none is there twice, and memory is bounded.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::flow::batch::{Batch, BatchSink, BatchWriter, PushError, Written};
use resilience_core::flow::{StoreError, StoreErrorKind, StoreFuture};
use resilience_core::shutdown::Shutdown;
use resilience_core::timeout::within;
use resilience_core::{Deadline, clock};
use tokio::time::sleep;

/// What the sink does with one write.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Fails without an effect.
    Before,
    /// Fails after half of the rows.
    During,
    /// Takes effect and loses its response.
    After,
    /// Takes effect and never returns.
    Silent,
    /// Panics without an effect.
    Panic,
}

/// A sink that keeps each row by its number, as an upsert does, and takes its faults in turn.
#[derive(Clone, Default)]
struct Sink(Arc<Inner>);

#[derive(Default)]
struct Inner {
    rows: Mutex<BTreeMap<u64, u32>>,
    quarantined: Mutex<Vec<(u32, String)>>,
    faults: Vec<Fault>,
    /// Rows that are rejected.
    poison: Vec<u32>,
    writes: AtomicUsize,
    largest: AtomicUsize,
}

fn unavailable() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "sink", "scripted")
}

impl Sink {
    fn new(faults: &[Fault], poison: &[u32]) -> Sink {
        let inner = Inner { faults: faults.to_vec(), poison: poison.to_vec(), ..Inner::default() };
        Sink(Arc::new(inner))
    }

    fn fault(&self) -> Fault {
        let turn = self.0.writes.fetch_add(1, Ordering::SeqCst);
        let faults = &self.0.faults;
        faults.get(turn % faults.len().max(1)).copied().unwrap_or(Fault::None)
    }

    /// Stores rows; a row that is there must be the same.
    fn store(&self, batch: &Batch<u32>, count: usize) {
        self.0.largest.fetch_max(batch.rows().len(), Ordering::SeqCst);
        let mut rows = self.0.rows.lock();
        for (number, row) in batch.numbers().zip(batch.rows()).take(count) {
            assert_eq!(*rows.entry(number).or_insert(*row), *row, "another row of this number");
        }
    }

    fn rows(&self) -> Vec<u32> {
        self.0.rows.lock().values().copied().collect()
    }
}

impl BatchSink<u32> for Sink {
    fn write(&self, batch: Batch<u32>) -> StoreFuture<'_, Written> {
        Box::pin(async move {
            let (fault, all) = (self.fault(), batch.rows().len());
            sleep(Duration::from_millis(3)).await;
            match fault {
                Fault::Before => return Err(unavailable()),
                Fault::Panic => panic!("of the sink"),
                _ => {}
            }
            let poison = &self.0.poison;
            if let Some(bad) = batch.rows().iter().find(|row| poison.contains(row)) {
                return Ok(Written::Rejected { why: format!("{bad} is not taken") });
            }
            self.store(&batch, if fault == Fault::During { all / 2 } else { all });
            match fault {
                Fault::During | Fault::After => Err(unavailable()),
                Fault::Silent => pending().await,
                _ => Ok(Written::Confirmed),
            }
        })
    }

    fn quarantine(&self, row: Batch<u32>, why: String) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if self.fault() != Fault::None {
                return Err(unavailable());
            }
            self.0.quarantined.lock().push((row.rows()[0], why));
            Ok(())
        })
    }
}

fn writer(sink: &Sink) -> BatchWriter<u32> {
    let patience = Duration::from_secs(3_600);
    let builder = BatchWriter::builder(Arc::new(sink.clone())).max_rows(10).max_buffered(30);
    builder.patience(patience).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_before_during_and_after_each_of_a_thousand_batches() {
    let faults = [Fault::Before, Fault::During, Fault::After, Fault::None];
    let sink = Sink::new(&faults, &[]);
    let writer = writer(&sink);
    for row in 0..10_000 {
        writer.write(row).await.unwrap();
        assert!(writer.held() <= 30);
    }
    writer.flush().await.unwrap();
    assert_eq!(sink.rows(), (0..10_000).collect::<Vec<_>>(), "lost, or twice");
    assert!(sink.0.writes.load(Ordering::SeqCst) >= 4_000);
    assert_eq!((sink.0.largest.load(Ordering::SeqCst), writer.held()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_silent_or_panics_gets_the_batch_again() {
    let sink = Sink::new(&[Fault::Silent, Fault::Panic, Fault::None], &[]);
    let writer = writer(&sink);
    for row in 0..100 {
        writer.write(row).await.unwrap();
    }
    writer.flush().await.unwrap();
    assert_eq!(sink.rows(), (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_rejected_are_quarantined_and_their_neighbours_written() {
    for faults in [&[][..], &[Fault::Before, Fault::None]] {
        let sink = Sink::new(faults, &[3, 17, 18, 99]);
        let writer = writer(&sink);
        for row in 0..100 {
            writer.write(row).await.unwrap();
        }
        writer.flush().await.unwrap();
        let good: Vec<u32> = (0..100).filter(|row| ![3, 17, 18, 99].contains(row)).collect();
        assert_eq!(sink.rows(), good);
        let quarantined = sink.0.quarantined.lock().clone();
        let expected = [3, 17, 18, 99].map(|row| (row, format!("{row} is not taken")));
        assert_eq!(quarantined, expected, "each once, with its own reason");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_waits_for_others_no_longer_than_it_may() {
    let sink = Sink::default();
    let writer = writer(&sink);
    writer.write(1).await.unwrap();
    sleep(Duration::from_millis(900)).await;
    assert!(sink.rows().is_empty());
    sleep(Duration::from_millis(110)).await;
    assert_eq!(sink.rows(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_holds_up_its_callers_and_is_named() {
    let sink = Sink::new(&[Fault::Before], &[]);
    let builder = BatchWriter::builder(Arc::new(sink)).max_rows(10).max_buffered(30);
    let writer = builder.patience(Duration::from_secs(60)).build().unwrap();
    for row in 0..30 {
        writer.try_write(row).unwrap();
    }
    assert_eq!(writer.try_write(30), Err(PushError::Full(30)));
    let short = Deadline::after(clock::now(), Duration::from_secs(60));
    assert!(within(short, writer.write(30)).await.is_err());
    let error = writer.flush().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    let said = error.to_string();
    assert!(said.contains("30 rows are not confirmed") && said.contains("scripted"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_at_any_time_loses_no_row() {
    for point in 0..20 {
        let faults = [Fault::After, Fault::None, Fault::Before, Fault::None];
        let sink = Sink::new(&faults, &[]);
        let writer = writer(&sink);
        let mut shutdown = Shutdown::builder().grace(Duration::ZERO).build().unwrap();
        let (hook, source) = (writer.clone(), writer.clone());
        shutdown.hook("rows", move || async move { hook.close().await });
        let token = shutdown.token();
        tokio::spawn(async move {
            sleep(Duration::from_millis(point * 17)).await;
            token.begin("deploy");
        });
        let rows = tokio::spawn(async move {
            let mut row = 0;
            // Ends with the row that was not taken.
            while source.write(row).await.is_ok() {
                row += 1;
                sleep(Duration::from_micros(100)).await;
            }
            row
        });
        assert_eq!(shutdown.run().await.exit_code(), 0);
        let taken = rows.await.unwrap();
        assert_eq!(sink.rows(), (0..taken).collect::<Vec<_>>(), "point {point}");
        assert_eq!(writer.write(0).await, Err(0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_that_is_dropped_leaves_its_rows_to_the_task() {
    let sink = Sink::default();
    let writer = writer(&sink);
    for row in 0..7 {
        writer.clone().write(row).await.unwrap();
    }
    assert!(sink.rows().is_empty(), "dropping a clone closes nothing");
    drop(writer);
    sleep(Duration::from_millis(5)).await;
    assert_eq!(sink.rows(), (0..7).collect::<Vec<_>>());
    sleep(Duration::from_millis(5)).await;
    assert_eq!(Arc::strong_count(&sink.0), 1, "the task has ended");
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_dropped_are_taken_whole_or_not_at_all() {
    let sink = Sink::new(&[Fault::After, Fault::None], &[]);
    let writer = writer(&sink);
    let mut taken = Vec::new();
    for row in 0..2_000 {
        // Shorter than a batch takes: most writes of a full buffer are dropped.
        let short = Deadline::after(clock::now(), Duration::from_millis(1));
        if let Ok(written) = within(short, writer.write(row)).await {
            written.unwrap();
            taken.push(row);
        }
    }
    assert!(taken.len() < 2_000, "some were dropped");
    let short = Deadline::after(clock::now(), Duration::from_millis(1));
    assert!(within(short, writer.close()).await.is_err(), "a close that is dropped");
    writer.flush().await.unwrap();
    assert_eq!(sink.rows(), taken);
}

#[tokio::test]
async fn settings_are_bounded() {
    let builder = || BatchWriter::builder(Arc::new(Sink::default()));
    let field = |built: Result<BatchWriter<u32>, _>| {
        let error: resilience_core::InvalidConfig = built.unwrap_err();
        error.field()
    };
    assert_eq!(field(builder().max_rows(0).build()), "max_rows");
    assert_eq!(field(builder().max_rows(10_001).max_buffered(20_000).build()), "max_rows");
    assert_eq!(field(builder().max_buffered(999).build()), "max_buffered");
    assert_eq!(field(builder().max_wait(Duration::ZERO).build()), "max_wait");
    assert_eq!(field(builder().write_within(Duration::ZERO).build()), "write_within");
    assert_eq!(field(builder().patience(Duration::MAX).build()), "patience");
    let outside = builder();
    let built = std::thread::spawn(move || outside.build().map(drop)).join().unwrap();
    assert_eq!(built.unwrap_err().field(), "runtime");
}
