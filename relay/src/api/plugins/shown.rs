//! A plugin as it is shown: what it says about itself, its versions, who uses it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::rollout;
use crate::manage::{Origin, Own, Provenance, Usable, User, Versioned};
use crate::model::id::KeyId;
use crate::model::plugin::{Choice, Version};
use crate::model::rollout::RolledBack;
use crate::model::time::Timestamp;
use crate::plugins::Manifest;

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PluginFrom)]
pub(super) enum Whence {
    /// It comes with the relay.
    Stock,
    /// A file of the operator's plugin folder.
    Folder,
    /// It was uploaded by this tenant.
    Api,
}

/// A plugin.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Plugin)]
pub(super) struct Shown {
    name: String,
    from: Whence,
    /// The version that uses get which name none.
    version: Option<Version>,
    /// How its author calls that version.
    label: Option<String>,
    description: Option<String>,
    /// Bytes of the component.
    size: Option<usize>,
    /// Of `setup`, `authenticate`, `filter`, `transform` and `respond`.
    hooks: Vec<&'static str>,
    /// Interfaces of `relay:plugin` that it imports.
    powers: Vec<String>,
    /// Secrets that it asks for, by name.
    secrets: Vec<String>,
    /// What whoever uses it has to grant, or may.
    needs: Vec<ShownNeed>,
    /// The version of `relay:plugin` that it was built for.
    wit: Option<String>,
    /// How many definitions use it.
    used_by: usize,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
}

/// A power or secret that a plugin asks for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginNeed)]
struct ShownNeed {
    /// `http`, `state`, `judge` or `media`, or another power that nobody has to grant; `secret` for a
    /// secret.
    power: String,
    /// The secret's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether it does without.
    optional: bool,
}

/// A plugin, with all that is known of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginInspected)]
pub(super) struct Inspected {
    #[serde(flatten)]
    shown: Shown,
    /// The JSON Schema of its configuration; `null`: it takes any.
    config: Option<Value>,
    /// Newest first; of a plugin of the operator's, the one there is.
    versions: Vec<ShownVersion>,
    /// What each tag stands for; `current` is among them.
    tags: BTreeMap<String, Version>,
    /// The roll-out under way.
    rollout: Option<rollout::Shown>,
    /// The last version that the relay took back by itself.
    rolled_back: Option<RolledBack>,
    /// The definitions that use it.
    users: Vec<ShownUser>,
}

/// A version of a plugin.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginVersion)]
pub(super) struct ShownVersion {
    version: Version,
    /// Whether uses get it which name no version.
    current: bool,
    /// Whether a rollback makes it current.
    before: bool,
    /// Bytes of the component.
    size: Option<u64>,
    made_at: Option<Timestamp>,
    /// The key that it was uploaded with.
    made_by: Option<KeyId>,
    /// How many definitions name it.
    pinned_by: usize,
    /// The tags that stand for it.
    tags: Vec<String>,
    /// The public key that it is signed with, of those whose plugins are taken.
    signer: Option<String>,
}

/// A definition that uses a plugin.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginUser)]
pub(super) struct ShownUser {
    /// `source` or `endpoint`.
    kind: &'static str,
    id: String,
    name: String,
    /// `file` or `api`.
    managed_by: &'static str,
    /// Whether it uses whichever version is current.
    follows: bool,
    /// The versions and tags that it names, as they stand there.
    pins: Vec<String>,
    /// Why the definition as it stands is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
}

/// A version that was uploaded or made current.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginVersioned)]
pub(super) struct Turned {
    name: String,
    #[serde(flatten)]
    version: ShownVersion,
    /// The definitions that use the plugin.
    users: Vec<ShownUser>,
}

impl Inspected {
    pub(super) fn of(usable: Usable) -> Self {
        let versions = ShownVersion::all_of(&usable);
        let users = usable.users.iter().map(ShownUser::of).collect();
        let tags = usable.tags().into_iter().collect();
        let (mut rollout, mut rolled_back) = (None, None);
        if let Provenance::Api(own) = &usable.from {
            rolled_back = own.rollouts.rolled_back;
            rollout = own.rollouts.under_way.and_then(|under_way| {
                let before = under_way.promoted.map(|promoted| promoted.before);
                Some(rollout::Shown::of(&under_way, before.or_else(|| own.current())?))
            });
        }
        let (shown, config) = Shown::split(usable);
        Self {
            shown,
            config,
            versions,
            tags,
            rollout,
            rolled_back,
            users,
        }
    }
}

impl Shown {
    pub(super) fn of(usable: Usable) -> Self {
        Self::split(usable).0
    }

    /// With the schema of its configuration beside it.
    fn split(usable: Usable) -> (Self, Option<Value>) {
        let (inspection, unusable) = match usable.inspection {
            Ok(inspection) => (Some(inspection), None),
            Err(why) => (None, Some(why)),
        };
        let from = match usable.from {
            Provenance::Stock => Whence::Stock,
            Provenance::Folder => Whence::Folder,
            Provenance::Api(_) => Whence::Api,
        };
        let mut shown = Self {
            name: usable.name,
            from,
            version: usable.version,
            label: None,
            description: None,
            size: None,
            hooks: Vec::new(),
            powers: Vec::new(),
            secrets: Vec::new(),
            needs: Vec::new(),
            wit: None,
            used_by: usable.users.len(),
            unusable,
        };
        let Some(inspection) = inspection else {
            return (shown, None);
        };
        let manifest = inspection.manifest;
        shown.secrets = manifest.secrets().map(|need| need.name.to_owned()).collect();
        shown.needs = ShownNeed::all_of(&manifest);
        shown.label = manifest.version;
        shown.description = manifest.description;
        shown.size = Some(inspection.size);
        shown.hooks = inspection.hooks.names().collect();
        shown.powers = inspection.powers;
        // Everybody has the words of the interface.
        shown.powers.retain(|power| power != "types");
        shown.wit = Some(inspection.wit);
        (shown, manifest.config)
    }
}

impl ShownNeed {
    fn all_of(manifest: &Manifest) -> Vec<Self> {
        let powers = manifest.powers().map(|need| Self {
            power: need.name.to_owned(),
            name: None,
            optional: need.is_optional,
        });
        let secrets = manifest.secrets().map(|need| Self {
            power: "secret".to_owned(),
            name: Some(need.name.to_owned()),
            optional: need.is_optional,
        });
        powers.chain(secrets).collect()
    }
}

impl ShownVersion {
    /// Those of a plugin, newest first.
    pub(super) fn all_of(usable: &Usable) -> Vec<Self> {
        match (&usable.from, usable.version) {
            (Provenance::Api(own), _) => Self::all(own, &usable.users, &usable.signers),
            (_, Some(version)) => vec![Self::only(version, &usable.users)],
            (_, None) => Vec::new(),
        }
    }

    fn all(own: &Own, users: &[User], signers: &[(Version, String)]) -> Vec<Self> {
        let shown = own.versions.iter().map(|kept| Self {
            version: kept.version,
            current: own.current() == Some(kept.version),
            before: own.before() == Some(kept.version),
            size: Some(kept.bytes),
            made_at: Some(kept.made_at),
            made_by: kept.made_by,
            pinned_by: pinned_by(users, &kept.version),
            tags: tags_of(own, kept.version),
            signer: signer_of(signers, kept.version),
        });
        shown.collect()
    }

    /// The only version of a plugin of the operator's.
    fn only(version: Version, users: &[User]) -> Self {
        Self {
            version,
            current: true,
            before: false,
            size: None,
            made_at: None,
            made_by: None,
            pinned_by: pinned_by(users, &version),
            tags: Vec::new(),
            signer: None,
        }
    }
}

/// The tags that stand for a version.
fn tags_of(own: &Own, version: Version) -> Vec<String> {
    let tags = own.tags.iter().filter(|(_, tagged)| **tagged == version);
    tags.map(|(tag, _)| tag.to_string()).collect()
}

fn signer_of(signers: &[(Version, String)], version: Version) -> Option<String> {
    let mut signers = signers.iter().filter(|(signed, _)| *signed == version);
    signers.next().map(|(_, signer)| signer.clone())
}

fn pinned_by(users: &[User], version: &Version) -> usize {
    users.iter().filter(|user| user.names(version)).count()
}

impl ShownUser {
    pub(super) fn of(user: &User) -> Self {
        let pins = user.pins.iter().flatten();
        Self {
            kind: user.kind.section(),
            id: user.kind.id(user.id),
            name: user.name.clone(),
            managed_by: match user.origin {
                Origin::File => "file",
                Origin::Api => "api",
            },
            follows: user.follows(),
            pins: pins.map(Choice::to_string).collect(),
            unusable: user.unusable.clone(),
        }
    }
}

impl Turned {
    pub(super) fn of(name: String, done: &Versioned) -> Self {
        let version = done.kept.version;
        Self {
            name,
            version: ShownVersion {
                version,
                current: done.current == Some(version),
                before: done.before == Some(version),
                size: Some(done.kept.bytes),
                made_at: Some(done.kept.made_at),
                made_by: done.kept.made_by,
                pinned_by: pinned_by(&done.users, &version),
                tags: done.tags.iter().map(ToString::to_string).collect(),
                signer: signer_of(&done.signers, version),
            },
            users: done.users.iter().map(ShownUser::of).collect(),
        }
    }
}
