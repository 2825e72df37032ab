//! One connection to a catalogue's server: what is missing of a model, in pieces between
//! attempts. joulectl, which measures nothing, fetches by it too (`lab/models/get`).

use super::fault::Fault;
use super::part::Part;
use crate::clock;
use crate::config::CatalogueEntry;
use crate::daemon::queue::Queue;
use crate::units::{MonoNs, Span};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// Read at a time.
const BLOCK: usize = 64 << 10;
/// A server that sends less than this a second, over the time that it may be silent for, is
/// as good as silent.
const LEAST_BYTES_PER_S: u64 = 1024;
const MOST_REDIRECTS: u32 = 5;
const TELL_EVERY: Span = Span::from_millis(1_000);

/// How an orderly transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Everything that the server has.
    All,
    /// An attempt runs. The connection is closed: the kernel would fill its buffers meanwhile.
    Paused,
}

/// What a transfer keeps to.
pub struct Terms<'a> {
    pub authorities: Vec<CertificateDer<'static>>,
    pub timeout_s: u32,
    /// Most bytes of a model whose entry states no size.
    pub max_bytes: u64,
    /// Asked for beside what every request says. No redirect gets an `Authorization` on.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// Told of the answer that the bytes come with.
    pub began: &'a dyn Fn(&HeaderMap),
    /// Work is done while no attempt runs.
    pub queue: &'a Queue,
    /// Whether the disk has room for so many bytes more.
    pub has_room: &'a dyn Fn(u64) -> bool,
    /// Bytes that are there, and of how many.
    pub tell: &'a dyn Fn(u64, Option<u64>),
}

/// Fetches what `part` lacks of the model.
pub fn run(entry: &CatalogueEntry, part: &mut Part, terms: &Terms<'_>) -> Result<Came, Fault> {
    let stated = entry.size_bytes;
    match stated {
        Some(size) if part.have() == size => return Ok(Came::All),
        Some(size) if part.have() > size => restart(part)?,
        _ => {}
    }
    let mut request = agent(entry.is_http(), &terms.authorities, terms.timeout_s)
        .get(&entry.url)
        .header(header::ACCEPT_ENCODING, "identity");
    for (name, value) in terms.headers {
        request = request.header(name, value);
    }
    if part.have() > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", part.have()));
    }
    // Reading the authorities took a while.
    if terms.queue.is_running() {
        return Ok(Came::Paused);
    }
    let response = request
        .call()
        .map_err(|error| Fault::of(&error, terms.timeout_s))?;
    if terms.queue.is_running() {
        return Ok(Came::Paused);
    }
    if is_whole(&response, part) {
        // Whether these are the server's bytes its hash tells.
        part.pieced = true;
        return Ok(Came::All);
    }
    let total = begin(&response, part)?;
    (terms.began)(response.headers());
    if let (Some(told), Some(stated)) = (total, stated)
        && told != stated
    {
        return Err(Fault::OtherSize { told, stated });
    }
    let total = total.or(stated);
    let most = stated.unwrap_or(terms.max_bytes);
    if total.is_some_and(|total| total > most) {
        return Err(Fault::TooLong(most));
    }
    let missing = total.unwrap_or(0).saturating_sub(part.have());
    if !(terms.has_room)(missing) {
        return Err(Fault::NoRoom);
    }
    receive(response, part, total, most, terms)
}

fn restart(part: &mut Part) -> Result<(), Fault> {
    part.start_over().map_err(|error| Fault::of_disk(&error))
}

/// `plain`: TLS may be missing.
pub fn agent(plain: bool, authorities: &[CertificateDer<'static>], timeout_s: u32) -> Agent {
    let timeout = Some(Duration::from_secs(timeout_s.into()));
    let roots: Vec<Certificate<'static>> = authorities
        .iter()
        .map(|authority| Certificate::from_der(authority).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    Agent::config_builder()
        // Redirects too.
        .https_only(!plain)
        .http_status_as_error(false)
        .max_redirects(MOST_REDIRECTS)
        .timeout_resolve(timeout)
        .timeout_connect(timeout)
        .timeout_recv_response(timeout)
        .timeout_per_read(timeout)
        .timeout_per_write(timeout)
        .max_idle_connections(0)
        .user_agent(concat!("jouled/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build()
        .new_agent()
}

/// Makes `part` fit the answer, and returns how many bytes the whole model has, if the server
/// tells.
fn begin(response: &Response<Body>, part: &mut Part) -> Result<Option<u64>, Fault> {
    match response.status() {
        StatusCode::OK => {
            if part.have() > 0 {
                restart(part)?;
            }
            Ok(response.body().content_length())
        }
        StatusCode::PARTIAL_CONTENT => match range(response.headers()) {
            Some((first, total)) if first == part.have() => {
                part.pieced = true;
                Ok(total)
            }
            _ => {
                restart(part)?;
                Err(Fault::OtherRange)
            }
        },
        // There is more here than there.
        StatusCode::RANGE_NOT_SATISFIABLE if part.have() > 0 => {
            restart(part)?;
            Err(Fault::OtherRange)
        }
        status => Err(Fault::Status(status.as_u16())),
    }
}

/// Nothing is missing: `416` with `Content-Range: bytes */10`, and 10 are here (RFC 9110, 15.5.17).
fn is_whole(response: &Response<Body>, part: &Part) -> bool {
    let told = || {
        let text = response
            .headers()
            .get(header::CONTENT_RANGE)?
            .to_str()
            .ok()?;
        text.strip_prefix("bytes */")?.parse().ok()
    };
    response.status() == StatusCode::RANGE_NOT_SATISFIABLE
        && part.have() > 0
        && told() == Some(part.have())
}

/// First byte and whole length of `Content-Range: bytes 5-9/10` (RFC 9110, 14.4).
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((first.parse().ok()?, total))
}

fn receive(
    response: Response<Body>,
    part: &mut Part,
    total: Option<u64>,
    most: u64,
    terms: &Terms<'_>,
) -> Result<Came, Fault> {
    let mut body = response.into_body().into_reader();
    let mut block = vec![0; BLOCK];
    let mut pace = Pace::new(clock::now(), terms.timeout_s);
    let mut tell_at = clock::now();
    loop {
        let n = match body.read(&mut block) {
            Ok(n) => n,
            Err(error) => {
                let have = part.have();
                return Err(
                    match Fault::of(&ureq::Error::from(error), terms.timeout_s) {
                        Fault::Silent(s) => Fault::Silent(s),
                        _ => Fault::CutShort { have, total },
                    },
                );
            }
        };
        if n == 0 {
            return match total {
                Some(total) if part.have() < total => Err(Fault::CutShort {
                    have: part.have(),
                    total: Some(total),
                }),
                _ => Ok(Came::All),
            };
        }
        if part.have() + n as u64 > most {
            return Err(Fault::TooLong(most));
        }
        if !(terms.has_room)(n as u64) {
            return Err(Fault::NoRoom);
        }
        let now = clock::now();
        let written = terms.queue.aside(|| {
            part.write(&block[..n])?;
            if now >= tell_at {
                (terms.tell)(part.have(), total);
                tell_at = now + TELL_EVERY;
            }
            Ok(())
        });
        match written {
            None => return Ok(Came::Paused),
            Some(Err(error)) => return Err(disk_fault(&error)),
            Some(Ok(())) => {}
        }
        if pace.is_slow(clock::now(), n as u64) {
            return Err(Fault::Slow);
        }
    }
}

fn disk_fault(error: &std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Fault::NoRoom,
        _ => Fault::of_disk(error),
    }
}

/// Of what a server has to send in the time for which it may be silent.
pub fn least_bytes(timeout_s: u32) -> u64 {
    u64::from(timeout_s) * LEAST_BYTES_PER_S
}

/// Whether enough comes: a server that sends a byte now and then is never silent.
struct Pace {
    span: Span,
    least: u64,
    since: MonoNs,
    bytes: u64,
}

impl Pace {
    fn new(now: MonoNs, timeout_s: u32) -> Self {
        Self {
            span: Span(u64::from(timeout_s) * 1_000_000_000),
            least: least_bytes(timeout_s),
            since: now,
            bytes: 0,
        }
    }

    /// Called with each block.
    fn is_slow(&mut self, now: MonoNs, bytes: u64) -> bool {
        self.bytes += bytes;
        if now.since(self.since) < self.span {
            return false;
        }
        let slow = self.bytes < self.least;
        (self.since, self.bytes) = (now, 0);
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::net::TcpListener;

    /// A server that gives this answer to each connection.
    fn server(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/m.gguf", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                    request.push(byte[0]);
                }
                let _ = client.write_all(&answer);
            }
        });
        url
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    fn entry(url: String) -> CatalogueEntry {
        CatalogueEntry {
            name: "m.gguf".parse().unwrap(),
            url,
            sha256: String::new(),
            size_bytes: None,
            allow_http: true,
        }
    }

    fn fetch(
        answer: Vec<u8>,
        max_bytes: u64,
        has_room: &dyn Fn(u64) -> bool,
        queue: &Queue,
    ) -> (Result<Came, Fault>, u64) {
        let dir = tempfile::tempdir().unwrap();
        let entry = entry(server(answer));
        let mut part = Part::open(dir.path(), &entry.name).unwrap();
        let terms = Terms {
            authorities: Vec::new(),
            timeout_s: 30,
            max_bytes,
            headers: &[],
            began: &|_| (),
            queue,
            has_room,
            tell: &|_, _| (),
        };
        let came = run(&entry, &mut part, &terms);
        (came, part.have())
    }

    #[test]
    fn a_model_comes_whole_and_within_its_bounds() {
        let queue = Queue::default();
        let model = vec![7; 200_000];
        let (came, have) = fetch(ok(&model), 200_000, &|_| true, &queue);
        assert_eq!((came, have), (Ok(Came::All), 200_000));
        let (came, have) = fetch(ok(&model), 199_999, &|_| true, &queue);
        assert_eq!((came, have), (Err(Fault::TooLong(199_999)), 0));
        // Without a length the end of the connection is the end.
        let endless = [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], &model].concat();
        let (came, _) = fetch(endless.clone(), 200_000, &|_| true, &queue);
        assert_eq!(came, Ok(Came::All));
        let (came, _) = fetch(endless, 100_000, &|_| true, &queue);
        assert_eq!(came, Err(Fault::TooLong(100_000)));
    }

    #[test]
    fn what_came_whole_before_a_restart_does_not_come_again() {
        let queue = Queue::default();
        let dir = tempfile::tempdir().unwrap();
        let answer = |total: usize| {
            format!(
                "HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let terms = Terms {
            authorities: Vec::new(),
            timeout_s: 30,
            max_bytes: 1 << 20,
            headers: &[],
            began: &|_| (),
            queue: &queue,
            has_room: &|_| true,
            tell: &|_, _| (),
        };
        for (total, came, have) in [(5, Ok(Came::All), 5), (4, Err(Fault::OtherRange), 0)] {
            let entry = entry(server(answer(total).into_bytes()));
            std::fs::write(dir.path().join(".m.gguf.part"), "12345").unwrap();
            let mut part = Part::open(dir.path(), &entry.name).unwrap();
            assert_eq!(run(&entry, &mut part, &terms), came);
            assert_eq!(part.have(), have);
        }
    }

    #[test]
    fn the_disk_is_never_filled() {
        let queue = Queue::default();
        let none = |bytes: u64| bytes < 50_000;
        let (came, have) = fetch(ok(&vec![7; 200_000]), 1 << 30, &none, &queue);
        assert_eq!((came, have), (Err(Fault::NoRoom), 0));
        // Where nobody says how much will come, it is looked at again and again.
        let left = std::cell::Cell::new(100_000_u64);
        let ends = |bytes: u64| {
            left.set(left.get().saturating_sub(bytes));
            left.get() > 0
        };
        let answer = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[7; 200_000]].concat();
        let (came, have) = fetch(answer, 1 << 30, &ends, &queue);
        assert_eq!(came, Err(Fault::NoRoom));
        assert!(have <= 100_000, "{have}");
    }

    #[test]
    fn nothing_is_written_while_an_attempt_runs() {
        let queue = Queue::default();
        queue.begin(&"a".parse().unwrap(), &Arc::default());
        let (came, have) = fetch(ok(&vec![7; 200_000]), 1 << 30, &|_| true, &queue);
        assert_eq!((came, have), (Ok(Came::Paused), 0));
    }

    #[test]
    fn answers_that_are_none_are_told_apart() {
        let queue = Queue::default();
        let fault = |answer: &str| {
            let answer = answer.as_bytes().to_vec();
            fetch(answer, 1 << 30, &|_| true, &queue).0.unwrap_err()
        };
        assert_eq!(
            fault("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
            Fault::Status(404)
        );
        let cut = fault("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        assert_eq!(
            cut,
            Fault::CutShort {
                have: 3,
                total: Some(9)
            }
        );
        let part =
            "HTTP/1.1 206 OK\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nabcde";
        assert_eq!(fault(part), Fault::OtherRange);
        assert!(matches!(
            fault("220 smtp.lab\r\n\r\n"),
            Fault::Protocol | Fault::Connection(_)
        ));
    }

    #[test]
    fn a_byte_now_and_then_is_too_slow() {
        let second = |n: u64| MonoNs(n * 1_000_000_000);
        let mut pace = Pace::new(second(0), 10);
        assert!((1..10).all(|n| !pace.is_slow(second(n), 1)));
        assert!(pace.is_slow(second(10), 1));
        let mut pace = Pace::new(second(0), 10);
        assert!((1..100).all(|n| !pace.is_slow(second(n), 1_200)));
    }

    proptest! {
        #[test]
        fn any_content_range_is_read_or_left(text in "(bytes )?[0-9*/ -]{0,24}") {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, text.parse().unwrap());
            let _ = range(&headers);
        }

        #[test]
        fn a_right_content_range_is_understood(first in 0_u64..1 << 40, length in 1_u64..1 << 40) {
            let mut headers = HeaderMap::new();
            let total = first + length;
            let text = format!("bytes {first}-{}/{total}", total - 1);
            headers.insert(header::CONTENT_RANGE, text.parse().unwrap());
            prop_assert_eq!(range(&headers), Some((first, Some(total))));
        }
    }
}
