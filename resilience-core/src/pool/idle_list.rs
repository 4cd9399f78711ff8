//! Idle objects of a pool, and the number of its objects.
//!
//! An object has a *slot* from before it is made until it is gone, so that the limit is never
//! exceeded. Every caller holds a permit of the pool's bulkhead, and each permit uses at most one
//! slot. So when no object is idle, every used slot belongs to another permit, and one is free: no
//! holder of a permit is rejected or waits here.

use std::collections::VecDeque;

/// Idle objects in the order of their return. The limit is an argument of each call: the bulkhead
/// alone stores it.
#[derive(Debug)]
pub(super) struct IdleList<T> {
    idle: VecDeque<T>,
    /// Slots in use: by idle objects, by checked-out ones, and by those being made.
    size: usize,
    newest_first: bool,
}

impl<T> IdleList<T> {
    pub(super) const fn new(newest_first: bool) -> IdleList<T> {
        IdleList { idle: VecDeque::new(), size: 0, newest_first }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Takes an idle object with its slot, or reserves a slot for a new object and returns `None`.
    pub(super) fn take(&mut self) -> Option<T> {
        let next = if self.newest_first { self.idle.pop_back() } else { self.idle.pop_front() };
        if next.is_none() {
            self.size += 1;
        }
        next
    }

    /// Reserves a slot for a new object. Returns `false` if `max` slots are in use.
    pub(super) const fn reserve(&mut self, max: usize) -> bool {
        // See docs/decisions/0043-a-pool-is-a-bulkhead-in-front-of-an-idle-list.md.
        let room = self.size < max;
        if room {
            self.size += 1;
        }
        room
    }

    /// Adds an object that returns. If more than `max` slots are in use, releases its slot and
    /// returns the object.
    pub(super) fn give(&mut self, object: T, max: usize) -> Option<T> {
        if self.size > max {
            self.release_slot();
            return Some(object);
        }
        self.idle.push_back(object);
        None
    }

    /// Releases the slot of an object that is not idle.
    pub(super) const fn release_slot(&mut self) {
        self.size -= 1;
    }

    /// Removes idle objects beyond `max` slots, the oldest first, with their slots.
    pub(super) fn trim(&mut self, max: usize) -> Vec<T> {
        let surplus = self.size.saturating_sub(max).min(self.idle.len());
        self.size -= surplus;
        self.idle.drain(..surplus).collect()
    }

    /// Removes the idle objects for which `which` returns `true`, with their slots.
    pub(super) fn take_if(&mut self, mut which: impl FnMut(&mut T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for _ in 0..self.idle.len() {
            let Some(mut object) = self.idle.pop_front() else { break };
            if which(&mut object) {
                taken.push(object);
            } else {
                self.idle.push_back(object);
            }
        }
        self.size -= taken.len();
        taken
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy)]
    enum Op {
        /// The holder of a permit takes an object.
        Take,
        /// The holder of a permit makes an idle object.
        Spare,
        /// The holder at this index returns its object.
        Give(usize),
        /// The holder at this index discards its object.
        Leave(usize),
        Resize(usize),
        /// Removes every idle object with a number that is a multiple of the argument.
        TakeIf(u32),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            4 => Just(Op::Take),
            1 => Just(Op::Spare),
            3 => any::<usize>().prop_map(Op::Give),
            1 => any::<usize>().prop_map(Op::Leave),
            1 => (0_usize..6).prop_map(Op::Resize),
            1 => (1_u32..4).prop_map(Op::TakeIf),
        ];
        proptest::collection::vec(op, 0..80)
    }

    /// A naive pool: checked-out and idle objects by number.
    #[derive(Debug, Default)]
    struct Model {
        out: Vec<u32>,
        idle: Vec<u32>,
        made: u32,
        max: usize,
    }

    impl Model {
        fn size(&self) -> usize {
            self.out.len() + self.idle.len()
        }

        fn make(&mut self) -> u32 {
            self.made += 1;
            self.made
        }

        fn next(&mut self, newest_first: bool) -> Option<u32> {
            let last = self.idle.len().checked_sub(1)?;
            Some(self.idle.remove(if newest_first { last } else { 0 }))
        }
    }

    /// Applies one operation to both, and compares them.
    fn step(model: &mut Model, idle_list: &mut IdleList<u32>, op: Op, newest_first: bool) {
        match op {
            Op::Take if model.out.len() < model.max => {
                let taken = idle_list.take();
                let expected = model.next(newest_first);
                assert_eq!(taken, expected);
                let object = taken.unwrap_or_else(|| model.make());
                model.out.push(object);
                assert!(model.size() <= model.max || taken.is_some(), "none is made without room");
            }
            Op::Spare if model.out.len() < model.max => {
                assert_eq!(idle_list.reserve(model.max), model.size() < model.max);
                if model.size() < model.max {
                    let object = model.make();
                    assert_eq!(idle_list.give(object, model.max), None);
                    model.idle.push(object);
                }
            }
            Op::Give(which) if !model.out.is_empty() => {
                let surplus = model.size() > model.max;
                let object = model.out.remove(which % model.out.len());
                assert_eq!(idle_list.give(object, model.max), surplus.then_some(object));
                model.idle.extend((!surplus).then_some(object));
            }
            Op::Leave(which) if !model.out.is_empty() => {
                model.out.remove(which % model.out.len());
                idle_list.release_slot();
            }
            Op::Resize(max) => {
                model.max = max;
                let surplus = model.size().saturating_sub(max).min(model.idle.len());
                let gone: Vec<_> = model.idle.drain(..surplus).collect();
                assert_eq!(idle_list.trim(max), gone);
            }
            Op::TakeIf(number) => {
                let which = |object: &u32| object.is_multiple_of(number);
                let gone: Vec<_> = model.idle.iter().copied().filter(which).collect();
                model.idle.retain(|object| !which(object));
                assert_eq!(idle_list.take_if(|object| which(object)), gone);
            }
            Op::Take | Op::Spare | Op::Give(_) | Op::Leave(_) => {}
        }
        assert_eq!((idle_list.size(), idle_list.idle()), (model.size(), model.idle.len()));
    }

    proptest! {
        #[test]
        fn the_idle_list_agrees_with_its_model(ops in ops(), max in 1_usize..6, newest_first: bool) {
            let mut model = Model { max, ..Model::default() };
            let mut idle_list = IdleList::new(newest_first);
            for op in ops {
                step(&mut model, &mut idle_list, op, newest_first);
            }
        }
    }
}
