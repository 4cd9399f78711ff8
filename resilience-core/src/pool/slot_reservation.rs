//! A slot of the pool, reserved by the holder of a permit.

use deadpool::managed::Manager;

use super::Retired;
use super::handle::Shared;
use super::managed_object::ManagedObject;
use crate::error::Error;

/// A reserved slot, with its object if there is one. Dropping the slot discards the object, since
/// its state is unknown, and releases the slot.
pub(super) struct SlotReservation<'p, M: Manager> {
    /// `None` once the slot belongs to a checked-out object.
    shared: Option<&'p Shared<M>>,
    object: Option<Box<ManagedObject<M>>>,
}

impl<'p, M: Manager> SlotReservation<'p, M> {
    /// Reserves the slot of an idle object, or an empty one if no object is idle.
    pub(super) fn take(shared: &'p Shared<M>) -> SlotReservation<'p, M> {
        let object = shared.idle_list.lock().take();
        SlotReservation { shared: Some(shared), object }
    }

    /// Reserves an empty slot if the pool has fewer objects than its limit.
    pub(super) fn reserve(shared: &'p Shared<M>) -> Option<SlotReservation<'p, M>> {
        let mut idle_list = shared.idle_list.lock();
        let room = idle_list.reserve(shared.limit());
        // Not `then_some`: a reservation that is dropped releases its slot.
        room.then(|| SlotReservation { shared: Some(shared), object: None })
    }

    pub(super) const fn object(&mut self) -> Option<&mut Box<ManagedObject<M>>> {
        self.object.as_mut()
    }

    /// Discards an object that does not work, and keeps its slot.
    pub(super) fn clear(&mut self) {
        if let (Some(shared), Some(mut object)) = (self.shared, self.object.take()) {
            object.life.retire(Retired::Invalid);
            shared.discard(*object);
        }
    }

    /// Returns the object, or a new one if the slot is empty. The object keeps the slot.
    pub(super) async fn filled(mut self) -> Result<Box<ManagedObject<M>>, Error<M::Error>> {
        if let (None, Some(shared)) = (&self.object, self.shared) {
            self.object = Some(shared.make().await?);
        }
        self.shared = None;
        match self.object.take() {
            Some(object) => Ok(object),
            None => unreachable!("a reserved slot was filled just now"),
        }
    }
}

impl<M: Manager> Drop for SlotReservation<'_, M> {
    fn drop(&mut self) {
        let Some(shared) = self.shared else { return };
        let _release = ReleaseSlot(shared);
        self.clear();
    }
}

/// Releases a slot when dropped: after its object, also if the object's destructor panics.
pub(super) struct ReleaseSlot<'p, M: Manager>(pub(super) &'p Shared<M>);

impl<M: Manager> Drop for ReleaseSlot<'_, M> {
    fn drop(&mut self) {
        self.0.idle_list.lock().release_slot();
    }
}
