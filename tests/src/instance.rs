//! A relay that runs as a process of its own, on a port and a store of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::binary;
use crate::client::{self, Answer};
use crate::output::Output;
use crate::secrets::Secrets;
use crate::wait::{eventually, within};

/// The admin key that every relay under test has.
pub const ADMIN_KEY: &str = "rk_0123456789abcdef0123456789abcdef";

/// Where a relay's standard output goes.
const PRINTED: &str = "printed.txt";

/// A relay to be started: its configuration file and what overrides it from outside.
///
/// Where it listens, what it may reach and where it keeps things comes in by environment
/// variables, so that a test's file holds only what the test is about.
#[derive(Debug)]
pub struct Setup {
    home: TempDir,
    variables: BTreeMap<String, String>,
    /// What must not be shown.
    secrets: Secrets,
}

impl Setup {
    /// A relay with this configuration file, which may reach loopback addresses by plain HTTP.
    ///
    /// # Panics
    /// If there is no place for temporary files.
    pub fn new(config: &str) -> Self {
        let home = TempDir::with_prefix("relay-test-").expect("a temporary folder can be made");
        let store = format!("sqlite:{}", home.path().join("relay.db").display());
        let cache = binary::shared_folder().join("plugins");
        let setup = Self {
            home,
            variables: BTreeMap::new(),
            secrets: Secrets::default(),
        }
        .variable("RELAY_SERVER__LISTEN", "127.0.0.1:0")
        .variable("RELAY_SERVER__ADMIN_KEY", ADMIN_KEY)
        .variable("RELAY_STORE__URL", &store)
        .variable("RELAY_OUTBOUND__HTTPS_ONLY", "false")
        .variable("RELAY_OUTBOUND__ALLOW_NETWORKS", r#"["127.0.0.0/8"]"#)
        .variable("RELAY_PLUGINS__CACHE", &cache.display().to_string())
        // A machine that runs tests is busy: a plugin's share of it may come late.
        .variable("RELAY_PLUGINS__LIMITS__TIMEOUT", "5s")
        // So that whatever could be said is searched for secrets.
        .variable("RELAY_LOG__LEVEL", "trace");
        setup.secrets.add(ADMIN_KEY, "the admin key");
        setup.file("relay.toml", config);
        setup
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Takes away an environment variable that [`Setup::new`] set.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// Where the relay runs and keeps its store.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into the relay's folder, whole or not at all for whoever watches.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
        let draft = path.with_extension("draft");
        std::fs::write(&draft, content).expect("files can be written");
        std::fs::rename(&draft, &path).expect("files can be renamed");
        path
    }

    /// What must not be shown.
    pub const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Notes the secrets of the configuration as it is now.
    fn note_secrets(&self) {
        let file = |path: &str| std::fs::read_to_string(self.home().join(path)).ok();
        let variable = |name: &str| self.variables.get(name).cloned();
        let text = file("relay.toml").unwrap_or_default();
        self.secrets.add_config(&text, variable, file);
        for (name, text) in &self.variables {
            self.secrets.add_variable(name, text, variable, file);
        }
        if let Some(key) = file("relay.db.master-key") {
            self.secrets.add(&key, "the relay's own master key");
        }
    }

    /// Runs a command of the program to its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(&[], arguments).await
    }

    async fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let running = self.process(arguments).envs(variables.iter().copied()).output();
        let output = within("the end of the command", running).await;
        let output = output.expect("the relay can be run");
        self.note_secrets();
        for said in [&output.stderr, &output.stdout] {
            self.secrets.check(said, &format!("what {arguments:?} said"));
        }
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts the relay; it answers requests when this returns.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(self) -> Relay {
        let process = Process::start(&self).await;
        self.note_secrets();
        Relay { setup: self, process }
    }

    /// A command of the program, to be run as the caller likes; killed when it is dropped.
    pub fn process(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary::path());
        command
            .args(arguments)
            .env_clear()
            .env("TMPDIR", self.home())
            .env("RELAY_CONFIG", self.home().join("relay.toml"))
            .envs(&self.variables)
            .current_dir(self.home())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The process; killed when it is dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Output,
    address: SocketAddr,
}

impl Process {
    async fn start(setup: &Setup) -> Self {
        let (child, log) = Self::spawn(setup);
        let address = within("the relay's start", log.find(listening_address)).await;
        let Some(address) = address else {
            panic!("the relay did not start:\n{}", log.text())
        };
        Self { child, log, address }
    }

    fn spawn(setup: &Setup) -> (Child, Output) {
        let mut command = setup.process(&["serve"]);
        let printed = std::fs::File::create(setup.home().join(PRINTED)).expect("files can be made");
        let mut child = command
            .stdout(printed)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the relay can be run");
        let log = Output::of(child.stderr.take().expect("its standard error is piped"));
        (child, log)
    }
}

/// Interrupts a command, as Ctrl-C does.
pub fn interrupt(child: &Child) {
    send_signal(child, libc::SIGINT);
}

/// A child that has ended is left alone.
fn send_signal(child: &Child, signal: libc::c_int) {
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else {
        return;
    };
    #[expect(
        unsafe_code,
        reason = "sends a signal to a child that has not been waited for"
    )]
    // SAFETY: `kill` touches no memory of ours, and the child still owns its number.
    let sent = unsafe { libc::kill(pid, signal) };
    assert_eq!(sent, 0, "a child can be sent a signal");
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on http")?;
    let rest = rest.trim_start_matches('s').strip_prefix("://")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// What the system may allow a relay less of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of one file.
    FileSize,
    /// Open files and connections.
    OpenFiles,
}

/// A relay that runs.
#[derive(Debug)]
pub struct Relay {
    setup: Setup,
    process: Process,
}

impl Relay {
    /// Starts a relay with this configuration file.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(config: &str) -> Self {
        Setup::new(config).start().await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// What it was started with.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.log.text()
    }

    /// What it has printed on its standard output since it was started.
    ///
    /// # Panics
    /// If that cannot be read.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.setup.home().join(PRINTED)).expect("what was printed can be read")
    }

    /// Runs a command of the program that talks to this relay, with that key, to its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn command(&self, key: &str, arguments: &[&str]) -> Ended {
        let url = format!("http://{}", self.address());
        self.setup
            .run_with(&[("RELAY_URL", &url), ("RELAY_KEY", key)], arguments)
            .await
    }

    /// Waits for a line of the log that contains `text`.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn logged(&self, text: &str) -> String {
        let find = self
            .process
            .log
            .find(|line| line.contains(text).then(|| line.to_owned()));
        let line = within(&format!("the log line {text:?}"), find).await;
        line.unwrap_or_else(|| panic!("the relay ended without the log line {text:?}"))
    }

    // ---- its life ----------------------------------------------------------------------

    /// Asks it to stop; [`Relay::stopped`] waits until it has.
    pub fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Gives it another configuration file and tells it so.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn reconfigure(&self, config: &str) {
        self.setup.file("relay.toml", config);
        self.setup.note_secrets();
        self.hang_up();
    }

    /// Tells it to read its configuration again.
    pub fn hang_up(&self) {
        self.signal(libc::SIGHUP);
    }

    /// Kills it without waiting for its end, which [`Relay::kill`] does.
    pub fn kill_now(&self) {
        self.signal(libc::SIGKILL);
    }

    fn signal(&self, signal: libc::c_int) {
        send_signal(&self.process.child, signal);
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it does not run.
    pub fn id(&self) -> u32 {
        self.process.child.id().expect("the relay runs")
    }

    /// Memory that it takes at present, in bytes.
    ///
    /// # Panics
    /// If it does not run.
    pub fn resident_bytes(&self) -> u64 {
        let pid = self.process.child.id().expect("the relay runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status can be read");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("the status tells it") << 10
    }

    /// Lowers what the system allows it, or raises that again as far as may be.
    ///
    /// # Panics
    /// If the system does not let us.
    pub fn limit(&self, limit: Limit, to: Option<u64>) {
        let Some(pid) = self.process.child.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return;
        };
        let resource = match limit {
            Limit::FileSize => libc::RLIMIT_FSIZE,
            Limit::OpenFiles => libc::RLIMIT_NOFILE,
        };
        let mut limits = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        #[expect(
            unsafe_code,
            reason = "reads and sets limits of a child that has not been waited for"
        )]
        // SAFETY: both structures live longer than the calls, and a null pointer is allowed.
        let set = unsafe {
            libc::prlimit(pid, resource, std::ptr::null(), &raw mut limits);
            limits.rlim_cur = to.unwrap_or(limits.rlim_max);
            libc::prlimit(pid, resource, &raw const limits, std::ptr::null_mut())
        };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }

    /// The lowest number that none of its open files has.
    ///
    /// # Panics
    /// If it does not run.
    pub fn lowest_free_descriptor(&self) -> u64 {
        let pid = self.process.child.id().expect("the relay runs");
        let is_open = |number: &u64| Path::new(&format!("/proc/{pid}/fd/{number}")).is_symlink();
        (0..).find(|number| !is_open(number)).expect("there is an end")
    }

    /// Waits until it has ended by itself, as it should: with exit code 0.
    ///
    /// # Panics
    /// If it does not end in time, or otherwise.
    pub async fn stopped(&mut self) {
        let status = within("the relay's end", self.process.child.wait())
            .await
            .expect("a child can be waited for");
        self.process.log.ended().await;
        assert_eq!(status.code(), Some(0), "{status}\n{}", self.log());
    }

    /// Stops it in order.
    ///
    /// # Panics
    /// If it does not end in time with exit code 0.
    pub async fn stop(&mut self) {
        self.terminate();
        self.stopped().await;
    }

    /// Kills it on the spot.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill(&mut self) {
        self.process.child.kill().await.expect("a child can be killed");
    }

    /// Starts it again on the same store, after [`Relay::stop`] or [`Relay::kill`].
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&mut self) {
        self.check_log();
        self.process = Process::start(&self.setup).await;
        self.setup.note_secrets();
    }

    /// Starts it again after [`Relay::kill`], and kills it so long after, ready or not.
    ///
    /// # Panics
    /// If it cannot be run or killed.
    pub async fn start_and_kill(&mut self, after: Duration) {
        let (mut child, _) = Process::spawn(&self.setup);
        tokio::time::sleep(after).await;
        child.kill().await.expect("a child can be killed");
    }

    fn check_log(&self) {
        self.setup.note_secrets();
        let secrets = self.setup.secrets();
        secrets.check(self.log().as_bytes(), "the relay's log");
        // One that never ran has printed nothing.
        let printed = std::fs::read(self.setup.home().join(PRINTED)).unwrap_or_default();
        secrets.check(&printed, "what the relay printed");
    }

    // ---- requests ----------------------------------------------------------------------

    /// Sends a request with these headers and nothing else.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body)
            .await
            .expect("the relay answers")
    }

    /// Sends a request to a relay that may be about to go.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> std::io::Result<Answer> {
        let address = self.address();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a valid request");
        let answer = within("an answer", client::call(address, request)).await?;
        self.check_answer(path, &answer);
        Ok(answer)
    }

    /// Two paths show secrets on purpose; what is posted to sources or was stored comes back.
    fn check_answer(&self, path: &str, answer: &Answer) {
        let shows = path.starts_with("/v1/keys") || path.contains("/secret");
        let secrets = &self.setup.secrets;
        if shows && answer.status < 300 {
            secrets.add_shown(&serde_json::from_slice(&answer.body).unwrap_or_default(), path);
        } else if !path.starts_with("/in/") && !path.ends_with("/payload") {
            secrets.check(&without_payload(&answer.body), &format!("the answer to {path}"));
        }
    }

    /// Sends a request as the admin.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {ADMIN_KEY}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        self.send(
            method,
            path,
            &headers,
            body.map_or_else(String::new, |body| body.to_string()),
        )
        .await
    }

    /// What stands at a path of the API.
    ///
    /// # Panics
    /// If it is not answered with 200 and JSON.
    pub async fn read(&self, path: &str) -> Value {
        let answer = self.admin(Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Posts a body to `/v1/events`, as it is.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn post_events(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let bearer = format!("Bearer {ADMIN_KEY}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        self.send(Method::POST, "/v1/events", &all, body).await
    }

    /// Posts one event and returns its id.
    ///
    /// # Panics
    /// If it is not accepted.
    pub async fn event(&self, kind: &str, data: Value) -> String {
        let body = json!({"type": kind, "data": data}).to_string();
        accepted(
            &self
                .post_events(&[("content-type", "application/json")], body)
                .await,
        )
    }

    /// Posts to a source.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn post_source(&self, name: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, &format!("/in/{name}"), headers, body)
            .await
    }

    // ---- the log -----------------------------------------------------------------------

    /// The deliveries of an event.
    ///
    /// # Panics
    /// If there is no such event.
    pub async fn deliveries(&self, event: &str) -> Vec<Value> {
        list(self.read(&format!("/v1/events/{event}")).await["deliveries"].take())
    }

    /// Waits until the only delivery of an event has that status.
    ///
    /// # Panics
    /// If it has not in time, or there is not exactly one.
    pub async fn delivery(&self, event: &str, status: &str) -> Value {
        self.delivery_that(event, status, |delivery| delivery["status"] == status)
            .await
    }

    /// Waits until the only delivery of an event is as wanted.
    ///
    /// # Panics
    /// If it is not in time, or there is not exactly one.
    pub async fn delivery_that(&self, event: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let is_so = &is_so;
        eventually(
            &format!("the delivery of {event} to be: {what}"),
            move || async move {
                let mut deliveries = self.deliveries(event).await;
                assert_eq!(deliveries.len(), 1, "{deliveries:?}");
                let delivery = deliveries.remove(0);
                if is_so(&delivery) {
                    Ok(delivery)
                } else {
                    Err(delivery)
                }
            },
        )
        .await
    }

    /// The attempts of a delivery, first to last.
    ///
    /// # Panics
    /// If there is no such delivery.
    pub async fn attempts(&self, delivery: &Value) -> Vec<Value> {
        let id = delivery["id"].as_str().expect("a delivery has an id");
        list(self.read(&format!("/v1/deliveries/{id}/attempts")).await["data"].take())
    }

    /// How many deliveries of an endpoint have that status, up to a page of them.
    ///
    /// # Panics
    /// If there is no such endpoint.
    pub async fn count(&self, endpoint: &str, status: &str) -> usize {
        let path = format!("/v1/deliveries?endpoint={endpoint}&status={status}&limit=250");
        list(self.read(&path).await["data"].take()).len()
    }

    /// What the receiver of an endpoint verifies with: the secret, and the public key.
    ///
    /// # Panics
    /// If there is no such endpoint.
    pub async fn secrets(&self, endpoint: &str) -> (Option<String>, Option<String>) {
        let answer = self.read(&format!("/v1/endpoints/{endpoint}/secret")).await;
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        (text("secret"), text("public_key"))
    }

    /// The secret of an endpoint that signs with one.
    ///
    /// # Panics
    /// If it has none.
    pub async fn secret(&self, endpoint: &str) -> String {
        self.secrets(endpoint)
            .await
            .0
            .expect("the endpoint signs with a secret")
    }
}

impl Drop for Relay {
    /// Shows the log of a relay whose test has failed.
    #[expect(clippy::print_stderr, reason = "the report of a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the relay's log ----\n{}", self.log());
        } else {
            self.check_log();
        }
    }
}

/// The id in the answer to an event that was accepted.
///
/// # Panics
/// If it was not.
pub fn accepted(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"]
        .as_str()
        .expect("an accepted event has an id")
        .to_owned()
}

/// An answer without the payload of an event, which is the sender's.
fn without_payload(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(mut event)) if event.contains_key("deliveries") => {
            event.remove("data");
            Value::Object(event).to_string().into_bytes()
        }
        _ => body.to_vec(),
    }
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        other => panic!("not a list: {other}"),
    }
}
