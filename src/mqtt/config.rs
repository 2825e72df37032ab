//! `[mqtt]` of the configuration.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[mqtt]` as the administrator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MqttConfig {
    /// `mqtt://host:port`; the port is 1883 when left out.
    pub url: String,
    pub username: Option<String>,
    /// A file with the password alone; a newline at its end is left off.
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
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
    #[error("[mqtt] url {0:?}: write mqtt://host:port")]
    Url(String),
    #[error("[mqtt] url {0:?}: no name or password here; use username and password_file")]
    Secret(String),
    #[error(
        "[mqtt] {0}: this version of jouled has no TLS yet; use an mqtt:// URL without TLS \
         files, on a network that you trust or through a local bridge broker that speaks TLS"
    )]
    NoTls(&'static str),
    #[error("[mqtt] prefix {0:?}: use one topic level of [A-Za-z0-9_-]")]
    Prefix(String),
    #[error("[mqtt] keep_alive_s = {0}: use 5 to 3600 seconds")]
    KeepAlive(u16),
    #[error("[mqtt] password_file without username")]
    PasswordWithoutName,
    #[error("[mqtt] password_file {path}: {error}", path = path.display())]
    Password { path: PathBuf, error: String },
}

/// The broker and how to greet it, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    pub host: String,
    pub port: u16,
    pub login: Option<(String, String)>,
    pub keep_alive_s: u16,
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl MqttConfig {
    /// Checks everything that needs no network, and reads the password.
    pub fn broker(&self) -> Result<Broker, ConfigError> {
        let (host, port) = self.address()?;
        let prefix_is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.prefix.is_empty() || !self.prefix.chars().all(prefix_is_fine) {
            return Err(ConfigError::Prefix(self.prefix.clone()));
        }
        if !(5..=3600).contains(&self.keep_alive_s) {
            return Err(ConfigError::KeepAlive(self.keep_alive_s));
        }
        Ok(Broker {
            host,
            port,
            login: self.login()?,
            keep_alive_s: self.keep_alive_s,
        })
    }

    fn address(&self) -> Result<(String, u16), ConfigError> {
        let wrong = || ConfigError::Url(self.url.clone());
        if self.url.starts_with("mqtts://") {
            return Err(ConfigError::NoTls("url"));
        }
        for (key, file) in [
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ] {
            if file.is_some() {
                return Err(ConfigError::NoTls(key));
            }
        }
        let rest = self.url.strip_prefix("mqtt://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(ConfigError::Secret(
                self.url
                    .split('@')
                    .next_back()
                    .unwrap_or_default()
                    .to_owned(),
            ));
        }
        // An IPv6 address stands in brackets, so the last colon outside them is the port's.
        let after_host = rest.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match rest[after_host..].find(':') {
            Some(colon) => {
                let (host, port) = rest.split_at(after_host + colon);
                (host, port[1..].parse().map_err(|_| wrong())?)
            }
            None => (rest, 1883),
        };
        let stray = |c: char| c == '/' || c == '?' || c == '#' || c.is_whitespace();
        if host.is_empty() || port == 0 || host.contains(stray) {
            return Err(wrong());
        }
        Ok((host.to_owned(), port))
    }

    fn login(&self) -> Result<Option<(String, String)>, ConfigError> {
        match (&self.username, &self.password_file) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(ConfigError::PasswordWithoutName),
            (Some(name), None) => Ok(Some((name.clone(), String::new()))),
            (Some(name), Some(path)) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| ConfigError::Password {
                        path: path.clone(),
                        error: error.to_string(),
                    })?;
                let password = text.trim_end_matches(['\r', '\n']).to_owned();
                Ok(Some((name.clone(), password)))
            }
        }
    }
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
    fn tls_is_refused_in_clear_words() {
        let error = with_url("mqtts://lab:8883").err().expect("no TLS yet");
        assert!(error.to_string().contains("no TLS yet"), "{error}");
        let config = MqttConfig {
            ca_file: Some("ca.pem".into()),
            ..MqttConfig::default()
        };
        assert_eq!(config.broker().err(), Some(ConfigError::NoTls("ca_file")));
    }

    #[test]
    fn secrets_stay_out_of_the_url_and_of_errors() {
        let error = with_url("mqtt://me:secret@lab").err().expect("refused");
        assert!(!error.to_string().contains("secret"), "{error}");
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
