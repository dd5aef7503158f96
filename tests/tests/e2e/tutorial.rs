//! The tutorial for plugin authors, run as it is written: its commands, its code, and what it says
//! that they show.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use relay_tests::binary;
use relay_tests::output::Output;
use relay_tests::recipes::{self, Block};
use relay_tests::wait::{eventually, within};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The part that is followed from its beginning to its end.
const BEGINNING: &str = "## A plugin from nothing";
const END: &str = "## The folder of a plugin";
/// How long a command may take that builds on a busy machine.
const COMMAND_MAX: Duration = Duration::from_secs(240);
/// What Rust's tools have to be told.
const TOOLS: [&str; 3] = ["HOME", "CARGO_HOME", "RUSTUP_HOME"];
/// The plugin that is made.
const SOURCE: &str = "only-paid/src/lib.rs";
/// Addresses of the page, in whose place free ones are used.
const PORTS: [&str; 2] = ["8080", "9000"];
/// What needs the world outside, has no end, or another version at hand; another test has it.
const LEFT_OUT: [&str; 7] = [
    "rustup ",
    "--watch",
    "--shadow",
    "--canary",
    "plugin rollout",
    "plugin promote",
    "plugin rollback",
];

/// Someone who does what the page says.
struct Reader {
    folder: PathBuf,
    variables: Vec<(String, String)>,
    /// What the page's addresses are here.
    ports: [u16; 2],
    /// What was started with `&`, and what it prints.
    started: Vec<(Child, Output)>,
    /// What the last commands said.
    said: String,
    /// The code as it is now.
    code: String,
}

impl Reader {
    fn new() -> Self {
        // The same in every run, so that what plugins stand on is built once.
        let folder = binary::shared_folder().join("plugin-loop").join("tutorial");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("folders can be removed");
        }
        std::fs::create_dir_all(&folder).expect("folders can be made");
        let ports = [free_port(), free_port()];
        let shared = |name: &str| binary::shared_folder().join(name).display().to_string();
        let programs = binary::path().parent().expect("a program is in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut variables: Vec<(String, String)> = [
            ("PATH", format!("{}:{path}", programs.display())),
            ("CARGO_TARGET_DIR", shared("plugin-loop-target")),
            ("RELAY_URL", format!("http://127.0.0.1:{}", ports[0])),
            ("RELAY_SERVER__LISTEN", format!("127.0.0.1:{}", ports[0])),
            ("RELAY_PLUGINS__CACHE", shared("plugins")),
            // A machine that runs tests is busy: a plugin's share of it may come late.
            ("RELAY_PLUGINS__LIMITS__TIMEOUT", "5s".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for name in TOOLS {
            variables.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        Self {
            folder,
            variables,
            ports,
            started: Vec::new(),
            said: String::new(),
            code: String::new(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn here(&self, text: &str) -> String {
        let ports = PORTS.iter().zip(self.ports);
        ports.fold(text.to_owned(), |text, (page, here)| {
            text.replace(page, &here.to_string())
        })
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .env_clear()
            .envs(self.variables.iter().cloned())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        shell
    }

    /// Runs a command to its end; whether it went well.
    async fn run(&mut self, command: &str) -> bool {
        let output = timeout(COMMAND_MAX, self.shell(command).output()).await;
        let output = output.expect("it ends in time").expect("there is a shell");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.said.push_str(&text(&output.stdout));
        self.said.push_str(&text(&output.stderr));
        output.status.success()
    }

    /// The same, of what has to go well.
    async fn done(&mut self, command: &str) {
        assert!(self.run(command).await, "{command}: {}", self.said);
    }

    /// Starts what goes on beside the rest, and waits until it takes connections.
    async fn start(&mut self, command: &str) {
        let mut child = self
            .shell(&format!("exec {command}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("there is a shell");
        let said = Output::of(child.stdout.take().expect("it is piped"));
        self.started.push((child, said));
        let port = self.ports[usize::from(command.contains("listen"))];
        let look = || async {
            TcpStream::connect(("127.0.0.1", port))
                .await
                .map_err(|error| error.to_string())
        };
        drop(eventually(command, look).await);
    }

    /// Follows a block of commands.
    async fn follow(&mut self, block: &str) {
        self.said.clear();
        for line in self.here(&block.replace("\\\n", " ")).lines() {
            if LEFT_OUT.iter().any(|word| line.contains(word)) {
                continue;
            }
            if let Some(set) = line.strip_prefix("export ") {
                let (name, value) = set.split_once('=').expect("a name and a value");
                self.variables.push((name.to_owned(), value.to_owned()));
            } else if let Some(command) = line.strip_suffix(" &") {
                self.start(command).await;
            } else if line.ends_with("/v1/deliveries") {
                self.wait_for_deliveries(line).await;
            } else {
                self.done(&patient(line)).await;
            }
        }
    }

    /// Asks until the log shows what the page says of it.
    async fn wait_for_deliveries(&mut self, command: &str) {
        let shows =
            |said: &str| said.contains("\"succeeded\"") && said.contains("dropped by only-paid: not paid");
        let shell = || self.shell(command).output();
        let look = || async {
            let output = shell().await.expect("there is a shell");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if shows(&said) { Ok(said) } else { Err(said) }
        };
        self.said = eventually("both deliveries", look).await;
        let (_, listener) = &self.started[0];
        let received = within(
            "the order",
            listener.find(|line| line.contains("handled_by").then_some(())),
        );
        received.await.expect("the order came");
        assert!(!listener.text().contains("4111"), "{}", listener.text());
    }

    /// Takes over code of the page: the first is what is there already.
    fn take_over(&mut self, code: &str) {
        let path = self.path(SOURCE);
        let present = std::fs::read_to_string(&path).expect("the plugin is there");
        if self.code.is_empty() {
            assert!(
                present.contains(code),
                "the template is not what the page shows: {present}"
            );
        } else {
            std::fs::write(&path, present.replace(&self.code, code)).expect("files can be written");
        }
        code.clone_into(&mut self.code);
    }

    /// Runs fixtures that do not hold any more.
    async fn fail(&mut self) {
        self.said.clear();
        assert!(
            !self.run(&patient("relay plugin test only-paid")).await,
            "{}",
            self.said
        );
    }

    /// Mends the fixtures as the page says, and runs them natively as well.
    async fn bless(&mut self) {
        self.said.clear();
        self.done(&patient("relay plugin test only-paid --bless")).await;
        self.done(&patient("relay plugin test only-paid")).await;
        self.done("cd only-paid && cargo test --offline").await;
        assert!(self.said.contains("test tests::fixtures ... ok"), "{}", self.said);
    }

    /// Holds what was said against what the page shows, numbers aside.
    fn compare(&self, shown: &str) {
        let said = without_numbers(&self.said);
        for line in shown.lines().map(without_numbers) {
            assert!(said.contains(line.trim()), "{line} is not in {said}");
        }
    }
}

/// A plugin's share of a busy machine may come late.
fn patient(command: &str) -> String {
    match command.starts_with("relay plugin test") {
        true => format!("{command} --timeout 5s"),
        false => command.to_owned(),
    }
}

fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '0'..='9' | '.' if plain.ends_with('#') => {}
            '0'..='9' => plain.push('#'),
            _ => plain.push(letter),
        }
    }
    plain
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

/// The file that a block is, by the line before it.
fn file(block: &Block<'_>) -> Option<String> {
    let named = block.before.strip_suffix("`:")?;
    let (_, name) = named.rsplit_once('`')?;
    Some(name.to_owned())
}

#[tokio::test]
async fn the_tutorial_does_what_it_says() {
    let page = recipes::page("writing-plugins.md");
    let part = page.split(BEGINNING).nth(1).expect("it begins");
    let part = part.split(END).next().expect("it ends");
    let mut reader = Reader::new();
    let (mut commands, mut compared) = (0, 0);
    for block in recipes::blocks(part) {
        match (block.language, file(&block)) {
            ("sh", _) => {
                reader.follow(block.text).await;
                commands += 1;
            }
            ("rust", _) => reader.take_over(block.text),
            (_, Some(name)) => {
                let text = reader.here(block.text);
                std::fs::write(reader.path(&name), text).expect("files can be written");
            }
            ("" | "json", None) => {
                let has_failed = block.text.starts_with("FAILED");
                if has_failed {
                    reader.fail().await;
                }
                reader.compare(block.text);
                compared += 1;
                if has_failed {
                    reader.bless().await;
                }
            }
            // How the operator would have it.
            (_, None) => {}
        }
    }
    assert!(
        commands >= 8 && compared >= 4,
        "{commands} blocks of commands, {compared} of what they show"
    );
    assert!(Path::exists(&reader.path("plugins/only-paid.wasm")));
}
