//! Several processes share a database.

use std::sync::Arc;

use resilience_core::flow::Fence;
use resilience_core::flow::idempotency::{Completion, KeyRequest, Taken};
use resilience_core::flow::lease::LeaseStore;
use resilience_stores::fingerprint;
use resilience_stores::postgres::{PostgresMigrations, PostgresStore, PostgresTransaction};

use crate::support::{self, Engine};
use crate::{count, database};

impl Engine for PostgresStore {
    async fn open(url: &str) -> PostgresStore {
        PostgresStore::builder(url).unwrap().max_connections(2).open().await.unwrap()
    }

    async fn prepare(&self) {
        let tables = "CREATE TABLE log (number bigserial PRIMARY KEY, token bigint NOT NULL, what text NOT NULL);
            CREATE TABLE effects (message text NOT NULL)";
        self.client().await.unwrap().batch_execute(tables).await.unwrap();
    }

    fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.clone())
    }

    async fn write(&self, fence: &Fence, what: &str) -> bool {
        let mut client = self.client().await.unwrap();
        let tx = client.transaction().await.unwrap();
        if !PostgresTransaction::new(&tx).admits(fence).await.unwrap() {
            return false;
        }
        let token = i64::try_from(fence.token.get()).unwrap();
        let insert = "INSERT INTO log (token, what) VALUES ($1, $2)";
        tx.execute(insert, &[&token, &what]).await.unwrap();
        tx.commit().await.unwrap();
        true
    }

    async fn log(&self) -> Vec<(u64, String)> {
        let client = self.client().await.unwrap();
        let rows = client.query("SELECT token, what FROM log ORDER BY number", &[]).await.unwrap();
        let entry =
            |row: &tokio_postgres::Row| (u64::try_from(row.get::<_, i64>(0)).unwrap(), row.get(1));
        rows.iter().map(entry).collect()
    }

    async fn deliver(&self, message: &str) {
        let mut client = self.client().await.unwrap();
        let tx = client.transaction().await.unwrap();
        let flow = PostgresTransaction::new(&tx);
        let request = KeyRequest::new(message, fingerprint(message.as_bytes()));
        match flow.claim(&request).await.unwrap() {
            Ok(claim) => {
                tx.execute("INSERT INTO effects VALUES ($1)", &[&message]).await.unwrap();
                assert!(flow.complete(&claim, &Completion::of(1, "")).await.unwrap());
                tx.commit().await.unwrap();
            }
            Err(Taken::Done { .. }) => {}
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
    if !crate::elsewhere::child().await && !crate::consumers::child::<PostgresStore>().await {
        support::child::<PostgresStore>().await;
    }
}

#[tokio::test]
async fn twenty_processes_are_never_two_inside() {
    let Some(url) = database("sections").await else { return };
    support::never_two_inside::<PostgresStore>(&url).await;
}

#[tokio::test]
async fn the_late_write_of_a_stopped_holder_is_refused() {
    let Some(url) = database("late").await else { return };
    support::late_writes_are_refused::<PostgresStore>(&url).await;
}

#[tokio::test]
async fn messages_delivered_again_and_again_have_one_effect_each_though_processes_are_killed() {
    let Some(url) = database("messages").await else { return };
    let messages = support::one_effect_each::<PostgresStore>(&url).await;
    let store = PostgresStore::open(&url).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM flow_keys WHERE done_rows = 1").await, messages);
}

#[tokio::test]
async fn of_processes_that_start_at_once_one_migrates() {
    let Some(url) = database("at_once").await else { return };
    support::open_at_once(&url, 4);
    let store = PostgresStore::open(&url).await.unwrap();
    let applied = count(&store, "SELECT count(*) FROM flow_schema_history").await;
    assert_eq!(applied, u64::from(PostgresMigrations::latest()));
}

#[tokio::test]
async fn effects_elsewhere_are_never_two_at_once_and_repeated_at_most_once_for_each_kill() {
    let Some(url) = database("elsewhere").await else { return };
    crate::elsewhere::at_most_one_repetition_for_each_kill(&url).await;
}
