//! A mail server on a loopback address: a strict reader of RFC 5321 that takes mail down and answers
//! as it was told. Whoever breaks the rules gets 500 and the connection closed, and
//! [`MailServer::received`] says so.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::receiver::tls::Certificate;
use crate::wait::eventually;

/// Longest line, in bytes, its end included (section 4.5.3.1.6).
const LINE_BYTES_MAX: usize = 1000;

/// A mail that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// As it was written, without the dots that were added.
    pub text: String,
    pub was_encrypted: bool,
}

impl Mail {
    /// A header in one line; empty if there is none.
    pub fn header(&self, wanted: &str) -> String {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut headers = head.split("\r\n").filter_map(|line| line.split_once(": "));
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    }

    /// What stands behind the head, as it was written.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// When TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte on.
    Implicit,
    /// Once it is asked for; nothing else is taken before.
    StartTls,
}

/// How a server is.
#[derive(Default)]
pub struct Manner {
    tls: Option<(Tls, TlsAcceptor)>,
    /// User and password that it wants.
    login: Option<(String, String)>,
    /// What it says to whole mails, one after the other; 250 after that.
    replies: Vec<&'static str>,
    /// A recipient that there is not.
    unknown: Option<&'static str>,
    /// What it says behind its answer to STARTTLS, in the clear.
    injects: &'static str,
}

impl Manner {
    /// Speaks TLS with that certificate.
    #[must_use]
    pub fn tls(self, tls: Tls, certificate: &Certificate) -> Self {
        Self {
            tls: Some((tls, certificate.acceptor())),
            ..self
        }
    }

    /// Takes mail only from this user.
    #[must_use]
    pub fn login(self, user: &str, password: &str) -> Self {
        Self {
            login: Some((user.to_owned(), password.to_owned())),
            ..self
        }
    }

    /// Says this to whole mails, one after the other.
    #[must_use]
    pub fn replies(self, replies: &[&'static str]) -> Self {
        Self {
            replies: replies.to_vec(),
            ..self
        }
    }

    /// Does not know that recipient.
    #[must_use]
    pub fn unknown(self, address: &'static str) -> Self {
        Self {
            unknown: Some(address),
            ..self
        }
    }

    /// Says more behind its answer to STARTTLS, as somebody on the way may.
    #[must_use]
    pub fn injecting(self, words: &'static str) -> Self {
        Self {
            injects: words,
            ..self
        }
    }

    /// Starts a server of this manner.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(self) -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                replies: self.replies.iter().copied().collect(),
                ..State::default()
            }),
            manner: self,
        });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        MailServer {
            address,
            shared,
            accepting,
        }
    }
}

/// A mail server that runs; gone when it is dropped.
pub struct MailServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    manner: Manner,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    replies: VecDeque<&'static str>,
    /// Those that were taken.
    mails: Vec<Mail>,
    /// Whole mails, taken or not.
    offered: usize,
    /// How the rules were broken.
    broken: Vec<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailServer {
    /// Takes everything, in the clear.
    pub async fn start() -> Self {
        Manner::default().start().await
    }

    /// A `[mail]` that has a relay send by it to `acme.example`, and what else it says.
    pub fn section(&self, settings: &str) -> String {
        let tls = match &self.shared.manner.tls {
            None => "none",
            Some((Tls::Implicit, _)) => "implicit",
            Some((Tls::StartTls, _)) => "starttls",
        };
        format!(
            "[mail]\nserver = \"{}\"\ntls = \"{tls}\"\nfrom = \"Relay <relay@relay.example>\"\n\
             recipients = [\"acme.example\"]\n{settings}\n",
            self.address
        )
    }

    /// Whole mails that it was offered, taken or not.
    pub fn offered(&self) -> usize {
        self.shared.lock().offered
    }

    /// Waits until it has taken so many mails, and returns all that it has.
    ///
    /// # Panics
    /// If they do not come in time, or the rules were broken.
    pub async fn received(&self, count: usize) -> Vec<Mail> {
        eventually(&format!("{count} mails"), || async {
            let state = self.shared.lock().clone();
            assert_eq!(state.broken, [""; 0], "the rules of SMTP were broken");
            match state.mails.len() >= count {
                true => Ok(state.mails),
                false => Err(state),
            }
        })
        .await
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Why a conversation ended.
enum End {
    Over,
    /// TLS comes next.
    Encrypt,
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let ended = conversation(stream, &shared).await;
    // A client may go whenever it likes; what it says has to be in order.
    if let Err(error) = ended
        && error.kind() == io::ErrorKind::InvalidData
    {
        shared.lock().broken.push(error.to_string());
    }
}

async fn conversation(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    match &shared.manner.tls {
        None => Session::new(&mut stream, shared, false).run(true).await.map(drop),
        Some((Tls::Implicit, acceptor)) => {
            let mut stream = acceptor.accept(stream).await?;
            Session::new(&mut stream, shared, true).run(true).await.map(drop)
        }
        Some((Tls::StartTls, acceptor)) => {
            let ended = Session::new(&mut stream, shared, false).run(true).await?;
            if let End::Over = ended {
                return Ok(());
            }
            let mut stream = acceptor.accept(stream).await?;
            Session::new(&mut stream, shared, true).run(false).await.map(drop)
        }
    }
}

struct Session<'a> {
    io: BufReader<&'a mut dyn Wire>,
    shared: &'a Shared,
    is_encrypted: bool,
    said_hello: bool,
    is_let_in: bool,
    mail: Option<Mail>,
}

impl<'a> Session<'a> {
    fn new(stream: &'a mut dyn Wire, shared: &'a Shared, is_encrypted: bool) -> Self {
        Self {
            io: BufReader::new(stream),
            shared,
            is_encrypted,
            said_hello: false,
            is_let_in: shared.manner.login.is_none(),
            mail: None,
        }
    }

    async fn run(mut self, greets: bool) -> io::Result<End> {
        if greets {
            self.say("220 mail.acme.example ESMTP").await?;
        }
        loop {
            let Some(line) = self.line().await? else {
                return Ok(End::Over);
            };
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" if !rest.is_empty() => self.hello().await?,
                "STARTTLS" if self.said_hello && self.asks_for_tls() => {
                    let injects = self.shared.manner.injects;
                    self.io
                        .write_all(format!("220 go on\r\n{injects}").as_bytes())
                        .await?;
                    self.io.flush().await?;
                    if !self.io.buffer().is_empty() {
                        return Err(broken("something stood behind STARTTLS"));
                    }
                    return Ok(End::Encrypt);
                }
                "QUIT" => {
                    self.say("221 bye").await?;
                    return Ok(End::Over);
                }
                "AUTH" if self.said_hello => self.login(rest).await?,
                _ if !self.said_hello || self.asks_for_tls() || !self.is_let_in => {
                    self.say("530 5.7.0 not yet").await?;
                }
                "MAIL" if self.mail.is_none() => self.begin(rest).await?,
                "RCPT" if self.mail.is_some() => self.address(rest).await?,
                "DATA" if self.mail.as_ref().is_some_and(|mail| !mail.to.is_empty()) => self.data().await?,
                _ => {
                    self.say("503 5.5.1 not now").await?;
                    return Err(broken(&format!("{line:?} was out of order")));
                }
            }
        }
    }

    fn asks_for_tls(&self) -> bool {
        !self.is_encrypted && self.shared.manner.tls.is_some()
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.io.write_all(format!("{text}\r\n").as_bytes()).await?;
        self.io.flush().await
    }

    /// One line, without its end; `None` at the end of the connection.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        self.io.read_until(b'\n', &mut bytes).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let is_too_long = bytes.len() > LINE_BYTES_MAX;
        let line = String::from_utf8(bytes).map_err(|_| broken("a line was not in UTF-8"))?;
        match line.strip_suffix("\r\n") {
            Some(line) if !is_too_long && !line.contains(['\r', '\n', '\0']) => Ok(Some(line.to_owned())),
            _ => Err(broken(&format!("{line:?} is no line"))),
        }
    }

    async fn hello(&mut self) -> io::Result<()> {
        self.said_hello = true;
        self.mail = None;
        self.say("250-mail.acme.example").await?;
        if self.asks_for_tls() {
            return self.say("250 STARTTLS").await;
        }
        if self.shared.manner.login.is_some() {
            self.say("250-AUTH PLAIN").await?;
        }
        self.say("250 8BITMIME").await
    }

    async fn login(&mut self, rest: &str) -> io::Result<()> {
        let wanted = self.shared.manner.login.as_ref();
        let wanted = wanted.map(|(user, password)| STANDARD.encode(format!("\0{user}\0{password}")));
        let given = rest.strip_prefix("PLAIN ");
        self.is_let_in = given.is_some() && given == wanted.as_deref();
        match self.is_let_in {
            true => self.say("235 2.7.0 welcome").await,
            false => self.say("535 5.7.8 who are you").await,
        }
    }

    async fn begin(&mut self, rest: &str) -> io::Result<()> {
        let from = path(rest, "FROM:")?;
        self.mail = Some(Mail {
            from,
            to: Vec::new(),
            text: String::new(),
            was_encrypted: self.is_encrypted,
        });
        self.say("250 2.1.0 ok").await
    }

    async fn address(&mut self, rest: &str) -> io::Result<()> {
        let to = path(rest, "TO:")?;
        if self.shared.manner.unknown == Some(to.as_str()) {
            return self.say("550 5.1.1 there is nobody of that name").await;
        }
        if let Some(mail) = &mut self.mail {
            mail.to.push(to);
        }
        self.say("250 2.1.5 ok").await
    }

    async fn data(&mut self) -> io::Result<()> {
        self.say("354 go on").await?;
        let mut text = String::new();
        loop {
            let Some(line) = self.line().await? else {
                return Ok(());
            };
            if line == "." {
                break;
            }
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push_str("\r\n");
        }
        let reply = {
            let mut state = self.shared.lock();
            state.offered += 1;
            let reply = state.replies.pop_front().unwrap_or("250 2.0.0 it is on its way");
            let mail = self.mail.take().map(|mail| Mail { text, ..mail });
            state.mails.extend(mail.filter(|_| reply.starts_with('2')));
            reply
        };
        self.say(reply).await
    }
}

/// The address in `FROM:<address>`, whatever parameters stand behind it.
fn path(rest: &str, word: &str) -> io::Result<String> {
    let path = rest.strip_prefix(word).and_then(|rest| rest.strip_prefix('<'));
    let address = path
        .and_then(|path| path.split_once('>'))
        .map(|(address, _)| address);
    let address = address.filter(|address| address.contains('@'));
    address
        .map(str::to_owned)
        .ok_or_else(|| broken(&format!("{rest:?} names nobody")))
}

fn broken(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}
