//! Cache of the handles on series.

use std::collections::HashMap;

use ::metrics::{Key, Label, Recorder, SharedString, with_recorder};
use parking_lot::RwLock;

use super::catalog::Instrument;
use crate::observe::names;

/// A label with a value out of a fixed list.
pub(super) type Word = (&'static str, &'static str);

/// The most words of a series.
const WORDS: usize = 3;

/// The labels of an event's layer and key.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) layer: Option<SharedString>,
    pub(super) key: Option<SharedString>,
    /// `false` if several layers or keys share the labels.
    pub(super) own: bool,
}

/// A series: a name with its labels.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Series {
    name: &'static str,
    place: Place,
    words: [Option<Word>; WORDS],
}

impl Place {
    pub(super) fn series<const N: usize>(&self, name: &'static str, words: [Word; N]) -> Series {
        const { assert!(N <= WORDS) };
        let mut all = [None; WORDS];
        for (place, word) in all.iter_mut().zip(words) {
            *place = Some(word);
        }
        Series { name, place: self.clone(), words: all }
    }
}

impl Series {
    fn key(&self) -> Key {
        let layer = self.place.layer.as_ref().map(|layer| Label::new(names::LAYER, layer.clone()));
        let key = self.place.key.as_ref().map(|key| Label::new(names::KEY, key.clone()));
        let words = self.words.iter().flatten().map(|&(k, v)| Label::from_static_parts(k, v));
        let labels: Vec<Label> = layer.into_iter().chain(key).chain(words).collect();
        Key::from_parts(self.name, labels)
    }
}

/// Handles by series. The labels bound their number.
pub(super) struct Cache<I>(RwLock<Shelf<I>>);

struct Shelf<I> {
    /// Address of the recorder of these handles, as the facade has no other identity. Handles of
    /// another recorder are dropped: one made before a recorder was installed would never count.
    recorder: usize,
    handles: HashMap<Series, I>,
}

impl<I> Default for Cache<I> {
    fn default() -> Cache<I> {
        Cache(RwLock::new(Shelf { recorder: 0, handles: HashMap::new() }))
    }
}

impl<I: Instrument> Cache<I> {
    pub(super) fn get(&self, series: Series) -> I {
        with_recorder(|recorder| {
            let address = std::ptr::from_ref(recorder).cast::<()>().addr();
            let kept = {
                let shelf = self.0.read();
                let handle = shelf.handles.get(&series).filter(|_| shelf.recorder == address);
                handle.cloned()
            };
            kept.unwrap_or_else(|| self.register(recorder, address, series))
        })
    }

    /// Registers a handle, and caches it. The recorder is foreign code, and called outside of the
    /// lock.
    fn register(&self, recorder: &dyn Recorder, address: usize, series: Series) -> I {
        if self.change_recorder(address) {
            I::describe_all(recorder);
        }
        let handle = I::register(recorder, &series.key());
        let mut shelf = self.0.write();
        if shelf.recorder == address {
            shelf.handles.insert(series, handle.clone());
        }
        handle
    }

    /// Drops the handles of another recorder. Returns `true` if there was another recorder.
    fn change_recorder(&self, address: usize) -> bool {
        let mut shelf = self.0.write();
        let changed = shelf.recorder != address;
        if changed {
            *shelf = Shelf { recorder: address, handles: HashMap::new() };
        }
        changed
    }
}
