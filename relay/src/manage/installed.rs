//! The plugins that tenants have uploaded: their versions, and which of them a use stands for.
//!
//! A definition of the configuration file sees the operator's plugins alone, so that a start
//! depends on nothing that came in by the API.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::id::TenantId;
use crate::model::plugin::{Choice, Pin, Tag, Version};
use crate::model::publisher::Signatures;
use crate::model::resource::Kind;
use crate::model::rollout::{Rollout, Rollouts};
use crate::plugins::BindError;
use crate::store::{Uploaded, UploadedVersion};

use super::entry::{Entry, Origin};

/// Promotions that are remembered: so far one can go back.
pub(super) const HISTORY_MAX: usize = 100;

/// Those of all tenants. A copy shares the tenants that were not changed in it.
#[derive(Clone, Default)]
pub(super) struct Installed(HashMap<TenantId, Arc<BTreeMap<String, Own>>>);

/// One of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    /// The versions in the order in which they were promoted; the last is current.
    pub(super) history: Vec<Version>,
    /// Names for versions beside what is current.
    pub tags: BTreeMap<Tag, Version>,
    pub rollouts: Rollouts,
    /// Newest first.
    pub versions: Vec<UploadedVersion>,
}

impl Installed {
    /// Those that a store keeps.
    pub(super) fn of(uploaded: Vec<Uploaded>) -> Self {
        let mut installed = Self::default();
        for plugin in uploaded {
            let own = Own {
                history: plugin.history,
                tags: plugin.tags,
                rollouts: plugin.rollouts,
                versions: plugin.versions,
            };
            installed.put(plugin.tenant, plugin.name, own);
        }
        installed
    }

    /// The one of that name.
    pub(super) fn get(&self, tenant: TenantId, name: &str) -> Option<&Own> {
        self.0.get(&tenant)?.get(name)
    }

    /// Those of a tenant, by name.
    pub(super) fn of_tenant(&self, tenant: TenantId) -> impl Iterator<Item = (&String, &Own)> {
        self.0.get(&tenant).into_iter().flat_map(|own| own.iter())
    }

    /// The roll-outs under way, of all tenants.
    pub(super) fn rollouts(&self) -> Vec<(TenantId, String, Rollout)> {
        let all = self.0.iter().flat_map(|(tenant, plugins)| {
            plugins.iter().filter_map(|(name, own)| {
                let rollout = own.rollouts.under_way?;
                Some((*tenant, name.clone(), rollout))
            })
        });
        all.collect()
    }

    /// Takes one up, in place of the one of its name; without versions, it goes.
    pub(super) fn put(&mut self, tenant: TenantId, name: String, own: Own) {
        let plugins = Arc::make_mut(self.0.entry(tenant).or_default());
        if own.versions.is_empty() {
            plugins.remove(&name);
        } else {
            plugins.insert(name, own);
        }
    }

    /// The version that a use stands for; `None`: the tenant has no such plugin, so it is the
    /// operator's.
    pub(super) fn version(
        &self,
        tenant: TenantId,
        name: &str,
        choice: Option<&Choice>,
    ) -> Result<Option<Version>, BindError> {
        let Some(own) = self.get(tenant, name) else {
            return Ok(None);
        };
        match (own.chosen(choice), choice) {
            (Ok(version), _) => Ok(Some(version)),
            (Err(_), None) => Ok(None),
            (Err(hint), Some(choice)) => Err(BindError::NoVersion {
                name: name.to_owned(),
                choice: choice.clone(),
                hint: hint.to_owned(),
            }),
        }
    }
}

impl Own {
    /// What uses get that name no version.
    pub fn current(&self) -> Option<Version> {
        self.history.last().copied()
    }

    /// The version that a use stands for, or why there is none.
    pub(super) fn chosen(&self, choice: Option<&Choice>) -> Result<Version, &'static str> {
        match choice {
            None => self.current().ok_or("none is current"),
            Some(Choice::Tag(tag)) => self.tags.get(tag).copied().ok_or("there is no such tag"),
            Some(Choice::Version(pin)) => match self.fitting(pin).as_slice() {
                [one] => Ok(*one),
                [] => Err("it was not uploaded, or is deleted"),
                _ => Err("several begin so; say more of it"),
            },
        }
    }

    /// The tags that stand for a version.
    pub(super) fn tags_of(&self, version: Version) -> Vec<Tag> {
        let tags = self.tags.iter().filter(|(_, tagged)| **tagged == version);
        tags.map(|(tag, _)| tag.clone()).collect()
    }

    /// Who vouches for a version.
    pub(super) fn signatures(&self, version: Version) -> Option<&Signatures> {
        let mut kept = self.versions.iter().filter(|kept| kept.version == version);
        kept.next()?.signatures.as_ref()
    }

    /// Has somebody vouch for a version.
    pub(super) fn sign(&mut self, version: Version, signatures: Signatures) {
        let mut kept = self.versions.iter_mut().filter(|kept| kept.version == version);
        if let Some(kept) = kept.next() {
            kept.signatures = Some(signatures);
        }
    }

    /// What a rollback would make current.
    pub fn before(&self) -> Option<Version> {
        self.history.iter().rev().nth(1).copied()
    }

    /// Bytes of all components.
    pub(super) fn bytes(&self) -> u64 {
        self.versions.iter().map(|kept| kept.bytes).sum()
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, version: Version) -> bool {
        self.versions.iter().any(|kept| kept.version == version)
    }

    /// Those that a pin may stand for.
    pub(super) fn fitting(&self, pin: &Pin) -> Vec<Version> {
        let versions = self.versions.iter().map(|kept| kept.version);
        versions.filter(|version| pin.fits(version)).collect()
    }

    /// Makes a version current.
    pub(super) fn promote(&mut self, version: Version) {
        if self.current() == Some(version) {
            return;
        }
        self.history.push(version);
        if self.history.len() > HISTORY_MAX {
            self.history.remove(0);
        }
    }

    /// Takes a version out, wherever it was promoted.
    pub(super) fn remove(&mut self, version: Version) {
        self.versions.retain(|kept| kept.version != version);
        self.history.retain(|promoted| *promoted != version);
        // What it stood between may be the same on both sides.
        self.history.dedup();
    }
}

/// A definition that uses a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub kind: Kind,
    pub id: i64,
    pub name: String,
    /// The versions and tags that it names; `None` among them: it follows what is current.
    pub pins: Vec<Option<Choice>>,
    pub origin: Origin,
    /// Why it cannot be used as it stands.
    pub unusable: Option<String>,
}

impl User {
    /// An entry as a user of the plugin of that name, if it is one.
    pub(super) fn of(entry: &Entry, name: &str) -> Option<Self> {
        let pins: Vec<_> = uses(entry)
            .filter(|(used, _)| *used == name)
            .map(|(_, pin)| pin)
            .collect();
        (!pins.is_empty()).then(|| Self {
            kind: entry.resource.kind,
            id: entry.resource.id,
            name: entry.resource.name.clone(),
            pins,
            origin: entry.origin,
            unusable: entry.unusable.clone(),
        })
    }

    /// Whether it changes when another version becomes current.
    pub fn follows(&self) -> bool {
        self.pins.contains(&None)
    }

    /// Whether it names this version.
    pub fn names(&self, version: &Version) -> bool {
        let mut named = self.pins.iter().flatten();
        named.any(|choice| matches!(choice, Choice::Version(pin) if pin.fits(version)))
    }

    /// Whether it follows this tag.
    pub(super) fn follows_tag(&self, tag: &str) -> bool {
        let mut named = self.pins.iter().flatten();
        named.any(|choice| matches!(choice, Choice::Tag(followed) if followed.as_str() == tag))
    }
}

/// What takes out of posts what nobody may see, where a source says `redact`.
const REDACTOR: &str = "redact-fields";

/// The plugins that a definition names. They are read from its text: one that cannot be used has
/// been made into nothing.
fn uses(entry: &Entry) -> impl Iterator<Item = (&str, Option<Choice>)> {
    let resource = &entry.resource;
    let has_plugins = matches!(resource.kind, Kind::Source | Kind::Endpoint);
    let keys = has_plugins.then_some(&resource.definition.keys);
    let redactor = keys.filter(|keys| resource.kind == Kind::Source && keys.contains_key("redact"));
    let plugins = keys.and_then(|keys| keys.get("plugins")?.as_array());
    let named = plugins.into_iter().flatten();
    let named = named.filter_map(|used| crate::model::plugin::read_use(used.get("use")?.as_str()?).ok());
    named.chain(redactor.map(|_| (REDACTOR, None)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    const TENANT: TenantId = TenantId::from_raw(5);

    fn own(components: &[&str]) -> Own {
        let mut own = Own::default();
        for component in components {
            let kept = UploadedVersion {
                version: of(component),
                made_at: Timestamp::from_millis(0),
                made_by: None,
                bytes: 2,
                signatures: None,
            };
            own.promote(kept.version);
            own.versions.insert(0, kept);
        }
        own
    }

    fn of(component: &str) -> Version {
        Version::of(component.as_bytes())
    }

    #[test]
    fn a_version_that_goes_is_not_come_back_to() {
        let mut plugin = own(&["a", "b"]);
        plugin.promote(of("a"));
        assert_eq!(
            (plugin.current(), plugin.before()),
            (Some(of("a")), Some(of("b")))
        );
        plugin.remove(of("b"));
        assert_eq!((plugin.current(), plugin.before()), (Some(of("a")), None));
        assert_eq!((plugin.history.len(), plugin.bytes()), (1, 2));
        plugin.promote(of("a"));
        assert_eq!(plugin.history.len(), 1, "it is current already");
    }

    #[test]
    fn the_oldest_promotions_are_forgotten() {
        let mut plugin = own(&["a", "b"]);
        for _ in 0..HISTORY_MAX {
            plugin.promote(of("a"));
            plugin.promote(of("b"));
        }
        assert_eq!(plugin.history.len(), HISTORY_MAX);
        assert_eq!(
            (plugin.current(), plugin.before()),
            (Some(of("b")), Some(of("a")))
        );
    }

    #[test]
    fn a_use_stands_for_the_current_version_or_the_one_it_names() {
        let mut installed = Installed::default();
        installed.put(TENANT, "tidy".to_owned(), own(&["a", "b"]));
        let before = installed.clone();
        let version = |installed: &Installed, tenant, text: &str| {
            let (name, pin) = crate::model::plugin::read_use(text).expect("a use");
            installed
                .version(tenant, name, pin.as_ref())
                .map_err(|error| error.to_string())
        };
        assert_eq!(version(&installed, TENANT, "tidy"), Ok(Some(of("b"))));
        let pinned = format!("tidy@{}", &of("a").to_string()[..19]);
        assert_eq!(version(&installed, TENANT, &pinned), Ok(Some(of("a"))));
        assert_eq!(version(&installed, TENANT, "other"), Ok(None));
        assert_eq!(version(&installed, TenantId::DEFAULT, &pinned), Ok(None));
        let mut tagged = own(&["a", "b"]);
        tagged.tags.insert("beta".parse().expect("a tag"), of("a"));
        installed.put(TENANT, "tidy".to_owned(), tagged);
        assert_eq!(version(&installed, TENANT, "tidy@beta"), Ok(Some(of("a"))));
        let why = version(&installed, TENANT, "tidy@gamma").expect_err("there is none");
        assert!(why.contains("gamma: there is no such tag"), "{why}");
        let unknown = format!("tidy@{}", of("c"));
        let why = version(&installed, TENANT, &unknown).expect_err("there is none");
        assert!(why.contains("has no version sha256:"), "{why}");
        installed.put(TENANT, "tidy".to_owned(), Own::default());
        assert_eq!(version(&installed, TENANT, "tidy"), Ok(None));
        assert_eq!(
            version(&before, TENANT, "tidy"),
            Ok(Some(of("b"))),
            "a copy stays"
        );
    }
}
