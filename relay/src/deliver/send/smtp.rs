//! Brings mail to the operator's server.
//!
//! Source: RFC 5321, RFC 3207 (STARTTLS), RFC 4954 (AUTH). The server is trusted by configuration:
//! neither the guard nor an egress proxy stands in between. A connection carries one mail: there are
//! few, and servers forget those who stay silent.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use url::Host;

use super::connect::shake_hands;
use super::resolve::Lookup;
use super::stream::{Io, Stream};
use super::{Answer, Outgoing, Sender};
use crate::deliver::address;
use crate::deliver::mail::mailto::Mailto;
use crate::deliver::mail::{Settings, Tls, letter};
use crate::deliver::outcome::Failure;
use crate::model::attempt::Cause;

/// Mails under way at once, of all endpoints: servers bound how many connections one client has.
const MAILS_MAX: usize = 8;
/// What a server says before TLS is there, in bytes.
const REPLY_BYTES_MAX: usize = 16 << 10;
/// How long a server is waited for after the mail is in its hands.
const GOODBYE_MAX: Duration = Duration::from_secs(5);
/// Stands for the greeting, which was read before TLS was there.
const GREETED: &[u8] = b"220 ready\r\n";

/// The operator's server.
#[derive(Debug)]
pub(super) struct Server {
    settings: Settings,
    lookup: Lookup,
    places: Arc<Semaphore>,
}

/// What a server made of something: its status and text.
type Said = (u16, String);

/// Why there is no mail: what the server said, or why it said nothing.
enum Stop {
    Said(Said),
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Server {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            lookup: Lookup::default(),
            places: Arc::new(Semaphore::new(MAILS_MAX)),
        }
    }

    fn hello(&self) -> ClientId {
        ClientId::Domain(self.settings.from.email.domain().to_owned())
    }

    /// The name that its certificate has to be valid for.
    fn name(&self) -> Result<ServerName<'static>, Failure> {
        match &self.settings.host {
            Host::Domain(name) => {
                address::server_name(name).map_err(|error| Failure::refused(error.to_string()))
            }
            Host::Ipv4(ip) => Ok(ServerName::IpAddress((*ip).into())),
            Host::Ipv6(ip) => Ok(ServerName::IpAddress((*ip).into())),
        }
    }
}

impl Sender {
    /// Hands a mail to the server; the answer's status is the server's code, its body the text.
    pub(super) async fn mail(&self, mailto: &Mailto, request: &Outgoing<'_>) -> Result<Answer, Failure> {
        let server = self.mail_server()?;
        let written = letter::write(
            &server.settings,
            mailto,
            request.headers,
            &request.body,
            self.clock.now(),
        );
        let (envelope, letter) = written?;
        // Never closed, so there is always a place in the end.
        let place = Arc::clone(&server.places).acquire_owned().await.ok();
        let said = async {
            let mut talk = self.be_let_in(server).await?;
            let sent = talk.send(&envelope, &letter).await;
            let response = sent.map_err(|error| stop(&error))?;
            let said = (response.code().into(), joined(response.message()));
            // The mail is the server's now, whatever comes of the goodbye.
            self.tasks.spawn(async move {
                tokio::time::timeout(GOODBYE_MAX, talk.quit()).await.ok();
                drop(place);
            });
            match response.code().severity {
                Severity::PositiveCompletion => Ok(said),
                _ => Err(Stop::Failed(no_answer())),
            }
        };
        match said.await {
            Ok(said) | Err(Stop::Said(said)) => answer(said),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }

    async fn be_let_in(&self, server: &Server) -> Result<AsyncSmtpConnection, Stop> {
        let tcp = self.reach_mail(server).await?;
        let stream = self.encrypt_mail(server, tcp).await?;
        greet(server, stream).await
    }

    /// A connection to the server, to see whether there is one.
    pub(super) async fn open_mail(&self) -> Result<TcpStream, Failure> {
        self.reach_mail(self.mail_server()?).await
    }

    /// Finds out whether the server lets the relay in, and sends nothing.
    pub(super) async fn try_mail(&self, tcp: TcpStream) -> Result<(), Failure> {
        let server = self.mail_server()?;
        let greeted = async { greet(server, self.encrypt_mail(server, tcp).await?).await };
        match greeted.await {
            Ok(mut talk) => {
                talk.quit().await.ok();
                Ok(())
            }
            Err(Stop::Failed(failure)) => Err(failure),
            Err(Stop::Said((status, text))) => Err(Failure::refused(format!(
                "the mail server does not let the relay in now: {status} {text}"
            ))),
        }
    }

    fn mail_server(&self) -> Result<&Server, Failure> {
        let server = self.mail.as_ref();
        server.ok_or_else(|| Failure::refused("this relay sends no mail"))
    }

    async fn reach_mail(&self, server: &Server) -> Result<TcpStream, Failure> {
        let Settings { host, port, .. } = &server.settings;
        let connecting = self.connector.connect_own(host, *port, &server.lookup);
        let limit = self.connector.timeout();
        let connected = tokio::time::timeout(limit, connecting).await;
        let connected = connected.unwrap_or_else(|_| {
            Err(Failure::new(
                Cause::Timeout,
                format!("no connection within {limit:?}"),
            ))
        });
        connected.map_err(|failure| failure.before("the mail server"))
    }

    async fn encrypt_mail(&self, server: &Server, mut tcp: TcpStream) -> Result<Talk, Stop> {
        let greeted = match server.settings.tls {
            Tls::None => return Ok(Talk::new(Stream::new(Io::Plain(tcp)), &[])),
            Tls::Implicit => &[][..],
            Tls::StartTls => {
                start_tls(&mut tcp, &server.hello()).await?;
                GREETED
            }
        };
        let mut config = (*self.connector.trust()?.config).clone();
        // What is negotiated there are versions of HTTP.
        config.alpn_protocols.clear();
        let shaken = shake_hands(tcp, &server.name()?, Arc::new(config)).await;
        let stream = shaken.map_err(|failure| failure.before("the mail server"))?;
        Ok(Talk::new(stream, greeted))
    }
}

/// Says who the relay is. What is wrong with that is no mail's fault, and the operator's to put
/// right: a refusal here is not for good.
async fn greet(server: &Server, stream: Talk) -> Result<AsyncSmtpConnection, Stop> {
    let greeting = async {
        let mut talk = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &server.hello()).await?;
        if let Some((user, password)) = &server.settings.login {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            talk.auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await?;
        }
        Ok(talk)
    };
    greeting.await.map_err(|error: smtp::Error| match stop(&error) {
        Stop::Said(said) => not_let_in(said),
        failed @ Stop::Failed(_) => failed,
    })
}

fn not_let_in((status, text): Said) -> Stop {
    match status {
        500.. => Stop::Failed(Failure::refused(format!(
            "the mail server does not let the relay in: {status} {text}"
        ))),
        _ => Stop::Said((status, text)),
    }
}

/// What an error of the conversation means.
fn stop(error: &smtp::Error) -> Stop {
    let source = std::error::Error::source(error);
    let text = source.map_or_else(|| error.to_string(), ToString::to_string);
    if let Some(code) = error.status() {
        let status = u16::from(code);
        // Asked for a password that it was not given (RFC 4954).
        return match status {
            530 => not_let_in((status, text)),
            _ => Stop::Said((status, text)),
        };
    }
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    Stop::Failed(match io {
        Some(error) => broken_off(error),
        None if error.is_client() => Failure::refused(format!("the mail server cannot take it: {text}")),
        None => no_answer(),
    })
}

fn broken_off(error: &io::Error) -> Failure {
    Failure::new(
        Cause::Reset,
        format!("the connection to the mail server ended before its answer: {error}"),
    )
}

fn no_answer() -> Failure {
    Failure::new(Cause::Protocol, "what the mail server said is no answer of SMTP")
}

fn answer((status, text): Said) -> Result<Answer, Failure> {
    Ok(Answer {
        status: StatusCode::from_u16(status).map_err(|_| no_answer())?,
        headers: HeaderMap::new(),
        body: text.into_bytes(),
    })
}

fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

/// Asks for TLS. Nothing may be left of what was said in the clear: somebody on the way may have
/// added it, to be taken for what the server says later.
async fn start_tls(tcp: &mut TcpStream, hello: &ClientId) -> Result<(), Stop> {
    expect(tcp, 220).await?;
    let offered = ask(tcp, &format!("EHLO {hello}\r\n"), 250).await?;
    if !offered.lines().any(|line| line.eq_ignore_ascii_case("STARTTLS")) {
        let reason = "the mail server offers no STARTTLS; nothing is sent to it in the clear";
        return Err(Failure::refused(reason).into());
    }
    ask(tcp, "STARTTLS\r\n", 220).await.map(drop)
}

async fn ask(tcp: &mut TcpStream, command: &str, wanted: u16) -> Result<String, Stop> {
    tcp.write_all(command.as_bytes())
        .await
        .map_err(|error| broken_off(&error))?;
    expect(tcp, wanted).await
}

/// The text of a reply that has to have that code.
async fn expect(tcp: &mut TcpStream, wanted: u16) -> Result<String, Stop> {
    let mut read = Vec::new();
    loop {
        let mut part = [0; 1024];
        let count = tcp.read(&mut part).await.map_err(|error| broken_off(&error))?;
        if count == 0 {
            return Err(broken_off(&io::ErrorKind::UnexpectedEof.into()).into());
        }
        read.extend_from_slice(&part[..count]);
        if read.len() > REPLY_BYTES_MAX {
            return Err(no_answer().into());
        }
        match reply(&read) {
            Some(Ok((code, text))) if code == wanted => return Ok(text),
            Some(Ok((code, text))) if code >= 400 => return Err(not_let_in((code, text))),
            Some(_) => return Err(no_answer().into()),
            None => {}
        }
    }
}

/// A reply and nothing behind it (RFC 5321, section 4.2); `None` if it has not ended yet.
fn reply(read: &[u8]) -> Option<Result<Said, ()>> {
    let mut lines = Vec::new();
    let mut rest = read;
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let (line, behind) = (&rest[..end], &rest[end + 2..]);
        let code = line
            .get(..3)
            .and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let Some(code) = code.filter(|code| (200..600).contains(code)) else {
            return Some(Err(()));
        };
        lines.push(String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned());
        match (line.get(3), behind.is_empty()) {
            (Some(b'-'), _) => rest = behind,
            (None | Some(b' '), true) => return Some(Ok((code, lines.join("\n")))),
            _ => return Some(Err(())),
        }
    }
    None
}

/// The stream under a conversation, which begins with what was said before TLS was there.
pub(super) struct Talk {
    before: &'static [u8],
    stream: Stream,
}

impl Talk {
    const fn new(stream: Stream, before: &'static [u8]) -> Self {
        Self { before, stream }
    }
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk").finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Talk {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl AsyncRead for Talk {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let (now, later) = self.before.split_at(self.before.len().min(buf.remaining()));
        buf.put_slice(now);
        self.before = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Talk {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_its_last_line_and_nothing_follows() {
        for (read, expected) in [
            (&b"220 mail.example"[..], None),
            (b"220 hi\r\n", Some(Ok((220, "hi".to_owned())))),
            (b"220\r\n", Some(Ok((220, String::new())))),
            (b"250-mail.example\r\n", None),
            (
                b"250-mail.example\r\n250 STARTTLS\r\n",
                Some(Ok((250, "mail.example\nSTARTTLS".to_owned()))),
            ),
            (b"220 go on\r\n250 injected\r\n", Some(Err(()))),
            (b"220 go on\r\n2", Some(Err(()))),
            (b"HTTP/1.1 400\r\n", Some(Err(()))),
            (b"220x\r\n", Some(Err(()))),
        ] {
            assert_eq!(reply(read), expected, "{}", String::from_utf8_lossy(read));
        }
    }
}
