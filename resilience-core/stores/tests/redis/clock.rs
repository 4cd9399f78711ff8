//! The clock of the server's machine is stepped by an hour.

use resilience_stores::redis::RedisStore;

use crate::stepped::{self, prefix};
use crate::{is_installed, server, start_with};

#[tokio::test]
async fn steps_of_the_clock_by_an_hour() {
    if !is_installed() {
        return;
    }
    let (folder, port) = (server::folder(None), server::free_port());
    let Some(prefix) = prefix(&folder) else { return };
    let _server = start_with(Some(folder.clone()), port, "", &prefix);
    server::listening(port).await;
    let url = format!("redis://127.0.0.1:{port}");
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            stepped::writes_of_two_holders_are_never_both_accepted::<RedisStore>(&url, &folder)
                .await;
        })
        .await;
    stepped::a_step_back_keeps_a_lease_for_two_terms_at_most::<RedisStore>(&url, &folder).await;
    let store = RedisStore::open(&url).await.unwrap();
    stepped::a_key_is_kept_for_its_time_less_an_hour(&store, &folder).await;
}
