//! Return of an object that is decided after its guard was dropped.
//!
//! A layer passes an object to the service below, and the result of the call may come after the
//! object was dropped. Until then no other call gets the object.

use std::sync::Arc;

use deadpool::managed::Manager;

use super::pooled::CheckedOut;
use crate::sync::Mutex;

/// The half that is dropped with the object.
pub(super) struct DeferredReturn<M: Manager>(Arc<Mutex<State<M>>>);

/// The half that decides. If it is dropped undecided, the call was cancelled, and the object counts
/// as broken.
pub(super) struct Decision<M: Manager>(Arc<Mutex<State<M>>>);

enum State<M: Manager> {
    InUse,
    /// The object was dropped before the decision.
    Dropped(Box<CheckedOut<M>>),
    Decided {
        broken: bool,
    },
}

pub(super) fn pair<M: Manager>() -> (DeferredReturn<M>, Decision<M>) {
    let state = Arc::new(Mutex::new(State::InUse));
    (DeferredReturn(state.clone()), Decision(state))
}

impl<M: Manager> DeferredReturn<M> {
    /// Returns the object to its pool, or keeps it until the decision.
    pub(super) fn dropped(&self, mut object: CheckedOut<M>) {
        let mut state = self.0.lock();
        let State::Decided { broken } = *state else {
            *state = State::Dropped(Box::new(object));
            return;
        };
        drop(state);
        object.broken |= broken;
        object.give_back();
    }
}

impl<M: Manager> Decision<M> {
    /// Decides whether the object is broken.
    pub(super) fn decide(self, broken: bool) {
        self.settle(broken);
    }

    /// Decides, unless it was decided before.
    fn settle(&self, broken: bool) {
        let mut state = self.0.lock();
        if matches!(*state, State::Decided { .. }) {
            return;
        }
        let before = std::mem::replace(&mut *state, State::Decided { broken });
        drop(state);
        if let State::Dropped(mut object) = before {
            object.broken |= broken;
            object.give_back();
        }
    }
}

impl<M: Manager> Drop for Decision<M> {
    fn drop(&mut self) {
        self.settle(true);
    }
}
