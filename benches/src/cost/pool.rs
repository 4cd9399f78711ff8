//! A multi-thread runtime with two workers, and tasks that call clones of one service.

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tower::BoxError;

use super::call::{Call, drive};
use super::subject::Batch;

/// Number of tasks of a batch, enough that each worker always has one to run.
const TASKS: u64 = 16;

pub(super) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).enable_time().build()
}

/// Returns a batch that divides its calls among [`TASKS`] tasks, rounded up to a multiple of it.
pub(super) fn batch(call: impl Call + Clone, handle: &Handle) -> Batch {
    let handle = handle.clone();
    Box::new(move |calls| {
        let tasks: Vec<JoinHandle<Result<(), BoxError>>> = (0..TASKS)
            .map(|_| {
                let mut call = call.clone();
                handle.spawn(async move { drive(&mut call, calls.div_ceil(TASKS)).await })
            })
            .collect();
        handle.block_on(async {
            for task in tasks {
                task.await??;
            }
            Ok(())
        })
    })
}
