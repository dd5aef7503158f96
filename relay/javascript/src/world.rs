//! The interface of one plugin: the hooks that it exports, the powers that it uses.

use std::path::Path;

use wit_parser::{Resolve, SourceMap, WorldId};

use crate::modules::Modules;

const WIT: [(&str, &str); 4] = [
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("host.wit", include_str!("../../../wit/host.wit")),
    ("hooks.wit", include_str!("../../../wit/hooks.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
];
/// What every plugin may ask, so that nobody has to say so.
const ALWAYS: [&str; 5] = ["types", "call", "payload", "log", "config"];
const NAME: &str = "plugin-in-javascript";

/// The interface of one plugin.
pub(crate) struct World {
    pub(crate) resolve: Resolve,
    pub(crate) id: WorldId,
}

impl World {
    /// The interface that fits these modules.
    pub(crate) fn of(modules: &Modules) -> anyhow::Result<Self> {
        let mut files = SourceMap::new();
        for (name, text) in WIT {
            files.push(Path::new(name), text);
        }
        files.push(Path::new("this.wit"), text(modules));
        let group = files
            .parse()
            .map_err(|(_, error)| anyhow::anyhow!("the interface cannot be read: {error}"))?;
        let mut resolve = Resolve::default();
        let package = resolve
            .push_group(group)
            .map_err(|error| anyhow::anyhow!("the interface does not fit together: {error}"))?;
        let id = resolve.select_world(&[package], Some(NAME))?;
        Ok(Self { resolve, id })
    }
}

fn text(modules: &Modules) -> String {
    let mut text = format!("package relay:plugin@0.1.0;\n\n@since(version = 0.1.0)\nworld {NAME} {{\n");
    let powers = ALWAYS.into_iter().chain(modules.powers.iter().copied());
    for power in powers {
        text.push_str(&format!("    import {power};\n"));
    }
    for hook in modules.hooks.iter().copied() {
        text.push_str(&format!("    export {};\n", interface(hook)));
    }
    text + "}\n"
}

/// The interface that a hook is in.
pub(crate) fn interface(hook: &str) -> &str {
    match hook {
        "check" => "setup",
        "filter" => "lean-filter",
        "transform" => "lean-transform",
        other => other,
    }
}
