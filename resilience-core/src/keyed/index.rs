//! Where in its shard a key is.
//!
//! Few slots are searched by one word, a byte of the hash for each: all at once, and without going anywhere.
//! For more, it is an open-addressed table of two bytes a cell. A cell is the number of a slot and eight
//! bits of the hash, so that a look at the wrong slot is one in 256. Removing moves the cells behind it up:
//! no tombstones, nothing to clean up later.

const EMPTY: u16 = u16::MAX;
/// A cell has eight bits for a slot, and the last number means that there is none.
pub(super) const MAX_SLOTS: usize = 254;
/// The hash's bits that choose a cell in the largest table; those above go into it.
const TAG_AT: u32 = 9;
/// As many as a word has bytes.
const FEW: usize = 8;
/// In each byte, the bit that says that there is a slot of its number.
const THERE: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

#[derive(Debug)]
pub(super) enum Index {
    /// Of each slot, seven bits of its hash. The byte of none is zero.
    Few([u8; FEW]),
    Many(Table),
}

impl Default for Index {
    fn default() -> Index {
        Index::Few([0; FEW])
    }
}

impl Index {
    /// The cells on the heap for so many slots: none for few, and of others at least a quarter is empty.
    pub(super) const fn cells_for(slots: usize) -> usize {
        if slots <= FEW { 0 } else { (most(slots) * 4).div_ceil(3).next_power_of_two() }
    }

    /// An index for so many `slots`, with the slots of these hashes in it.
    pub(super) fn of(slots: usize, hashes: impl Iterator<Item = u64>) -> Index {
        let mut index = match Index::cells_for(slots) {
            0 => Index::default(),
            cells => Index::Many(Table { cells: vec![EMPTY; cells].into_boxed_slice() }),
        };
        for (slot, hash) in hashes.enumerate() {
            index.insert(hash, slot);
        }
        index
    }

    /// What `look` finds in the first slot of this hash in which it finds something.
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

    /// The key of this slot is now in that one.
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

/// Looks at the slots whose byte this is, and once in a while at one whose byte it is nearly.
#[inline]
fn find_few<R>(bytes: u64, byte: u8, mut look: impl FnMut(usize) -> Option<R>) -> Option<R> {
    let differences = bytes ^ (u64::from(byte) * ONES);
    // The bytes that are zero, and maybe a one behind a zero: never that of a slot that is not there, whose
    // difference is the byte itself, with its highest bit.
    let mut left = differences.wrapping_sub(ONES) & !differences & THERE;
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
        let mut place = hash as usize & mask;
        // There are cells, and an empty one of them ends the search.
        while let Some(&cell) = self.cells.get(place) {
            if cell == EMPTY {
                return None;
            }
            if cell & 0xff00 == tag
                && let Some(found) = look(slot(cell))
            {
                return Some(found);
            }
            place = (place + 1) & mask;
        }
        None
    }

    fn insert(&mut self, hash: u64, slot: usize) {
        let mask = self.cells.len() - 1;
        let mut place = hash as usize & mask;
        while self.cells[place] != EMPTY {
            place = (place + 1) & mask;
        }
        self.cells[place] = tag(hash) | slot as u16;
    }

    fn renumber(&mut self, hash: u64, from: usize, to: usize) {
        let place = self.place(hash, from);
        self.cells[place] = tag(hash) | to as u16;
    }

    /// Also moves up those that it stood in the way of.
    fn remove(&mut self, hash: u64, slot_: usize, hash_of: impl Fn(usize) -> u64) {
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
    fn a_quarter_is_empty() {
        for slots in FEW + 1..=MAX_SLOTS {
            let cells = Index::cells_for(slots);
            assert!(slots * 4 <= cells * 3 && cells <= 1 << TAG_AT, "{slots}: {cells}");
        }
    }

    #[test]
    fn an_index_is_two_words() {
        assert_eq!(size_of::<Index>(), 16);
    }

    /// Every byte against every other: the ones that are there, and none that is not.
    #[test]
    fn few_are_found_by_their_bytes() {
        for (here, other) in (0..128).flat_map(|here| (0..128).map(move |other| (here, other))) {
            let index =
                Index::of(FEW, [here, other, other, here].map(|tag| tag << TAG_AT).into_iter());
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
        /// Hashes of few values, so that runs of cells are long and wrap.
        #[test]
        fn finds_what_is_there(
            slots in prop_oneof![1..=FEW, 1..=MAX_SLOTS],
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
