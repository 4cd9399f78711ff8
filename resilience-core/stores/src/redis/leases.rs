//! Leases in Redis: one script each, which decides as `LeaseRecord` does.

use std::time::Duration;

use redis::ScriptInvocation;
use resilience_core::flow::lease::{
    Acquisition, LeaseRequest, LeaseStatus, LeaseStore, LeaseVersion,
};
use resilience_core::flow::limits::{check_name, check_size};
use resilience_core::flow::{Fence, FencingToken, StoreError, StoreFuture};

use super::error::corrupt;
use super::store::RedisStore;

/// The last token, for leases and claims alike.
pub(super) const TOKEN: &str = "{flow}:token";

// An ended lease is kept for seven days: its tokens grow on when it is gone.
pub(super) const ACQUIRE: &str = "
    local l = redis.call('HMGET', KEYS[1], 'holder', 'token', 'renewals', 'term', 'expires_at', 'released')
    if l[2] and l[6] == '0' and now < tonumber(l[5])
        and not (l[2] == ARGV[3] and l[3] == ARGV[4]) then
        local left = math.min(tonumber(l[5]) - now, tonumber(l[4]))
        return {'held', l[1], l[2], l[3], l[4], int(left)}
    end
    local token = redis.call('INCR', KEYS[2])
    local ends = now + tonumber(ARGV[2])
    redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'token', int(token), 'renewals', '0', 'term', ARGV[2],
        'expires_at', int(ends), 'released', '0')
    redis.call('PEXPIREAT', KEYS[1], int(ends + 604800000))
    return {'acquired', int(token)}";

pub(super) const RENEW: &str = "
    if not live(KEYS[1], ARGV[1]) then return 0 end
    local ends = now + tonumber(ARGV[2])
    redis.call('HINCRBY', KEYS[1], 'renewals', 1)
    redis.call('HSET', KEYS[1], 'term', ARGV[2], 'expires_at', int(ends))
    redis.call('PEXPIREAT', KEYS[1], int(ends + 604800000))
    return 1";

pub(super) const RELEASE: &str = "
    local l = redis.call('HMGET', KEYS[1], 'token', 'released')
    if l[1] ~= ARGV[1] or l[2] ~= '0' then return 0 end
    redis.call('HSET', KEYS[1], 'released', '1')
    return 1";

pub(super) const ADMITS: &str = "return live(KEYS[1], ARGV[1]) and 1 or 0";

pub(super) const WRITE: &str = "
    if not live(KEYS[1], ARGV[1]) then return 0 end
    run(2)
    return 1";

fn lease(name: &str) -> String {
    format!("{{flow}}:lease:{name}")
}

fn millis(term: Duration) -> u64 {
    // 2^51: what Lua's numbers hold, also with the time added.
    u64::try_from(term.as_millis()).unwrap_or(u64::MAX).min(1 << 51)
}

/// The most words of one command: Lua unpacks less than 8,000 values.
const MAX_WORDS: usize = 4_096;

/// Adds commands to a script that runs them.
pub(super) fn add_commands(
    script: &mut ScriptInvocation<'_>,
    commands: &[Vec<Vec<u8>>],
) -> Result<(), StoreError> {
    for command in commands.iter().filter(|command| !command.is_empty()) {
        check_size("words of a command", command.len(), MAX_WORDS)?;
        script.arg(command.len());
        for word in command {
            script.arg(word.as_slice());
        }
    }
    Ok(())
}

impl RedisStore {
    /// Runs commands if a write under this fence is to be accepted, in one script. Returns `false`,
    /// and runs none, if the lease is not the holder's any more.
    ///
    /// Redis undoes nothing: a command that fails leaves the ones before it done. The keys must be
    /// on the node of `{flow}`.
    ///
    /// # Errors
    /// The driver's. [`InvalidInput`](resilience_core::flow::StoreErrorKind::InvalidInput) if a
    /// command has more than 4,096 words: none runs then.
    pub async fn write(
        &self,
        fence: &Fence,
        commands: &[Vec<Vec<u8>>],
    ) -> Result<bool, StoreError> {
        let mut write = self.0.scripts.write.prepare_invoke();
        write.key(lease(fence.lease.as_str())).arg(fence.token.get());
        add_commands(&mut write, commands)?;
        self.run(&write).await
    }

    async fn acquire(&self, request: LeaseRequest) -> Result<Acquisition, StoreError> {
        // See docs/decisions/0036-the-engine-is-the-reference-of-every-store.md.
        check_name("lease", &request.name)?;
        self.check_evicts()?;
        let mut acquire = self.0.scripts.acquire.prepare_invoke();
        acquire.key(lease(&request.name)).key(TOKEN).arg(&request.holder).arg(millis(request.term));
        if let Some(LeaseVersion { token, renewals }) = request.stalled {
            acquire.arg(token.get()).arg(renewals);
        } else {
            acquire.arg("").arg("");
        }
        let answer: Vec<String> = self.run(&acquire).await?;
        let number = |at: usize| answer.get(at).and_then(|word| word.parse::<u64>().ok());
        corrupt(
            match answer.first().map(String::as_str) {
                Some("acquired") => {
                    number(1).map(|token| Acquisition::Acquired(FencingToken::new(token)))
                }
                _ => (|| {
                    Some(Acquisition::HeldByAnother(LeaseStatus {
                        holder: answer.get(1)?.clone(),
                        version: LeaseVersion {
                            token: FencingToken::new(number(2)?),
                            renewals: number(3)?,
                        },
                        term: Duration::from_millis(number(4)?),
                        remaining: Duration::from_millis(number(5)?),
                    }))
                })(),
            },
            "a lease",
        )
    }
}

impl LeaseStore for RedisStore {
    fn try_acquire(&self, request: LeaseRequest) -> StoreFuture<'_, Acquisition> {
        Box::pin(self.acquire(request))
    }

    fn renew(&self, fence: Fence, term: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let mut renew = self.0.scripts.renew.prepare_invoke();
            renew.key(lease(fence.lease.as_str())).arg(fence.token.get()).arg(millis(term));
            self.run(&renew).await
        })
    }

    fn release(&self, fence: Fence) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let mut release = self.0.scripts.release.prepare_invoke();
            release.key(lease(fence.lease.as_str())).arg(fence.token.get());
            self.run(&release).await
        })
    }

    fn admits(&self, fence: Fence) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let mut admits = self.0.scripts.admits.prepare_invoke();
            admits.key(lease(fence.lease.as_str())).arg(fence.token.get());
            self.run(&admits).await
        })
    }
}
