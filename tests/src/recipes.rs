//! The code on pages for plugin authors: taken from the page itself, compiled, and held against the
//! fixtures beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use relay::plugins::fixtures::Fixture;

use crate::binary;

const TARGET: &str = "wasm32-wasip2";
/// The guests' profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "guest";
/// What code for plugins begins with; a piece of a file does not.
const BEGINNING: &str = "use ";
/// What makes a component.
const PLUGIN: &str = "#[plugin]";
/// What is meant for the build that is going on, or comes from the linter.
const LEAKING: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
];

/// A block of code on a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'p> {
    /// The heading that it stands under.
    pub title: &'p str,
    /// The last line before it that is not empty.
    pub before: &'p str,
    pub language: &'p str,
    pub text: &'p str,
}

/// A section of the cookbook.
#[derive(Debug)]
pub struct Recipe {
    /// Made of its title; what its component is called.
    pub name: String,
    pub code: String,
    /// What stands in `plugin.toml`.
    pub about: String,
    /// What is played one after the other, each list from nothing.
    pub rounds: Vec<Vec<Fixture>>,
    /// What has to be logged in one of them.
    pub lines: Vec<String>,
}

/// A crate that is made of a block.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub code: String,
    /// What stands in `plugin.toml`.
    pub about: String,
}

/// A page of the documentation.
///
/// # Panics
/// If there is none of that name.
pub fn page(name: &str) -> String {
    let path = root().join("docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of code of a page, in their order.
pub fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut found, mut title, mut before) = (Vec::new(), "", "");
    let mut rest = page;
    while let Some((line, behind)) = rest.split_once('\n') {
        rest = behind;
        if let Some(heading) = line.strip_prefix('#') {
            title = heading.trim_start_matches('#').trim();
        }
        let Some(language) = line.strip_prefix("```") else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let (text, behind) = rest.split_once("```").expect("a block has an end");
        rest = behind.trim_start_matches('\n');
        found.push(Block {
            title,
            before,
            language,
            text,
        });
        before = "";
    }
    found
}

/// The recipes of the cookbook.
///
/// # Panics
/// If a section has no code, or a fixture that is none.
pub fn read(page: &str) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for Block {
        title,
        language,
        text,
        ..
    } in blocks(page)
    {
        if language == "rust" {
            recipes.push(Recipe {
                name: named(title),
                code: text.to_owned(),
                about: String::new(),
                rounds: Vec::new(),
                lines: Vec::new(),
            });
            continue;
        }
        // What stands before the first recipe is for the reader.
        let Some(recipe) = recipes.last_mut() else {
            continue;
        };
        assert_eq!(recipe.name, named(title), "{title} has no code");
        match language {
            "json" => recipe.rounds.push(fixtures(title, text)),
            "toml" => text.clone_into(&mut recipe.about),
            "text" => recipe.lines.extend(text.lines().map(str::to_owned)),
            _ => {}
        }
    }
    recipes
}

/// The whole files in Rust on a page, as crates.
pub fn files(page: &str, prefix: &str) -> Vec<Source> {
    let files = blocks(page)
        .into_iter()
        .filter(|block| block.language == "rust" && block.text.starts_with(BEGINNING));
    files
        .enumerate()
        .map(|(at, block)| Source {
            name: format!("{prefix}-{at}"),
            code: block.text.to_owned(),
            about: String::new(),
        })
        .collect()
}

impl Recipe {
    /// What is compiled.
    pub fn source(&self) -> Source {
        Source {
            name: self.name.clone(),
            code: self.code.clone(),
            about: self.about.clone(),
        }
    }
}

/// Compiles all of them at once against the SDK of this repository. Components are named after their
/// crates.
///
/// # Panics
/// If one does not compile: with what the compiler says.
pub fn build(sources: &[Source]) -> Built {
    let folder = binary::shared_folder().join("recipes");
    lay_out(&folder, sources).expect("the folder of the build can be written to");
    let target = folder.join("target");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&folder)
        .args(["build", "--workspace", "--profile", PROFILE, "--target", TARGET])
        .arg("--target-dir")
        .arg(&target);
    for name in LEAKING {
        cargo.env_remove(name);
    }
    let output = cargo.output().expect("cargo can be run");
    assert!(
        output.status.success(),
        "what the pages say does not compile:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Built {
        folder: target.join(TARGET).join(PROFILE),
    }
}

/// Components.
#[derive(Debug)]
pub struct Built {
    folder: PathBuf,
}

impl Built {
    /// The component of a crate.
    ///
    /// # Panics
    /// If it is none of those that were built.
    pub fn component(&self, name: &str) -> Bytes {
        let path = self.folder.join(format!("{}.wasm", name.replace('-', "_")));
        let bytes = fs::read(&path);
        bytes
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .into()
    }
}

/// A workspace with a crate for each source. Files that are as they should be keep their time, so that
/// Cargo does nothing twice.
fn lay_out(folder: &Path, sources: &[Source]) -> std::io::Result<()> {
    let sdk = root().join("sdk/rust");
    let members: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n\
         [profile.guest]\ninherits = \"release\"\ncodegen-units = 4\nstrip = \"symbols\"\n"
    );
    write(&folder.join("Cargo.toml"), &workspace)?;
    // The versions that everything else here is built with.
    write(
        &folder.join("Cargo.lock"),
        &fs::read_to_string(root().join("Cargo.lock"))?,
    )?;
    for Source { name, code, about } in sources {
        let kind = if code.contains(PLUGIN) { "cdylib" } else { "rlib" };
        let manifest = format!(
            "[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
             [lib]\ncrate-type = [{kind:?}]\n\n\
             [dependencies]\nrelay-sdk = {{ path = {sdk:?} }}\n\
             serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n"
        );
        write(&folder.join(name).join("Cargo.toml"), &manifest)?;
        write(&folder.join(name).join("src/lib.rs"), code)?;
        let about = format!("name = {name:?}\n{about}");
        write(&folder.join(name).join("plugin.toml"), &about)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// One fixture, or several in a list.
fn fixtures(title: &str, text: &str) -> Vec<Fixture> {
    let read = match text.starts_with('[') {
        true => serde_json::from_str(text),
        false => serde_json::from_str(text).map(|fixture| vec![fixture]),
    };
    read.unwrap_or_else(|error| panic!("{title} has what is no fixture: {error}"))
}

/// `At most N an hour` is `at-most-n-an-hour`, as links to it say.
fn named(title: &str) -> String {
    let letters = title.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        _ => letter
            .is_ascii_alphanumeric()
            .then(|| letter.to_ascii_lowercase()),
    });
    letters.collect()
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the repository is there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_know_their_heading_and_recipes_their_fixtures() {
        let page = "# P\n\n```sh\ncargo\n```\n\n## Keep, or not\n\n```rust\nuse a;\n```\n```json\n{\"hook\": \"check\", \"expect\": {}}\n```\nText\n```json\n[]\n```\n\n```text\na line\n```\n";
        let blocks = blocks(page);
        assert_eq!(
            (blocks.len(), blocks[0].title, blocks[1].title),
            (5, "P", "Keep, or not")
        );
        let before: Vec<_> = blocks.iter().map(|block| block.before).collect();
        assert_eq!(before, ["# P", "## Keep, or not", "", "Text", ""]);
        let recipes = read(page);
        assert_eq!(recipes.len(), 1);
        let rounds: Vec<_> = recipes[0].rounds.iter().map(Vec::len).collect();
        assert_eq!(
            (recipes[0].name.as_str(), recipes[0].code.as_str(), rounds),
            ("keep-or-not", "use a;\n", vec![1, 0])
        );
        assert_eq!(recipes[0].lines, ["a line"]);
        assert_eq!(files(page, "page").len(), 1);
    }
}
