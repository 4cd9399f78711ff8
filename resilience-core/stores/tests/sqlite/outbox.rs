//! Consumers in several processes that share a file.

use std::sync::Arc;

use resilience_core::flow::outbox::{NewMessage, OutboxStore, Receipt};
use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_stores::sqlite::{SqliteStore, driver_error};

use crate::consumers::{self, Consuming};
use crate::folder;

impl Consuming for SqliteStore {
    async fn open(path: &str) -> SqliteStore {
        SqliteStore::open(path).await.unwrap()
    }

    async fn prepare(&self) {
        let effects = "CREATE TABLE effects (number INTEGER PRIMARY KEY, payload TEXT NOT NULL)";
        self.transaction(move |tx| tx.driver().execute_batch(effects).map_err(driver_error))
            .await
            .unwrap();
    }

    fn outbox(&self) -> Arc<dyn OutboxStore> {
        Arc::new(self.clone())
    }

    async fn effect(&self, receipt: Receipt, payload: String) {
        let worked = self.transaction(move |tx| {
            if tx.complete_message(&receipt)? {
                let insert = "INSERT INTO effects (payload) VALUES (?1)";
                tx.driver().execute(insert, [payload]).map_err(driver_error)?;
            }
            Ok::<_, StoreError>(())
        });
        worked.await.unwrap();
    }

    async fn effects(&self) -> Vec<String> {
        let read = self.transaction(|tx| {
            let mut read = tx
                .driver()
                .prepare("SELECT payload FROM effects ORDER BY number")
                .map_err(driver_error)?;
            let rows = read.query_map([], |row| row.get(0)).map_err(driver_error)?;
            rows.collect::<Result<Vec<_>, _>>().map_err(driver_error)
        });
        read.await.unwrap()
    }
}

#[tokio::test]
async fn consumers_that_are_killed_make_each_effect_once() {
    let (_folder, path) = folder();
    consumers::each_effect_once::<SqliteStore>(path.to_str().unwrap()).await;
}

#[tokio::test]
async fn a_message_is_appended_with_its_data_or_not_at_all() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    store.prepare().await;
    for fails in [true, false] {
        let worked = store.transaction(move |tx| {
            let insert = "INSERT INTO effects (payload) VALUES ('row')";
            tx.driver().execute(insert, []).map_err(driver_error)?;
            tx.append_messages(&[NewMessage::new("rows", "row")])?;
            if fails {
                return Err(StoreError::new(StoreErrorKind::Other, "test", "rolled back"));
            }
            Ok(())
        });
        assert_eq!(worked.await.is_err(), fails);
        let depth = store.depth("rows".to_owned()).await.unwrap();
        assert_eq!(depth.unsettled, store.effects().await.len() as u64);
    }
    assert_eq!(store.effects().await.len(), 1);
}
