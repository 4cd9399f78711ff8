//! Messages in SQLite.

use std::time::Duration;

use resilience_core::Timestamp;
use resilience_core::flow::limits::{MAX_CLAIM, bounded_text, check_size};
use resilience_core::flow::outbox::{
    ClaimRequest, Claimed, DeadLetter, Delivery, Depth, MessageId, NewMessage, OutboxStore,
    Receipt, UNSETTLED,
};
use resilience_core::flow::{FencingToken, StoreError, StoreFuture};
use rusqlite::{OptionalExtension, Params, Row, params};

use super::error::failed;
use super::store::SqliteStore;
use super::transaction::SqliteTransaction;
use crate::retention::COUNTED;

const APPEND: &str =
    "INSERT INTO flow_outbox (topic, order_key, payload, appended_at, visible_at, is_blocked)
    VALUES (?1, ?2, ?3, ?4, ?5, ?2 IS NOT NULL) RETURNING id";
const IS_CLAIMABLE: &str = "SELECT EXISTS (SELECT 1 FROM flow_outbox
    WHERE topic = ?1 AND dead_at IS NULL AND is_blocked = 0 AND visible_at <= ?2)";
// A message that was delivered often enough is put aside in the same statement.
const CLAIM: &str = "UPDATE flow_outbox SET
        dead_at = CASE WHEN deliveries >= ?5 THEN ?2 END,
        token = CASE WHEN deliveries >= ?5 THEN 0 ELSE ?6 END,
        last_error = CASE WHEN deliveries >= ?5 THEN coalesce(last_error, ?7) ELSE last_error END,
        visible_at = ?4,
        deliveries = deliveries + (deliveries < ?5)
    WHERE id IN (SELECT id FROM flow_outbox
        WHERE topic = ?1 AND dead_at IS NULL AND is_blocked = 0 AND visible_at <= ?2
        ORDER BY visible_at, id LIMIT ?3)
    RETURNING id, dead_at, order_key, payload, deliveries, appended_at";
const COMPLETE: &str = "DELETE FROM flow_outbox
    WHERE id = ?1 AND token = ?2 AND token > 0 AND dead_at IS NULL RETURNING topic, order_key";
const RETRY: &str = "UPDATE flow_outbox SET token = 0, visible_at = ?3, last_error = ?4
    WHERE id = ?1 AND token = ?2 AND token > 0 AND dead_at IS NULL";
const PUT_ASIDE: &str = "UPDATE flow_outbox SET token = 0, dead_at = ?3, last_error = ?4
    WHERE id = ?1 AND token = ?2 AND token > 0 AND dead_at IS NULL RETURNING topic, order_key";
// One message of a key can be claimed at a time: the first, once none can.
const UNBLOCK: &str = "UPDATE flow_outbox SET is_blocked = 0
    WHERE id = (SELECT min(id) FROM flow_outbox
            WHERE topic = ?1 AND order_key = ?2 AND dead_at IS NULL AND is_blocked = 1)
        AND NOT EXISTS (SELECT 1 FROM flow_outbox
            WHERE topic = ?1 AND order_key = ?2 AND dead_at IS NULL AND is_blocked = 0)";
const DEAD_LETTERS: &str =
    "SELECT id, dead_at, order_key, payload, deliveries, appended_at, last_error FROM flow_outbox
    WHERE topic = ?1 AND id > ?2 AND dead_at IS NOT NULL ORDER BY id LIMIT ?3";
const REPLAY: &str =
    "UPDATE flow_outbox SET dead_at = NULL, deliveries = 0, token = 0, last_error = NULL,
        visible_at = ?2, is_blocked = order_key IS NOT NULL
    WHERE id = ?1 AND dead_at IS NOT NULL RETURNING topic, order_key";
const OLDEST: &str = "SELECT appended_at FROM flow_outbox
    WHERE topic = ?1 AND dead_at IS NULL ORDER BY id LIMIT 1";

/// The topic and the key of a message whose key may have another first message now.
type Key = (String, Option<String>);

fn key(row: &Row<'_>) -> Result<Key, rusqlite::Error> {
    Ok((row.get(0)?, row.get(1)?))
}

impl SqliteTransaction<'_> {
    /// Appends messages in this transaction, together with the data that they announce. Returns
    /// their identifiers.
    ///
    /// # Errors
    /// The driver's, and [`InvalidInput`](resilience_core::flow::StoreErrorKind::InvalidInput) for
    /// a message out of its bounds or more than [`MAX_CLAIM`] messages.
    pub fn append_messages(&self, messages: &[NewMessage]) -> Result<Vec<MessageId>, StoreError> {
        check_size("messages", messages.len(), MAX_CLAIM)?;
        let what = failed("the messages were not appended");
        let mut ids = Vec::with_capacity(messages.len());
        let mut append = self.prepare(APPEND).map_err(&what)?;
        for new in messages {
            new.check()?;
            let visible_at = self.now().saturating_add(new.delay).as_millis();
            let now = self.now().as_millis();
            let columns = params![new.topic, new.order_key, new.payload, now, visible_at];
            let id = append.query_row(columns, |row| row.get(0)).map_err(&what)?;
            ids.push(MessageId::new(id));
            self.unblock(&new.topic, new.order_key.as_deref())?;
        }
        Ok(ids)
    }

    /// Completes a message in this transaction, together with its effect. Returns `false` if the
    /// message was claimed again or settled since: the effect must be rolled back then, by an
    /// error.
    ///
    /// # Errors
    /// The driver's.
    pub fn complete_message(&self, receipt: &Receipt) -> Result<bool, StoreError> {
        self.settle(COMPLETE, params![receipt.id.get(), receipt.token.get()])
    }

    fn claim_messages(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        request.check()?;
        let what = failed("no message was claimed");
        let now = self.now().as_millis();
        // An empty topic costs no write.
        let is_claimable = self.prepare(IS_CLAIMABLE).and_then(|mut is_claimable| {
            is_claimable.query_row(params![request.topic, now], |row| row.get::<_, bool>(0))
        });
        if !is_claimable.map_err(&what)? {
            return Ok(Claimed::default());
        }
        let token = self.next_token()?;
        let until = self.now().saturating_add(request.visible_after).as_millis();
        let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
        let values = params![
            request.topic,
            now,
            limit,
            until,
            request.max_deliveries,
            token.get(),
            UNSETTLED
        ];
        let mut claim = self.prepare(CLAIM).map_err(&what)?;
        let rows = claim
            .query_map(values, |row| {
                let is_dead = row.get::<_, Option<i64>>(1)?.is_some();
                Ok((is_dead, delivery(row, &request.topic, token)?))
            })
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(&what)?;
        let mut claimed = Claimed::default();
        for (is_dead, delivery) in rows {
            if is_dead {
                claimed.dead_lettered += 1;
                self.unblock(&request.topic, delivery.order_key.as_deref())?;
            } else {
                claimed.deliveries.push(delivery);
            }
        }
        claimed.deliveries.sort_by_key(|delivery| delivery.receipt.id);
        Ok(claimed)
    }

    fn retry(&self, receipt: &Receipt, after: Duration, error: String) -> Result<bool, StoreError> {
        let visible_at = self.now().saturating_add(after).as_millis();
        let (id, token) = (receipt.id.get(), receipt.token.get());
        let retried = self
            .prepare(RETRY)
            .and_then(|mut retry| {
                retry.execute(params![id, token, visible_at, bounded_text(error)])
            })
            .map_err(failed("the message was not returned to its topic"))?;
        Ok(retried > 0)
    }

    fn dead_letter(&self, receipt: &Receipt, reason: String) -> Result<bool, StoreError> {
        let (id, token) = (receipt.id.get(), receipt.token.get());
        let now = self.now().as_millis();
        self.settle(PUT_ASIDE, params![id, token, now, bounded_text(reason)])
    }

    /// Changes one message. Returns `false` if there was none to change.
    fn settle(&self, sql: &str, values: impl Params) -> Result<bool, StoreError> {
        let changed = self
            .prepare(sql)
            .and_then(|mut change| change.query_row(values, key).optional())
            .map_err(failed("the message was not settled"))?;
        let Some((topic, key)) = changed else { return Ok(false) };
        self.unblock(&topic, key.as_deref())?;
        Ok(true)
    }

    fn unblock(&self, topic: &str, key: Option<&str>) -> Result<(), StoreError> {
        let Some(key) = key else { return Ok(()) };
        self.prepare(UNBLOCK)
            .and_then(|mut unblock| unblock.execute(params![topic, key]))
            .map_err(failed("the next message of a key was not found"))?;
        Ok(())
    }

    fn dead_letters(
        &self,
        topic: &str,
        after: MessageId,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        check_size("limit", limit, MAX_CLAIM)?;
        let what = failed("the dead letters could not be read");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut read = self.prepare(DEAD_LETTERS).map_err(&what)?;
        let rows = read.query_map(params![topic, after.get(), limit], |row| {
            let of = delivery(row, topic, FencingToken::new(0))?;
            Ok(DeadLetter {
                id: of.receipt.id,
                topic: of.topic,
                order_key: of.order_key,
                payload: of.payload,
                deliveries: of.deliveries,
                appended_at: of.appended_at,
                dead_at: Timestamp::from_millis(row.get(1)?),
                reason: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
            })
        });
        rows.and_then(Iterator::collect).map_err(&what)
    }

    fn replay(&self, ids: &[MessageId]) -> Result<u64, StoreError> {
        check_size("ids", ids.len(), MAX_CLAIM)?;
        let what = failed("the dead letters were not replayed");
        let mut replay = self.prepare(REPLAY).map_err(&what)?;
        let mut keys = Vec::new();
        for id in ids {
            let values = params![id.get(), self.now().as_millis()];
            keys.extend(replay.query_row(values, key).optional().map_err(&what)?);
        }
        for (topic, key) in &keys {
            self.unblock(topic, key.as_deref())?;
        }
        Ok(keys.len() as u64)
    }

    fn depth(&self, topic: &str) -> Result<Depth, StoreError> {
        let what = failed("the depth of the topic could not be read");
        let count = |condition: &str| {
            let count = format!(
                "SELECT count(*) FROM (SELECT 1 FROM flow_outbox
                 WHERE topic = ?1 AND {condition} LIMIT {COUNTED})"
            );
            self.prepare(&count).and_then(|mut it| it.query_row(params![topic], |row| row.get(0)))
        };
        let oldest = self.prepare(OLDEST).and_then(|mut oldest| {
            oldest.query_row(params![topic], |row| row.get::<_, i64>(0)).optional()
        });
        let age = |at| self.now().saturating_duration_since(Timestamp::from_millis(at));
        Ok(Depth {
            unsettled: count("dead_at IS NULL").map_err(&what)?,
            oldest: oldest.map_err(&what)?.map(age),
            dead: count("dead_at IS NOT NULL").map_err(&what)?,
        })
    }
}

fn delivery(row: &Row<'_>, topic: &str, token: FencingToken) -> Result<Delivery, rusqlite::Error> {
    let order_key: Option<String> = row.get(2)?;
    let id = MessageId::new(row.get(0)?);
    Ok(Delivery {
        receipt: Receipt { id, token, is_ordered: order_key.is_some() },
        topic: topic.to_owned(),
        order_key,
        payload: row.get(3)?,
        deliveries: row.get(4)?,
        appended_at: Timestamp::from_millis(row.get(5)?),
    })
}

impl OutboxStore for SqliteStore {
    fn append_messages(&self, messages: Vec<NewMessage>) -> StoreFuture<'_, Vec<MessageId>> {
        Box::pin(self.transaction(move |tx| tx.append_messages(&messages)))
    }

    fn claim_messages(&self, request: ClaimRequest) -> StoreFuture<'_, Claimed> {
        Box::pin(self.transaction(move |tx| tx.claim_messages(&request)))
    }

    fn complete_messages(&self, receipts: Vec<Receipt>) -> StoreFuture<'_, Vec<MessageId>> {
        Box::pin(self.transaction(move |tx| {
            check_size("receipts", receipts.len(), MAX_CLAIM)?;
            let mut completed = Vec::new();
            for receipt in &receipts {
                if tx.complete_message(receipt)? {
                    completed.push(receipt.id);
                }
            }
            Ok(completed)
        }))
    }

    fn retry(&self, receipt: Receipt, after: Duration, error: String) -> StoreFuture<'_, bool> {
        Box::pin(self.transaction(move |tx| tx.retry(&receipt, after, error)))
    }

    fn dead_letter(&self, receipt: Receipt, reason: String) -> StoreFuture<'_, bool> {
        Box::pin(self.transaction(move |tx| tx.dead_letter(&receipt, reason)))
    }

    fn dead_letters(
        &self,
        topic: String,
        after: MessageId,
        limit: usize,
    ) -> StoreFuture<'_, Vec<DeadLetter>> {
        Box::pin(self.read(move |tx| tx.dead_letters(&topic, after, limit)))
    }

    fn replay(&self, ids: Vec<MessageId>) -> StoreFuture<'_, u64> {
        Box::pin(self.transaction(move |tx| tx.replay(&ids)))
    }

    fn depth(&self, topic: String) -> StoreFuture<'_, Depth> {
        Box::pin(self.read(move |tx| tx.depth(&topic)))
    }
}
