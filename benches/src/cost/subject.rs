//! Subjects: named ways to make the calls that are measured.

use std::fmt;

use tokio::runtime::{Builder, Handle, Runtime};
use tower::{BoxError, Service};

use super::call::{Call, Tower, drive};
use super::pool;
use super::role::{Inner, Role};

/// A closure that makes the given number of calls.
pub type Batch = Box<dyn FnMut(u64) -> Result<(), BoxError> + Send>;

type MakeBatch = Box<dyn Fn() -> Result<Batch, BoxError>>;
type MakePooled = Box<dyn Fn(&Handle) -> Batch>;

/// A named way to make calls.
pub struct Subject {
    /// Name, unique in its figure together with `inner`.
    pub name: &'static str,
    /// Role in the comparison.
    pub role: Role,
    /// Innermost service.
    pub inner: Inner,
    /// Features of its figure that the subject does not have. Empty if it has all.
    pub lacks: &'static str,
    /// `true` if handles share the state that is measured, so that two threads contend for it.
    pub shared: bool,
    handle: MakeBatch,
    pooled: Option<MakePooled>,
}

impl Subject {
    /// Returns a subject that calls a tower service. Handles are clones of the service, and share
    /// the state that its layer shares.
    pub(crate) fn service<S>(role: Role, name: &'static str, service: S) -> Subject
    where
        S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + 'static,
        S::Future: Send,
    {
        Subject::calls(role, name, Tower(service))
    }

    /// Returns a subject that makes asynchronous calls. Handles are clones of `call`.
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

    /// Returns a subject that calls a service without `Clone`. Each handle has its own service, and
    /// the subject is measured on one thread only.
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

    /// Returns a subject that calls a plain function. Handles are clones of it, and share its
    /// state.
    pub(crate) fn function<F>(role: Role, name: &'static str, function: F) -> Subject
    where
        F: Fn() + Clone + Send + 'static,
    {
        Subject::function_each(role, name, move || function.clone())
    }

    /// Returns a subject that calls a plain function, and makes a new one for each handle.
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

    /// Sets the inner service to [`Inner::Yields`].
    pub(crate) fn yielding(mut self) -> Subject {
        self.inner = Inner::Yields;
        self
    }

    /// Restricts measurements to one thread.
    pub(crate) fn alone(mut self) -> Subject {
        self.shared = false;
        self
    }

    /// Sets the features that the subject does not have.
    pub(crate) fn lacks(mut self, lacks: &'static str) -> Subject {
        self.lacks = lacks;
        self
    }

    /// Returns `true` if the subject is this library's, and must not allocate.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.role == Role::Ours
    }

    /// Returns a new handle for a thread. Asynchronous calls get their own current-thread runtime.
    ///
    /// # Errors
    /// Fails if the runtime cannot be created.
    pub fn handle(&self) -> Result<Batch, BoxError> {
        (self.handle)()
    }

    /// Returns a batch that divides its calls among tasks of one runtime. Returns `None` for plain
    /// functions and for [`unshared`](Subject::unshared) services.
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
