//! The profiles of a text, and their reload.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::error::{ProfilesError, ProfilesErrorKind, did_you_mean, near};
use super::parts::Draft;
use super::profile::{Profile, State};
use super::specs::{self, MAX_TEXT};
use crate::clock;
use crate::observe::{Event, Listen, Listener};

/// The presets that come with the crate.
const STANDARD: &str = include_str!("../../profiles.toml");

/// Stacks by name, read from a text. Clones share them. See the [module](super).
#[derive(Clone)]
pub struct Profiles(Arc<Registry>);

struct Registry {
    states: Mutex<BTreeMap<String, Arc<State>>>,
    listener: Listener,
    reloading: AtomicBool,
}

/// [`Profiles`] in the making: who is to be told, before there is anything to tell.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until the profiles are read"]
pub struct ProfilesBuilder {
    listener: Listener,
}

impl ProfilesBuilder {
    /// Tells this listener what happens in any part of any profile, and of reloads.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// The profiles of this text.
    ///
    /// # Errors
    /// If it is not TOML, a key is not known, or a value is out of its bounds or in another's way.
    pub fn from_toml(self, text: &str) -> Result<Profiles, ProfilesError> {
        let registry = Registry {
            states: Mutex::default(),
            listener: self.listener,
            reloading: AtomicBool::new(false),
        };
        registry.put(text)?;
        Ok(Profiles(Arc::new(registry)))
    }

    /// The profiles of this file. Reads it at once, and blocks while it does.
    ///
    /// # Errors
    /// As [`from_toml`](ProfilesBuilder::from_toml), and if it cannot be read.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Profiles, ProfilesError> {
        self.from_toml(&read(path.as_ref())?)
    }

    /// The presets that come with the crate.
    ///
    /// # Errors
    /// None, as the crate's tests show.
    pub fn standard(self) -> Result<Profiles, ProfilesError> {
        self.from_toml(STANDARD)
    }
}

impl Profiles {
    /// Starts with nobody who is told.
    pub fn builder() -> ProfilesBuilder {
        ProfilesBuilder::default()
    }

    /// The profiles of this text.
    ///
    /// # Errors
    /// If it is not TOML, a key is not known, or a value is out of its bounds or in another's way.
    pub fn from_toml(text: &str) -> Result<Profiles, ProfilesError> {
        Profiles::builder().from_toml(text)
    }

    /// The profiles of this file. Reads it at once, and blocks while it does.
    ///
    /// # Errors
    /// As [`from_toml`](Profiles::from_toml), and if it cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Profiles, ProfilesError> {
        Profiles::builder().load(path)
    }

    /// The presets that come with the crate: `profiles.toml` in its root. Copy it, and change the
    /// copy.
    ///
    /// # Errors
    /// None, as the crate's tests show.
    pub fn standard() -> Result<Profiles, ProfilesError> {
        Profiles::builder().standard()
    }

    /// The profile of this name. Everybody who asks for it shares its state.
    ///
    /// # Errors
    /// If there is none.
    pub fn profile(&self, name: &str) -> Result<Profile, ProfilesError> {
        let states = self.0.states.lock();
        if let Some(state) = states.get(name) {
            return Ok(Profile::new(state.clone()));
        }
        let near = near(name, states.keys().map(String::as_str));
        let message = format!("is not there{}", did_you_mean(&near));
        Err(ProfilesError::new(ProfilesErrorKind::UnknownProfile, message).of(name))
    }

    /// The names, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.states.lock().keys().cloned().collect()
    }

    /// Returns all profiles, in the order of their names: to record the gauges of each, for
    /// example.
    ///
    /// They count as held: a reload that takes one away is rejected until they are dropped.
    ///
    /// ```
    /// use resilience_core::observe::{KeyLabels, Metrics};
    /// use resilience_core::profiles::Profiles;
    ///
    /// let (metrics, profiles) = (Metrics::new(KeyLabels::none()), Profiles::standard()?);
    /// for profile in profiles.all() {
    ///     metrics.record(&profile, profile.name(), None);
    /// }
    /// # Ok::<_, resilience_core::profiles::ProfilesError>(())
    /// ```
    #[must_use]
    pub fn all(&self) -> Vec<Profile> {
        self.0.states.lock().values().cloned().map(Profile::new).collect()
    }

    /// Puts another text into force, while calls are under way.
    ///
    /// All of it is checked first; if anything is wrong, nothing changes. Then each profile changes
    /// as a whole: a call goes by one text or the other, calls under way by the one they began
    /// under. Circuits, permits, tokens and budgets keep their state (see `set_config` of each). A
    /// budget of other terms starts with no more tokens than its predecessor has left. A part that
    /// the text leaves out is not used. If a later text has it again, its circuit is closed and its
    /// budget begins anew; handles stay valid. Services that are made already follow by themselves.
    ///
    /// The listener is told of either end ([`Event::ProfilesReloaded`]).
    ///
    /// # Errors
    /// If anything is wrong with the text; if it lacks a profile that somebody holds (a
    /// [`Profile`], a layer or a service: they could not be told that it is gone); or if another
    /// reload is under way.
    pub fn reload(&self, text: &str) -> Result<(), ProfilesError> {
        self.told(self.0.put(text))
    }

    /// As [`reload`](Profiles::reload), from a file. Blocks while it reads.
    ///
    /// # Errors
    /// As [`reload`](Profiles::reload), and if the file cannot be read.
    pub fn reload_from(&self, path: impl AsRef<Path>) -> Result<(), ProfilesError> {
        self.told(read(path.as_ref()).and_then(|text| self.0.put(&text)))
    }

    fn told(&self, result: Result<(), ProfilesError>) -> Result<(), ProfilesError> {
        let error = result.as_ref().err().map(ToString::to_string);
        self.0.listener.tell(|| Event::ProfilesReloaded { error: error.as_deref() });
        result
    }
}

impl Registry {
    fn put(&self, text: &str) -> Result<(), ProfilesError> {
        // Not a lock: what is put into force wakes calls, and tells listeners.
        let _turn = Turn::take(&self.reloading)?;
        let specs = specs::parse(text)?;
        let former = self.states.lock().clone();
        let now = clock::now();
        let mut drafts = Vec::with_capacity(specs.len());
        for (name, spec) in &specs {
            let state = former.get(name);
            let parts = state.map(|state| state.parts());
            drafts.push((name, state, Draft::new(spec, parts.as_deref(), &self.listener, now)?));
        }
        {
            let mut states = self.states.lock();
            // Once there, and once in `former`. States in a profile's own store by key hold
            // nothing.
            let in_use = |(name, state): &(&String, &Arc<State>)| {
                !specs.contains_key(*name) && Arc::strong_count(state) > 2
            };
            if let Some((name, _)) = states.iter().find(in_use) {
                let message = "is in use and not in the new text";
                return Err(ProfilesError::new(ProfilesErrorKind::InUse, message).of(name));
            }
            states.retain(|name, _| specs.contains_key(name));
        }
        for (name, state, draft) in drafts {
            match state {
                Some(state) => state.set(draft.enforce()),
                None => {
                    let state = Arc::new(State::new(name.clone(), draft.parts));
                    self.states.lock().insert(name.clone(), state);
                }
            }
        }
        Ok(())
    }
}

/// The right to reload, of which there is one.
struct Turn<'a>(&'a AtomicBool);

impl Turn<'_> {
    fn take(reloading: &AtomicBool) -> Result<Turn<'_>, ProfilesError> {
        if reloading.swap(true, Ordering::Acquire) {
            let message = "another reload is under way";
            return Err(ProfilesError::new(ProfilesErrorKind::Busy, message));
        }
        Ok(Turn(reloading))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A file, no further than is worth reading.
fn read(path: &Path) -> Result<String, ProfilesError> {
    let mut text = String::new();
    let most = MAX_TEXT as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    read.map_err(|error| {
        let message = format!("{}: {error}", path.display());
        ProfilesError::new(ProfilesErrorKind::Unreadable, message)
    })?;
    Ok(text)
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Profiles").field(&self.names()).finish()
    }
}
