//! Something whose cost per call is measured.

use std::fmt;

use tokio::runtime::{Builder, Handle, Runtime};
use tower::{BoxError, Service};

use super::call::{Call, Tower, drive};
use super::pool;
use super::role::{Inner, Role};

/// Makes so many calls, one after the other.
pub type Batch = Box<dyn FnMut(u64) -> Result<(), BoxError> + Send>;

type MakeBatch = Box<dyn Fn() -> Result<Batch, BoxError>>;
type MakePooled = Box<dyn Fn(&Handle) -> Batch>;

/// A named way to make calls.
pub struct Subject {
    /// With `inner`, unique in its figure.
    pub name: &'static str,
    /// What it is to the comparison.
    pub role: Role,
    /// What it calls.
    pub inner: Inner,
    /// What it does not do, of what its figure compares. Empty if nothing is missing.
    pub lacks: &'static str,
    /// Whether handles share what is measured, so that two threads contend for it.
    pub shared: bool,
    handle: MakeBatch,
    pooled: Option<MakePooled>,
}

impl Subject {
    /// Calls of a tower service. Its handles are clones of it, so they share what its layer shares.
    pub(crate) fn service<S>(role: Role, name: &'static str, service: S) -> Subject
    where
        S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + 'static,
        S::Future: Send,
    {
        Subject::calls(role, name, Tower(service))
    }

    /// Calls of anything asynchronous.
    pub(crate) fn calls(role: Role, name: &'static str, call: impl Call + Clone) -> Subject {
        let pooled = call.clone();
        let mut subject = Subject::new(role, name, move || {
            let mut call = call.clone();
            let runtime = runtime()?;
            Ok(Box::new(move |calls| runtime.block_on(drive(&mut call, calls))))
        });
        subject.pooled = Some(Box::new(move |handle| pool::batch(pooled.clone(), handle)));
        subject
    }

    /// Calls of a service that is no `Clone`: every handle has one of its own, and no two threads share it.
    pub(crate) fn unshared<S>(
        role: Role,
        name: &'static str,
        make: impl Fn() -> S + 'static,
    ) -> Subject
    where
        S: Service<u64, Response = u64, Error = BoxError> + Send + 'static,
        S::Future: Send,
    {
        let mut subject = Subject::new(role, name, move || {
            let runtime = runtime()?;
            let mut call = Tower({
                let _inside = runtime.enter();
                make()
            });
            Ok(Box::new(move |calls| runtime.block_on(drive(&mut call, calls))))
        });
        subject.shared = false;
        subject
    }

    /// Calls of a plain function, whose clones share what it has.
    pub(crate) fn function<F>(role: Role, name: &'static str, function: F) -> Subject
    where
        F: Fn() + Clone + Send + 'static,
    {
        Subject::function_each(role, name, move || function.clone())
    }

    /// Calls of a plain function that is made anew for each thread.
    pub(crate) fn function_each<F>(
        role: Role,
        name: &'static str,
        make: impl Fn() -> F + 'static,
    ) -> Subject
    where
        F: Fn() + Send + 'static,
    {
        Subject::new(role, name, move || {
            let function = make();
            Ok(Box::new(move |calls| {
                (0..calls).for_each(|_| function());
                Ok(())
            }))
        })
    }

    fn new(
        role: Role,
        name: &'static str,
        handle: impl Fn() -> Result<Batch, BoxError> + 'static,
    ) -> Subject {
        let handle = Box::new(handle);
        Subject { name, role, inner: Inner::Ready, lacks: "", shared: true, handle, pooled: None }
    }

    /// Says that the service at the bottom yields.
    pub(crate) fn yielding(mut self) -> Subject {
        self.inner = Inner::Yields;
        self
    }

    /// Says that it is measured on one thread only.
    pub(crate) fn alone(mut self) -> Subject {
        self.shared = false;
        self
    }

    /// Says what it does not do.
    pub(crate) fn lacks(mut self, lacks: &'static str) -> Subject {
        self.lacks = lacks;
        self
    }

    /// Whether it promises to allocate nothing.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.role == Role::Ours
    }

    /// A handle of its own for a thread, on a runtime of its own.
    ///
    /// # Errors
    /// If there is no runtime to be had.
    pub fn handle(&self) -> Result<Batch, BoxError> {
        (self.handle)()
    }

    /// Calls made by many tasks of one runtime; `None` for plain functions and what cannot be shared.
    pub(super) fn pooled(&self, handle: &Handle) -> Option<Batch> {
        self.pooled.as_ref().map(|make| make(handle))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("name", &self.name).finish_non_exhaustive()
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_time().build()
}
