//! Plugins that tenants upload: kept by version, promoted and rolled back for all that follow their
//! name at once, or not at all.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::Manager;
use super::entry::Origin;
use super::follow::Next;
use super::installed::{Own, User};
use crate::config::is_name;
use crate::model::audit::{By, Deed};
use crate::model::id::TenantId;
use crate::model::plugin::{CURRENT, Pin, Tag, Version};
use crate::model::publisher::{Signatures, Untrusted};
use crate::plugins::{BindError, Inspection, Offered, Place};
use crate::store::{self, NewVersion, UploadedVersion};

/// Plugins of one tenant.
const PLUGINS_MAX: usize = 50;
/// Versions of one plugin.
const VERSIONS_MAX: usize = 20;
/// Bytes of all components of one tenant: a dozen versions in Python, thousands in other languages.
const BYTES_MAX: u64 = 256 << 20;

/// A plugin that a tenant can use.
#[derive(Debug)]
pub struct Usable {
    pub name: String,
    pub from: Provenance,
    /// What uses get that name no version; `None`: it cannot be read.
    pub version: Option<Version>,
    /// What that says about itself, or why it cannot be used.
    pub inspection: Result<Inspection, String>,
    pub users: Vec<User>,
    /// Who vouches for its versions, of those whose plugins are taken.
    pub signers: Vec<(Version, String)>,
}

impl Usable {
    /// What each tag stands for, what is current first.
    pub fn tags(&self) -> Vec<(String, Version)> {
        let current = self.version.map(|version| (CURRENT.to_owned(), version));
        let own = match &self.from {
            Provenance::Api(own) => Some(own),
            Provenance::Stock | Provenance::Folder => None,
        };
        let tags = own.into_iter().flat_map(|own| own.tags.iter());
        let tags = tags.map(|(tag, version)| (tag.to_string(), *version));
        current.into_iter().chain(tags).collect()
    }

    /// How many definitions follow a tag.
    pub fn followers(&self, tag: &str) -> usize {
        let follows = |user: &&User| match tag {
            CURRENT => user.follows(),
            tag => user.follows_tag(tag),
        };
        self.users.iter().filter(follows).count()
    }
}

/// Where a plugin comes from.
#[derive(Debug)]
pub enum Provenance {
    Stock,
    Folder,
    Api(Box<Own>),
}

/// A version that was uploaded or made current.
#[derive(Debug)]
pub struct Versioned {
    pub kept: UploadedVersion,
    /// Whether it was not there before.
    pub is_new: bool,
    pub current: Option<Version>,
    /// What a rollback makes current.
    pub before: Option<Version>,
    pub users: Vec<User>,
    /// The tags that stand for it.
    pub tags: Vec<Tag>,
    /// As in [`Usable`].
    pub signers: Vec<(Version, String)>,
}

/// Why a plugin was not changed.
#[derive(Debug)]
pub enum PluginRefused {
    Name,
    /// The operator has a plugin of that name.
    Reserved(Place),
    /// The component cannot be used.
    Component(BindError),
    /// The version cannot be used by all that follow the name.
    Unusable(Vec<String>),
    UnknownPlugin,
    UnknownVersion,
    /// Several versions begin so.
    Ambiguous,
    NothingBefore,
    /// Whoever signed it is not one whose plugins are taken.
    Untrusted(Untrusted),
    UnknownTag,
    /// The tag means something already.
    ReservedTag,
    /// The version has such a name.
    Tagged(Tag),
    /// One is under way that this would disturb.
    RollingOut,
    NoRollout,
    /// It is current already.
    SameVersion,
    /// It is current, or these name it.
    InUse(Vec<User>),
    /// Another upload of this tenant is being compiled.
    Busy,
    /// There would be more than so many, of that.
    TooMany(u64, &'static str),
    Store(store::Error),
}

impl From<store::Error> for PluginRefused {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// Tenants of which a component is being compiled.
#[derive(Default)]
pub(super) struct Uploading(Mutex<HashSet<TenantId>>);

/// One of them, until this is dropped.
struct Turn<'u>(&'u Uploading, TenantId);

impl Uploading {
    fn enter(&self, tenant: TenantId) -> Option<Turn<'_>> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(tenant).then(|| Turn(self, tenant))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut tenants = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.remove(&self.1);
    }
}

impl Manager {
    /// Every plugin that a tenant can use, by name.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn plugins(&self, tenant: TenantId) -> Result<Vec<Usable>, store::Error> {
        let installed = self.workshop.installed();
        let mut usable = Vec::new();
        for (name, own) in installed.of_tenant(tenant) {
            usable.push(self.own(tenant, name, own.clone()).await?);
        }
        let offered = self.workshop.plugins.offered().await;
        let others = offered
            .into_iter()
            .filter(|offered| installed.get(tenant, &offered.name).is_none());
        usable.extend(others.map(|offered| self.offered(tenant, offered)));
        usable.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(usable)
    }

    /// The one of that name.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn plugin(&self, tenant: TenantId, name: &str) -> Result<Option<Usable>, store::Error> {
        let installed = self.workshop.installed();
        if let Some(own) = installed.get(tenant, name) {
            return Ok(Some(self.own(tenant, name, own.clone()).await?));
        }
        let offered = self.workshop.plugins.offered_as(name).await;
        Ok(offered.map(|offered| self.offered(tenant, offered)))
    }

    /// Keeps a version of a plugin, if this relay can run it. The first of a name is current at
    /// once.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn upload(
        &self,
        tenant: TenantId,
        name: &str,
        component: Bytes,
        signatures: Option<Signatures>,
        by: By,
    ) -> Result<Versioned, PluginRefused> {
        if !is_name(name) {
            return Err(PluginRefused::Name);
        }
        let version = Version::of(&component);
        let signer = self.check_signed(tenant, version, signatures.as_ref())?;
        // Before it is compiled, which costs most.
        let _turn = self.uploading.enter(tenant).ok_or(PluginRefused::Busy)?;
        self.check_upload(tenant, name, version, component.len())?;
        let examined = self.workshop.plugins.examine(name, component.clone()).await;
        let inspection = examined.map_err(PluginRefused::Component)?;
        let config = self.lock().await;
        self.check_upload(tenant, name, version, component.len())?;
        let mut own = self
            .workshop
            .installed()
            .get(tenant, name)
            .cloned()
            .unwrap_or_default();
        if own.has(version) {
            let signatures = signatures.filter(|signatures| own.signatures(version) != Some(signatures));
            if let Some(signatures) = signatures {
                let next = Next {
                    signed: Some((version, signatures)),
                    ..Next::turned(tenant, name, own)
                };
                let after = json!({"version": version, "signer": signer});
                let deed = self.deed(tenant, by, "plugin.signed", name, (Value::Null, after));
                self.put_plugin(&config, next, deed).await?;
            }
            return self.versioned(tenant, name, version, false);
        }
        let kept = UploadedVersion {
            version,
            made_at: self.workshop.clock.now(),
            made_by: by.key,
            bytes: component.len() as u64,
            signatures,
        };
        own.versions.insert(0, kept.clone());
        if own.current().is_none() {
            own.promote(version);
        }
        let bytes = kept.bytes;
        let about = serde_json::to_string(&*inspection)
            .map_err(|error| store::Error::Corrupt(format!("what a plugin says is no JSON: {error}")))?;
        let next = Next {
            added: Some(NewVersion {
                kept,
                about,
                component,
            }),
            ..Next::turned(tenant, name, own)
        };
        let after = json!({"version": version, "bytes": bytes, "signer": signer});
        let deed = self.deed(tenant, by, "plugin.uploaded", name, (Value::Null, after));
        self.put_plugin(&config, next, deed).await?;
        self.versioned(tenant, name, version, true)
    }

    /// Makes a version current, for all that follow the name, at once.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn promote(
        &self,
        tenant: TenantId,
        name: &str,
        pin: &Pin,
        by: By,
    ) -> Result<Versioned, PluginRefused> {
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let (version, before) = (one_of(&own, pin)?, own.current());
        own.promote(version);
        if before != Some(version) {
            // Whoever decides by hand has decided.
            own.rollouts.under_way = None;
            let deed = self.deed_of_turn(tenant, by, "plugin.promoted", name, (before, version));
            self.put_plugin(&config, Next::turned(tenant, name, own), deed)
                .await?;
        }
        self.versioned(tenant, name, version, false)
    }

    /// Makes the version current again that was so before.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn roll_back(&self, tenant: TenantId, name: &str, by: By) -> Result<Versioned, PluginRefused> {
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let version = own.before().ok_or(PluginRefused::NothingBefore)?;
        let before = own.history.pop();
        own.rollouts.under_way = None;
        let deed = self.deed_of_turn(tenant, by, "plugin.rolled_back", name, (before, version));
        self.put_plugin(&config, Next::turned(tenant, name, own), deed)
            .await?;
        self.versioned(tenant, name, version, false)
    }

    /// Deletes a version that nobody uses. With the last one goes the plugin.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn delete_version(
        &self,
        tenant: TenantId,
        name: &str,
        pin: &Pin,
        by: By,
    ) -> Result<(), PluginRefused> {
        let config = self.lock().await;
        let mut own = self.owned(tenant, name)?;
        let version = one_of(&own, pin)?;
        let is_current = own.current() == Some(version);
        let users = self.users(tenant, name, true);
        let needing: Vec<_> = users
            .into_iter()
            .filter(|user| user.names(&version) || is_current && user.follows())
            .collect();
        if !needing.is_empty() || is_current && own.versions.len() > 1 {
            return Err(PluginRefused::InUse(needing));
        }
        if let Some((tag, _)) = own.tags.iter().find(|(_, tagged)| **tagged == version) {
            return Err(PluginRefused::Tagged(tag.clone()));
        }
        if own.rollouts.concerns(version) {
            return Err(PluginRefused::RollingOut);
        }
        own.remove(version);
        let next = Next {
            removed: Some(version),
            ..Next::turned(tenant, name, own)
        };
        let before = json!({"version": version});
        let deed = self.deed(tenant, by, "plugin.deleted", name, (before, Value::Null));
        self.put_plugin(&config, next, deed).await
    }

    /// Who vouches for a version, if it is one whose plugins are taken.
    fn check_signed(
        &self,
        tenant: TenantId,
        version: Version,
        signatures: Option<&Signatures>,
    ) -> Result<Option<String>, PluginRefused> {
        let tenant = self.tenant(tenant).ok_or(PluginRefused::UnknownPlugin)?;
        let trust = self.workshop.trust(&tenant);
        trust
            .check(version, signatures)
            .map_err(PluginRefused::Untrusted)?;
        Ok(trust.signer(version, signatures))
    }

    pub(super) fn owned(&self, tenant: TenantId, name: &str) -> Result<Own, PluginRefused> {
        let installed = self.workshop.installed();
        installed
            .get(tenant, name)
            .cloned()
            .ok_or(PluginRefused::UnknownPlugin)
    }

    /// Whether a tenant may have one more version of that name.
    fn check_upload(
        &self,
        tenant: TenantId,
        name: &str,
        version: Version,
        bytes: usize,
    ) -> Result<(), PluginRefused> {
        let installed = self.workshop.installed();
        match installed.get(tenant, name) {
            Some(own) if own.has(version) => return Ok(()),
            Some(own) if own.versions.len() >= VERSIONS_MAX => {
                return Err(PluginRefused::TooMany(
                    VERSIONS_MAX as u64,
                    "versions of this plugin",
                ));
            }
            Some(_) => {}
            // What is theirs already stays theirs, whatever the operator adds later.
            None => {
                if let Some(place) = self.workshop.plugins.place(name) {
                    return Err(PluginRefused::Reserved(place));
                }
                if installed.of_tenant(tenant).count() >= PLUGINS_MAX {
                    return Err(PluginRefused::TooMany(PLUGINS_MAX as u64, "plugins"));
                }
            }
        }
        let kept: u64 = installed.of_tenant(tenant).map(|(_, own)| own.bytes()).sum();
        match kept + bytes as u64 > BYTES_MAX {
            true => Err(PluginRefused::TooMany(BYTES_MAX, "bytes of plugins")),
            false => Ok(()),
        }
    }

    /// Definitions of a tenant that use a plugin; of its own, those that the API has made.
    pub(super) fn users(&self, tenant: TenantId, name: &str, is_own: bool) -> Vec<User> {
        let shelf = self.shelf();
        let users = shelf.of_tenant(tenant).filter_map(|entry| User::of(entry, name));
        users
            .filter(|user| !is_own || user.origin == Origin::Api)
            .collect()
    }

    async fn own(&self, tenant: TenantId, name: &str, own: Own) -> Result<Usable, store::Error> {
        let version = own.current();
        let about = match version {
            Some(version) => self.workshop.store.about(tenant, name, version).await?,
            None => None,
        };
        let inspection = about.and_then(|about| serde_json::from_str(&about).ok());
        Ok(Usable {
            name: name.to_owned(),
            version,
            inspection: inspection.ok_or_else(|| "what it says about itself cannot be read".to_owned()),
            users: self.users(tenant, name, true),
            signers: self.signers(tenant, &own),
            from: Provenance::Api(Box::new(own)),
        })
    }

    fn offered(&self, tenant: TenantId, offered: Offered) -> Usable {
        Usable {
            users: self.users(tenant, &offered.name, false),
            signers: Vec::new(),
            from: match offered.from {
                Place::Stock => Provenance::Stock,
                Place::Folder => Provenance::Folder,
            },
            version: offered.version,
            inspection: offered.inspection.map_err(|error| why(&error)),
            name: offered.name,
        }
    }

    fn signers(&self, tenant: TenantId, own: &Own) -> Vec<(Version, String)> {
        let Some(tenant) = self.tenant(tenant) else {
            return Vec::new();
        };
        let trust = self.workshop.trust(&tenant);
        let versions = own.versions.iter().filter_map(|kept| {
            let signer = trust.signer(kept.version, kept.signatures.as_ref())?;
            Some((kept.version, signer))
        });
        versions.collect()
    }

    pub(super) fn versioned(
        &self,
        tenant: TenantId,
        name: &str,
        version: Version,
        is_new: bool,
    ) -> Result<Versioned, PluginRefused> {
        let own = self.owned(tenant, name)?;
        let mut kept = own.versions.iter().filter(|kept| kept.version == version);
        Ok(Versioned {
            kept: kept.next().cloned().ok_or(PluginRefused::UnknownVersion)?,
            tags: own.tags_of(version),
            signers: self.signers(tenant, &own),
            is_new,
            current: own.current(),
            before: own.before(),
            users: self.users(tenant, name, true),
        })
    }

    pub(super) fn deed(
        &self,
        tenant: TenantId,
        by: By,
        action: &str,
        name: &str,
        (before, after): (Value, Value),
    ) -> Deed {
        let map = |value: Value| -> Option<Map<String, Value>> { value.as_object().cloned() };
        Deed {
            before: map(before),
            after: map(after),
            ..Deed::new(tenant, self.workshop.clock.now(), by, action).to(name, Some(name))
        }
    }

    pub(super) fn deed_of_turn(
        &self,
        tenant: TenantId,
        by: By,
        action: &str,
        name: &str,
        (before, after): (Option<Version>, Version),
    ) -> Deed {
        let shown = (json!({"version": before}), json!({"version": after}));
        self.deed(tenant, by, action, name, shown)
    }
}

/// Why a plugin of the operator's cannot be used; where its file is, is for the log.
fn why(error: &BindError) -> String {
    if let BindError::Unreadable { path, source, .. } = error {
        tracing::error!(path = %path.display(), error = %source, "a plugin cannot be read");
        return "it cannot be read; the relay's log says why".to_owned();
    }
    error.to_string()
}

/// The version that a pin stands for.
pub(super) fn one_of(own: &Own, pin: &Pin) -> Result<Version, PluginRefused> {
    match own.fitting(pin).as_slice() {
        [one] => Ok(*one),
        [] => Err(PluginRefused::UnknownVersion),
        _ => Err(PluginRefused::Ambiguous),
    }
}
