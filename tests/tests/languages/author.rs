//! What an author of plugins in Python meets: templates that work at once, and errors that help.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use relay_tests::{binary, languages};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Desk {
    folder: TempDir,
    path: OsString,
}

impl Desk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            path: languages::path_with_python(),
        }
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .output()
            .expect("it can be run")
    }

    fn relay(&self, arguments: &[&str]) -> Output {
        self.run(binary::path(), arguments)
    }

    /// What a command says that has to go well.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.relay(arguments);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}:\n{out}{error}");
        out
    }

    /// What a command says that has to fail.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.relay(arguments);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{arguments:?}: {}",
            text(&output.stdout)
        );
        text(&output.stderr)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).expect("files can be written");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// All are tried as Python, where a test takes no time; a component takes half a minute to build and to
/// compile, so that the tutorial's and two others stand for all.
#[test]
fn every_hook_has_a_template_in_python_whose_tests_pass() {
    let desk = Desk::new();
    for hook in ["transform", "filter", "authenticate", "respond"] {
        let name = format!("a-{hook}");
        desk.done(&["plugin", "new", &name, "--lang", "python", "--hook", hook]);
        let native = Command::new("python3")
            .args(["-m", "unittest"])
            .current_dir(desk.folder.path().join(&name))
            .output()
            .expect("Python can be run");
        assert!(native.status.success(), "{}", text(&native.stderr));
    }
    for (hook, count, powers) in [
        ("authenticate", 2, &["crypto", "secrets"][..]),
        ("respond", 1, &[]),
    ] {
        let name = format!("a-{hook}");
        // Found beside the plugin, too.
        let report = parsed(&desk.done(&["plugin", "test", &name, "--timeout", "5s", "--json"]));
        let fixtures = report["fixtures"].as_array().map_or(0, Vec::len);
        assert_eq!(
            (fixtures, &report["failed"], &report["uncovered_hooks"]),
            (count, &json!(0), &json!([])),
            "{report}"
        );
        let shown = parsed(&desk.done(&["plugin", "inspect", &format!("{name}/{name}.wasm"), "--json"]));
        let manifest = &shown["manifest"];
        assert_eq!(shown["hooks"][hook], true, "{shown}");
        assert_eq!(
            (&manifest["name"], &manifest["reuse"]),
            (&json!(name), &json!(true)),
            "{shown}"
        );
        assert_eq!(manifest["sdk"], "python 0.1", "{shown}");
        let mut asked: Vec<_> = shown["powers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|power| !["types", "call", "payload", "log", "config"].contains(power))
            .collect();
        asked.sort_unstable();
        assert_eq!(asked, powers, "{shown}");
    }
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let desk = Desk::new();
    desk.done(&["plugin", "new", "tidy", "--lang", "python"]);
    let nowhere = Desk {
        folder: tempfile::tempdir().expect("a temporary folder"),
        path: "/nowhere".into(),
    };
    let tidy = desk.folder.path().join("tidy").display().to_string();
    let said = nowhere.refused(&["plugin", "build", &tidy]);
    let words = "componentize-py is not installed; run: pip install componentize-py==0.25.1";
    assert!(said.contains(words), "{said}");

    for (source, words) in [
        (
            "import nothere\n\ndef transform(event):\n    return None\n",
            &["File \"plugin.py\", line 1", "No module named 'nothere'"][..],
        ),
        (
            "def transform(event)\n    return None\n",
            &["plugin.py", "SyntaxError"],
        ),
        (
            "def transform(a, b, c):\n    return None\n",
            &["transform takes 3 arguments"],
        ),
        (
            "from relay_sdk import config\nMINE = config.get(\"/a\")\n\ndef transform(event):\n    return None\n",
            &["while the plugin is built"],
        ),
        ("def other(event):\n    return None\n", &["has no hook"]),
    ] {
        desk.write("tidy/plugin.py", source);
        let said = desk.refused(&["plugin", "build", "tidy"]);
        for words in words {
            assert!(said.contains(words), "{words:?} is not in: {said}");
        }
        assert!(!said.contains("Stack backtrace"), "{said}");
    }
    desk.write("tidy/plugin.py", "def transform(event):\n    return None\n");
    desk.write(
        "tidy/plugin.toml",
        "language = \"python\"\npowers = [\"teleport\"]\n",
    );
    let said = desk.refused(&["plugin", "build", "tidy"]);
    assert!(
        said.contains("powers names \"teleport\"; known: secrets"),
        "{said}"
    );
    desk.write("tidy/plugin.toml", "language = \"python\"\nhook = \"filter\"\n");
    let said = desk.refused(&["plugin", "build", "tidy"]);
    assert!(said.contains("plugin.toml cannot be used"), "{said}");
}
