//! Idempotency keys in Redis: one script each, which decides as `KeyRecord` does.

use std::time::Duration;

use redis::{FromRedisValue, Value};
use resilience_core::flow::idempotency::{
    Claim, Completion, IdempotencyStore, KeyRequest, RowHash, Taken,
};
use resilience_core::flow::{FencingToken, StoreError, StoreFuture};

use super::error::corrupt;
use super::leases::{TOKEN, add_commands};
use super::store::RedisStore;
use crate::rows::check_rows;

// A key is forgotten when its expiry comes, which is Redis's to do.
pub(super) const CLAIM: &str = "
    local k = redis.call('HMGET', KEYS[1], 'fingerprint', 'fence', 'claimed_until', 'rows', 'result')
    if k[1] then
        if k[1] ~= ARGV[1] then return {'conflict'} end
        if k[4] then return {'done', k[4], k[5]} end
        local held, own = tonumber(k[2]), tonumber(ARGV[2])
        if held and (not own or own < held) then return {'fenced', k[2]} end
        if not (held and own > held) and now < tonumber(k[3]) then
            return {'in_progress', int(tonumber(k[3]) - now)}
        end
    end
    local token = redis.call('INCR', KEYS[2])
    local ends = now + tonumber(ARGV[3])
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'fence', ARGV[2], 'token', int(token),
        'claimed_until', int(ends))
    redis.call('PEXPIREAT', KEYS[1], int(ends + tonumber(ARGV[4])))
    return {'claimed', int(token)}";

// The effect first: a command that fails ends the script, and the key stays in progress. The
// commands after it cannot fail.
pub(super) const COMPLETE: &str = "
    local k = redis.call('HMGET', KEYS[1], 'token', 'rows')
    if k[1] ~= ARGV[1] then return 0 end
    if k[2] then return 1 end
    run(5)
    if ARGV[2] == '' then
        redis.call('DEL', KEYS[1])
    else
        redis.call('HSET', KEYS[1], 'rows', ARGV[2], 'result', ARGV[3])
        redis.call('PEXPIREAT', KEYS[1], int(now + tonumber(ARGV[4])))
    end
    return 1";

pub(super) const ABANDON: &str = "
    local k = redis.call('HMGET', KEYS[1], 'token', 'rows')
    if k[1] ~= ARGV[1] or k[2] then return 0 end
    return redis.call('DEL', KEYS[1])";

fn key(name: &str) -> String {
    format!("{{flow}}:key:{name}")
}

fn row(data_set: &str, row: &RowHash) -> String {
    // The length, so that no two pairs of names make one key.
    format!("{{flow}}:row:{}:{data_set}:{}", data_set.len(), row.key)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 51)
}

impl RedisStore {
    /// Completes a claim and makes the effect, in one script. Returns `false`, and makes none, if
    /// another claim was made since.
    ///
    /// The commands run first. One that fails leaves the key in progress, so that the work is tried
    /// again once the claim has ended or was given back. Redis undoes nothing: the commands before
    /// the failed one are done, and are repeated then. Put the command that may fail first. The
    /// keys must be on the node of `{flow}`.
    ///
    /// # Errors
    /// The driver's. [`InvalidInput`](resilience_core::flow::StoreErrorKind::InvalidInput) if a
    /// command has more than 4,096 words: none runs then.
    pub async fn complete_with(
        &self,
        claim: &Claim,
        completion: &Completion,
        commands: &[Vec<Vec<u8>>],
    ) -> Result<bool, StoreError> {
        completion.check()?;
        let mut complete = self.0.scripts.complete.prepare_invoke();
        complete.key(key(&claim.key)).arg(claim.token.get());
        match completion.kept() {
            Some((rows, result)) => complete.arg(rows).arg(result),
            None => complete.arg("").arg(""),
        };
        complete.arg(millis(claim.ttl));
        add_commands(&mut complete, commands)?;
        self.run(&complete).await
    }

    async fn claim_key(&self, request: KeyRequest) -> Result<Result<Claim, Taken>, StoreError> {
        request.check()?;
        self.check_evicts()?;
        let mut claim = self.0.scripts.claim.prepare_invoke();
        claim.key(key(&request.key)).key(TOKEN).arg(request.fingerprint.as_bytes().as_slice());
        match request.fence {
            Some(fence) => claim.arg(fence.get()),
            None => claim.arg(""),
        };
        claim.arg(millis(request.claim_for)).arg(millis(request.ttl));
        let answer: Vec<Value> = self.run(&claim).await?;
        corrupt(read(&answer, request), "an idempotency key")
    }

    async fn changed_rows(&self, set: &str, rows: &[RowHash]) -> Result<Vec<usize>, StoreError> {
        check_rows(set, rows)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = rows.iter().map(|it| row(set, it)).collect();
        let read = redis::cmd("MGET").arg(keys).to_owned();
        let stored: Vec<Option<Vec<u8>>> =
            self.on_connection(async |connection| read.query_async(connection).await).await?;
        let differs = |(stored, row): &(&Option<Vec<u8>>, &RowHash)| {
            stored.as_deref() != Some(row.hash.as_bytes().as_slice())
        };
        let pairs = stored.iter().zip(rows).enumerate();
        Ok(pairs.filter(|(_, pair)| differs(pair)).map(|(position, _)| position).collect())
    }

    async fn record_rows(
        &self,
        set: &str,
        rows: &[RowHash],
        ttl: Duration,
    ) -> Result<(), StoreError> {
        check_rows(set, rows)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut record = redis::pipe();
        record.atomic();
        for it in rows {
            let hash = it.hash.as_bytes().as_slice();
            record.cmd("SET").arg(row(set, it)).arg(hash).arg("PX").arg(millis(ttl)).ignore();
        }
        self.on_connection(async |connection| record.query_async(connection).await).await
    }
}

/// Reads what the script has decided.
fn read(answer: &[Value], request: KeyRequest) -> Option<Result<Claim, Taken>> {
    fn at<T: FromRedisValue>(answer: &[Value], index: usize) -> Option<T> {
        T::from_redis_value(answer.get(index)?.clone()).ok()
    }
    Some(match at::<String>(answer, 0)?.as_str() {
        "claimed" => Ok(Claim {
            key: request.key,
            token: FencingToken::new(at(answer, 1)?),
            ttl: request.ttl,
        }),
        "conflict" => Err(Taken::Conflict),
        "done" => Err(Taken::Done { rows: at(answer, 1)?, result: at(answer, 2)? }),
        "fenced" => Err(Taken::Fenced(FencingToken::new(at(answer, 1)?))),
        "in_progress" => {
            Err(Taken::InProgress { remaining: Duration::from_millis(at(answer, 1)?) })
        }
        _ => return None,
    })
}

impl IdempotencyStore for RedisStore {
    fn claim(&self, request: KeyRequest) -> StoreFuture<'_, Result<Claim, Taken>> {
        Box::pin(self.claim_key(request))
    }

    fn complete(&self, claim: Claim, completion: Completion) -> StoreFuture<'_, bool> {
        Box::pin(async move { self.complete_with(&claim, &completion, &[]).await })
    }

    fn abandon(&self, claim: Claim) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let mut abandon = self.0.scripts.abandon.prepare_invoke();
            abandon.key(key(&claim.key)).arg(claim.token.get());
            self.run(&abandon).await
        })
    }

    fn changed(&self, data_set: String, rows: Vec<RowHash>) -> StoreFuture<'_, Vec<usize>> {
        Box::pin(async move { self.changed_rows(&data_set, &rows).await })
    }

    fn record(&self, data_set: String, rows: Vec<RowHash>, ttl: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.record_rows(&data_set, &rows, ttl).await })
    }
}
