//! Messages in PostgreSQL.
//!
//! Messages of one key are appended and settled under an advisory lock of the transaction, so that
//! their numbers have the order in which their transactions commit. A transaction that appends to
//! several keys in several statements can deadlock with another one, which PostgreSQL ends with an
//! error: append them in one statement, which locks them in one order.

use std::time::Duration;

use resilience_core::Timestamp;
use resilience_core::flow::limits::{MAX_CLAIM, bounded_text, check_size};
use resilience_core::flow::outbox::{
    ClaimRequest, Claimed, DeadLetter, Delivery, Depth, MessageId, NewMessage, OutboxStore,
    Receipt, UNSETTLED,
};
use resilience_core::flow::{FencingToken, StoreError, StoreErrorKind, StoreFuture};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::{corrupt, of};
use super::store::PostgresStore;
use super::transaction::{PostgresTransaction, bigint, count, get};
use crate::retention::COUNTED;

/// The class of the advisory locks of keys, beside which the lock of migrations has none.
const LOCK_CLASS: i32 = 0x6f75_7462;

// A snapshot that is older than the lock would not show what the lock's last holder has done.
const LOCK: &str = "SELECT current_setting('transaction_isolation'), pg_advisory_xact_lock($3, hash)
    FROM (SELECT DISTINCT hashtext(topic || chr(31) || key) AS hash
        FROM unnest($1::text[], $2::text[]) AS t(topic, key) WHERE key IS NOT NULL ORDER BY hash) AS hashes";
const KEYS_OF: &str = "SELECT DISTINCT topic, order_key FROM flow_outbox
    WHERE id = ANY($1) AND order_key IS NOT NULL";
const APPEND: &str =
    "INSERT INTO flow_outbox (topic, order_key, payload, appended_at, visible_at, is_blocked)
    SELECT topic, key, payload, time, time + delay, key IS NOT NULL
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[])
        WITH ORDINALITY AS t(topic, key, payload, delay, n), flow_now() AS time
    ORDER BY n RETURNING id";
// A message that was delivered often enough is returned unchanged, and put aside by a transaction
// of its own: this one holds its row, and locks of keys come before locks of rows. The time is read
// once, so that an index finds the visible messages.
const CLAIM: &str = "WITH picked AS MATERIALIZED (
        SELECT id FROM flow_outbox
        WHERE topic = $1 AND dead_at IS NULL AND NOT is_blocked AND visible_at <= (SELECT flow_now())
        ORDER BY visible_at, id LIMIT $2 FOR UPDATE SKIP LOCKED),
    claim AS MATERIALIZED (SELECT nextval('flow_fence') AS token, flow_now() AS time
        WHERE EXISTS (SELECT 1 FROM picked))
    UPDATE flow_outbox AS message SET
        token = CASE WHEN deliveries >= $4 THEN message.token ELSE claim.token END,
        visible_at = CASE WHEN deliveries >= $4 THEN visible_at ELSE claim.time + $3 END,
        deliveries = deliveries + CASE WHEN deliveries >= $4 THEN 0 ELSE 1 END
    FROM claim, picked WHERE message.id = picked.id
    RETURNING message.id, message.token <> claim.token, order_key, payload, deliveries, appended_at,
        message.token";
const PUT_EXHAUSTED_ASIDE: &str = "UPDATE flow_outbox
    SET token = 0, dead_at = flow_now(), last_error = coalesce(last_error, $3)
    WHERE id = ANY($1) AND dead_at IS NULL AND deliveries >= $2 AND visible_at <= flow_now()";
const COMPLETE: &str = "DELETE FROM flow_outbox AS message USING unnest($1::bigint[], $2::bigint[]) AS receipt(id, token)
    WHERE message.id = receipt.id AND message.token = receipt.token AND message.token > 0 AND dead_at IS NULL
    RETURNING message.id";
const RETRY: &str =
    "UPDATE flow_outbox SET token = 0, visible_at = flow_now() + $3, last_error = $4
    WHERE id = $1 AND token = $2 AND token > 0 AND dead_at IS NULL";
const PUT_ASIDE: &str = "UPDATE flow_outbox SET token = 0, dead_at = flow_now(), last_error = $3
    WHERE id = $1 AND token = $2 AND token > 0 AND dead_at IS NULL";
// One message of a key can be claimed at a time: the first, once none can.
const UNBLOCK: &str = "UPDATE flow_outbox AS message SET is_blocked = false
    FROM unnest($1::text[], $2::text[]) AS t(topic, key)
    WHERE message.id = (SELECT min(id) FROM flow_outbox AS first WHERE first.topic = t.topic
            AND order_key = key AND dead_at IS NULL AND is_blocked)
        AND NOT EXISTS (SELECT 1 FROM flow_outbox AS other WHERE other.topic = t.topic
            AND order_key = key AND dead_at IS NULL AND NOT is_blocked)";
const DEAD_LETTERS: &str =
    "SELECT id, dead_at, order_key, payload, deliveries, appended_at, token, last_error FROM flow_outbox
    WHERE topic = $1 AND id > $2 AND dead_at IS NOT NULL ORDER BY id LIMIT $3";
const REPLAY: &str =
    "UPDATE flow_outbox SET dead_at = NULL, deliveries = 0, token = 0, last_error = NULL,
        visible_at = flow_now(), is_blocked = order_key IS NOT NULL
    WHERE id = ANY($1) AND dead_at IS NOT NULL";
const OLDEST: &str = "SELECT flow_now() - appended_at FROM flow_outbox
    WHERE topic = $1 AND dead_at IS NULL ORDER BY id LIMIT 1";

/// Topics and keys whose first message may be another one now.
#[derive(Default)]
struct Keys {
    topics: Vec<String>,
    keys: Vec<String>,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(1 << 51)
}

fn most_deliveries(request: &ClaimRequest) -> i32 {
    i32::try_from(request.max_deliveries).unwrap_or(i32::MAX)
}

fn ids_of(receipts: &[Receipt]) -> Vec<i64> {
    receipts.iter().map(|receipt| bigint(receipt.id.get())).collect()
}

fn delivery(row: &Row, topic: &str) -> Result<Delivery, StoreError> {
    let order_key: Option<String> = get(row, 2)?;
    let id = MessageId::new(count(row, 0)?);
    let token = FencingToken::new(count(row, 6)?);
    let deliveries = corrupt(u32::try_from(get::<i32>(row, 4)?).ok(), "a negative number")?;
    Ok(Delivery {
        receipt: Receipt { id, token, is_ordered: order_key.is_some() },
        topic: topic.to_owned(),
        order_key,
        payload: get(row, 3)?,
        deliveries,
        appended_at: Timestamp::from_millis(get(row, 5)?),
    })
}

impl PostgresTransaction<'_> {
    /// Appends messages in this transaction, together with the data that they announce. Returns
    /// their identifiers.
    ///
    /// # Errors
    /// The driver's, and [`InvalidInput`](StoreErrorKind::InvalidInput) for a message out of its
    /// bounds, more than [`MAX_CLAIM`] messages, or a message with an order in a transaction that
    /// is not `READ COMMITTED`.
    pub async fn append_messages(
        &self,
        messages: &[NewMessage],
    ) -> Result<Vec<MessageId>, StoreError> {
        check_size("messages", messages.len(), MAX_CLAIM)?;
        messages.iter().try_for_each(NewMessage::check)?;
        let mut keys = Keys::default();
        for new in messages {
            if let Some(key) = &new.order_key {
                keys.topics.push(new.topic.clone());
                keys.keys.push(key.clone());
            }
        }
        self.lock(&keys).await?;
        let topics: Vec<_> = messages.iter().map(|new| new.topic.as_str()).collect();
        let order_keys: Vec<_> = messages.iter().map(|new| new.order_key.as_deref()).collect();
        let payloads: Vec<_> = messages.iter().map(|new| new.payload.as_slice()).collect();
        let delays: Vec<_> = messages.iter().map(|new| millis(new.delay)).collect();
        let rows = self.query(APPEND, &[&topics, &order_keys, &payloads, &delays]).await?;
        let mut ids = Vec::with_capacity(rows.len());
        for row in &rows {
            ids.push(MessageId::new(count(row, 0)?));
        }
        self.unblock(&keys).await?;
        Ok(ids)
    }

    /// Completes a message in this transaction, together with its effect. Returns `false` if the
    /// message was claimed again or settled since: the effect must be rolled back then.
    ///
    /// # Errors
    /// The driver's, and [`InvalidInput`](StoreErrorKind::InvalidInput) for a message with an order
    /// in a transaction that is not `READ COMMITTED`.
    pub async fn complete_message(&self, receipt: &Receipt) -> Result<bool, StoreError> {
        Ok(!self.complete_messages(std::slice::from_ref(receipt)).await?.is_empty())
    }

    async fn complete_messages(&self, receipts: &[Receipt]) -> Result<Vec<MessageId>, StoreError> {
        check_size("receipts", receipts.len(), MAX_CLAIM)?;
        let keys = self.keys_of(receipts).await?;
        let tokens: Vec<_> = receipts.iter().map(|receipt| bigint(receipt.token.get())).collect();
        let rows = self.query(COMPLETE, &[&ids_of(receipts), &tokens]).await?;
        self.unblock(&keys).await?;
        rows.iter().map(|row| Ok(MessageId::new(count(row, 0)?))).collect()
    }

    /// Claims messages. Returns those that were delivered often enough as well.
    async fn claim_messages(
        &self,
        request: &ClaimRequest,
    ) -> Result<(Claimed, Vec<i64>), StoreError> {
        let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
        let most = most_deliveries(request);
        let time = millis(request.visible_after);
        let rows = self.query(CLAIM, &[&request.topic, &limit, &time, &most]).await?;
        let mut claimed = Claimed::default();
        let mut exhausted = Vec::new();
        for row in &rows {
            if get(row, 1)? {
                exhausted.push(get(row, 0)?);
            } else {
                claimed.deliveries.push(delivery(row, &request.topic)?);
            }
        }
        claimed.deliveries.sort_by_key(|delivery| delivery.receipt.id);
        Ok((claimed, exhausted))
    }

    /// Puts messages aside that were delivered often enough and are not claimed again.
    async fn put_exhausted_aside(&self, ids: &[i64], most: i32) -> Result<u64, StoreError> {
        let keys = self.locked_keys(ids).await?;
        let put_aside = self.execute(PUT_EXHAUSTED_ASIDE, &[&ids, &most, &UNSETTLED]).await?;
        self.unblock(&keys).await?;
        Ok(put_aside)
    }

    async fn retry(
        &self,
        receipt: &Receipt,
        after: Duration,
        error: String,
    ) -> Result<bool, StoreError> {
        let (id, token) = (bigint(receipt.id.get()), bigint(receipt.token.get()));
        let values: [&(dyn ToSql + Sync); 4] = [&id, &token, &millis(after), &bounded_text(error)];
        Ok(self.execute(RETRY, &values).await? > 0)
    }

    async fn dead_letter(&self, receipt: &Receipt, reason: String) -> Result<bool, StoreError> {
        let keys = self.keys_of(std::slice::from_ref(receipt)).await?;
        let (id, token) = (bigint(receipt.id.get()), bigint(receipt.token.get()));
        let changed = self.execute(PUT_ASIDE, &[&id, &token, &bounded_text(reason)]).await?;
        self.unblock(&keys).await?;
        Ok(changed > 0)
    }

    async fn dead_letters(
        &self,
        topic: &str,
        after: MessageId,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        check_size("limit", limit, MAX_CLAIM)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(DEAD_LETTERS, &[&topic, &bigint(after.get()), &limit]).await?;
        let letter = |row: &Row| {
            let of = delivery(row, topic)?;
            Ok(DeadLetter {
                id: of.receipt.id,
                topic: of.topic,
                order_key: of.order_key,
                payload: of.payload,
                deliveries: of.deliveries,
                appended_at: of.appended_at,
                dead_at: Timestamp::from_millis(get(row, 1)?),
                reason: get::<Option<String>>(row, 7)?.unwrap_or_default(),
            })
        };
        rows.iter().map(letter).collect()
    }

    async fn replay(&self, ids: &[MessageId]) -> Result<u64, StoreError> {
        check_size("ids", ids.len(), MAX_CLAIM)?;
        let ids: Vec<_> = ids.iter().map(|id| bigint(id.get())).collect();
        let keys = self.locked_keys(&ids).await?;
        let replayed = self.execute(REPLAY, &[&ids]).await?;
        self.unblock(&keys).await?;
        Ok(replayed)
    }

    async fn depth(&self, topic: &str) -> Result<Depth, StoreError> {
        let counted = async |condition: &str| {
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM flow_outbox
                 WHERE topic = $1 AND {condition} LIMIT {COUNTED}) AS counted"
            );
            let row = self.query_opt(&sql, &[&topic]).await?;
            count(&corrupt(row, "a count")?, 0)
        };
        let oldest = self.query_opt(OLDEST, &[&topic]).await?;
        let oldest = match oldest {
            Some(row) => {
                let age = u64::try_from(get::<i64>(&row, 0)?).unwrap_or(0);
                Some(Duration::from_millis(age))
            }
            None => None,
        };
        Ok(Depth {
            unsettled: counted("dead_at IS NULL").await?,
            oldest,
            dead: counted("dead_at IS NOT NULL").await?,
        })
    }

    /// Reads and locks the keys of messages, if one of them has a key.
    async fn keys_of(&self, receipts: &[Receipt]) -> Result<Keys, StoreError> {
        if receipts.iter().any(|receipt| receipt.is_ordered) {
            self.locked_keys(&ids_of(receipts)).await
        } else {
            Ok(Keys::default())
        }
    }

    async fn locked_keys(&self, ids: &[i64]) -> Result<Keys, StoreError> {
        let mut keys = Keys::default();
        for row in self.query(KEYS_OF, &[&ids]).await? {
            keys.topics.push(get(&row, 0)?);
            keys.keys.push(get(&row, 1)?);
        }
        self.lock(&keys).await?;
        Ok(keys)
    }

    /// Locks keys until the end of the transaction.
    async fn lock(&self, keys: &Keys) -> Result<(), StoreError> {
        if keys.keys.is_empty() {
            return Ok(());
        }
        let rows = self.query(LOCK, &[&keys.topics, &keys.keys, &LOCK_CLASS]).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let isolation: &str = get(row, 0)?;
        if isolation != "read committed" {
            let what = format!(
                "a message with an `order_key` needs a transaction with isolation `read committed`, not `{isolation}`"
            );
            return Err(of(StoreErrorKind::InvalidInput, what));
        }
        Ok(())
    }

    async fn unblock(&self, keys: &Keys) -> Result<(), StoreError> {
        if !keys.keys.is_empty() {
            self.execute(UNBLOCK, &[&keys.topics, &keys.keys]).await?;
        }
        Ok(())
    }
}

impl OutboxStore for PostgresStore {
    fn append_messages(&self, messages: Vec<NewMessage>) -> StoreFuture<'_, Vec<MessageId>> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.append_messages(&messages).await).await
        })
    }

    fn claim_messages(&self, request: ClaimRequest) -> StoreFuture<'_, Claimed> {
        Box::pin(async move {
            request.check()?;
            let claim = async |tx: &PostgresTransaction<'_>| tx.claim_messages(&request).await;
            let (mut claimed, exhausted) = self.in_transaction(claim).await?;
            if !exhausted.is_empty() {
                let most = most_deliveries(&request);
                let put_aside = async |tx: &PostgresTransaction<'_>| {
                    tx.put_exhausted_aside(&exhausted, most).await
                };
                // After a failure the claimed messages count, and the next claim finds the others.
                claimed.dead_lettered = self.in_transaction(put_aside).await.unwrap_or(0);
            }
            Ok(claimed)
        })
    }

    fn complete_messages(&self, receipts: Vec<Receipt>) -> StoreFuture<'_, Vec<MessageId>> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.complete_messages(&receipts).await).await
        })
    }

    fn retry(&self, receipt: Receipt, after: Duration, error: String) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.retry(&receipt, after, error).await).await
        })
    }

    fn dead_letter(&self, receipt: Receipt, reason: String) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.dead_letter(&receipt, reason).await).await
        })
    }

    fn dead_letters(
        &self,
        topic: String,
        after: MessageId,
        limit: usize,
    ) -> StoreFuture<'_, Vec<DeadLetter>> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.dead_letters(&topic, after, limit).await).await
        })
    }

    fn replay(&self, ids: Vec<MessageId>) -> StoreFuture<'_, u64> {
        Box::pin(async move { self.in_transaction(async |tx| tx.replay(&ids).await).await })
    }

    fn depth(&self, topic: String) -> StoreFuture<'_, Depth> {
        Box::pin(async move { self.in_transaction(async |tx| tx.depth(&topic).await).await })
    }
}
