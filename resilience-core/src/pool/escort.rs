//! Who decides about an object that somebody else uses.
//!
//! A layer hands an object to the service below it and learns how the call went when the object may be
//! dropped already. Until then nobody else gets it.

use std::sync::Arc;

use deadpool::managed::Manager;

use super::pooled::Out;
use crate::sync::Mutex;

/// The side that is dropped with the object.
pub(super) struct Escort<M: Manager>(Arc<Mutex<Berth<M>>>);

/// The side that decides. Dropped without that, the call was left in the middle, and so was the object.
pub(super) struct Decision<M: Manager>(Arc<Mutex<Berth<M>>>);

enum Berth<M: Manager> {
    /// It is in use.
    Out,
    /// It was dropped, and nothing is decided.
    Parked(Box<Out<M>>),
    /// Whether it is broken, whenever it is dropped.
    Decided(bool),
}

pub(super) fn pair<M: Manager>() -> (Escort<M>, Decision<M>) {
    let berth = Arc::new(Mutex::new(Berth::Out));
    (Escort(berth.clone()), Decision(berth))
}

impl<M: Manager> Escort<M> {
    /// The object was dropped.
    pub(super) fn park(&self, mut out: Out<M>) {
        let mut berth = self.0.lock();
        let Berth::Decided(broken) = *berth else {
            *berth = Berth::Parked(Box::new(out));
            return;
        };
        drop(berth);
        out.broken |= broken;
        out.give_back();
    }
}

impl<M: Manager> Decision<M> {
    /// The call is over, and the object is broken or not.
    pub(super) fn decide(self, broken: bool) {
        self.settle(broken);
    }

    fn settle(&self, broken: bool) {
        let mut berth = self.0.lock();
        // What was decided first stands.
        if matches!(*berth, Berth::Decided(_)) {
            return;
        }
        let before = std::mem::replace(&mut *berth, Berth::Decided(broken));
        drop(berth);
        if let Berth::Parked(mut out) = before {
            out.broken |= broken;
            out.give_back();
        }
    }
}

impl<M: Manager> Drop for Decision<M> {
    fn drop(&mut self) {
        self.settle(true);
    }
}
