//! A place in the pool, in the hands of somebody who has a permit.

use deadpool::managed::Manager;

use super::Retired;
use super::handle::Shared;
use super::slot::Slot;
use crate::error::Error;

/// A place, and the object in it if there is one. Dropped, both are gone: what the object was in the
/// middle of is not known.
pub(super) struct Place<'p, M: Manager> {
    /// `None` once the place is somebody else's.
    shared: Option<&'p Shared<M>>,
    slot: Option<Box<Slot<M>>>,
}

impl<'p, M: Manager> Place<'p, M> {
    /// That of an idle object. If there is none, an empty one.
    #[inline]
    pub(super) fn take(shared: &'p Shared<M>) -> Place<'p, M> {
        let slot = shared.shelf.lock().take();
        Place { shared: Some(shared), slot }
    }

    /// An empty one beside those of idle objects, if there is room.
    pub(super) fn reserve(shared: &'p Shared<M>) -> Option<Place<'p, M>> {
        let mut shelf = shared.shelf.lock();
        let room = shelf.reserve(shared.limit());
        // Made only then: a place that is dropped is given up.
        room.then(|| Place { shared: Some(shared), slot: None })
    }

    #[inline]
    pub(super) const fn object(&mut self) -> Option<&mut Box<Slot<M>>> {
        self.slot.as_mut()
    }

    /// The object does not work, and goes. Its place is there for another.
    pub(super) fn clear(&mut self) {
        if let (Some(shared), Some(mut slot)) = (self.shared, self.slot.take()) {
            slot.life.retire(Retired::Invalid);
            shared.let_go(*slot);
        }
    }

    /// The object, which is taken to work, or else a new one; and the place goes with it.
    #[inline]
    pub(super) async fn filled(mut self) -> Result<Box<Slot<M>>, Error<M::Error>> {
        if let (None, Some(shared)) = (&self.slot, self.shared) {
            self.slot = Some(shared.make().await?);
        }
        self.shared = None;
        match self.slot.take() {
            Some(slot) => Ok(slot),
            None => unreachable!("a place is somebody's, and was filled just now"),
        }
    }
}

impl<M: Manager> Drop for Place<'_, M> {
    #[inline]
    fn drop(&mut self) {
        let Some(shared) = self.shared else { return };
        let _given_up = GivenUp(shared);
        self.clear();
    }
}

/// A place that is given up when this is dropped: after its object, also if that panics as it goes.
pub(super) struct GivenUp<'p, M: Manager>(pub(super) &'p Shared<M>);

impl<M: Manager> Drop for GivenUp<'_, M> {
    fn drop(&mut self) {
        self.0.shelf.lock().leave();
    }
}
