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

/// A builder of [`Profiles`], which sets the listener before any event.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until the profiles are read"]
pub struct ProfilesBuilder {
    listener: Listener,
}

impl ProfilesBuilder {
    /// Notifies this listener of the events of all parts of all profiles, and of reloads.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Reads the profiles of this text.
    ///
    /// # Errors
    /// If the text is not TOML, a key is unknown, or a value is out of its bounds or contradicts
    /// another.
    pub fn from_toml(self, text: &str) -> Result<Profiles, ProfilesError> {
        let registry = Registry {
            states: Mutex::default(),
            listener: self.listener,
            reloading: AtomicBool::new(false),
        };
        registry.put(text)?;
        Ok(Profiles(Arc::new(registry)))
    }

    /// Reads the profiles of this file. Blocks while reading.
    ///
    /// # Errors
    /// Those of [`from_toml`](ProfilesBuilder::from_toml), and if the file cannot be read.
    pub fn load(self, path: impl AsRef<Path>) -> Result<Profiles, ProfilesError> {
        self.from_toml(&read(path.as_ref())?)
    }

    /// Reads the presets of the crate.
    ///
    /// # Errors
    /// None: the presets are tested.
    pub fn standard(self) -> Result<Profiles, ProfilesError> {
        self.from_toml(STANDARD)
    }
}

impl Profiles {
    /// Starts without a listener.
    pub fn builder() -> ProfilesBuilder {
        ProfilesBuilder::default()
    }

    /// Reads the profiles of this text.
    ///
    /// # Errors
    /// If the text is not TOML, a key is unknown, or a value is out of its bounds or contradicts
    /// another.
    pub fn from_toml(text: &str) -> Result<Profiles, ProfilesError> {
        Profiles::builder().from_toml(text)
    }

    /// Reads the profiles of this file. Blocks while reading.
    ///
    /// # Errors
    /// Those of [`from_toml`](Profiles::from_toml), and if the file cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Profiles, ProfilesError> {
        Profiles::builder().load(path)
    }

    /// Reads the presets of the crate, the file `profiles.toml` in its root. Copy the file, and
    /// change the copy.
    ///
    /// # Errors
    /// None: the presets are tested.
    pub fn standard() -> Result<Profiles, ProfilesError> {
        Profiles::builder().standard()
    }

    /// Returns the profile of this name. All profiles that are returned for a name share their
    /// state.
    ///
    /// # Errors
    /// If no profile has the name.
    pub fn profile(&self, name: &str) -> Result<Profile, ProfilesError> {
        let states = self.0.states.lock();
        if let Some(state) = states.get(name) {
            return Ok(Profile::new(state.clone()));
        }
        let near = near(name, states.keys().map(String::as_str));
        let message = format!("is not there{}", did_you_mean(&near));
        Err(ProfilesError::new(ProfilesErrorKind::UnknownProfile, message).of(name))
    }

    /// Returns the names in alphabetical order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.states.lock().keys().cloned().collect()
    }

    /// Returns all profiles, in the order of their names, for example to record their gauges.
    ///
    /// A returned profile counts as in use: a reload without it is rejected until it is dropped.
    ///
    /// ```
    /// use resilience_core::observe::{KeyLabels, Metrics};
    /// use resilience_core::profiles::Profiles;
    ///
    /// let metrics = Metrics::new(KeyLabels::none());
    /// let profiles = Profiles::standard()?;
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
    /// The whole text is checked first; if anything is wrong, nothing changes. Then each profile
    /// changes as a whole: a call uses one text, and calls under way keep the text that they began
    /// with. Circuits, permits, tokens and budgets keep their state (see `set_config` of each). A
    /// budget with other settings starts with no more tokens than its predecessor has left. A part
    /// that the text leaves out is not used. If a later text has the part again, its circuit is
    /// closed and its budget starts anew; handles stay valid. Existing services follow the reload.
    ///
    /// The listener is notified of success and failure ([`Event::ProfilesReloaded`]).
    ///
    /// # Errors
    /// If anything is wrong with the text; if the text lacks a profile that is in use (a
    /// [`Profile`], a layer or a service of it exists); or if another reload is under way.
    pub fn reload(&self, text: &str) -> Result<(), ProfilesError> {
        self.notify(self.0.put(text))
    }

    /// Puts the text of a file into force, as [`reload`](Profiles::reload) does. Blocks while
    /// reading.
    ///
    /// # Errors
    /// Those of [`reload`](Profiles::reload), and if the file cannot be read.
    pub fn reload_from(&self, path: impl AsRef<Path>) -> Result<(), ProfilesError> {
        self.notify(read(path.as_ref()).and_then(|text| self.0.put(&text)))
    }

    fn notify(&self, result: Result<(), ProfilesError>) -> Result<(), ProfilesError> {
        let error = result.as_ref().err().map(ToString::to_string);
        self.0.listener.notify(|| Event::ProfilesReloaded { error: error.as_deref() });
        result
    }
}

impl Registry {
    fn put(&self, text: &str) -> Result<(), ProfilesError> {
        // Not a lock: a change of settings wakes calls and notifies listeners.
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
            // Two references are in `states` and in `former`. States in a profile's own store by
            // key keep no reference.
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

/// The right to reload. One reload has it at a time.
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

/// Reads a file, up to the longest valid text.
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
