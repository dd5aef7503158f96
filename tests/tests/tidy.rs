//! Rules about the source itself: which way its arrows point, how large files grow, what is
//! left lying about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest file of the relay, in lines.
const LINES_MAX: usize = 600;
/// Names that say nothing about what is inside.
const DRAWERS: [&str; 4] = ["utils", "helpers", "common", "misc"];
/// Words that mark what was left for later; split so that this file does not contain them.
const LEFTOVERS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// The stages of the path know what they stand on, and never each other.
const STAGES: [&str; 7] = [
    "ingest", "route", "plugins", "queue", "deliver", "reply", "record",
];
/// What everything else may stand on, lowest first: each may use those before it.
const GROUND: [&str; 5] = ["model", "clock", "store", "crypto", "http"];
/// What joins the stages, lowest first: each may use those before it, stages and ground.
const ABOVE: [&str; 23] = [
    "rules",
    "directory",
    "metrics",
    "otlp",
    "stats",
    "feed",
    "notices",
    "refusals",
    "inspect",
    "quota",
    "media",
    "judge",
    "flow",
    "manage",
    "recovery",
    "diagnose",
    "alerts",
    "digests",
    "api",
    "receive",
    "app",
    "cli",
    "main",
];

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .expect("the package is in the repository")
        .to_owned()
}

/// Every file below a folder with one of these extensions, without what was built.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    let is_wanted = |path: &Path| {
        path.extension()
            .is_some_and(|found| extensions.iter().any(|wanted| found == *wanted))
    };
    let is_built = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name == "target" || name == ".git")
    };
    paths
        .into_iter()
        .filter(|path| !is_built(path))
        .flat_map(|path| {
            if path.is_dir() {
                files(&path, extensions)
            } else {
                vec![path]
            }
        })
        .filter(|path| is_wanted(path))
        .collect()
}

/// Every file of Rust below a folder of the repository.
fn sources(folder: &str) -> Vec<PathBuf> {
    let found = files(&root().join(folder), &["rs"]);
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// Whether a file is a module of unit tests.
fn is_test(path: &Path) -> bool {
    let shown = shown(path);
    shown.ends_with("/tests.rs") || shown.contains("/tests/")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The module below the crate's root that a file belongs to.
fn module(path: &Path) -> String {
    let relative = path.strip_prefix(root().join("relay/src")).unwrap_or(path);
    let first = relative
        .components()
        .next()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// The modules that a text of source names by `crate::`, tests left out.
fn named(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut named = BTreeSet::new();
    for line in lines {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            // Several at once: what stands right behind the brace and its commas.
            let words = rest
                .strip_prefix('{')
                .map_or_else(|| vec![rest], |list| list.split(',').collect());
            let first = |words: &str| {
                words
                    .trim()
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect::<String>()
            };
            named.extend(words.into_iter().map(first));
        }
    }
    named.remove("");
    named
}

/// What a module may use.
fn allowed(module: &str) -> BTreeSet<&'static str> {
    let mut allowed = BTreeSet::new();
    if let Some(at) = GROUND.iter().position(|ground| *ground == module) {
        allowed.extend(&GROUND[..at]);
        return allowed;
    }
    allowed.extend(GROUND);
    if STAGES.contains(&module) {
        return allowed;
    }
    allowed.extend(STAGES);
    if module == "config" {
        // Knows the stages only by the functions that check what they are given.
        return allowed;
    }
    if module == "telemetry" {
        allowed.insert("config");
        return allowed;
    }
    if let Some(at) = ABOVE.iter().position(|above| *above == module) {
        allowed.extend(&ABOVE[..at]);
        if ["manage", "app", "cli", "main"].contains(&module) {
            allowed.insert("config");
        }
        if ["app", "cli", "main"].contains(&module) {
            allowed.insert("telemetry");
        }
    }
    allowed
}

#[test]
fn arrows_point_down() {
    let mut upward = Vec::new();
    for path in sources("relay/src") {
        let from = module(&path);
        if is_test(&path) || from == "lib" {
            continue;
        }
        let allowed = allowed(&from);
        for to in named(&read(&path)) {
            if to != from && !allowed.contains(to.as_str()) {
                upward.push(format!("{} uses crate::{to}", shown(&path)));
            }
        }
    }
    assert!(
        upward.is_empty(),
        "these arrows point up or across:\n{}",
        upward.join("\n")
    );
}

#[test]
fn the_nouns_do_no_io_and_read_no_clock() {
    let banned = [
        "async ",
        "std::fs",
        "std::net",
        "tokio",
        "SystemTime",
        "Instant::",
        "rand::",
        "std::env",
    ];
    for path in sources("relay/src/model") {
        let source = read(&path);
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for word in banned {
                assert!(!line.contains(word), "{}: {word}: {line}", shown(&path));
            }
        }
    }
}

#[test]
fn there_is_one_way_out() {
    // The guard stands there; commands of the program speak to a relay that their user names.
    let doors = [
        "relay/src/deliver/send/connect.rs",
        "relay/src/deliver/send/resolve.rs",
    ];
    let calls = [
        "TcpStream::connect",
        "TcpSocket",
        "UdpSocket",
        "UnixStream",
        "lookup_host",
        "to_socket_addrs",
        "hyper_util::client",
    ];
    for path in sources("relay/src") {
        let place = shown(&path);
        if doors.contains(&place.as_str()) || place.starts_with("relay/src/cli/") || is_test(&path) {
            continue;
        }
        let source = read(&path);
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        // A pair of sockets leads to the relay's own child, and nowhere else.
        let has_pair = place.starts_with("relay/src/plugins/worker/");
        for call in calls {
            let call = match call {
                "UnixStream" if has_pair => "UnixStream::connect",
                call => call,
            };
            assert!(
                !code.contains(call),
                "{place} uses {call}: all that goes out passes the guard"
            );
        }
    }
}

#[test]
fn files_are_small_enough_to_read() {
    for path in sources("relay/src") {
        let lines = read(&path).lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines; up to {LINES_MAX} are fine",
            shown(&path)
        );
    }
}

#[test]
fn names_say_what_is_inside() {
    for path in files(&root(), &["rs"]) {
        for part in path.strip_prefix(root()).unwrap_or(&path).components() {
            let name = part.as_os_str().to_string_lossy();
            assert!(
                !DRAWERS.contains(&name.trim_end_matches(".rs")),
                "{}",
                shown(&path)
            );
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    for path in files(&root(), &["rs", "wit", "toml", "md", "sql"]) {
        let text = read(&path);
        for word in LEFTOVERS {
            assert!(!text.contains(word), "{} contains {word}", shown(&path));
        }
    }
}

#[test]
fn every_page_of_the_documentation_can_be_reached() {
    let pages = files(&root().join("docs"), &["md"]);
    assert!(!pages.is_empty(), "there is documentation");
    let mut from = files(&root().join("docs"), &["md"]);
    from.push(root().join("README.md"));
    for page in pages {
        let name = page
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let is_linked = from.iter().filter(|other| **other != page).any(|other| {
            read(other).contains(&format!("{name})")) || read(other).contains(&format!("{name}#"))
        });
        assert!(is_linked, "nothing links to {}", shown(&page));
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages = files(&root(), &["md"]);
    pages.retain(|page| !shown(page).starts_with("target"));
    for page in pages {
        let text = read(&page);
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = page.parent().unwrap_or(&page).join(target);
            assert!(
                path.exists(),
                "{} links to {target}, which is not there",
                shown(&page)
            );
        }
    }
}

/// Whether a word is the name of a capability, such as `m19`.
fn is_capability(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && !letters.as_str().is_empty()
        && letters.all(|c| c.is_ascii_digit())
}

/// The capabilities that the page lists.
fn listed_capabilities() -> BTreeSet<String> {
    let page = read(&root().join("docs/capabilities.md"));
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut listed = BTreeSet::new();
    for (name, _) in rows {
        assert!(is_capability(name), "{name:?} is no name of a capability");
        assert!(listed.insert(name.to_owned()), "{name} is listed twice");
    }
    assert!(listed.len() > 50, "only {} were found", listed.len());
    listed
}

/// The capabilities that names of tests begin with.
fn proved_capabilities() -> BTreeSet<String> {
    let mut proved = BTreeSet::new();
    for path in sources("tests/tests") {
        let source = read(&path);
        let mut lines = source.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if !(line.starts_with("#[tokio::test") || line == "#[test]") {
                continue;
            }
            let name = lines
                .by_ref()
                .find_map(|line| line.split_once("fn ")?.1.split_once('('))
                .map_or("", |(name, _)| name);
            let words = name.split('_').take_while(|word| is_capability(word));
            proved.extend(words.map(str::to_owned));
        }
    }
    proved
}

#[test]
fn every_capability_has_a_test_of_its_name_and_is_listed() {
    let (listed, proved) = (listed_capabilities(), proved_capabilities());
    let only_in = |these: &BTreeSet<String>, those: &BTreeSet<String>| -> Vec<String> {
        these.difference(those).cloned().collect()
    };
    let unproved = only_in(&listed, &proved);
    assert!(
        unproved.is_empty(),
        "no test is named after {}; docs/capabilities.md says that there is",
        unproved.join(", ")
    );
    let unlisted = only_in(&proved, &listed);
    assert!(
        unlisted.is_empty(),
        "docs/capabilities.md does not say what {} is; tests are named after it",
        unlisted.join(", ")
    );
}
