//! `[[catalogue]]`: models that the lab may have a board fetch, by name alone; `[fetch]`: how.
//! No address ever comes from the network.

use super::{ConfigError, bytes};
use crate::mqtt::credential;
use crate::mqtt::tls::{self, TlsError};
use crate::workload::ModelName;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::PathBuf;
use ureq::http::Uri;

/// One model, as the administrator vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueEntry {
    /// Its file name in the model directory.
    pub name: ModelName,
    pub url: String,
    /// Of the whole file, 64 hex digits.
    pub sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// For a mirror in the lab: `url` may be `http://`. The hash is checked all the same.
    #[serde(default)]
    pub allow_http: bool,
}

/// How models are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FetchConfig {
    /// The authorities that a server's certificate may come from, instead of the system's. A
    /// relative path names a systemd credential.
    pub ca_file: Option<PathBuf>,
    /// How long a server may be silent, in seconds.
    pub timeout_s: u32,
    /// Largest model where the entry states no size: `64GiB`.
    pub max: String,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            ca_file: None,
            timeout_s: 30,
            max: "64GiB".to_owned(),
        }
    }
}

impl CatalogueEntry {
    pub fn is_http(&self) -> bool {
        self.url.starts_with("http://")
    }

    fn fault(&self) -> Option<String> {
        if !self.name.as_str().ends_with(".gguf") {
            return Some("name: a model's file name ends in .gguf".to_owned());
        }
        let is_hex = self.sha256.bytes().all(|b| b.is_ascii_hexdigit());
        if self.sha256.len() != 64 || !is_hex {
            return Some("sha256: must be 64 hex digits; sha256sum prints them".to_owned());
        }
        if self.size_bytes == Some(0) {
            return Some("size_bytes: an empty file is no model".to_owned());
        }
        let uri: Uri = match self.url.parse() {
            Ok(uri) => uri,
            Err(error) => return Some(format!("url: {error}")),
        };
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.allow_http => {}
            Some("http") => {
                let fault = "url: write https://, or say allow_http = true for a mirror in the lab";
                return Some(fault.to_owned());
            }
            _ => return Some("url: write https://HOST/PATH".to_owned()),
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Some("url: no name or password here".to_owned());
        }
        uri.host()
            .is_none_or(str::is_empty)
            .then(|| "url: it names no host".to_owned())
    }
}

impl FetchConfig {
    /// `max` in bytes.
    pub fn max_bytes(&self) -> Result<u64, ConfigError> {
        bytes("fetch.max", &self.max)
    }

    /// The authorities that a server's certificate may come from, read now.
    pub fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let wrong = |message: String| ConfigError::Value {
            key: "fetch.ca_file".to_owned(),
            message,
        };
        let credentials = std::env::var_os(credential::DIRECTORY).map(PathBuf::from);
        let file = match &self.ca_file {
            Some(path) => Some(
                credential::locate(path, credentials.as_deref())
                    .map_err(|error| wrong(error.to_string()))?,
            ),
            None => None,
        };
        tls::authorities("ca_file", file.as_deref())
            .map_err(|error: TlsError| wrong(error.to_string()))
    }
}

/// What no single entry can tell, and what each must hold.
pub(super) fn check(entries: &[CatalogueEntry], fetch: &FetchConfig) -> Result<(), ConfigError> {
    let wrong = |key: String, message: String| Err(ConfigError::Value { key, message });
    let mut names = BTreeSet::new();
    for entry in entries {
        let key = || format!("catalogue \"{}\"", entry.name);
        if let Some(fault) = entry.fault() {
            return wrong(key(), fault);
        }
        if !names.insert(&entry.name) {
            return wrong(key(), "two entries have this name".to_owned());
        }
    }
    if !(1..=600).contains(&fetch.timeout_s) {
        let message = format!("{} is not 1 to 600 seconds", fetch.timeout_s);
        return wrong("fetch.timeout_s".to_owned(), message);
    }
    fetch.max_bytes()?;
    if fetch.ca_file.is_some() {
        fetch.authorities()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(url: &str) -> CatalogueEntry {
        CatalogueEntry {
            name: "m.gguf".parse().unwrap(),
            url: url.to_owned(),
            sha256: "ab".repeat(32),
            size_bytes: None,
            allow_http: false,
        }
    }

    fn fault(entry: &CatalogueEntry) -> Option<String> {
        let checked = check(std::slice::from_ref(entry), &FetchConfig::default());
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn addresses_are_https_unless_the_administrator_says_otherwise() {
        assert_eq!(fault(&entry("https://models.lab/m.gguf?x=1")), None);
        let mirror = entry("http://mirror.lab:8000/m.gguf");
        assert!(fault(&mirror).unwrap().contains("allow_http = true"));
        let allow_http = true;
        assert_eq!(
            fault(&CatalogueEntry {
                allow_http,
                ..mirror
            }),
            None
        );
        for bad in [
            "",
            "m.gguf",
            "ftp://x/m.gguf",
            "file:///m.gguf",
            "https://me:pw@x/m",
            "https://",
        ] {
            let error = fault(&entry(bad)).expect(bad);
            assert!(error.starts_with("catalogue \"m.gguf\": url:"), "{error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn an_entry_vouches_for_one_file() {
        let good = entry("https://x/m.gguf");
        let short = CatalogueEntry {
            sha256: "ab".to_owned(),
            ..good.clone()
        };
        assert!(fault(&short).unwrap().contains("sha256"));
        let empty = CatalogueEntry {
            size_bytes: Some(0),
            ..good.clone()
        };
        assert!(fault(&empty).unwrap().contains("size_bytes"));
        let other = CatalogueEntry {
            name: "m.bin".parse().unwrap(),
            ..good.clone()
        };
        assert!(fault(&other).unwrap().contains(".gguf"));
        let twice = check(&[good.clone(), good.clone()], &FetchConfig::default());
        assert!(twice.unwrap_err().to_string().contains("two entries"));
    }

    #[test]
    fn what_a_fetch_needs_is_checked_before() {
        let with = |fetch: FetchConfig| check(&[], &fetch).map_err(|error| error.to_string());
        assert_eq!(with(FetchConfig::default()), Ok(()));
        let never = FetchConfig {
            timeout_s: 0,
            ..FetchConfig::default()
        };
        assert!(with(never).unwrap_err().contains("fetch.timeout_s"));
        let absent = FetchConfig {
            ca_file: Some("/absent.pem".into()),
            ..FetchConfig::default()
        };
        assert!(with(absent).unwrap_err().contains("/absent.pem"));
        let endless = FetchConfig {
            max: "all".to_owned(),
            ..FetchConfig::default()
        };
        assert!(with(endless).unwrap_err().contains("fetch.max"));
    }
}
