//! From a plugin's name or version to compiled code: found, checked, compiled once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use wasmtime::component::Component;

use super::cache::Cache;
use super::compile::Compiler;
use super::engine::Runtime;
use super::finder::{Finder, Found, refused};
use super::instance::Code;
use super::manifest::{self, Hooks, Inspection, LoadError};
use super::offered::{Offered, Place};
use super::seen::Seen;
use super::v0_1::HookIndices;
use super::{BindError, Settings, schema};
use crate::model::id::TenantId;
use crate::model::plugin::{Choice, Version};
use crate::model::publisher::Publishers;
use crate::store::Uploads;

/// A plugin, ready to be bound.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) code: Arc<Code>,
    pub(super) inspection: Arc<Inspection>,
    pub(super) digest: blake3::Hash,
}

/// The same without keeping the code alive.
struct Known {
    code: Weak<Code>,
    inspection: Arc<Inspection>,
    digest: blake3::Hash,
}

/// A component that was looked at, and not compiled yet.
struct Read {
    bytes: Bytes,
    seen: Seen,
}

/// Finds and loads plugins.
pub(super) struct Library {
    finder: Finder,
    compiler: Compiler,
    cache: Option<Cache>,
    runtime: Arc<Runtime>,
    /// What is loaded, as long as anyone uses it; the lock of an entry is held while it is
    /// being compiled, so that all who want the same wait for one compilation.
    shelf: Mutex<HashMap<blake3::Hash, Arc<Entry>>>,
    /// Uploaded versions in use: they never change, so they need not be read again.
    uploaded: Mutex<HashMap<Version, Known>>,
    /// Compiling takes all cores and much memory: one at a time.
    compiling: tokio::sync::Mutex<()>,
    /// Looking at all plugins there are may read all of them: one at a time, too.
    looking: tokio::sync::Mutex<()>,
}

type Entry = tokio::sync::Mutex<Weak<Code>>;

impl Library {
    pub(super) fn new(settings: &Settings, runtime: Arc<Runtime>) -> Self {
        let cache = Cache::open(&settings.cache, &runtime.engine)
            .inspect_err(|error| {
                let path = settings.cache.display();
                tracing::warn!(%path, %error, "compiled plugins cannot be kept and are compiled at every start");
            })
            .ok();
        Self {
            finder: Finder::new(settings),
            compiler: settings.compiler.clone(),
            cache,
            runtime,
            shelf: Mutex::default(),
            uploaded: Mutex::default(),
            compiling: tokio::sync::Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }
    }

    /// The plugin of that name, as it is now: a file in the operator's folder, else a stock
    /// plugin. A pinned one has to be the version that is wanted.
    pub(super) async fn load(
        self: &Arc<Self>,
        name: &str,
        pin: Option<&Choice>,
    ) -> Result<Loaded, BindError> {
        let (wanted, chosen) = (name.to_owned(), pin.cloned());
        let recall = move |library: &Self| match library.recall(&wanted)? {
            Some(seen) => check_choice(&wanted, chosen.as_ref(), seen.version).map(|()| Some(seen)),
            None => Ok(None),
        };
        if let Some(seen) = self.reading(name, recall).await?
            && let Some(loaded) = self.compiled_before(seen).await
        {
            return Ok(loaded);
        }
        let (wanted, chosen) = (name.to_owned(), pin.cloned());
        let read = move |library: &Self| {
            let found = library.finder.find(&wanted)?;
            check_choice(&wanted, chosen.as_ref(), found.version)?;
            library.look_at(&wanted, found)
        };
        let read = self.reading(name, read).await?;
        self.ready(name, read).await
    }

    /// A version that a tenant has uploaded.
    pub(super) async fn load_uploaded(
        self: &Arc<Self>,
        uploads: &dyn Uploads,
        tenant: TenantId,
        name: &str,
        version: Version,
    ) -> Result<Loaded, BindError> {
        if let Some(loaded) = self.known(version) {
            return Ok(loaded);
        }
        let component = uploads.component(tenant, name, version).await;
        let bytes = component.map_err(|error| damaged(name, format!("it cannot be read: {error}")))?;
        let bytes =
            bytes.ok_or_else(|| damaged(name, format!("its version {version} is not there any more")))?;
        let wanted = name.to_owned();
        let read = move |library: &Self| match Version::of(&bytes) == version {
            true => library.read(&wanted, bytes, version),
            false => Err(damaged(&wanted, format!("it is not what {version} was"))),
        };
        let read = self.reading(name, read).await?;
        let loaded = self.ready(name, read).await?;
        self.know(version, &loaded);
        Ok(loaded)
    }

    /// A component at hand.
    pub(super) async fn load_component(
        self: &Arc<Self>,
        name: &str,
        bytes: Bytes,
    ) -> Result<Loaded, BindError> {
        let wanted = name.to_owned();
        let read = move |library: &Self| {
            let version = Version::of(&bytes);
            library.read(&wanted, bytes, version)
        };
        let read = self.reading(name, read).await?;
        self.ready(name, read).await
    }

    /// Finds out whether a component can be used, and what it says about itself. Its code is kept
    /// in the cache.
    pub(super) async fn examine(
        self: &Arc<Self>,
        name: &str,
        bytes: Bytes,
    ) -> Result<Arc<Inspection>, BindError> {
        let wanted = name.to_owned();
        let read = move |library: &Self| {
            let version = Version::of(&bytes);
            let read = library.read(&wanted, bytes, version)?;
            let config = read.seen.inspection.manifest.config.as_ref();
            config
                .map_or(Ok(()), schema::read)
                .map_err(|reason| BindError::Load {
                    name: wanted,
                    reason: LoadError::Manifest(reason),
                })?;
            Ok(read)
        };
        let read = self.reading(name, read).await?;
        Ok(self.ready(name, read).await?.inspection)
    }

    /// The plugins that are the operator's to offer, by name: those in the folder, and the stock
    /// plugins that none of these stands in front of.
    pub(super) async fn offered(self: &Arc<Self>) -> Vec<Offered> {
        let _turn = self.looking.lock().await;
        let library = self.clone();
        let all = move || {
            let names = library.finder.names();
            names
                .into_iter()
                .filter_map(|name| library.offer(&name))
                .collect()
        };
        tokio::task::spawn_blocking(all).await.unwrap_or_default()
    }

    /// The one of that name.
    pub(super) async fn offered_as(self: &Arc<Self>, name: &str) -> Option<Offered> {
        let (library, name) = (self.clone(), name.to_owned());
        let one = tokio::task::spawn_blocking(move || library.offer(&name));
        one.await.ok().flatten()
    }

    /// The bytes of the one of that name.
    pub(super) async fn component_of(self: &Arc<Self>, name: &str) -> Result<Bytes, BindError> {
        let wanted = name.to_owned();
        self.reading(name, move |library: &Self| {
            Ok(library.finder.find(&wanted)?.bytes)
        })
        .await
    }

    /// Where the plugin of that name is, if the operator has one.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.finder.place(name)
    }

    /// Whose plugins are taken.
    pub(super) const fn publishers(&self) -> &Publishers {
        self.finder.publishers()
    }

    fn offer(&self, name: &str) -> Option<Offered> {
        let from = self.place(name)?;
        let offered = |version, inspection| Offered {
            name: name.to_owned(),
            from,
            version,
            inspection,
        };
        if let Ok(Some(seen)) = self.recall(name) {
            return Some(offered(Some(seen.version), Ok(seen.inspection)));
        }
        Some(match self.finder.find(name) {
            // What cannot be used has a version, too.
            Ok(found) => offered(
                Some(found.version),
                self.look_at(name, found).map(|read| read.seen.inspection),
            ),
            Err(error) => offered(None, Err(error)),
        })
    }

    fn known(&self, version: Version) -> Option<Loaded> {
        let uploaded = self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
        let known = uploaded.get(&version)?;
        Some(Loaded {
            code: known.code.upgrade()?,
            inspection: Arc::clone(&known.inspection),
            digest: known.digest,
        })
    }

    fn know(&self, version: Version, loaded: &Loaded) {
        let mut uploaded = self.uploaded.lock().unwrap_or_else(PoisonError::into_inner);
        uploaded.retain(|_, known| known.code.strong_count() > 0);
        let known = Known {
            code: Arc::downgrade(&loaded.code),
            inspection: Arc::clone(&loaded.inspection),
            digest: loaded.digest,
        };
        uploaded.insert(version, known);
    }

    async fn reading<T: Send + 'static>(
        self: &Arc<Self>,
        name: &str,
        read: impl FnOnce(&Self) -> Result<T, BindError> + Send + 'static,
    ) -> Result<T, BindError> {
        let library = self.clone();
        let read = tokio::task::spawn_blocking(move || read(&library)).await;
        read.unwrap_or_else(|_| {
            Err(BindError::Panicked {
                name: name.to_owned(),
            })
        })
    }

    /// What is known of a component, with its code if that is compiled and sound.
    async fn compiled_before(self: &Arc<Self>, seen: Seen) -> Option<Loaded> {
        let Seen {
            digest, inspection, ..
        } = seen;
        let entry = self.entry(digest);
        let mut loaded = entry.lock().await;
        let code = match loaded.upgrade() {
            Some(code) => code,
            None => {
                let hooks = inspection.hooks;
                let cached = move |library: &Self| {
                    let component = library.cached(&digest);
                    component
                        .map(|component| library.link(&component, hooks))
                        .transpose()
                };
                let code = Arc::new(self.blocking(cached).await.ok().flatten()?);
                *loaded = Arc::downgrade(&code);
                code
            }
        };
        Some(Loaded {
            code,
            inspection: Arc::new(inspection),
            digest,
        })
    }

    /// Has a component compiled that is not yet.
    async fn ready(self: &Arc<Self>, name: &str, Read { bytes, seen }: Read) -> Result<Loaded, BindError> {
        let Seen {
            digest, inspection, ..
        } = seen;
        let entry = self.entry(digest);
        let mut loaded = entry.lock().await;
        let code = match loaded.upgrade() {
            Some(code) => code,
            None => {
                let code = self.compile(name, bytes, digest, inspection.hooks).await?;
                *loaded = Arc::downgrade(&code);
                code
            }
        };
        Ok(Loaded {
            code,
            inspection: Arc::new(inspection),
            digest,
        })
    }

    fn entry(&self, digest: blake3::Hash) -> Arc<Entry> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        // An entry that nobody waits for and whose code is gone is of no use.
        shelf.retain(|_, entry| {
            Arc::strong_count(entry) > 1 || entry.try_lock().is_ok_and(|code| code.strong_count() > 0)
        });
        shelf.entry(digest).or_default().clone()
    }

    async fn compile(
        self: &Arc<Self>,
        name: &str,
        bytes: Bytes,
        digest: blake3::Hash,
        hooks: Hooks,
    ) -> Result<Arc<Code>, BindError> {
        let code = match self.component(bytes, digest).await {
            Ok(component) => {
                self.blocking(move |library| library.link(&component, hooks))
                    .await
            }
            Err(reason) => Err(reason),
        };
        code.map(Arc::new).map_err(|reason| BindError::Load {
            name: name.to_owned(),
            reason,
        })
    }

    /// From the cache, or compiled and kept there.
    async fn component(self: &Arc<Self>, bytes: Bytes, digest: blake3::Hash) -> Result<Component, LoadError> {
        let cached = self.blocking(move |library| Ok(library.cached(&digest))).await?;
        if let Some(component) = cached {
            return Ok(component);
        }
        let _turn = self.compiling.lock().await;
        let code = self.compiler.compile(&self.runtime.engine, bytes).await?;
        self.blocking(move |library| library.keep(&digest, &code)).await
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let library = self.clone();
        let worked = tokio::task::spawn_blocking(move || work(&library)).await;
        worked.unwrap_or_else(|_| Err(LoadError::Compile("the relay panicked over it".to_owned())))
    }

    fn cached(&self, digest: &blake3::Hash) -> Option<Component> {
        self.cache.as_ref()?.load(digest, &self.runtime.engine)
    }

    /// Keeps code and loads it from where it is kept, so that it takes no memory of its own.
    fn keep(&self, digest: &blake3::Hash, code: &[u8]) -> Result<Component, LoadError> {
        let kept = self.cache.as_ref().map(|cache| cache.store(digest, code));
        if let Some(Err(error)) = kept {
            tracing::warn!(%error, "a compiled plugin cannot be kept and is compiled again next time");
        }
        if let Some(component) = self.cached(digest) {
            return Ok(component);
        }
        #[expect(unsafe_code, reason = "loading compiled code is what it was compiled for")]
        // SAFETY: the code comes from the relay's own compiler, through no hands but the relay's.
        unsafe { Component::deserialize(&self.runtime.engine, code) }.map_err(unusable)
    }

    fn link(&self, component: &Component, named: Hooks) -> Result<Code, LoadError> {
        let pre = self.runtime.linker.instantiate_pre(component).map_err(unusable)?;
        let hooks = HookIndices::of(component);
        match named
            .names()
            .find(|name| !hooks.present().names().any(|found| found == *name))
        {
            Some(name) => Err(LoadError::Hollow(name)),
            None => Ok(Code { pre, hooks }),
        }
    }

    /// What was learned of the operator's plugin of that name, if its file was not changed since.
    fn recall(&self, name: &str) -> Result<Option<Seen>, BindError> {
        match &self.cache {
            Some(cache) => self.finder.recall(name, cache),
            None => Ok(None),
        }
    }

    /// What is to know of the operator's plugin of that name, which is noted.
    fn look_at(&self, name: &str, found: Found) -> Result<Read, BindError> {
        let read = self.read(name, found.bytes, found.version)?;
        if let Some((path, Some(identity))) = found.file
            && let Some(cache) = &self.cache
        {
            cache.note(&path, identity, &read.seen);
        }
        Ok(read)
    }

    fn read(&self, name: &str, bytes: Bytes, version: Version) -> Result<Read, BindError> {
        self.finder.check_size(name, bytes.len() as u64)?;
        let inspection = manifest::inspect(&bytes, name).map_err(|reason| refused(name, reason))?;
        let seen = Seen {
            version,
            digest: blake3::hash(&bytes),
            inspection,
        };
        Ok(Read { bytes, seen })
    }
}

fn check_choice(name: &str, choice: Option<&Choice>, found: Version) -> Result<(), BindError> {
    let Some(choice) = choice else {
        return Ok(());
    };
    let hint = match choice {
        Choice::Version(pin) if pin.fits(&found) => return Ok(()),
        Choice::Version(_) => format!("it is {found}"),
        Choice::Tag(_) => "only plugins that were uploaded have tags".to_owned(),
    };
    Err(BindError::NoVersion {
        name: name.to_owned(),
        choice: choice.clone(),
        hint,
    })
}

fn damaged(name: &str, why: String) -> BindError {
    refused(name, LoadError::Malformed(why))
}

fn unusable(error: wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}
