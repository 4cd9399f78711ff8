//! A vector in blocks.
//!
//! A single array would be copied whole whenever it grows, and leave holes in the heap: a sixth of
//! the memory of a store of a million keys. Here only the last block grows, and is copied while it
//! is small.

use std::ops::{Index, IndexMut};

use super::allocation_size;

/// Slots in a block.
const BLOCK: usize = 128;
pub(super) const BLOCKS: usize = 2;
/// Slots by which the last block grows and shrinks. The first block begins with a quarter of that,
/// and doubles.
const STEP: usize = 8;

/// Maximum number of slots.
pub(super) const MAX_CAPACITY: usize = BLOCK * BLOCKS;

#[derive(Debug)]
#[repr(C)]
pub(super) struct BlockVec<S> {
    /// All blocks before the last one in use are full.
    blocks: [Vec<S>; BLOCKS],
    len: u16,
    capacity: u16,
}

impl<S> Default for BlockVec<S> {
    fn default() -> BlockVec<S> {
        BlockVec { blocks: [const { Vec::new() }; BLOCKS], len: 0, capacity: 0 }
    }
}

impl<S> BlockVec<S> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.capacity.into()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &S> {
        self.blocks.iter().flatten()
    }

    /// Appends a value and returns its slot. There must be capacity for it.
    pub(super) fn push(&mut self, value: S) -> usize {
        let slot = self.len();
        self.blocks[slot / BLOCK].push(value);
        self.len += 1;
        slot
    }

    /// Removes the value in `slot`, and moves the last value there if it is another.
    pub(super) fn swap_remove(&mut self, slot: usize) -> Option<S> {
        let last = self.blocks[self.len().checked_sub(1)? / BLOCK].pop()?;
        self.len -= 1;
        if slot == self.len() { Some(last) } else { Some(std::mem::replace(&mut self[slot], last)) }
    }

    /// Returns the next higher capacity.
    pub(super) const fn grown(capacity: usize) -> usize {
        match capacity {
            0 => STEP / 4,
            _ if capacity < STEP => 2 * capacity,
            _ => capacity + STEP,
        }
    }

    /// Returns a lower capacity if at least two steps are unused, so that the next push does not
    /// grow it again.
    pub(super) fn shrunk(&self) -> Option<usize> {
        let unused = self.capacity() - self.len();
        match self.len() {
            0 if self.capacity() > 0 => Some(0),
            _ if unused >= 2 * STEP => Some(self.capacity() - STEP),
            _ => None,
        }
    }

    /// Changes the capacity, to one of [`grown`](BlockVec::grown) or [`shrunk`](BlockVec::shrunk).
    pub(super) fn resize(&mut self, capacity: usize) {
        let last = self.capacity.max(capacity as u16).saturating_sub(1) as usize / BLOCK;
        let block = &mut self.blocks[last];
        let capacity_of_block = capacity.saturating_sub(last * BLOCK);
        block.shrink_to(capacity_of_block);
        block.reserve_exact(capacity_of_block - block.len());
        self.capacity = capacity as u16;
    }

    /// Returns the heap bytes of this capacity.
    pub(super) const fn heap_bytes(capacity: usize) -> usize {
        let blocks = capacity / BLOCK;
        let rest = capacity % BLOCK;
        blocks * allocation_size(BLOCK * size_of::<S>()) + allocation_size(rest * size_of::<S>())
    }
}

impl<S> Index<usize> for BlockVec<S> {
    type Output = S;

    #[inline]
    fn index(&self, slot: usize) -> &S {
        &self.blocks[slot / BLOCK][slot % BLOCK]
    }
}

impl<S> IndexMut<usize> for BlockVec<S> {
    #[inline]
    fn index_mut(&mut self, slot: usize) -> &mut S {
        &mut self.blocks[slot / BLOCK][slot % BLOCK]
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the heap bytes of the blocks.
    fn measured(blocks: &BlockVec<u64>) -> usize {
        blocks.blocks.iter().map(|block| allocation_size(block.capacity() * size_of::<u64>())).sum()
    }

    proptest! {
        #[test]
        fn as_a_vector(operations in prop::collection::vec((0..3_u8, any::<u8>()), 0..1_500)) {
            let mut blocks = BlockVec::default();
            let mut list = Vec::new();
            for (number, (operation, slot)) in operations.into_iter().enumerate() {
                // Mostly pushes, then mostly removals.
                if (operation > 0) == (number % 700 < 350) {
                    if blocks.len() == blocks.capacity() && blocks.capacity() < MAX_CAPACITY {
                        blocks.resize(BlockVec::<u64>::grown(blocks.capacity()));
                    }
                    if blocks.len() < blocks.capacity() {
                        prop_assert_eq!(blocks.push(number as u64), list.len());
                        list.push(number as u64);
                    }
                } else if !list.is_empty() {
                    let slot = usize::from(slot) % list.len();
                    prop_assert_eq!(blocks.swap_remove(slot), Some(list.swap_remove(slot)));
                    if let Some(capacity) = blocks.shrunk() {
                        blocks.resize(capacity);
                    }
                }
                prop_assert!(blocks.iter().eq(&list) && blocks.len() == list.len());
                prop_assert!((0..list.len()).all(|slot| blocks[slot] == list[slot]));
                prop_assert_eq!(measured(&blocks), BlockVec::<u64>::heap_bytes(blocks.capacity()));
                prop_assert!(blocks.capacity() - blocks.len() < 2 * STEP);
            }
        }
    }

    #[test]
    fn every_capacity_is_reached_and_left() {
        let mut blocks = BlockVec::<u64>::default();
        assert_eq!(blocks.swap_remove(0), None);
        while blocks.capacity() < MAX_CAPACITY {
            blocks.resize(BlockVec::<u64>::grown(blocks.capacity()));
            while blocks.len() < blocks.capacity() {
                blocks.push(7);
            }
            assert_eq!(measured(&blocks), BlockVec::<u64>::heap_bytes(blocks.capacity()));
        }
        while blocks.swap_remove(0).is_some() {
            if let Some(capacity) = blocks.shrunk() {
                blocks.resize(capacity);
            }
            assert_eq!(measured(&blocks), BlockVec::<u64>::heap_bytes(blocks.capacity()));
        }
        assert_eq!((blocks.len(), blocks.capacity()), (0, 0));
    }
}
