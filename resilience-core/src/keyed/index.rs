//! Index of a shard: from hashes to slots.
//!
//! Up to eight slots are indexed by one word with a byte of each hash, compared all at once (SWAR).
//! More slots use an open-addressed table with linear probing and two bytes a cell: a slot number
//! and eight bits of the hash, so that one in 256 comparisons is of the wrong key. Removal shifts
//! the following cells back, without tombstones.

const EMPTY: u16 = u16::MAX;
/// A cell has eight bits for a slot, of which the last number marks an empty cell.
pub(super) const MAX_SLOTS: usize = 254;
/// The number of hash bits that choose a cell in the largest table; the bits above are the tag.
const TAG_AT: u32 = 9;
/// The bytes of a word.
const FEW: usize = 8;
/// The top bit of each byte, set if its slot is occupied.
const OCCUPIED: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

#[derive(Debug)]
pub(super) enum Index {
    /// Seven bits of the hash of each slot; zero if the slot is empty.
    Few([u8; FEW]),
    Many(Table),
}

impl Default for Index {
    fn default() -> Index {
        Index::Few([0; FEW])
    }
}

impl Index {
    /// Returns the cells on the heap for this number of slots: 0 for few; at least a quarter of the
    /// cells is empty.
    pub(super) const fn cells_for(slots: usize) -> usize {
        if slots <= FEW { 0 } else { (clamp_slots(slots) * 4).div_ceil(3).next_power_of_two() }
    }

    /// Creates an index for this number of `slots`, with these hashes in the first ones.
    pub(super) fn with_hashes(slots: usize, hashes: impl Iterator<Item = u64>) -> Index {
        let mut index = match Index::cells_for(slots) {
            0 => Index::default(),
            cells => Index::Many(Table { cells: vec![EMPTY; cells].into_boxed_slice() }),
        };
        for (slot, hash) in hashes.enumerate() {
            index.insert(hash, slot);
        }
        index
    }

    /// Calls `look` for each slot with this hash until it returns `Some`.
    #[inline]
    pub(super) fn find<R>(&self, hash: u64, look: impl FnMut(usize) -> Option<R>) -> Option<R> {
        match self {
            Index::Few(bytes) => find_few(u64::from_le_bytes(*bytes), byte(hash), look),
            Index::Many(table) => table.find(hash, look),
        }
    }

    pub(super) fn insert(&mut self, hash: u64, slot: usize) {
        match self {
            Index::Few(bytes) => bytes[slot] = byte(hash),
            Index::Many(table) => table.insert(hash, slot),
        }
    }

    /// Notes that the key in slot `from` has moved to slot `to`.
    pub(super) fn renumber(&mut self, hash: u64, from: usize, to: usize) {
        match self {
            Index::Few(bytes) => bytes[to] = std::mem::take(&mut bytes[from]),
            Index::Many(table) => table.renumber(hash, from, to),
        }
    }

    /// Removes a slot.
    pub(super) fn remove(&mut self, hash: u64, slot: usize, hash_of: impl Fn(usize) -> u64) {
        match self {
            Index::Few(bytes) => bytes[slot] = 0,
            Index::Many(table) => table.remove(hash, slot, hash_of),
        }
    }
}

/// Calls `look` for the slots with this byte, and rarely for one with a similar byte.
#[inline]
fn find_few<R>(bytes: u64, byte: u8, mut look: impl FnMut(usize) -> Option<R>) -> Option<R> {
    let differences = bytes ^ (u64::from(byte) * ONES);
    // Finds the zero bytes, and maybe a 1 above a zero byte. Never an empty slot: its difference is
    // `byte` itself, whose top bit is set.
    let mut left = differences.wrapping_sub(ONES) & !differences & OCCUPIED;
    while left != 0 {
        let found = look(left.trailing_zeros() as usize / 8);
        if found.is_some() {
            return found;
        }
        left &= left - 1;
    }
    None
}

#[derive(Debug)]
pub(super) struct Table {
    cells: Box<[u16]>,
}

impl Table {
    #[inline]
    fn find<R>(&self, hash: u64, mut look: impl FnMut(usize) -> Option<R>) -> Option<R> {
        let mask = self.cells.len().wrapping_sub(1);
        let tag = tag(hash);
        let mut at = hash as usize & mask;
        // Ends at an empty cell: a quarter of them is empty.
        while let Some(&cell) = self.cells.get(at) {
            if cell == EMPTY {
                return None;
            }
            if cell & 0xff00 == tag
                && let Some(found) = look(slot(cell))
            {
                return Some(found);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn insert(&mut self, hash: u64, slot: usize) {
        let mask = self.cells.len() - 1;
        let mut at = hash as usize & mask;
        while self.cells[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.cells[at] = tag(hash) | slot as u16;
    }

    fn renumber(&mut self, hash: u64, from: usize, to: usize) {
        let at = self.position(hash, from);
        self.cells[at] = tag(hash) | to as u16;
    }

    /// Removes a cell, and shifts back the following ones that probed past it.
    fn remove(&mut self, hash: u64, slot_: usize, hash_of: impl Fn(usize) -> u64) {
        let mask = self.cells.len() - 1;
        let mut hole = self.position(hash, slot_);
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

    /// Returns the position of the cell of an indexed slot.
    fn position(&self, hash: u64, slot: usize) -> usize {
        let mask = self.cells.len() - 1;
        let cell = tag(hash) | slot as u16;
        let mut at = hash as usize & mask;
        while self.cells[at] != cell {
            at = (at + 1) & mask;
        }
        at
    }
}

const fn clamp_slots(slots: usize) -> usize {
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

#[inline]
fn byte(hash: u64) -> u8 {
    0x80 | (hash >> TAG_AT) as u8
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quarter_of_the_cells_is_empty() {
        for slots in FEW + 1..=MAX_SLOTS {
            let cells = Index::cells_for(slots);
            assert!(slots * 4 <= cells * 3 && cells <= 1 << TAG_AT, "{slots}: {cells}");
        }
    }

    #[test]
    fn an_index_is_two_words() {
        assert_eq!(size_of::<Index>(), 16);
    }

    /// Searches every byte beside every other.
    #[test]
    fn few_are_found_by_their_bytes() {
        for (here, other) in (0..128).flat_map(|here| (0..128).map(move |other| (here, other))) {
            let index = Index::with_hashes(
                FEW,
                [here, other, other, here].map(|tag| tag << TAG_AT).into_iter(),
            );
            let mut looked = Vec::new();
            let none: Option<()> = index.find(here << TAG_AT, |slot| {
                looked.push(slot);
                None
            });
            assert!(none.is_none() && looked.iter().all(|slot| *slot < 4));
            assert!(looked.contains(&0) && looked.contains(&3));
        }
    }

    proptest! {
        /// Few hash values, so that probe sequences are long and wrap.
        #[test]
        fn finds_what_is_there(
            slots in prop_oneof![1..=FEW, 1..=MAX_SLOTS],
            operations in prop::collection::vec((any::<bool>(), 0..40_u64), 0..400),
        ) {
            let mut index = Index::with_hashes(slots, std::iter::empty());
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
                    prop_assert_eq!(index.find(hash, |found| (found == slot).then_some(slot)), Some(slot));
                }
                prop_assert_eq!(index.find((number % 5) | 0x1f8 | (41 << 9), Some), None);
                let there = match &index {
                    Index::Few(bytes) => bytes.iter().filter(|byte| **byte != 0).count(),
                    Index::Many(table) => table.cells.iter().filter(|cell| **cell != EMPTY).count(),
                };
                prop_assert_eq!(there, hashes.len());
            }
        }
    }
}
