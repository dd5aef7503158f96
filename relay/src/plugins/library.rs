//! From the name of a plugin to compiled code: found, checked, compiled once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use wasmtime::component::Component;

use super::cache::Cache;
use super::compile::Compiler;
use super::engine::Runtime;
use super::instance::Code;
use super::manifest::{self, Hooks, Inspection, LoadError};
use super::v0_1::HookIndices;
use super::{BindError, Settings, stock};
use crate::model::words::nearest;

/// A plugin, ready to be bound.
pub(super) struct Loaded {
    pub(super) code: Arc<Code>,
    pub(super) inspection: Inspection,
    pub(super) digest: blake3::Hash,
}

/// Finds and loads plugins.
pub(super) struct Library {
    folder: Option<PathBuf>,
    size_max: usize,
    compiler: Compiler,
    cache: Option<Cache>,
    runtime: Arc<Runtime>,
    /// What is loaded, as long as anyone uses it; the lock of an entry is held while it is
    /// being compiled, so that all who want the same wait for one compilation.
    shelf: Mutex<HashMap<blake3::Hash, Arc<Entry>>>,
    /// Compiling takes all cores and much memory: one at a time.
    compiling: tokio::sync::Mutex<()>,
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
            folder: settings.folder.clone(),
            size_max: settings.component_bytes_max,
            compiler: settings.compiler.clone(),
            cache,
            runtime,
            shelf: Mutex::default(),
            compiling: tokio::sync::Mutex::default(),
        }
    }

    /// The plugin of that name, as it is now: a file in the operator's folder, else a stock
    /// plugin.
    pub(super) async fn load(self: &Arc<Self>, name: &str) -> Result<Loaded, BindError> {
        let (library, wanted) = (self.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || library.read(&wanted)).await;
        let (bytes, inspection) = read.map_err(|_| BindError::Panicked {
            name: name.to_owned(),
        })??;
        let digest = blake3::hash(&bytes);
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
            inspection,
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
        let _turn = self.compiling.lock().await;
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
            Some(name) => Err(LoadError::Hollow(format!("relay:plugin/{name}"))),
            None => Ok(Code { pre, hooks }),
        }
    }

    fn read(&self, name: &str) -> Result<(Bytes, Inspection), BindError> {
        let bytes = self.find(name)?;
        let refuse = |reason| BindError::Load {
            name: name.to_owned(),
            reason,
        };
        if bytes.len() > self.size_max {
            return Err(refuse(LoadError::TooLarge {
                size: bytes.len(),
                max: self.size_max,
            }));
        }
        let inspection = manifest::inspect(&bytes, name).map_err(refuse)?;
        Ok((bytes, inspection))
    }

    fn find(&self, name: &str) -> Result<Bytes, BindError> {
        if let Some(path) = self.path(name) {
            match std::fs::metadata(&path) {
                // Not read at all, so that a huge file costs nothing.
                Ok(metadata) if metadata.len() > self.size_max as u64 => {
                    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
                    let reason = LoadError::TooLarge {
                        size,
                        max: self.size_max,
                    };
                    return Err(BindError::Load {
                        name: name.to_owned(),
                        reason,
                    });
                }
                Ok(_) => {
                    let read = std::fs::read(&path).map(Bytes::from);
                    return read.map_err(|source| BindError::Unreadable {
                        name: name.to_owned(),
                        path,
                        source,
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(BindError::Unreadable {
                        name: name.to_owned(),
                        path,
                        source,
                    });
                }
            }
        }
        stock::find(name)
            .map(Bytes::from_static)
            .ok_or_else(|| self.unknown(name))
    }

    /// Where the operator's plugin of that name would be. Names that could lead out of the
    /// folder have no file.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let is_plain = !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let folder = self.folder.as_ref()?;
        is_plain.then(|| folder.join(format!("{name}.wasm")))
    }

    fn unknown(&self, name: &str) -> BindError {
        let mut known: Vec<String> = stock::names().map(str::to_owned).collect();
        known.extend(self.folder.iter().flat_map(|folder| names_in(folder)));
        known.sort();
        let words: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = match nearest(name, &words) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "no plugin is installed".to_owned(),
            None => format!("known: {}", known.join(", ")),
        };
        BindError::NotFound {
            name: name.to_owned(),
            hint,
        }
    }
}

/// The names of the plugins in a folder.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let plugins = paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    plugins
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .collect()
}

fn unusable(error: wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}
