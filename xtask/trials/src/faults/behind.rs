//! What stands behind the fronts, besides buckets: a registry, and git over HTTP.

use std::fs;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::backend::Backend;
use super::http::{self, Answer, Request};

/// Time in which a registry has to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program `docker-registry`, with its data in a directory that may be replaced between requests.
pub struct Registry {
    address: SocketAddr,
    child: Child,
}

impl Registry {
    /// Starts it, with its settings in a file.
    ///
    /// # Errors
    /// It is not installed, or does not listen.
    pub fn start(data: &Utf8Path, settings: &Utf8Path) -> Result<Registry> {
        // Another program may take the port before the registry does; then it ends, and this fails.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let config = json!({
            "version": "0.1",
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": data.as_str() }, "delete": { "enabled": true } },
            "http": { "addr": address },
        });
        // JSON is YAML, too.
        fs::write(settings, config.to_string())?;
        let mut command = Command::new("docker-registry");
        command.args(["serve", settings.as_str()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut registry = Registry { address, child: command.spawn().context("cannot start docker-registry")? };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(registry.child.try_wait()?.is_none(), "docker-registry has ended");
            ensure!(begun.elapsed() < PATIENCE, "docker-registry does not listen on {address}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// What a front relays to it with.
    pub fn relay(&self) -> Relay {
        Relay(self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // If it has ended by itself, there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands requests on to a server.
pub struct Relay(SocketAddr);

impl Backend for Relay {
    fn answer(&self, request: &Request) -> Answer {
        let ask = || -> Result<Answer> {
            let stream = TcpStream::connect(self.0)?;
            http::send(&stream, request)?;
            http::answer(&mut BufReader::new(stream), &request.method)
        };
        ask().unwrap_or_else(|error| Answer::new(502, &[], format!("{error:#}")))
    }

    fn error(&self, status: u16, code: &str) -> Answer {
        let code = if status == 404 { "MANIFEST_UNKNOWN" } else { code };
        let body = json!({ "errors": [{ "code": code, "message": "as the trial wants it" }] });
        Answer::new(status, &[("content-type", "application/json")], body.to_string())
    }
}

/// The repositories below a directory, by `git http-backend`.
pub struct Git {
    pub root: Utf8PathBuf,
}

impl Git {
    fn ask(&self, request: &Request) -> Result<Answer> {
        let header = |name| request.headers.get(name).unwrap_or_default();
        let mut child = Command::new("git")
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", request.path())
            .env("QUERY_STRING", request.query())
            .env("REQUEST_METHOD", &request.method)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
            .env("GIT_PROTOCOL", header("git-protocol"))
            // Any name may push.
            .env("REMOTE_USER", "releng")
            .env("REMOTE_ADDR", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start git http-backend")?;
        let (mut stdin, body) = (child.stdin.take().context("it was piped")?, request.body.clone());
        // It may answer before it has read everything.
        let writing = std::thread::spawn(move || drop(stdin.write_all(&body)));
        let output = child.wait_with_output()?;
        writing.join().ok().context("nothing panics there")?;
        let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
        let (mut status, mut headers) = (200, Vec::new());
        for line in String::from_utf8_lossy(&output.stdout[..end]).lines() {
            let (name, value) = line.split_once(": ").context("not a header")?;
            match name {
                "Status" => status = value.split(' ').next().unwrap_or_default().parse()?,
                _ => headers.push((name.to_owned(), value.to_owned())),
            }
        }
        Ok(Answer { status, headers: http::Headers(headers), body: output.stdout[end + 4..].to_vec() })
    }
}

impl Backend for Git {
    fn answer(&self, request: &Request) -> Answer {
        self.ask(request).unwrap_or_else(|error| Answer::new(500, &[], format!("{error:#}")))
    }

    fn error(&self, status: u16, code: &str) -> Answer {
        Answer::new(status, &[("content-type", "text/plain")], code)
    }
}
