//! Where a pool's objects are while nobody uses them, and how many there are in all.
//!
//! An object has a *place* from before it is made until it is gone, so that no more are made than may be.
//! Whoever comes here has a permit of the pool's bulkhead, and each permit has at most one place. So when
//! none is idle, every place belongs to a permit that is not the caller's, and there is room for one more:
//! nobody who has a permit is turned away, and nobody waits here.

use std::collections::VecDeque;

/// The idle objects of a pool, in the order in which they came back. Limits are told with each call: the
/// one place where they are known is the bulkhead.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    idle: VecDeque<T>,
    /// Places: what is idle, out, or being made.
    size: usize,
    newest_first: bool,
}

impl<T> Shelf<T> {
    pub(super) const fn new(newest_first: bool) -> Shelf<T> {
        Shelf { idle: VecDeque::new(), size: 0, newest_first }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// The place of an object that is idle, or a new one that it is to be made for.
    #[inline]
    pub(super) fn take(&mut self) -> Option<T> {
        let next = if self.newest_first { self.idle.pop_back() } else { self.idle.pop_front() };
        if next.is_none() {
            self.size += 1;
        }
        next
    }

    /// A new place beside those of the idle ones, if there is room.
    pub(super) const fn reserve(&mut self, max: usize) -> bool {
        let room = self.size < max;
        if room {
            self.size += 1;
        }
        room
    }

    /// The object becomes idle, unless there are more places than may be: then it is the caller's again,
    /// and its place is gone.
    #[inline]
    pub(super) fn give(&mut self, object: T, max: usize) -> Option<T> {
        if self.size > max {
            self.leave();
            return Some(object);
        }
        self.idle.push_back(object);
        None
    }

    /// A place that is not idle is gone.
    pub(super) const fn leave(&mut self) {
        self.size -= 1;
    }

    /// Takes the idle objects that are more than may be, the oldest first, and their places.
    pub(super) fn trim(&mut self, max: usize) -> Vec<T> {
        let surplus = self.size.saturating_sub(max).min(self.idle.len());
        self.size -= surplus;
        self.idle.drain(..surplus).collect()
    }

    /// Takes the idle objects that `which` names, and their places.
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
        /// Somebody with a permit comes for an object.
        Take,
        /// Somebody with a permit makes one ahead of need.
        Spare,
        /// Who came in this place among those who have one is done, and its object works.
        Give(usize),
        /// The same, and it does not.
        Leave(usize),
        Resize(usize),
        /// Objects of a number that this divides go.
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

    /// A pool in the plainest way: who has what, and what is idle.
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

    /// What a step does to both, after which they agree.
    fn step(model: &mut Model, shelf: &mut Shelf<u32>, op: Op, newest_first: bool) {
        match op {
            Op::Take if model.out.len() < model.max => {
                let (taken, expected) = (shelf.take(), model.next(newest_first));
                assert_eq!(taken, expected);
                let object = taken.unwrap_or_else(|| model.make());
                model.out.push(object);
                assert!(model.size() <= model.max || taken.is_some(), "none is made without room");
            }
            Op::Spare if model.out.len() < model.max => {
                assert_eq!(shelf.reserve(model.max), model.size() < model.max);
                if model.size() < model.max {
                    let object = model.make();
                    assert_eq!(shelf.give(object, model.max), None);
                    model.idle.push(object);
                }
            }
            Op::Give(which) if !model.out.is_empty() => {
                let surplus = model.size() > model.max;
                let object = model.out.remove(which % model.out.len());
                assert_eq!(shelf.give(object, model.max), surplus.then_some(object));
                model.idle.extend((!surplus).then_some(object));
            }
            Op::Leave(which) if !model.out.is_empty() => {
                model.out.remove(which % model.out.len());
                shelf.leave();
            }
            Op::Resize(max) => {
                model.max = max;
                let surplus = model.size().saturating_sub(max).min(model.idle.len());
                let gone: Vec<_> = model.idle.drain(..surplus).collect();
                assert_eq!(shelf.trim(max), gone);
            }
            Op::TakeIf(number) => {
                let which = |object: &u32| object.is_multiple_of(number);
                let gone: Vec<_> = model.idle.iter().copied().filter(which).collect();
                model.idle.retain(|object| !which(object));
                assert_eq!(shelf.take_if(|object| which(object)), gone);
            }
            Op::Take | Op::Spare | Op::Give(_) | Op::Leave(_) => {}
        }
        assert_eq!((shelf.size(), shelf.idle()), (model.size(), model.idle.len()));
    }

    proptest! {
        #[test]
        fn it_is_what_the_model_says(ops in ops(), max in 1_usize..6, newest_first: bool) {
            let mut model = Model { max, ..Model::default() };
            let mut shelf = Shelf::new(newest_first);
            for op in ops {
                step(&mut model, &mut shelf, op, newest_first);
            }
        }
    }
}
