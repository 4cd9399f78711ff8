//! The stored job, and the writes that it admits. Pure.

use crate::flow::fence::FencingToken;
use crate::flow::idempotency::Fingerprint;
use crate::flow::limits::check_name;
use crate::flow::store_error::StoreError;

/// A job that is to be opened by a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// The name of the job.
    pub job: String,
    /// A digest of everything that makes two runs the same job: the range, the processors, their
    /// version.
    pub definition: Fingerprint,
    /// The token of the lease under which the run works. One run works on a job at a time, and the
    /// lease of a second starter is rejected.
    pub fence: FencingToken,
}

impl JobRequest {
    /// Checks the name.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::flow::StoreErrorKind::InvalidInput), if it is empty or too long.
    pub fn check(&self) -> Result<(), StoreError> {
        check_name("job", &self.job)
    }
}

/// A job as a store keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRecord {
    /// The digest of the definition.
    pub definition: Fingerprint,
    /// The greatest token under which the job was opened.
    pub fence: FencingToken,
}

/// The answer to a [`JobRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a starter has to handle each")]
pub enum Opened {
    /// The job is new.
    New,
    /// The job has a checkpoint, which the run resumes.
    Resumed,
    /// The checkpoint of this name belongs to a job of this definition. Nothing was changed.
    OtherJob(Fingerprint),
    /// The job was opened under this greater token. Nothing was changed.
    Fenced(FencingToken),
}

/// The answer to the end of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a worker has to handle each")]
pub enum Recorded {
    /// The item has this state now.
    Recorded(super::item::ItemState),
    /// The item had this final state before, which stays.
    Settled(super::item::ItemState),
    /// The job was opened under this greater token. Nothing was recorded.
    Fenced(FencingToken),
    /// There is no such job.
    NotFound,
}

impl JobRecord {
    /// Decides about a request. The record to store comes with [`New`](Opened::New) and
    /// [`Resumed`](Opened::Resumed).
    #[must_use]
    pub fn open(record: Option<&JobRecord>, request: &JobRequest) -> (Opened, Option<JobRecord>) {
        let opened = JobRecord { definition: request.definition, fence: request.fence };
        match record {
            None => (Opened::New, Some(opened)),
            Some(job) if job.definition != request.definition => {
                (Opened::OtherJob(job.definition), None)
            }
            Some(job) if !job.admits(request.fence) => (Opened::Fenced(job.fence), None),
            // The same token again: the response to the first request was lost.
            Some(_) => (Opened::Resumed, Some(opened)),
        }
    }

    /// Returns `true` if a write under this token is to be accepted.
    #[must_use]
    pub fn admits(&self, fence: FencingToken) -> bool {
        fence >= self.fence
    }
}
