//! An egress proxy on a loopback address: opens tunnels (RFC 9110, section 9.3.6) and takes down
//! where they lead.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where the tunnel shall lead, as it was written.
    pub target: String,
    /// `Proxy-Authorization`, if there was any.
    pub authorization: Option<String>,
}

/// A proxy that runs; gone when it is dropped, with its tunnels.
#[derive(Debug)]
pub struct EgressProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepting: JoinHandle<()>,
}

impl EgressProxy {
    /// Opens every tunnel that it is asked for.
    pub async fn start() -> Self {
        Self::answering(200).await
    }

    /// Answers with that status; opens tunnels if it is 200.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("there is a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let asked = Arc::new(Mutex::default());
        let log = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, status, Arc::clone(&log)));
            }
        });
        Self {
            address,
            asked,
            accepting,
        }
    }

    /// The setting that has a relay use it.
    pub fn setting(&self) -> String {
        format!("proxy = \"http://{}\"\n", self.address)
    }

    /// What it was asked for so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for EgressProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What goes wrong ends the connection, as it would with any proxy.
async fn serve(stream: TcpStream, status: u16, log: Arc<Mutex<Vec<Asked>>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let asked = read(&mut stream).await?;
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked.clone());
    if status != 200 {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nno\n");
        return stream.write_all(answer.as_bytes()).await;
    }
    let mut beyond = TcpStream::connect(&asked.target).await?;
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut beyond).await.map(drop)
}

/// Reads a CONNECT; anything else is an error.
async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some("") => break,
            Some(line) => lines.push(line.to_owned()),
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    let target = lines.first().and_then(|first| {
        let rest = first.strip_prefix("CONNECT ")?;
        rest.strip_suffix(" HTTP/1.1")
    });
    let header = |wanted: &str| {
        let mut headers = lines.iter().filter_map(|line| line.split_once(": "));
        headers.find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.to_owned()))
    };
    match target {
        Some(target) if header("host").as_deref() == Some(target) => Ok(Asked {
            target: target.to_owned(),
            authorization: header("proxy-authorization"),
        }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
