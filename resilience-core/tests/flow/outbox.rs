//! Consumers of messages.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::flow::limits::MAX_CLAIM;
use resilience_core::flow::outbox::{Consumed, Delivery, MessageId, NewMessage, Outbox};
use resilience_core::shutdown::{Shutdown, ShutdownToken};
use resilience_core::testing::MemoryStore;
use resilience_core::{AsOutcome, Outcome, clock};
use tokio::time::sleep;

#[derive(Debug)]
struct Failed(Outcome);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such game")
    }
}

impl AsOutcome for Failed {
    fn as_outcome(&self) -> Outcome {
        self.0
    }
}

/// The payloads that were handled, with the time of each.
type Seen = Arc<Mutex<Vec<(String, Instant)>>>;

fn outbox() -> (MemoryStore, Outbox) {
    let store = MemoryStore::new();
    (store.clone(), Outbox::new(Arc::new(store)))
}

fn token() -> ShutdownToken {
    Shutdown::builder().build().unwrap().token()
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.payload.clone()).unwrap()
}

async fn append(outbox: &Outbox, payloads: &[&str]) {
    let new = payloads.iter().map(|&payload| NewMessage::new("t", payload)).collect();
    outbox.append(new).await.unwrap();
}

/// Runs a consumer until the topic is empty or a minute is over, and returns what was seen.
async fn consume<Fut>(
    outbox: &Outbox,
    concurrency: usize,
    handler: impl Fn(Delivery) -> Fut,
) -> (Consumed, Vec<(String, Instant)>)
where
    Fut: Future<Output = Result<(), Failed>> + Send + 'static,
{
    let shutdown = Shutdown::builder().drain(Duration::from_secs(300)).build().unwrap();
    let token = shutdown.token();
    let seen = Seen::default();
    let consumer = outbox.consumer("t").concurrency(concurrency).build().unwrap();
    let record = seen.clone();
    let consumed = consumer.run(&token, move |delivery| {
        record.lock().push((text(&delivery), clock::now()));
        handler(delivery)
    });
    let end = async {
        for _ in 0..6_000 {
            sleep(Duration::from_millis(100)).await;
            if outbox.depth("t").await.is_ok_and(|depth| depth.unsettled == 0) {
                break;
            }
        }
        token.begin("the topic is empty");
        shutdown.run().await
    };
    let (consumed, _report) = tokio::join!(consumed, end);
    let seen = seen.lock().clone();
    (consumed, seen)
}

#[tokio::test(start_paused = true)]
async fn each_message_is_handled_and_completed() {
    let (_store, outbox) = outbox();
    let payloads: Vec<_> = (0..MAX_CLAIM).map(|number| number.to_string()).collect();
    append(&outbox, &payloads.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (consumed, mut seen) = consume(&outbox, 7, |_| async { Ok(()) }).await;
    assert_eq!(consumed.completed, MAX_CLAIM as u64);
    assert_eq!((consumed.retried, consumed.dead_lettered, consumed.lost), (0, 0, 0));
    seen.sort_by_key(|(text, _)| text.parse::<usize>().unwrap());
    assert!(seen.iter().map(|(text, _)| text).eq(&payloads));
}

#[tokio::test(start_paused = true)]
async fn no_more_handlers_run_than_allowed() {
    let (_store, outbox) = outbox();
    append(&outbox, &["x"; 50]).await;
    let running = Arc::new(Mutex::new((0, 0)));
    let count = running.clone();
    let (consumed, _) = consume(&outbox, 3, move |_| {
        let count = count.clone();
        async move {
            {
                let mut count = count.lock();
                count.0 += 1;
                count.1 = count.1.max(count.0);
            }
            sleep(Duration::from_secs(1)).await;
            count.lock().0 -= 1;
            Ok(())
        }
    })
    .await;
    assert_eq!(consumed.completed, 50);
    assert_eq!(running.lock().1, 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_delivered_again_after_the_backoff_and_then_put_aside() {
    let (_store, outbox) = outbox();
    append(&outbox, &["poison", "good"]).await;
    let (consumed, seen) = consume(&outbox, 4, |delivery| async move {
        if text(&delivery) == "good" { Ok(()) } else { Err(Failed(Outcome::transient())) }
    })
    .await;
    assert_eq!((consumed.completed, consumed.retried, consumed.dead_lettered), (1, 4, 1));
    let times: Vec<_> = seen.iter().filter(|(text, _)| text == "poison").map(|it| it.1).collect();
    assert_eq!(times.len(), 5);
    assert!(times.windows(2).all(|two| two[1] - two[0] >= Duration::from_secs(1)), "{times:?}");
    let dead = outbox.dead_letters("t", MessageId::new(0), 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].reason, "delivered 5 times: no such game");

    // Mended, it is replayed.
    assert_eq!(outbox.replay(vec![dead[0].id]).await.unwrap(), 1);
    let (consumed, seen) = consume(&outbox, 4, |_| async { Ok(()) }).await;
    assert_eq!((consumed.completed, seen.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_put_aside_at_once() {
    let (_store, outbox) = outbox();
    append(&outbox, &["poison"]).await;
    let (consumed, seen) = consume(&outbox, 4, |_| async { Err(Failed(Outcome::Permanent)) }).await;
    assert_eq!((consumed.dead_lettered, seen.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_the_error_names_is_waited() {
    let (_store, outbox) = outbox();
    append(&outbox, &["x"]).await;
    let (consumed, seen) = consume(&outbox, 4, |delivery| async move {
        let after = Duration::from_secs(120);
        if delivery.deliveries == 1 { Err(Failed(Outcome::not_ready(after))) } else { Ok(()) }
    })
    .await;
    assert_eq!(consumed.completed, 1);
    assert!(seen[1].1 - seen[0].1 >= Duration::from_secs(120), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_dropped_before_its_claim_ends() {
    let (_store, outbox) = outbox();
    append(&outbox, &["slow"]).await;
    let running = Arc::new(());
    let held = running.clone();
    let (consumed, seen) = consume(&outbox, 4, move |delivery| {
        let held = held.clone();
        async move {
            // Only this delivery is being handled.
            assert_eq!(Arc::strong_count(&held), 3);
            if delivery.deliveries == 1 {
                sleep(Duration::from_secs(600)).await;
            }
            Ok(())
        }
    })
    .await;
    assert_eq!((consumed.completed, consumed.retried), (1, 1));
    let took = seen[1].1 - seen[0].1;
    assert!(took >= Duration::from_secs(54) && took < Duration::from_secs(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_costs_its_delivery_only() {
    let (_store, outbox) = outbox();
    append(&outbox, &["a", "b"]).await;
    let (consumed, seen) = consume(&outbox, 4, |delivery| async move {
        assert!(delivery.deliveries > 1 || text(&delivery) == "b", "a bug");
        Ok(())
    })
    .await;
    assert_eq!((consumed.completed, seen.len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn order_is_kept_within_a_key_under_failures() {
    let (_store, outbox) = outbox();
    for number in 0..20 {
        let of = |key: &str| NewMessage::new("t", format!("{key}{number:02}")).ordered_by(key);
        outbox.append(vec![of("a"), of("b")]).await.unwrap();
    }
    let (consumed, seen) = consume(&outbox, 8, |delivery| async move {
        sleep(Duration::from_millis(u64::from(delivery.payload[2]) % 7)).await;
        if delivery.deliveries == 1 && delivery.payload[2] % 3 == 0 {
            return Err(Failed(Outcome::transient()));
        }
        Ok(())
    })
    .await;
    assert_eq!(consumed.completed, 40);
    for key in ["a", "b"] {
        let mut of_key: Vec<_> =
            seen.iter().map(|it| &it.0).filter(|it| it.starts_with(key)).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
        of_key.dedup();
        assert_eq!(of_key.len(), 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_reached_is_waited_for() {
    let (store, outbox) = outbox();
    append(&outbox, &["x"]).await;
    let broken = store.clone();
    let outage = async move {
        sleep(Duration::from_secs(30)).await;
        broken.set_unreachable(false);
    };
    let (_, (consumed, seen)) = tokio::join!(
        outage,
        consume(&outbox, 4, move |_| {
            // Between the effect and its completion.
            store.set_unreachable(true);
            async { Ok(()) }
        })
    );
    assert_eq!((consumed.completed, seen.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn handlers_that_run_at_the_shutdown_are_awaited_and_settled() {
    let (_store, outbox) = outbox();
    append(&outbox, &["a", "b", "c"]).await;
    let shutdown = Shutdown::builder().drain(Duration::from_secs(60)).build().unwrap();
    let token = shutdown.token();
    let consumer = outbox.consumer("t").concurrency(2).build().unwrap();
    let begin = token.clone();
    let consumed = token.run(
        "consumer",
        consumer.run(&token, move |_| {
            let begin = begin.clone();
            async move {
                // A second call would skip the wait for handlers.
                if begin.is_ready() {
                    begin.begin("while it runs");
                }
                sleep(Duration::from_secs(10)).await;
                Ok::<_, Failed>(())
            }
        }),
    );
    let (consumed, report) = tokio::join!(consumed, shutdown.run());
    assert_eq!(consumed.unwrap().completed, 2);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(outbox.depth("t").await.unwrap().unsettled, 1, "no new claim");
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_poll_no_message_is_lost() {
    let mut polls = 0;
    loop {
        let (_store, outbox) = outbox();
        append(&outbox, &["a", "b", "c"]).await;
        let token = token();
        let ended = {
            let consumer = outbox.consumer("t").build().unwrap();
            let run = consumer.run(&token, |_| async { Ok::<_, Failed>(()) });
            crate::cancel::drop_after(polls, run).await
        };
        assert!(!ended, "a consumer runs until the shutdown");
        let left = outbox.depth("t").await.unwrap().unsettled;
        // Each is settled or delivered again when its claim ends.
        let (consumed, seen) = consume(&outbox, 4, |_| async { Ok(()) }).await;
        assert_eq!((consumed.completed, seen.len() as u64), (left, left), "after {polls} polls");
        if left == 0 {
            break;
        }
        polls += 1;
        assert!(polls < 100);
    }
    assert!(polls > 3, "dropped at several points: {polls}");
}

#[test]
fn settings_out_of_bounds_are_named() {
    let (_store, outbox) = outbox();
    let consumer = || outbox.consumer("t");
    for (builder, field) in [
        (consumer().concurrency(0), "concurrency"),
        (consumer().concurrency(10_001), "concurrency"),
        (consumer().max_deliveries(0), "max_deliveries"),
        (consumer().visible_after(Duration::ZERO), "visible_after"),
        (consumer().poll_interval(Duration::ZERO), "poll_interval"),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_messages_at_once_are_an_error_of_the_caller() {
    let (_store, outbox) = outbox();
    let too_many = vec![NewMessage::new("t", "x"); MAX_CLAIM + 1];
    let error = outbox.append(too_many).await.unwrap_err();
    assert!(error.to_string().contains("`messages` must be at most 100, not 101"), "{error}");
}
