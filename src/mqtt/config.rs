//! `[mqtt]` of the configuration.

use super::credential::{self, CredentialError};
use super::tls::{KEYS, TlsError, TlsFiles};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PORT: u16 = 1883;
const TLS_PORT: u16 = 8883;

/// `[mqtt]` as the administrator writes it. A relative path names a systemd credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// `mqtts://host:port` with TLS, `mqtt://host:port` without; the port is 8883 or 1883 when
    /// left out.
    pub url: String,
    pub username: Option<String>,
    /// A file with the password alone; a newline at its end is left off.
    pub password_file: Option<PathBuf>,
    /// The authorities that the broker's certificate may come from, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// This board's own certificate, with what leads to its authority, and the key to it.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// First level of every topic.
    pub prefix: String,
    /// `jouled-<device>` when left out.
    pub client_id: Option<String>,
    pub keep_alive_s: u16,
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            url: "mqtt://localhost:1883".to_owned(),
            username: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            prefix: "jouled".to_owned(),
            client_id: None,
            keep_alive_s: 30,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("[mqtt] url {0:?}: write mqtts://host:port, or mqtt://host:port without TLS")]
    Url(String),
    #[error("[mqtt] url …@{0}: no name or password here; use username and password_file")]
    Secret(String),
    #[error("[mqtt] {0}")]
    Tls(#[from] TlsError),
    #[error("[mqtt] {key} {path}: {error}", path = path.display())]
    Credential {
        key: &'static str,
        path: PathBuf,
        error: CredentialError,
    },
    #[error("[mqtt] prefix {0:?}: use one topic level of [A-Za-z0-9_-]")]
    Prefix(String),
    #[error("[mqtt] {key} = {value:?}: use a name without +, #, / and control characters")]
    Name { key: &'static str, value: String },
    #[error("[mqtt] keep_alive_s = {0}: use 5 to 3600 seconds")]
    KeepAlive(u16),
    #[error("[mqtt] password_file without username")]
    PasswordWithoutName,
    #[error("[mqtt] password_file {path}: {error}", path = path.display())]
    Password { path: PathBuf, error: String },
}

/// The broker and how to greet it, checked.
#[derive(Clone)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    pub login: Option<(String, String)>,
    pub tls: Option<Arc<ClientConfig>>,
    pub keep_alive_s: u16,
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Where the URL points.
struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl MqttConfig {
    /// Checks everything that needs no network, and reads password, certificates and key.
    pub fn broker(&self) -> Result<Broker, ConfigError> {
        let credentials = std::env::var_os(credential::DIRECTORY).map(PathBuf::from);
        self.broker_with(credentials.as_deref())
    }

    fn broker_with(&self, credentials: Option<&Path>) -> Result<Broker, ConfigError> {
        let Address { host, port, tls } = self.address()?;
        let prefix_is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.prefix.is_empty() || !self.prefix.chars().all(prefix_is_fine) {
            return Err(ConfigError::Prefix(self.prefix.clone()));
        }
        // Brokers put both names into topics of their access rules.
        for (key, name) in [("client_id", &self.client_id), ("username", &self.username)] {
            let stray = |c: char| matches!(c, '+' | '#' | '/') || c.is_control();
            if let Some(name) = name
                && (name.is_empty() || name.contains(stray))
            {
                let value = name.clone();
                return Err(ConfigError::Name { key, value });
            }
        }
        if !(5..=3600).contains(&self.keep_alive_s) {
            return Err(ConfigError::KeepAlive(self.keep_alive_s));
        }
        let files = TlsFiles {
            ca: located(KEYS.ca, &self.ca_file, credentials)?,
            cert: located(KEYS.cert, &self.cert_file, credentials)?,
            key: located(KEYS.key, &self.key_file, credentials)?,
        };
        let tls = match tls {
            true => Some(files.client_config(&KEYS)?),
            false => {
                files.check_unused(&KEYS)?;
                None
            }
        };
        Ok(Broker {
            host,
            port,
            login: self.login(credentials)?,
            tls,
            keep_alive_s: self.keep_alive_s,
        })
    }

    /// What works and still isn't right: secrets that others can read.
    pub fn warnings(&self) -> Vec<String> {
        let credentials = std::env::var_os(credential::DIRECTORY).map(PathBuf::from);
        let secrets = [
            (KEYS.password, &self.password_file),
            (KEYS.key, &self.key_file),
        ];
        let mut warnings: Vec<String> = secrets
            .into_iter()
            .filter_map(|(key, file)| {
                let path = located(key, file, credentials.as_deref()).ok()??;
                let warning = credential::warning(key, &path)?;
                Some(format!("[mqtt] {warning}"))
            })
            .collect();
        let leaves_in_clear = self
            .address()
            .is_ok_and(|address| !address.tls && !is_this_machine(&address.host));
        if self.password_file.is_some() && leaves_in_clear {
            warnings.push(
                "[mqtt] url: without TLS the password crosses the network in clear; use mqtts://"
                    .to_owned(),
            );
        }
        warnings
    }

    fn address(&self) -> Result<Address, ConfigError> {
        // First of all: whatever else is wrong with it, a password must not be quoted.
        if let Some((_, after)) = self.url.rsplit_once('@') {
            return Err(ConfigError::Secret(after.to_owned()));
        }
        let wrong = || ConfigError::Url(self.url.clone());
        let (rest, tls) = match self.url.split_once("://") {
            Some(("mqtt", rest)) => (rest, false),
            Some(("mqtts", rest)) => (rest, true),
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // An IPv6 address stands in brackets, so the last colon outside them is the port's.
        let after_host = rest.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match rest[after_host..].find(':') {
            Some(colon) => {
                let (host, port) = rest.split_at(after_host + colon);
                (host, port[1..].parse().map_err(|_| wrong())?)
            }
            None => (rest, if tls { TLS_PORT } else { PORT }),
        };
        let stray = |c: char| c == '/' || c == '?' || c == '#' || c.is_whitespace();
        if host.is_empty() || port == 0 || host.contains(stray) {
            return Err(wrong());
        }
        Ok(Address {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    fn login(&self, credentials: Option<&Path>) -> Result<Option<(String, String)>, ConfigError> {
        let file = located(KEYS.password, &self.password_file, credentials)?;
        match (&self.username, file) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ConfigError::PasswordWithoutName),
            (Some(name), None) => Ok(Some((name.clone(), String::new()))),
            (Some(name), Some(path)) => match credential::password(&path) {
                Ok(password) => Ok(Some((name.clone(), password))),
                Err(error) => Err(ConfigError::Password {
                    path,
                    error: error.to_string(),
                }),
            },
        }
    }
}

fn located(
    key: &'static str,
    file: &Option<PathBuf>,
    credentials: Option<&Path>,
) -> Result<Option<PathBuf>, ConfigError> {
    let Some(path) = file else { return Ok(None) };
    match credential::locate(path, credentials) {
        Ok(path) => Ok(Some(path)),
        Err(error) => Err(ConfigError::Credential {
            key,
            path: path.clone(),
            error,
        }),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_url(url: &str) -> Result<Broker, ConfigError> {
        let config = MqttConfig {
            url: url.to_owned(),
            ..MqttConfig::default()
        };
        config.broker()
    }

    #[test]
    fn addresses() {
        for (url, host, port) in [
            ("mqtt://lab", "lab", 1883),
            ("mqtt://lab:1884/", "lab", 1884),
            ("mqtt://10.0.0.1:1", "10.0.0.1", 1),
            ("mqtt://[::1]:1885", "[::1]", 1885),
            ("mqtt://[::1]", "[::1]", 1883),
        ] {
            let broker = with_url(url).expect("a good address");
            assert_eq!((broker.host.as_str(), broker.port), (host, port), "{url}");
        }
        for url in [
            "lab",
            "mqtt://",
            "mqtt://lab:x",
            "mqtt://lab:0",
            "http://lab",
            "mqtt://a/b",
        ] {
            assert!(matches!(with_url(url), Err(ConfigError::Url(_))), "{url}");
        }
    }

    #[test]
    fn tls_has_a_port_of_its_own_and_no_use_without_mqtts() {
        let file = tempfile::NamedTempFile::new().expect("writable");
        let authority = rcgen::generate_simple_self_signed([]).expect("a certificate");
        std::fs::write(file.path(), authority.cert.pem()).expect("writable");
        let mut config = MqttConfig {
            url: "mqtts://lab".to_owned(),
            ca_file: Some(file.path().to_owned()),
            ..MqttConfig::default()
        };
        let broker = config.broker().expect("all is there");
        assert!(broker.port == 8883 && broker.tls.is_some());
        config.url = "mqtt://lab".to_owned();
        let error = config.broker().err();
        assert_eq!(error, Some(TlsError::NoTls("ca_file").into()));
    }

    #[test]
    fn a_relative_path_is_a_systemd_credential() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("mqtt-password"), "s3cret\n").expect("writable");
        let config = MqttConfig {
            username: Some("pi".to_owned()),
            password_file: Some("mqtt-password".into()),
            ..MqttConfig::default()
        };
        let broker = config.broker_with(Some(dir.path())).expect("readable");
        assert_eq!(broker.login, Some(("pi".to_owned(), "s3cret".to_owned())));
        let error = config.broker_with(None).err().expect("no directory");
        let text = error.to_string();
        assert!(
            text.contains("password_file mqtt-password") && text.contains("LoadCredential="),
            "{text}"
        );
    }

    #[test]
    fn secrets_that_others_can_read_are_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().expect("writable");
        let mut config = MqttConfig {
            username: Some("pi".to_owned()),
            password_file: Some(file.path().to_owned()),
            ..MqttConfig::default()
        };
        assert_eq!(config.warnings(), [""; 0]);
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file.path(), open).expect("its owner");
        config.url = "mqtt://lab".to_owned();
        let warnings = config.warnings();
        assert!(warnings[0].contains("password_file") && warnings[0].contains("chmod"));
        assert!(warnings[1].contains("in clear"));
        config.url = "mqtts://lab".to_owned();
        assert_eq!(config.warnings().len(), 1);
    }

    #[test]
    fn secrets_stay_out_of_the_url_and_of_errors() {
        for url in [
            "mqtt://me:secret@lab",
            "http://me:secret@lab",
            "me:secret@lab",
            "mqtt://me:sec/ret@lab:x",
            "mqtt://me:sec@secret@lab ",
        ] {
            let error = with_url(url).err().expect("refused").to_string();
            assert!(error.contains("…@lab") && !error.contains("sec"), "{error}");
        }
    }

    #[test]
    fn a_name_is_no_part_of_a_pattern() {
        for bad in ["", "+", "a/b", "a#", "a\n"] {
            for config in [
                MqttConfig {
                    client_id: Some(bad.to_owned()),
                    ..MqttConfig::default()
                },
                MqttConfig {
                    username: Some(bad.to_owned()),
                    ..MqttConfig::default()
                },
            ] {
                let error = config.broker().err().expect(bad);
                assert!(matches!(error, ConfigError::Name { .. }), "{error}");
            }
        }
    }

    #[test]
    fn the_password_comes_from_a_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("password");
        std::fs::write(&path, "pass word\n").expect("writable");
        let config = MqttConfig {
            username: Some("pi".to_owned()),
            password_file: Some(path),
            ..MqttConfig::default()
        };
        let broker = config.broker().expect("readable");
        assert_eq!(
            broker.login,
            Some(("pi".to_owned(), "pass word".to_owned()))
        );
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(toml::from_str::<MqttConfig>("urll = \"x\"").is_err());
        assert_eq!(
            toml::from_str::<MqttConfig>("").expect("all defaults"),
            MqttConfig::default()
        );
    }
}
