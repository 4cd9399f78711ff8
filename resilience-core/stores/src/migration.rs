//! The versions of a schema, and the way between them. What is applied upwards is refinery's to do;
//! the way down is paired here.

use std::error::Error;

use refinery::{Migration, Runner};
use resilience_core::flow::{StoreError, StoreErrorKind};

/// The table in which the applied versions stand.
pub(crate) const HISTORY: &str = "flow_schema_history";

/// A version of a schema.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) file: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
}

/// A migration that would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// The version.
    pub version: u32,
    /// The name.
    pub name: String,
    /// The statements.
    pub sql: &'static str,
}

/// The versions that this build knows.
#[derive(Debug)]
pub struct Migrations {
    store: &'static str,
    versions: &'static [Version],
}

/// A version that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) checksum: String,
}

impl Migrations {
    pub(crate) const fn new(store: &'static str, versions: &'static [Version]) -> Migrations {
        Migrations { store, versions }
    }

    /// Returns the newest version.
    #[must_use]
    pub fn latest(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }

    /// Returns a runner that applies what is missing in one transaction: refinery's default records
    /// a version in another transaction than the one that applies it, and a crash in between would
    /// apply it twice.
    pub(crate) fn runner(&self) -> Result<Runner, StoreError> {
        let mut runner = Runner::new(&self.parsed()?).set_grouped(true);
        runner.set_migration_table_name(HISTORY);
        Ok(runner)
    }

    /// Checks what was applied against the versions of this build.
    pub(crate) fn check(&self, applied: &[Applied]) -> Result<(), StoreError> {
        let known = self.parsed()?;
        for applied in applied {
            let at = usize::try_from(applied.version).unwrap_or(usize::MAX);
            let Some(own) = at.checked_sub(1).and_then(|index| known.get(index)) else {
                let (newest, latest) = (applied.version, self.latest());
                let what = format!("the schema has version {newest}, this build knows {latest}");
                return Err(StoreError::new(StoreErrorKind::FutureSchema, self.store, what));
            };
            if own.checksum().to_string() != applied.checksum || own.name() != applied.name {
                let what = format!(
                    "version {} was applied as `{}` with checksum {}, and is `{}` with {} here",
                    applied.version,
                    applied.name,
                    applied.checksum,
                    own.name(),
                    own.checksum()
                );
                return Err(StoreError::new(StoreErrorKind::Migration, self.store, what));
            }
        }
        Ok(())
    }

    /// Returns the steps upwards from what was applied.
    pub(crate) fn up(&self, applied: &[Applied]) -> Result<Vec<MigrationStep>, StoreError> {
        let missing = |version: u32| applied.iter().all(|applied| applied.version != version);
        Ok(self.steps(|version| version.up)?.filter(|step| missing(step.version)).collect())
    }

    /// Returns the steps downwards to `target`, newest first.
    pub(crate) fn down(
        &self,
        applied: &[Applied],
        target: u32,
    ) -> Result<Vec<MigrationStep>, StoreError> {
        let above = |version: u32| {
            version > target && applied.iter().any(|applied| applied.version == version)
        };
        let mut steps: Vec<_> =
            self.steps(|version| version.down)?.filter(|step| above(step.version)).collect();
        steps.reverse();
        Ok(steps)
    }

    /// Returns the error of a migration that failed: the driver's kind, if the driver names a cause
    /// that is not the migration's.
    pub(crate) fn failed<D: Error + 'static>(
        &self,
        error: refinery::Error,
        kind: impl Fn(&D) -> StoreErrorKind,
    ) -> StoreError {
        let cause = error.source().and_then(|source| source.downcast_ref::<D>()).map(kind);
        let kind = cause.filter(|kind| *kind != StoreErrorKind::Other);
        let kind = kind.unwrap_or(StoreErrorKind::Migration);
        StoreError::new(kind, self.store, "the schema could not be migrated").with_source(error)
    }

    fn steps(
        &self,
        sql: impl Fn(&Version) -> &'static str,
    ) -> Result<impl Iterator<Item = MigrationStep>, StoreError> {
        let parsed = self.parsed()?.into_iter().zip(self.versions);
        Ok(parsed.zip(1..).map(move |((migration, version), number)| MigrationStep {
            version: number,
            name: migration.name().to_owned(),
            sql: sql(version),
        }))
    }

    fn parsed(&self) -> Result<Vec<Migration>, StoreError> {
        let parsed =
            self.versions.iter().map(|version| Migration::unapplied(version.file, version.up));
        parsed.collect::<Result<_, _>>().map_err(|error| {
            let what = "a migration of this build has no valid name";
            StoreError::new(StoreErrorKind::Migration, self.store, what).with_source(error)
        })
    }
}
