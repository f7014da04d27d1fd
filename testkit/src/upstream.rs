//! **An upstream that tells what it saw**: it reads HTTP/1.1 with its own small parser, keeps the
//! exact bytes of every request, and answers with them as JSON. It repairs nothing, so that what a
//! gateway sends is what a test reads.

use core::net::{Ipv4Addr, SocketAddr};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde_json::json;

use crate::wire::{find, unchunk};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which connection, from 0.
    pub connection: usize,
    /// Request line and header fields, byte for byte, without the empty line.
    pub head: Vec<u8>,
    /// The body, unchunked.
    pub body: Vec<u8>,
}

impl Seen {
    /// The head as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }
    /// The request line.
    #[must_use]
    pub fn line(&self) -> String {
        self.text()
            .split("\r\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    }
    /// The request target.
    #[must_use]
    pub fn target(&self) -> String {
        self.line().split(' ').nth(1).unwrap_or_default().to_owned()
    }
    /// Values of a field, whatever the case of its name.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.text()
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    }
    /// The names of all fields, in lower case.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.text()
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect()
    }
}

/// The upstream. Its threads end with the process.
#[derive(Debug, Clone)]
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// The system's.
    pub fn start() -> Result<Self> {
        Self::start_with(|_, seen| echo(seen))
    }

    /// Starts one that answers with whole messages of the test's own making; `None` closes the
    /// connection without an answer. The first argument counts requests from 0.
    ///
    /// # Errors
    /// The system's.
    pub fn start_with<F>(answer: F) -> Result<Self>
    where
        F: Fn(usize, &Seen) -> Option<Vec<u8>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let upstream = Self {
            address: listener.local_addr()?,
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let this = upstream.clone();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, answer) = (this.clone(), answer.clone());
                let connection = this.connections.fetch_add(1, Ordering::SeqCst);
                // A connection that breaks is the gateway's to see; there is nobody to tell here.
                std::thread::spawn(move || this.serve(connection, stream, &*answer));
            }
        });
        Ok(upstream)
    }

    fn serve(
        &self,
        connection: usize,
        mut stream: TcpStream,
        answer: &(dyn Fn(usize, &Seen) -> Option<Vec<u8>> + Send + Sync),
    ) {
        let mut bytes = Vec::new();
        while let Some(seen) = read_request(connection, &mut stream, &mut bytes) {
            let count = {
                let mut all = self.seen.lock().expect("no thread panics with it");
                all.push(seen.clone());
                all.len() - 1
            };
            let Some(message) = answer(count, &seen) else {
                return;
            };
            if stream.write_all(&message).is_err() {
                return;
            }
            let head = &message[..find(&message, b"\r\n\r\n").unwrap_or(message.len())];
            if String::from_utf8_lossy(head)
                .to_ascii_lowercase()
                .contains("connection: close")
            {
                return;
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// `http://address`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no thread panics with it").clone()
    }
    /// The requests whose head or body holds a text: how a test finds its own calls.
    #[must_use]
    pub fn with(&self, text: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|seen| {
                find(&seen.head, text.as_bytes()).is_some()
                    || find(&seen.body, text.as_bytes()).is_some()
            })
            .collect()
    }
    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The echo: what was seen, as JSON.
#[must_use]
pub fn echo(seen: &Seen) -> Option<Vec<u8>> {
    let headers: Vec<(String, String)> = seen
        .text()
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = json!({
        "line": seen.line(),
        "target": seen.target(),
        "headers": headers,
        "body": String::from_utf8_lossy(&seen.body),
        "connection": seen.connection,
    })
    .to_string();
    let head_only = seen.line().starts_with("HEAD ");
    let mut message = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    if !head_only {
        message.push_str(&body);
    }
    Some(message.into_bytes())
}

/// Reads one request; `None` at the end or at what is no HTTP.
fn read_request(connection: usize, stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Seen> {
    let mut chunk = [0u8; 16 * 1024];
    let mut more = |bytes: &mut Vec<u8>| -> Option<()> {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        (bytes.len() < 64 * 1024 * 1024).then_some(())
    };
    let end = loop {
        match find(bytes, b"\r\n\r\n") {
            Some(end) => break end,
            None => more(bytes)?,
        }
    };
    let mut seen = Seen {
        connection,
        head: bytes[..end].to_vec(),
        body: Vec::new(),
    };
    bytes.drain(..end + 4);
    if !seen.values("transfer-encoding").is_empty() {
        seen.body = loop {
            match unchunk(bytes) {
                Some(body) => break body,
                None => more(bytes)?,
            }
        };
        bytes.clear();
    } else if let Some(length) = seen.values("content-length").first() {
        let length: usize = length.parse().ok()?;
        while bytes.len() < length {
            more(bytes)?;
        }
        seen.body = bytes.drain(..length).collect();
    }
    Some(seen)
}
