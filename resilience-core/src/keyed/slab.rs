//! Numbered places in blocks that grow at the end.
//!
//! One array for all would be copied whole whenever it grows, and leave behind a hole in which nothing
//! of the next size fits: a sixth of the memory of a store of a million keys. Of blocks only the last one
//! grows, and is copied while it is small.

use std::ops::{Index, IndexMut};

use super::allocated;

/// Places in a block.
const BLOCK: usize = 128;
pub(super) const BLOCKS: usize = 2;
/// The last block grows and shrinks by so many places; the first begins with a quarter of it, and doubles.
const STEP: usize = 8;

/// The most places.
pub(super) const MAX_ROOM: usize = BLOCK * BLOCKS;

#[derive(Debug)]
#[repr(C)]
pub(super) struct Slab<S> {
    /// All that are before the last one in use are full.
    blocks: [Vec<S>; BLOCKS],
    len: u16,
    /// Places that there is memory for.
    room: u16,
}

impl<S> Default for Slab<S> {
    fn default() -> Slab<S> {
        Slab { blocks: [const { Vec::new() }; BLOCKS], len: 0, room: 0 }
    }
}

impl<S> Slab<S> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    #[inline]
    pub(super) fn room(&self) -> usize {
        self.room.into()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &S> {
        self.blocks.iter().flatten()
    }

    /// Puts it behind the last one, where there should be [room](Slab::grow).
    pub(super) fn push(&mut self, value: S) -> usize {
        let place = self.len();
        self.blocks[place / BLOCK].push(value);
        self.len += 1;
        place
    }

    /// Takes it out. The last one, if it is another, is in its place now.
    pub(super) fn swap_remove(&mut self, place: usize) -> Option<S> {
        let last = self.blocks[self.len().checked_sub(1)? / BLOCK].pop()?;
        self.len -= 1;
        if place == self.len() {
            Some(last)
        } else {
            Some(std::mem::replace(&mut self[place], last))
        }
    }

    /// The room after this one.
    pub(super) const fn more(room: usize) -> usize {
        match room {
            0 => STEP / 4,
            _ if room < STEP => 2 * room,
            _ => room + STEP,
        }
    }

    /// The room that is enough for so many, and for so many more that the next one makes it grow again
    /// only after a while. `None` if it is the one that is there.
    pub(super) fn less(&self) -> Option<usize> {
        let unused = self.room() - self.len();
        match self.len() {
            0 if self.room() > 0 => Some(0),
            _ if unused >= 2 * STEP => Some(self.room() - STEP),
            _ => None,
        }
    }

    /// Makes it the room for so many: [more](Slab::more) or [less](Slab::less) than there is.
    pub(super) fn resize(&mut self, room: usize) {
        let last = self.room.max(room as u16).saturating_sub(1) as usize / BLOCK;
        let block = &mut self.blocks[last];
        let room_of_block = room.saturating_sub(last * BLOCK);
        block.shrink_to(room_of_block);
        block.reserve_exact(room_of_block - block.len());
        self.room = room as u16;
    }

    /// The bytes that so much room takes.
    pub(super) const fn cost(room: usize) -> usize {
        let (blocks, rest) = (room / BLOCK, room % BLOCK);
        blocks * allocated(BLOCK * size_of::<S>()) + allocated(rest * size_of::<S>())
    }
}

impl<S> Index<usize> for Slab<S> {
    type Output = S;

    #[inline]
    fn index(&self, place: usize) -> &S {
        &self.blocks[place / BLOCK][place % BLOCK]
    }
}

impl<S> IndexMut<usize> for Slab<S> {
    #[inline]
    fn index_mut(&mut self, place: usize) -> &mut S {
        &mut self.blocks[place / BLOCK][place % BLOCK]
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What its blocks take now.
    fn cost(slab: &Slab<u64>) -> usize {
        slab.blocks.iter().map(|block| allocated(block.capacity() * size_of::<u64>())).sum()
    }

    proptest! {
        #[test]
        fn as_a_vector(operations in prop::collection::vec((0..3_u8, any::<u8>()), 0..1_500)) {
            let (mut slab, mut list) = (Slab::default(), Vec::new());
            for (number, (operation, place)) in operations.into_iter().enumerate() {
                // Mostly more, then mostly less.
                if (operation > 0) == (number % 700 < 350) {
                    if slab.len() == slab.room() && slab.room() < MAX_ROOM {
                        slab.resize(Slab::<u64>::more(slab.room()));
                    }
                    if slab.len() < slab.room() {
                        prop_assert_eq!(slab.push(number as u64), list.len());
                        list.push(number as u64);
                    }
                } else if !list.is_empty() {
                    let place = usize::from(place) % list.len();
                    prop_assert_eq!(slab.swap_remove(place), Some(list.swap_remove(place)));
                    if let Some(room) = slab.less() {
                        slab.resize(room);
                    }
                }
                prop_assert!(slab.iter().eq(&list) && slab.len() == list.len());
                prop_assert!((0..list.len()).all(|place| slab[place] == list[place]));
                prop_assert_eq!(cost(&slab), Slab::<u64>::cost(slab.room()));
                prop_assert!(slab.room() - slab.len() < 2 * STEP);
            }
        }
    }

    #[test]
    fn every_room_is_reached_and_left() {
        let mut slab = Slab::<u64>::default();
        assert_eq!(slab.swap_remove(0), None);
        while slab.room() < MAX_ROOM {
            slab.resize(Slab::<u64>::more(slab.room()));
            while slab.len() < slab.room() {
                slab.push(7);
            }
            assert_eq!(cost(&slab), Slab::<u64>::cost(slab.room()));
        }
        while slab.swap_remove(0).is_some() {
            if let Some(room) = slab.less() {
                slab.resize(room);
            }
            assert_eq!(cost(&slab), Slab::<u64>::cost(slab.room()));
        }
        assert_eq!((slab.len(), slab.room()), (0, 0));
    }
}
