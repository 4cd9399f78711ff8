//! Several processes share a server.

use std::collections::HashSet;
use std::sync::Arc;

use resilience_core::flow::Fence;
use resilience_core::flow::idempotency::{Completion, IdempotencyStore, KeyRequest, Taken};
use resilience_core::flow::lease::LeaseStore;
use resilience_stores::fingerprint;
use resilience_stores::redis::RedisStore;

use crate::database;
use crate::support::{self, Engine};

fn push(list: &str, value: &str) -> Vec<Vec<u8>> {
    ["RPUSH", list, value].map(|word| word.as_bytes().to_vec()).to_vec()
}

async fn list(store: &RedisStore, name: &str) -> Vec<String> {
    let mut connection = store.connection().await.unwrap();
    let range = redis::cmd("LRANGE").arg(name).arg(0).arg(-1).query_async(&mut *connection).await;
    range.unwrap()
}

impl Engine for RedisStore {
    async fn open(url: &str) -> RedisStore {
        RedisStore::builder(url).max_connections(2).open().await.unwrap()
    }

    async fn prepare(&self) {}

    fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.clone())
    }

    async fn write(&self, fence: &Fence, what: &str) -> bool {
        let entry = push("{flow}:log", &format!("{} {what}", fence.token));
        RedisStore::write(self, fence, &[entry]).await.unwrap()
    }

    async fn log(&self) -> Vec<(u64, String)> {
        let entry = |line: &String| {
            let (token, what) = line.split_once(' ').unwrap();
            (token.parse().unwrap(), what.to_owned())
        };
        list(self, "{flow}:log").await.iter().map(entry).collect()
    }

    async fn deliver(&self, message: &str) {
        let claim_for = std::time::Duration::from_millis(500);
        let request =
            KeyRequest::new(message, fingerprint(message.as_bytes())).claim_for(claim_for);
        loop {
            match self.claim(request.clone()).await.unwrap() {
                Ok(claim) => {
                    let effect = push("{flow}:effects", message);
                    let completion = Completion::of(1, "");
                    if self.complete_with(&claim, &completion, &[effect]).await.unwrap() {
                        return;
                    }
                }
                Err(Taken::Done { .. }) => return,
                // Whoever had it was killed, or is at work.
                Err(Taken::InProgress { remaining }) => tokio::time::sleep(remaining).await,
                Err(taken) => panic!("{taken:?}"),
            }
        }
    }

    async fn effects(&self) -> (u64, u64) {
        let effects = list(self, "{flow}:effects").await;
        let distinct: HashSet<_> = effects.iter().collect();
        (effects.len() as u64, distinct.len() as u64)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    if !crate::elsewhere::child().await {
        support::child::<RedisStore>().await;
    }
}

#[tokio::test]
async fn twenty_processes_are_never_two_inside() {
    let Some(url) = database().await else { return };
    support::never_two_inside::<RedisStore>(&url).await;
}

#[tokio::test]
async fn the_late_write_of_a_stopped_holder_is_refused() {
    let Some(url) = database().await else { return };
    support::late_writes_are_refused::<RedisStore>(&url).await;
}

#[tokio::test]
async fn messages_delivered_again_and_again_have_one_effect_each_though_processes_are_killed() {
    let Some(url) = database().await else { return };
    support::one_effect_each::<RedisStore>(&url).await;
}

#[tokio::test]
async fn processes_that_start_at_once_all_start() {
    let Some(url) = database().await else { return };
    support::open_at_once(&url, 4);
}

#[tokio::test]
async fn effects_elsewhere_are_never_two_at_once_and_repeated_at_most_once_for_each_kill() {
    let Some(url) = database().await else { return };
    crate::elsewhere::at_most_one_repetition_for_each_kill(&url).await;
}
