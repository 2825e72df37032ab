//! A small HTTP server of a lab, with TLS or without, that serves files well or badly.

use super::authority::{ALWAYS, Authority, HOST};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How a file is served.
#[derive(Debug, Clone)]
pub enum Manner {
    /// As it is, from the byte that is asked for on.
    Well,
    /// As it is, always from its beginning.
    WithoutRanges,
    /// Each connection ends after so many bytes.
    CutAfter(usize),
    /// The connection stays open after so many bytes, until the server is told to go on.
    HeldAfter(usize),
    /// With one byte other than it is.
    Tampered,
    /// For ever, without a length.
    Endless,
    /// A byte now and then.
    Trickling,
    /// The length that is announced is this.
    Announcing(usize),
    /// To another address.
    Redirect(String),
    /// A status, header fields, and the content where the status is a success.
    Answer(&'static str, Vec<(&'static str, String)>),
    Status(u16),
}

struct State {
    files: Mutex<BTreeMap<String, (Vec<u8>, Manner)>>,
    requests: Mutex<Vec<Request>>,
    held: Mutex<bool>,
    let_go: Condvar,
}

/// What a client has asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// The byte from which on.
    pub first: usize,
    pub authorization: Option<String>,
    pub if_range: Option<String>,
}

impl Request {
    fn of(text: &str) -> Self {
        let mut words = text.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap_or_default();
        let field = |name: &str| {
            text.lines().find_map(|line| {
                let (field, value) = line.split_once(':')?;
                (field.eq_ignore_ascii_case(name)).then(|| value.trim().to_owned())
            })
        };
        let range = field("range").and_then(|range| {
            let first = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            first.parse().ok()
        });
        Self {
            method: word(),
            path: word().trim_start_matches('/').to_owned(),
            first: range.unwrap_or(0),
            authorization: field("authorization"),
            if_range: field("if-range"),
        }
    }
}

pub struct Web {
    pub port: u16,
    scheme: &'static str,
    state: Arc<State>,
}

impl Web {
    pub fn http() -> Self {
        Self::start("http", None)
    }

    /// With a certificate of this authority.
    pub fn https(authority: &Authority) -> Self {
        let identity = authority.server(HOST, ALWAYS);
        let chain = CertificateDer::pem_file_iter(&identity.cert).expect("a certificate");
        let chain = chain
            .map(|certificate| certificate.expect("a certificate"))
            .collect();
        let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has ciphers for them")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they belong together");
        Self::start("https", Some(Arc::new(config)))
    }

    fn start(scheme: &'static str, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(State {
            files: Mutex::default(),
            requests: Mutex::default(),
            held: Mutex::new(true),
            let_go: Condvar::new(),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, tls) = (Arc::clone(&serving), tls.clone());
                std::thread::spawn(move || {
                    // A client that goes is done with.
                    let _ = match tls {
                        None => serve(&state, client),
                        Some(tls) => {
                            let connection = ServerConnection::new(tls).expect("a configuration");
                            serve(&state, StreamOwned::new(connection, client))
                        }
                    };
                });
            }
        });
        Self {
            port,
            scheme,
            state,
        }
    }

    pub fn url(&self, file: &str) -> String {
        format!("{}://{HOST}:{}/{file}", self.scheme, self.port)
    }

    pub fn put(&self, file: &str, content: &[u8], manner: Manner) {
        let mut files = self.state.files.lock().expect("no panic");
        files.insert(file.to_owned(), (content.to_vec(), manner));
    }

    /// The first byte of each request so far.
    pub fn asked(&self) -> Vec<usize> {
        let requests = self.requests();
        requests.iter().map(|request| request.first).collect()
    }

    /// All so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().expect("no panic").clone()
    }

    /// Whoever is held gets the rest, from now on everybody does.
    pub fn let_go(&self) {
        *self.state.held.lock().expect("no panic") = false;
        self.state.let_go.notify_all();
    }
}

trait Stream: Read + Write {}
impl Stream for TcpStream {}
impl Stream for StreamOwned<ServerConnection, TcpStream> {}

fn serve(state: &State, mut client: impl Stream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = Request::of(&String::from_utf8_lossy(&request));
    state
        .requests
        .lock()
        .expect("no panic")
        .push(request.clone());
    let files = state.files.lock().expect("no panic");
    let found = files.get(&request.path).cloned();
    drop(files);
    let Some((content, manner)) = found else {
        return head(
            &mut client,
            "404 Not Found",
            &["Content-Length: 0".to_owned()],
        );
    };
    answer(state, &mut client, &content, &manner, &request)?;
    client.flush()
}

fn head(client: &mut impl Stream, status: &str, fields: &[String]) -> std::io::Result<()> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    client.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n").as_bytes())
}

fn answer(
    state: &State,
    client: &mut impl Stream,
    content: &[u8],
    manner: &Manner,
    request: &Request,
) -> std::io::Result<()> {
    let is_same = |tag: &String| *tag == self::tag(content);
    let first = match request.if_range.as_ref().is_none_or(is_same) {
        true => request.first,
        false => 0,
    };
    match manner {
        Manner::Answer(status, fields) => {
            let field = |(name, value): &(&str, String)| format!("{name}: {value}");
            let mut fields: Vec<String> = fields.iter().map(field).collect();
            let is_content = status.starts_with('2');
            let length = if is_content { content.len() } else { 0 };
            fields.push(format!("Content-Length: {length}"));
            head(client, status, &fields)?;
            match is_content && request.method != "HEAD" {
                true => client.write_all(content),
                false => Ok(()),
            }
        }
        Manner::Status(status) => head(
            client,
            &format!("{status} So"),
            &["Content-Length: 0".to_owned()],
        ),
        Manner::Redirect(to) => head(
            client,
            "302 Found",
            &[format!("Location: {to}"), "Content-Length: 0".to_owned()],
        ),
        Manner::Endless => {
            head(client, "200 OK", &[])?;
            loop {
                client.write_all(&[7; 65_536])?;
            }
        }
        Manner::Trickling => {
            head(
                client,
                "200 OK",
                &[format!("Content-Length: {}", content.len())],
            )?;
            for byte in content {
                client.write_all(&[*byte])?;
                client.flush()?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
        Manner::Announcing(length) => {
            head(client, "200 OK", &[format!("Content-Length: {length}")])?;
            client.write_all(content)
        }
        Manner::WithoutRanges => {
            head(
                client,
                "200 OK",
                &[format!("Content-Length: {}", content.len())],
            )?;
            client.write_all(content)
        }
        Manner::Tampered => {
            let mut other = content.to_vec();
            if let Some(last) = other.last_mut() {
                *last ^= 1;
            }
            part_of(client, &other, first, other.len())
        }
        Manner::Well => part_of(client, content, first, content.len()),
        Manner::CutAfter(bytes) => part_of(client, content, first, first + bytes),
        Manner::HeldAfter(bytes) => {
            part_of(client, content, first, *bytes)?;
            client.flush()?;
            let held = state.held.lock().expect("no panic");
            let within = Duration::from_secs(120);
            let waited = state.let_go.wait_timeout_while(held, within, |held| *held);
            drop(waited.expect("no panic"));
            let sent = first.max(*bytes).min(content.len());
            client.write_all(&content[sent..])
        }
    }
}

/// Of this content and no other.
fn tag(content: &[u8]) -> String {
    let sum = content.iter().fold(0u64, |sum, &byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    format!("\"{sum:x}\"")
}

/// Announces all from `first` on, and sends what lies before `end`.
fn part_of(
    client: &mut impl Stream,
    content: &[u8],
    first: usize,
    end: usize,
) -> std::io::Result<()> {
    let all = content.len();
    if first >= all && first > 0 {
        return head(
            client,
            "416 Range Not Satisfiable",
            &[format!("Content-Range: bytes */{all}")],
        );
    }
    let length = format!("Content-Length: {}", all - first);
    let tag = format!("ETag: {}", tag(content));
    match first {
        0 => head(client, "200 OK", &[length, tag])?,
        _ => {
            let range = format!("Content-Range: bytes {first}-{}/{all}", all - 1);
            head(client, "206 Partial Content", &[length, tag, range])?;
        }
    }
    client.write_all(&content[first..end.clamp(first, all)])
}
