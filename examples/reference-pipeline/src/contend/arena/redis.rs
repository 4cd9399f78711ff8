//! The log and the naive lock in Redis.

use std::sync::Arc;

use resilience_core::flow::lease::LeaseStore;
use resilience_core::flow::{Fence, StoreError};
use resilience_stores::redis::RedisStore;

use super::entry;
use crate::BoxError;
use crate::contend::Arm;
use crate::contend::judge::{Entry, What};

/// A server with a log.
#[derive(Debug, Clone)]
pub(in crate::contend) struct Redis(RedisStore);

const LOCK: &str = "{flow}:contend-lock";

fn log_of(arm: Arm) -> String {
    format!("{{flow}}:contend-log:{}", arm.as_str())
}

impl Redis {
    pub(in crate::contend) async fn open(url: &str) -> Result<Redis, StoreError> {
        Ok(Redis(RedisStore::builder(url).max_connections(2).open().await?))
    }

    pub(in crate::contend) fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.0.clone())
    }

    pub(in crate::contend) async fn prepare(&self) -> Result<(), BoxError> {
        let mut connection = self.0.connection().await?;
        let keys = [LOCK.to_owned(), log_of(Arm::Naive), log_of(Arm::Fenced)];
        redis::cmd("DEL").arg(&keys).query_async::<()>(&mut *connection).await?;
        Ok(())
    }

    pub(in crate::contend) async fn write(
        &self,
        arm: Arm,
        section: &str,
        what: What,
        fence: Option<&Fence>,
    ) -> Result<bool, BoxError> {
        let words = ["RPUSH".to_owned(), log_of(arm), format!("{} {section}", what.as_str())];
        if let Some(fence) = fence {
            let command = words.map(String::into_bytes).to_vec();
            return Ok(self.0.write(fence, &[command]).await?);
        }
        let mut connection = self.0.connection().await?;
        let [name, list, line] = words;
        redis::cmd(&name).arg(list).arg(line).query_async::<()>(&mut *connection).await?;
        Ok(true)
    }

    pub(in crate::contend) async fn naive_lock(
        &self,
        holder: &str,
        term_ms: u64,
    ) -> Result<bool, BoxError> {
        let mut connection = self.0.connection().await?;
        let mut lock = redis::cmd("SET");
        lock.arg(LOCK).arg(holder).arg("NX").arg("PX").arg(term_ms);
        Ok(lock.query_async::<Option<String>>(&mut *connection).await?.is_some())
    }

    pub(in crate::contend) async fn naive_unlock(&self) -> Result<(), BoxError> {
        let mut connection = self.0.connection().await?;
        redis::cmd("DEL").arg(LOCK).query_async::<()>(&mut *connection).await?;
        Ok(())
    }

    pub(in crate::contend) async fn log(&self, arm: Arm) -> Result<Vec<Entry>, BoxError> {
        let mut connection = self.0.connection().await?;
        let mut read = redis::cmd("LRANGE");
        read.arg(log_of(arm)).arg(0).arg(-1);
        let lines: Vec<String> = read.query_async(&mut *connection).await?;
        let line = |line: &String| {
            let (what, section) = line.split_once(' ').ok_or("unexpected line of the log")?;
            entry(section.to_owned(), what)
        };
        lines.iter().map(line).collect()
    }
}
