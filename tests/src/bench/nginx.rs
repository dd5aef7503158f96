//! nginx as a plain reverse proxy: the yardstick.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::call;
use super::process::Process;

/// As many as the machine this was written for has processors.
pub(super) const WORKERS: usize = 2;

/// Starts nginx with a configuration of its own in `folder`; its address.
pub(super) async fn start(
    binary: &Path,
    folder: &Path,
    receiver_port: u16,
) -> anyhow::Result<(Process, String)> {
    if !binary.exists() {
        bail!(
            "there is no nginx at {}: `apt-get install nginx`, or name it with --nginx",
            binary.display()
        );
    }
    let port = call::free_port()?;
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config(folder, port, receiver_port))?;
    let mut command = Command::new(binary);
    command
        .arg("-e")
        .arg(folder.join("nginx.log"))
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&path)
        .stdin(Stdio::null());
    let mut process = Process::start("nginx", command)?;
    let address = format!("127.0.0.1:{port}");
    call::wait_for_port(&address, &mut process)
        .await
        .context("nginx does not listen")?;
    Ok((process, address))
}

/// No logs, connections kept open on both sides, everything else as it comes.
fn config(folder: &Path, port: u16, receiver_port: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes {WORKERS};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream receiver {{
        server 127.0.0.1:{receiver_port};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://receiver;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}

/// What nginx says its version is.
pub(super) fn version(binary: &Path) -> Option<String> {
    let output = std::process::Command::new(binary).arg("-v").output().ok()?;
    Some(
        String::from_utf8_lossy(&output.stderr)
            .trim()
            .trim_start_matches("nginx version: ")
            .to_owned(),
    )
}
