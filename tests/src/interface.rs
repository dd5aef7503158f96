//! The page of the plugin interface, made from the prose in `wit/`.

use std::path::PathBuf;

use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Stability, Type, TypeDef, TypeDefKind, TypeId,
    TypeOwner, WorldItem,
};

/// The world that imports every power.
const HOST: &str = "host";
/// The world that exports every hook, in every form.
const KNOWN: &str = "known";
/// The interface that all others share.
const TYPES: &str = "types";

const HEAD: &str = "\
# The plugin interface

Everything that a plugin and the relay know of each other, as the WIT package `relay:plugin` says it: the
[types](#types) that every hook shares, the [hooks](#hooks) that a plugin may stand on, and the
[powers](#powers) that it may import. The SDKs are a convenience over this, and
[writing-plugins.md](writing-plugins.md) is where to begin; the files themselves, why they look as they do,
and the rule by which they change are in [wit/](../wit/README.md).

";

const TAIL: &str = "
This page is made by `relay-bench interface`; a test holds it against `wit/`.
";

/// Where the page is.
pub fn path() -> PathBuf {
    root().join("docs/plugin-interface.md")
}

/// The page as it should be.
///
/// # Errors
/// If `wit/` holds what is no package.
pub fn page() -> anyhow::Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit"))?;
    let package = &resolve.packages[package];
    let of_world = |name: &str, are_imports: bool| {
        let world = &resolve.worlds[package.worlds[name]];
        let items = if are_imports {
            &world.imports
        } else {
            &world.exports
        };
        let ids = items.values().filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            _ => None,
        });
        ids.collect::<Vec<InterfaceId>>()
    };
    let types = package.interfaces[TYPES];
    let mut powers = of_world(HOST, true);
    powers.retain(|id| *id != types);
    let parts = [
        ("Types", vec![types]),
        ("Hooks", of_world(KNOWN, false)),
        ("Powers", powers),
    ];
    let page = Page { resolve: &resolve };
    let mut text = HEAD.to_owned();
    for (title, ids) in &parts {
        text.push_str(&page.contents(title, ids));
    }
    for (title, ids) in &parts {
        text.push_str(&format!("\n## {title}\n"));
        for id in ids {
            text.push_str(&page.interface(&resolve.interfaces[*id], title));
        }
    }
    text.push_str(TAIL);
    Ok(text)
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

struct Page<'r> {
    resolve: &'r Resolve,
}

impl Page<'_> {
    /// The lines of the list at the top.
    fn contents(&self, title: &str, ids: &[InterfaceId]) -> String {
        let mut text = format!("- [{title}](#{})\n", title.to_lowercase());
        for id in ids {
            let interface = &self.resolve.interfaces[*id];
            let name = named(interface);
            let items = interface
                .functions
                .keys()
                .map(|function| format!("[`{function}`](#{})", anchor(name, function)))
                .chain(self.own_types(interface).into_iter().map(|found| {
                    let found = found.name.as_deref().unwrap_or_default();
                    format!("[`{found}`](#{})", anchor(name, found))
                }));
            let items = items.collect::<Vec<_>>().join(", ");
            text.push_str(&format!("  - [{name}](#interface-{name}): {items}\n"));
        }
        text
    }

    fn interface(&self, interface: &Interface, part: &str) -> String {
        let name = named(interface);
        let mut text = format!("\n<a id=\"interface-{name}\"></a>\n\n### `{name}`\n\n");
        text.push_str(&prose(&interface.docs));
        let role = match part {
            "Hooks" => "Exported",
            _ => "Imported",
        };
        text.push_str(&format!("\n{role} as `relay:plugin/{name}`.\n"));
        for function in interface.functions.values() {
            text.push_str(&self.function(name, function));
        }
        for found in self.own_types(interface) {
            text.push_str(&self.definition(name, found));
        }
        text
    }

    /// The types that an interface defines, without those that it takes from another.
    fn own_types(&self, interface: &Interface) -> Vec<&TypeDef> {
        let all = interface.types.values().map(|id| &self.resolve.types[*id]);
        all.filter(|found| self.origin(found).is_none()).collect()
    }

    /// What a type that is used from another interface is there.
    fn origin(&self, found: &TypeDef) -> Option<TypeId> {
        let TypeDefKind::Type(Type::Id(other)) = found.kind else {
            return None;
        };
        let named = &self.resolve.types[other];
        (named.name == found.name && named.owner != found.owner).then_some(other)
    }

    fn function(&self, interface: &str, function: &Function) -> String {
        let name = &function.name;
        let params: Vec<_> = function
            .params
            .iter()
            .map(|param| format!("{}: {}", param.name, self.shown(param.ty)))
            .collect();
        let result = match function.result {
            Some(result) => format!(" -&gt; {}", self.shown(result)),
            None => String::new(),
        };
        let since = match &function.stability {
            Stability::Stable { since, .. } => format!(", since {since}"),
            _ => String::new(),
        };
        let signature = format!("{name}: func({}){result}{since}", params.join(", "));
        item(interface, name, &signature, &prose(&function.docs))
    }

    fn definition(&self, interface: &str, found: &TypeDef) -> String {
        let name = found.name.as_deref().unwrap_or_default();
        let is = match &found.kind {
            TypeDefKind::Type(other) => format!(" = {}", self.shown(*other)),
            TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) => String::new(),
            other => format!(" = {}", self.structure(other)),
        };
        let word = match &found.kind {
            TypeDefKind::Record(_) => "record",
            TypeDefKind::Variant(_) => "variant",
            TypeDefKind::Enum(_) => "enum",
            _ => "type",
        };
        let mut text = item(
            interface,
            name,
            &format!("{word} {name}{is}"),
            &prose(&found.docs),
        );
        let rows: Vec<[String; 3]> = match &found.kind {
            TypeDefKind::Record(record) => record
                .fields
                .iter()
                .map(|field| [field.name.clone(), self.shown(field.ty), cell(&field.docs)])
                .collect(),
            TypeDefKind::Variant(variant) => variant
                .cases
                .iter()
                .map(|case| {
                    let of = case.ty.map(|of| self.shown(of)).unwrap_or_default();
                    [case.name.clone(), of, cell(&case.docs)]
                })
                .collect(),
            TypeDefKind::Enum(cases) => cases
                .cases
                .iter()
                .map(|case| [case.name.clone(), String::new(), cell(&case.docs)])
                .collect(),
            _ => Vec::new(),
        };
        if !rows.is_empty() {
            let head = if word == "record" { "member" } else { "case" };
            text.push_str(&format!("\n| {head} | of | |\n|---|---|---|\n"));
        }
        for [name, of, docs] in rows {
            let of = if of.is_empty() {
                of
            } else {
                format!("<code>{of}</code>")
            };
            text.push_str(&format!("| `{name}` | {of} | {docs} |\n"));
        }
        text
    }

    /// A type as people read it, with a link to where it is defined.
    fn shown(&self, of: Type) -> String {
        let word = match of {
            Type::Id(id) => return self.reference(id),
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "s8",
            Type::S16 => "s16",
            Type::S32 => "s32",
            Type::S64 => "s64",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::Char => "char",
            Type::String => "string",
            Type::ErrorContext => "error-context",
        };
        word.to_owned()
    }

    /// A type by its name, or by what it is made of if it has none.
    fn reference(&self, id: TypeId) -> String {
        let found = &self.resolve.types[id];
        if let Some(origin) = self.origin(found) {
            return self.reference(origin);
        }
        if let (Some(name), TypeOwner::Interface(owner)) = (&found.name, found.owner) {
            let interface = named(&self.resolve.interfaces[owner]);
            return format!("<a href=\"#{}\">{name}</a>", anchor(interface, name));
        }
        self.structure(&found.kind)
    }

    fn structure(&self, kind: &TypeDefKind) -> String {
        let of = |name: &str, parts: &[String]| format!("{name}&lt;{}&gt;", parts.join(", "));
        let or_none = |of: Option<Type>| of.map_or_else(|| "_".to_owned(), |of| self.shown(of));
        match kind {
            TypeDefKind::Option(inner) => of("option", &[self.shown(*inner)]),
            TypeDefKind::List(inner) => of("list", &[self.shown(*inner)]),
            TypeDefKind::Tuple(tuple) => {
                let parts: Vec<_> = tuple.types.iter().map(|part| self.shown(*part)).collect();
                of("tuple", &parts)
            }
            TypeDefKind::Result(result) => match result.err {
                Some(error) => of("result", &[or_none(result.ok), self.shown(error)]),
                None => of("result", &[or_none(result.ok)]),
            },
            TypeDefKind::Type(other) => self.shown(*other),
            other => other.as_str().to_owned(),
        }
    }
}

fn item(interface: &str, name: &str, signature: &str, docs: &str) -> String {
    let docs = docs.trim();
    let docs = if docs.is_empty() {
        String::new()
    } else {
        format!("\n{docs}\n")
    };
    format!(
        "\n<a id=\"{}\"></a>\n\n#### {name}\n\n<code>{signature}</code>\n{docs}",
        anchor(interface, name)
    )
}

fn named(interface: &Interface) -> &str {
    interface.name.as_deref().unwrap_or_default()
}

fn anchor(interface: &str, name: &str) -> String {
    format!("{interface}-{name}")
}

fn prose(docs: &Docs) -> String {
    match &docs.contents {
        Some(text) => format!("{}\n", text.trim()),
        None => String::new(),
    }
}

/// The same within a row of a table.
fn cell(docs: &Docs) -> String {
    let text = docs.contents.as_deref().unwrap_or_default();
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
