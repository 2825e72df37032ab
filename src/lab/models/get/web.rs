//! Files from web servers: resumed where that is safe, tried again while it helps, and hashed.

use super::token::Token;
use super::trail::Trail;
use crate::clock;
use crate::config::CatalogueEntry;
use crate::daemon::catalogue::fault::Fault;
use crate::daemon::catalogue::part::Part;
use crate::daemon::catalogue::transfer::{self, Terms};
use crate::daemon::catalogue::tries::Tries;
use crate::daemon::queue::Queue;
use crate::lab::models::draft;
use crate::lab::{LabError, hashed};
use crate::mqtt::tls;
use crate::units::Span;
use crate::workload::ModelName;
use indicatif::ProgressBar;
use rustls::pki_types::CertificateDer;
use std::path::Path;
use ureq::Body;
use ureq::http::{HeaderName, HeaderValue, Response, header};
use url::Url;

const FIRST_PAUSE: Span = Span::from_millis(250);

/// How servers are talked to.
pub struct Web {
    authorities: Vec<CertificateDer<'static>>,
    timeout_s: u32,
    allow_http: bool,
}

/// A file of a server.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: ModelName,
    pub url: Url,
    /// Where somebody vouches for it.
    pub sha256: Option<String>,
    pub size_bytes: Option<u64>,
    pub token: Option<Token>,
}

/// All of it has come, and is what was wanted.
pub struct Arrived {
    pub part: Part,
    pub sha256: String,
}

impl Web {
    /// `ca_file`: instead of the system's authorities.
    pub fn new(ca_file: Option<&Path>, timeout_s: u32, allow_http: bool) -> Result<Self, LabError> {
        let authorities = tls::authorities("--ca-file", ca_file)
            .map_err(|error| LabError::Usage(error.to_string()))?;
        Ok(Self {
            authorities,
            timeout_s,
            allow_http,
        })
    }

    fn check(&self, url: &Url) -> Result<(), LabError> {
        match url.scheme() {
            "https" => Ok(()),
            "http" if self.allow_http => Ok(()),
            "http" => Err(LabError::Usage(format!(
                "{}: without TLS anybody on the way can send another file; write https://, or say \
                 --allow-http for a mirror in the lab",
                host(url)
            ))),
            _ => Err(LabError::Failed(format!(
                "{} leads to an address that is no web server's",
                host(url)
            ))),
        }
    }

    /// What the server says of the address, redirects not followed.
    pub fn head(&self, url: &Url, token: Option<&Token>) -> Result<Response<Body>, LabError> {
        self.check(url)?;
        let agent = transfer::agent(url.scheme() == "http", &self.authorities, self.timeout_s);
        let mut request = agent
            .head(url.as_str())
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token.header());
        }
        let request = request.config().max_redirects(0).build();
        request
            .call()
            .map_err(|error| self.error(&Fault::of(&error, self.timeout_s), url))
    }

    /// Blocks until all of it is there. What has come when it fails stays for the next time,
    /// unless that is of no use.
    pub fn fetch(
        &self,
        wanted: &Wanted,
        dir: &Path,
        bar: &ProgressBar,
    ) -> Result<Arrived, LabError> {
        self.check(&wanted.url)?;
        let disk = |error: std::io::Error| LabError::Failed(format!("{}: {error}", dir.display()));
        let Some(mut part) = Part::claim(dir, &wanted.name).map_err(disk)? else {
            return Err(LabError::Failed(format!(
                "another joulectl fetches {} into {}; wait for it",
                wanted.name,
                dir.display()
            )));
        };
        // Another process may have put it there until now.
        if let Err(there) = draft::free(&dir.join(wanted.name.as_str())) {
            Part::forget(dir, &wanted.name);
            Trail::forget(dir, &wanted.name);
            return Err(there);
        }
        let trail = Trail::read(dir, &wanted.name);
        if part.have() > 0 && !trail.is_of(wanted) {
            part.start_over().map_err(disk)?;
        }
        let mut tries = Tries::new(self.timeout_s, FIRST_PAUSE);
        loop {
            self.receive(wanted, &mut part, &mut tries, dir, bar)?;
            if let Some(stated) = wanted.size_bytes.filter(|stated| *stated != part.have()) {
                let fault = Fault::TooShort(part.have(), stated);
                return Err(self.given_up(&fault, wanted, dir));
            }
            let have = part.have();
            bar.set_message(format!("hashing {}", wanted.name));
            let file = part.read_from_start().map_err(disk)?;
            let sha256 = hashed::copy(file, &mut std::io::sink(), have, bar).map_err(disk)?;
            match &wanted.sha256 {
                Some(stated) if *stated != sha256 && tries.begin_anew(part.pieced) => {
                    bar.suspend(|| {
                        eprintln!("    note  the pieces do not fit together; it is fetched anew");
                    });
                    part.start_over().map_err(disk)?;
                }
                Some(stated) if *stated != sha256 => {
                    let (actual, stated) = (sha256, stated.clone());
                    let fault = Fault::OtherHash { actual, stated };
                    return Err(self.given_up(&fault, wanted, dir));
                }
                _ => {
                    Trail::forget(dir, &wanted.name);
                    return Ok(Arrived { part, sha256 });
                }
            }
        }
    }

    fn receive(
        &self,
        wanted: &Wanted,
        part: &mut Part,
        tries: &mut Tries,
        dir: &Path,
        bar: &ProgressBar,
    ) -> Result<(), LabError> {
        let entry = CatalogueEntry {
            name: wanted.name.clone(),
            url: wanted.url.to_string(),
            sha256: wanted.sha256.clone().unwrap_or_default(),
            size_bytes: wanted.size_bytes,
            allow_http: self.allow_http,
        };
        loop {
            bar.set_message(format!("{} from {}", wanted.name, host(&wanted.url)));
            let headers = self.headers(wanted, part, dir)?;
            let terms = Terms {
                authorities: self.authorities.clone(),
                timeout_s: self.timeout_s,
                max_bytes: u64::MAX,
                headers: &headers,
                began: &|headers| Trail::begin(dir, wanted, headers),
                // Nothing is measured here, so that nothing has to wait.
                queue: &Queue::default(),
                has_room: &|more| draft::has_room(&dir.join(wanted.name.as_str()), more),
                tell: &|have, total| {
                    bar.set_length(total.unwrap_or(have));
                    bar.set_position(have);
                },
            };
            let fault = match transfer::run(&entry, part, &terms) {
                Ok(_) => return Ok(()),
                Err(fault) => fault,
            };
            if !may_pass(&fault) || !tries.go_on(clock::now(), part.have()) {
                return Err(self.given_up(&fault, wanted, dir));
            }
            let words = words(&fault, host(&wanted.url));
            bar.suspend(|| eprintln!("    note  {words}; it is tried again"));
            clock::sleep(tries.not_before().since(clock::now()));
        }
    }

    /// Where no hash will tell whether the rest belongs to what is there, the server has to.
    fn headers(
        &self,
        wanted: &Wanted,
        part: &mut Part,
        dir: &Path,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, LabError> {
        let mut headers = Vec::new();
        if let Some(token) = &wanted.token {
            headers.push((header::AUTHORIZATION, token.header()));
        }
        if part.have() > 0 && wanted.sha256.is_none() {
            match Trail::read(dir, &wanted.name).strong_tag() {
                Some(tag) => headers.push((header::IF_RANGE, tag)),
                None => part
                    .start_over()
                    .map_err(|error| LabError::Failed(format!("{}: {error}", dir.display())))?,
            }
        }
        Ok(headers)
    }

    fn given_up(&self, fault: &Fault, wanted: &Wanted, dir: &Path) -> LabError {
        let have = Part::length(dir, &wanted.name);
        if (fault.discards() && *fault != Fault::NoRoom) || have == 0 {
            Part::forget(dir, &wanted.name);
            Trail::forget(dir, &wanted.name);
            return self.error(fault, &wanted.url);
        }
        let kept = format!(
            "; {} of it are kept, and the same command goes on from there",
            super::size(have)
        );
        match self.error(fault, &wanted.url) {
            LabError::Unreachable(text) => LabError::Unreachable(text + &kept),
            error => LabError::Failed(format!("{error}{kept}")),
        }
    }

    fn error(&self, fault: &Fault, url: &Url) -> LabError {
        let words = words(fault, host(url));
        match fault {
            Fault::Unresolved | Fault::Connection(_) | Fault::Silent(_) => {
                LabError::Unreachable(words)
            }
            _ => LabError::Failed(words),
        }
    }
}

/// A path or a query may be a secret.
fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("the server")
}

/// What a person at a terminal can only mend by doing something is not tried again.
fn may_pass(fault: &Fault) -> bool {
    let lasting = matches!(
        fault,
        Fault::Unresolved | Fault::Certificate(_) | Fault::Tls | Fault::Protocol
    );
    fault.may_pass() && !lasting
}

fn words(fault: &Fault, host: &str) -> String {
    match fault {
        Fault::Unresolved => format!("{host} is not known to this machine's resolver"),
        Fault::Connection(why) => format!("no connection to {host}: {why}"),
        Fault::Certificate(why) => format!(
            "the certificate of {host} is not accepted ({why}); --ca-file names another authority"
        ),
        Fault::Tls => format!("{host} and joulectl find no TLS that both accept"),
        Fault::Silent(seconds) => format!("{host} was silent for {seconds} s"),
        Fault::Slow => format!("{host} sends less than 1 KiB a second"),
        Fault::Status(status) => format!("{host} answers {status}"),
        Fault::OtherRange => format!("{host} answers another part than it was asked for"),
        Fault::PlainRedirect => format!("{host} redirects to an address without TLS"),
        Fault::Redirects => format!("{host} redirects again and again"),
        Fault::Protocol => format!("{host} gives an answer that is no HTTP"),
        Fault::OtherSize { told, stated } => {
            format!("{host} has {told} bytes of it, and {stated} are expected")
        }
        Fault::TooLong(most) => format!("{host} sends more than {most} bytes"),
        Fault::TooShort(came, stated) => format!("{came} bytes came, and {stated} are expected"),
        Fault::NoRoom => "the disk has no room for the rest; free some, or choose another folder \
                          with --out"
            .to_owned(),
        Fault::OtherHash { actual, stated } => format!(
            "what {host} sent has the SHA-256 {actual} instead of {stated}; it was not kept"
        ),
        Fault::CutShort { .. } | Fault::Authorities | Fault::Disk(_) => fault.to_string(),
    }
}
