//! Several processes share a file.

use std::sync::Arc;

use resilience_core::flow::idempotency::{Completion, KeyRequest, Taken};
use resilience_core::flow::lease::LeaseStore;
use resilience_core::flow::{Fence, StoreError};
use resilience_stores::fingerprint;
use resilience_stores::sqlite::{SqliteMigrations, SqliteStore, driver_error};

use crate::support::{self, Engine};
use crate::{count, folder, log, with_log, write};

impl Engine for SqliteStore {
    async fn open(path: &str) -> SqliteStore {
        SqliteStore::open(path).await.unwrap()
    }

    async fn prepare(&self) {
        with_log(self).await;
        let effects = "CREATE TABLE effects (message TEXT NOT NULL)";
        self.transaction(move |tx| tx.driver().execute_batch(effects).map_err(driver_error))
            .await
            .unwrap();
    }

    fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.clone())
    }

    async fn write(&self, fence: &Fence, what: &str) -> bool {
        write(self, fence, what).await.unwrap()
    }

    async fn log(&self) -> Vec<(u64, String)> {
        log(self).await
    }

    async fn deliver(&self, message: &str) {
        let request = KeyRequest::new(message, fingerprint(message.as_bytes()));
        let message = message.to_owned();
        let once = self.once(request, move |tx| {
            let insert = "INSERT INTO effects (message) VALUES (?1)";
            tx.driver().execute(insert, [message]).map_err(driver_error)?;
            Ok::<_, StoreError>(Completion::of(1, ""))
        });
        match once.await.unwrap() {
            Ok(_) | Err(Taken::Done { .. }) => {}
            Err(taken) => panic!("{taken:?}"),
        }
    }

    async fn effects(&self) -> (u64, u64) {
        let all = count(self, "SELECT count(*) FROM effects").await;
        (all, count(self, "SELECT count(DISTINCT message) FROM effects").await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn child() {
    if !crate::elsewhere::child().await && !crate::consumers::child::<SqliteStore>().await {
        support::child::<SqliteStore>().await;
    }
}

#[tokio::test]
async fn twenty_processes_are_never_two_inside() {
    let (_folder, path) = folder();
    support::never_two_inside::<SqliteStore>(path.to_str().unwrap()).await;
}

#[tokio::test]
async fn the_late_write_of_a_stopped_holder_is_refused() {
    let (_folder, path) = folder();
    support::late_writes_are_refused::<SqliteStore>(path.to_str().unwrap()).await;
}

#[tokio::test]
async fn messages_delivered_again_and_again_have_one_effect_each_though_processes_are_killed() {
    let (_folder, path) = folder();
    let messages = support::one_effect_each::<SqliteStore>(path.to_str().unwrap()).await;
    let store = SqliteStore::open(&path).await.unwrap();
    let done = count(&store, "SELECT count(*) FROM flow_keys WHERE done_rows = 1").await;
    assert_eq!(done, messages);
}

#[tokio::test]
async fn of_processes_that_start_at_once_one_migrates() {
    for _ in 0..3 {
        let (_folder, path) = folder();
        support::open_at_once(path.to_str().unwrap(), 4);
        let store = SqliteStore::open(&path).await.unwrap();
        let applied = count(&store, "SELECT count(*) FROM flow_schema_history").await;
        assert_eq!(applied, u64::from(SqliteMigrations::latest()));
    }
}

#[tokio::test]
async fn effects_elsewhere_are_never_two_at_once_and_repeated_at_most_once_for_each_kill() {
    let (_folder, path) = folder();
    let url = format!("sqlite:{}", path.display());
    crate::elsewhere::at_most_one_repetition_for_each_kill(&url).await;
}
