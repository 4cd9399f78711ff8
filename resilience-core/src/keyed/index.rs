//! Where in its shard a key is: an open-addressed table of two bytes a cell.
//!
//! A cell is the number of a slot and eight bits of the hash, so that a look at the wrong slot is one
//! in 256. Removing moves the cells behind it up: no tombstones, nothing to clean up later.

const EMPTY: u16 = u16::MAX;
/// A cell has eight bits for a slot, and the last number means that there is none.
pub(super) const MAX_SLOTS: usize = 254;
/// The hash's bits that choose a cell in the largest table; those above go into it.
const TAG_AT: u32 = 9;

#[derive(Debug, Default)]
pub(super) struct Index {
    cells: Box<[u16]>,
}

impl Index {
    /// The cells for so many slots: at least a quarter of them is empty.
    pub(super) const fn cells_for(slots: usize) -> usize {
        if slots == 0 { 0 } else { (most(slots) * 4).div_ceil(3).next_power_of_two() }
    }

    /// A table for `slots`, with the slots of these hashes in it.
    pub(super) fn of(slots: usize, hashes: impl Iterator<Item = u64>) -> Index {
        let mut index = Index { cells: vec![EMPTY; Index::cells_for(slots)].into_boxed_slice() };
        for (slot, hash) in hashes.enumerate() {
            index.insert(hash, slot);
        }
        index
    }

    /// The first slot of this hash that `is` the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(usize) -> bool) -> Option<usize> {
        let mask = self.cells.len().wrapping_sub(1);
        let tag = tag(hash);
        let mut place = hash as usize & mask;
        // Without cells there is no place. Otherwise an empty cell ends the search.
        while let Some(&cell) = self.cells.get(place) {
            if cell == EMPTY {
                return None;
            }
            if cell & 0xff00 == tag && is(slot(cell)) {
                return Some(slot(cell));
            }
            place = (place + 1) & mask;
        }
        None
    }

    pub(super) fn insert(&mut self, hash: u64, slot: usize) {
        let mask = self.cells.len() - 1;
        let mut place = hash as usize & mask;
        while self.cells[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.cells[place] = tag(hash) | slot as u16;
    }

    /// The key of this slot is now in that one.
    pub(super) fn renumber(&mut self, hash: u64, from: usize, to: usize) {
        let place = self.place(hash, from);
        self.cells[place] = tag(hash) | to as u16;
    }

    /// Removes a slot, and moves up those that it stood in the way of.
    pub(super) fn remove(&mut self, hash: u64, slot_: usize, hash_of: impl Fn(usize) -> u64) {
        let mask = self.cells.len() - 1;
        let mut hole = self.place(hash, slot_);
        let mut next = (hole + 1) & mask;
        while self.cells[next] != EMPTY {
            let home = hash_of(slot(self.cells[next])) as usize & mask;
            let from_home = next.wrapping_sub(home) & mask;
            if from_home >= next.wrapping_sub(hole) & mask {
                self.cells[hole] = self.cells[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.cells[hole] = EMPTY;
    }

    /// Where the cell of a slot is that is there.
    fn place(&self, hash: u64, slot: usize) -> usize {
        let mask = self.cells.len() - 1;
        let cell = tag(hash) | slot as u16;
        let mut place = hash as usize & mask;
        while self.cells[place] != cell {
            place = (place + 1) & mask;
        }
        place
    }
}

const fn most(slots: usize) -> usize {
    if slots < MAX_SLOTS { slots } else { MAX_SLOTS }
}

#[inline]
fn tag(hash: u64) -> u16 {
    ((hash >> TAG_AT) as u16) << 8
}

#[inline]
fn slot(cell: u16) -> usize {
    usize::from(cell & 0xff)
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quarter_is_empty() {
        for slots in 1..=MAX_SLOTS {
            let cells = Index::cells_for(slots);
            assert!(slots * 4 <= cells * 3 && cells <= 1 << TAG_AT, "{slots}: {cells}");
        }
    }

    proptest! {
        /// Hashes of few values, so that runs of cells are long and wrap.
        #[test]
        fn finds_what_is_there(
            slots in 1..=MAX_SLOTS,
            operations in prop::collection::vec((any::<bool>(), 0..40_u64), 0..400),
        ) {
            let mut index = Index::of(slots, std::iter::empty());
            let mut hashes: Vec<u64> = Vec::new();
            for (add, number) in operations {
                let hash = (number % 5) | (number << 9) | 0x1f8;
                if add && hashes.len() < slots {
                    index.insert(hash, hashes.len());
                    hashes.push(hash);
                } else if !add && !hashes.is_empty() {
                    let slot = number as usize % hashes.len();
                    let last = hashes.len() - 1;
                    index.remove(hashes[slot], slot, |slot| hashes[slot]);
                    if slot != last {
                        index.renumber(hashes[last], last, slot);
                    }
                    hashes.swap_remove(slot);
                }
                for (slot, &hash) in hashes.iter().enumerate() {
                    prop_assert_eq!(index.find(hash, |found| found == slot), Some(slot));
                }
                prop_assert_eq!(index.find((number % 5) | 0x1f8 | (41 << 9), |_| true), None);
                let cells = index.cells.iter().filter(|cell| **cell != EMPTY).count();
                prop_assert_eq!(cells, hashes.len());
            }
        }
    }
}
