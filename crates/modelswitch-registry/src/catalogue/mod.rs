//! The catalogue: the models of all providers, by their services and by their profiles, kept for a while.

mod model;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use modelswitch_openai::Moment;
use modelswitch_provider::{Error, ErrorKind, ProviderExt, Result};
use tokio::time::{Instant, timeout};

use crate::connect::Connected;
use crate::registry::Registry;
pub use model::{CatalogueModel, CataloguePrice, ModelSource};
use model::{Listed, merge};
use store::Store;

/// The models of all providers of a registry, with what is known of each: what the services list, and what the profiles
/// say of context, abilities and prices. Made by [`Registry::catalogue`].
///
/// A list is asked for once by however many callers, and kept for an hour. One that is older is asked for again by the
/// first who wants it, and served to others meanwhile, and to the first too if the service doesn't answer. Such a service
/// is left alone for half a minute, unless it is to be asked anew. The asking is done in the caller's own future: nothing
/// runs on in the background. Clones share what is kept; a reload of the registry is followed.
///
/// ```
/// use modelswitch_openai::Capability;
/// use modelswitch_registry::Registry;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let registry = Registry::builder().without_file().environment([]).set("providers.deepseek.profile", "deepseek").build()?;
/// let catalogue = registry.catalogue();
/// // There is no key, so only the profile tells.
/// let models = catalogue.models().await;
/// let flash = models.iter().find(|model| model.name == "deepseek/deepseek-flash").ok_or("there is one")?;
/// assert!(flash.can(Capability::Tools) && flash.price.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Catalogue {
    registry: Registry,
    time_to_live: Duration,
    store: Option<Store>,
    shelves: Arc<Mutex<BTreeMap<Owner, Arc<Shelf>>>>,
}

/// What is known of one provider's models.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProviderModels {
    /// The provider.
    pub provider: String,
    /// Its models: those that the service lists in its order, then those that only the profile or the configuration
    /// knows. Names that the service no longer takes are left out.
    pub models: Vec<CatalogueModel>,
    /// When the service's list was read; `None` when it never was.
    pub read: Option<Moment>,
    /// Why the service's list couldn't be read, or not anew.
    pub error: Option<Error>,
}

/// A list is a small file. Tries and waits together must not take longer than somebody looks at a wheel.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a service that didn't answer is left alone, while an older list serves or none.
const REST: Duration = Duration::from_secs(30);

impl Catalogue {
    pub(crate) fn new(registry: Registry) -> Self {
        let time_to_live = Duration::from_secs(3600); // services add a model a month
        Self { registry, time_to_live, store: None, shelves: Arc::default() }
    }

    /// How long a list is taken to be right.
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// Keeps the lists in a file `models.json` in this folder too, for the next process; ids and limits only, nothing of a
    /// key. A file that can't be read or written is warned of in the log, and done without.
    #[must_use]
    pub fn on_disk(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(Store::new(folder.into()));
        self
    }

    /// All models. A provider whose service doesn't answer has those that are known without it;
    /// [`providers`](Self::providers) tells why.
    pub async fn models(&self) -> Vec<CatalogueModel> {
        self.providers().await.into_iter().flat_map(|provider| provider.models).collect()
    }

    /// The same by provider, with when each list was read and what failed.
    pub async fn providers(&self) -> Vec<ProviderModels> {
        self.all(false).await
    }

    /// The same, every service asked now.
    pub async fn refresh(&self) -> Vec<ProviderModels> {
        self.all(true).await
    }

    /// One provider's models.
    ///
    /// # Errors
    /// As [`Registry::provider`], for a name that is none. A service that doesn't answer is no error here but in the result.
    pub async fn provider(&self, name: &str) -> Result<ProviderModels> {
        self.one(name, false).await
    }

    /// One provider's models, its service asked now.
    ///
    /// # Errors
    /// As [`provider`](Self::provider).
    pub async fn refresh_provider(&self, name: &str) -> Result<ProviderModels> {
        self.one(name, true).await
    }

    async fn all(&self, anew: bool) -> Vec<ProviderModels> {
        let names: Vec<String> =
            self.registry.providers().into_iter().map(|provider| provider.name).collect();
        let all = join_all(names.iter().map(|name| Box::pin(self.one(name, anew)))).await;
        // A provider that a reload took away meanwhile has no models.
        all.into_iter().filter_map(Result::ok).collect()
    }

    async fn one(&self, name: &str, anew: bool) -> Result<ProviderModels> {
        let connected = self.registry.connected(name)?;
        let shelf = self.shelf(&connected);
        let State { list, error, .. } = self.list(&shelf, &connected, anew).await;
        let aliases = self.registry.aliases();
        let models = merge(&connected, list.as_ref(), &aliases, SystemTime::now());
        let read = list.map(|list| Moment::from(list.read));
        Ok(ProviderModels { provider: name.to_owned(), models, read, error })
    }

    /// The list that is kept, or a new one; whoever finds it old asks, once for all.
    async fn list(&self, shelf: &Shelf, connected: &Connected, anew: bool) -> State {
        let kept = shelf.state().clone();
        if !anew && kept.is_good_enough() {
            return kept;
        }
        let _asking = if kept.list.is_some() && !anew {
            match shelf.asking.try_lock() {
                Ok(asking) => asking,
                Err(_) => return kept,
            }
        } else {
            shelf.asking.lock().await
        };
        let now = shelf.state().clone();
        // Somebody asked while this one waited: an answer for all, a failure too.
        if now.times != kept.times {
            return now;
        }
        let answer = ask(connected).await.map(|models| List {
            models: models.into(),
            read: SystemTime::now(),
            fresh: self.fresh_for(Duration::ZERO),
        });
        if let (Some(store), Ok(list)) = (&self.store, &answer) {
            store.put(&shelf.owner, list);
        }
        let mut state = shelf.state();
        state.asked = Some(Instant::now());
        state.times = state.times.wrapping_add(1);
        match answer {
            Ok(list) => (state.list, state.error) = (Some(list), None),
            Err(error) => state.error = Some(error),
        }
        state.clone()
    }

    /// Until when a list of that age is fresh.
    fn fresh_for(&self, age: Duration) -> Option<Instant> {
        let left = self.time_to_live.checked_sub(age)?;
        Instant::now().checked_add(left)
    }

    fn shelf(&self, connected: &Connected) -> Arc<Shelf> {
        let owner = Owner::of(connected);
        if let Some(shelf) = self.shelves().get(&owner) {
            return shelf.clone();
        }
        // Without the lock: a disk may be slow.
        let stored = self.store.as_ref().and_then(|store| store.get(&owner));
        let list = stored.map(|(models, read)| {
            // A clock that was set back makes it old, not young for ever.
            let fresh = SystemTime::now().duration_since(read).ok().and_then(|age| self.fresh_for(age));
            List { models: models.into(), read, fresh }
        });
        let state = Mutex::new(State { list, ..State::default() });
        let shelf = Arc::new(Shelf { owner: owner.clone(), state, asking: tokio::sync::Mutex::default() });
        let mut shelves = self.shelves();
        // What the provider was before a reload, nobody asks for again.
        shelves.retain(|other, _| other.provider != owner.provider || *other == owner);
        shelves.entry(owner).or_insert(shelf).clone()
    }

    fn shelves(&self) -> MutexGuard<'_, BTreeMap<Owner, Arc<Shelf>>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose list it is. The same name at another place is another provider, and under other rules it has other models.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    provider: String,
    base_url: Option<String>,
    rules: Option<String>,
}

impl Owner {
    fn of(connected: &Connected) -> Self {
        Self {
            provider: connected.info.name.clone(),
            base_url: connected.info.base_url.clone(),
            rules: connected.rules.as_ref().and_then(|rules| rules.of_models()),
        }
    }
}

struct Shelf {
    owner: Owner,
    state: Mutex<State>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Default)]
struct State {
    list: Option<List>,
    /// When the service was last asked.
    asked: Option<Instant>,
    /// How often it was asked.
    times: u64,
    /// How that failed.
    error: Option<Error>,
}

impl State {
    fn is_good_enough(&self) -> bool {
        let fresh = self.list.as_ref().and_then(|list| list.fresh);
        // Where nothing was sent, for want of a key, asking again costs nothing.
        let was_asked = self.error.as_ref().is_some_and(|error| error.kind() != ErrorKind::Config);
        let rests = was_asked && self.asked.is_some_and(|asked| asked.elapsed() < REST);
        rests || fresh.is_some_and(|fresh| Instant::now() < fresh)
    }
}

#[derive(Clone)]
struct List {
    models: Arc<[Listed]>,
    read: SystemTime,
    /// Until when it needn't be asked for again.
    fresh: Option<Instant>,
}

/// What the service lists; nothing where it lists none, and the profile alone tells.
async fn ask(connected: &Connected) -> Result<Vec<Listed>> {
    if !connected.lists_models() {
        return Ok(Vec::new());
    }
    let listed = timeout(LIMIT, connected.provider.models()).await.unwrap_or_else(|_| {
        let message = format!("no list of models within {} s", LIMIT.as_secs());
        Err(Error::new(ErrorKind::Timeout, message))
    });
    let listed = listed.map_err(|error| error.with_provider(connected.info.name.as_str()))?;
    Ok(listed.iter().map(Listed::from).collect())
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue")
            .field("time_to_live", &self.time_to_live)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
