//! Which broker and which board a command talks to.

use super::LabError;
use crate::mqtt::credential;
use crate::mqtt::tls::{Names, TlsFiles};
use rustls::ClientConfig;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// What the connection's options are called.
pub const OPTIONS: Names = Names {
    ca: "--ca-file",
    cert: "--cert-file",
    key: "--key-file",
    url: "--broker",
    password: "--password-file",
};

/// Connection options, the same for every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// The broker, as mqtt[s]://[USER@]HOST[:PORT]; with mqtts, TLS that verifies the broker
    #[arg(
        long,
        env = "JOULED_BROKER",
        hide_env_values = true,
        value_name = "URL",
        default_value = "mqtt://localhost:1883"
    )]
    pub broker: String,
    /// File with the password of USER (never given on the command line, where others see it)
    #[arg(long, env = "JOULED_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Authorities that the broker's certificate may come from [default: the system's]
    #[arg(long, env = "JOULED_CA_FILE", value_name = "PEM")]
    pub ca_file: Option<PathBuf>,
    /// Your own certificate, where the broker asks for one
    #[arg(long, env = "JOULED_CERT_FILE", value_name = "PEM")]
    pub cert_file: Option<PathBuf>,
    /// The key to it, without passphrase
    #[arg(long, env = "JOULED_KEY_FILE", value_name = "PEM")]
    pub key_file: Option<PathBuf>,
    /// The board; may be left out when only one is online
    #[arg(long, short, value_name = "NAME")]
    pub device: Option<String>,
    /// First level of every topic
    #[arg(long, default_value = "jouled", value_name = "TOPIC")]
    pub prefix: String,
}

/// Where to connect and as whom.
#[derive(Clone)]
pub struct Address {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// A target without credentials, as `demo` and the tests use it.
    pub fn local(port: u16, device: &str) -> Self {
        Self {
            broker: format!("mqtt://127.0.0.1:{port}"),
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            device: Some(device.to_owned()),
            prefix: "jouled".to_owned(),
        }
    }

    /// The broker's address as it may be shown: without what could hold a password.
    pub fn shown(&self) -> String {
        match self.broker.rsplit_once('@') {
            Some((_, after)) => format!("…@{after}"),
            None => self.broker.clone(),
        }
    }

    /// Secrets that others can read.
    pub fn warnings(&self) -> Vec<String> {
        let secrets = [
            (OPTIONS.password, &self.password_file),
            (OPTIONS.key, &self.key_file),
        ];
        secrets
            .into_iter()
            .filter_map(|(option, file)| credential::warning(option, file.as_deref()?))
            .collect()
    }

    /// Checks the URL, and reads password, certificates and key.
    pub fn address(&self) -> Result<Address, LabError> {
        let wrong = |why: &str| {
            LabError::Usage(format!(
                "--broker {}: {why}; expected mqtt[s]://[USER@]HOST[:PORT]",
                self.shown()
            ))
        };
        let url = Url::parse(&self.broker).map_err(|error| wrong(&error.to_string()))?;
        let is_tls = match url.scheme() {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" => true,
            _ => return Err(wrong("the scheme is neither mqtt nor mqtts")),
        };
        if url.password().is_some() {
            return Err(wrong(
                "a password on the command line is visible to others, put it into a file \
                 and name that with --password-file",
            ));
        }
        // Where a password has a slash in it, the rest of it is the path.
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("something follows the host and the port"));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("it names no host"))?;
        let password = match &self.password_file {
            None => None,
            Some(file) => Some(credential::password(file).map_err(|error| {
                LabError::Usage(format!("--password-file {}: {error}", file.display()))
            })?),
        };
        let user = (!url.username().is_empty()).then(|| url.username().to_owned());
        if password.is_some() && user.is_none() {
            return Err(wrong("--password-file is given, but the URL names no user"));
        }
        Ok(Address {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if is_tls { 8883 } else { 1883 }),
            user,
            password,
            tls: self.tls(is_tls)?,
        })
    }
}

impl Target {
    fn tls(&self, is_tls: bool) -> Result<Option<Arc<ClientConfig>>, LabError> {
        let files = TlsFiles {
            ca: self.ca_file.clone(),
            cert: self.cert_file.clone(),
            key: self.key_file.clone(),
        };
        let config = match is_tls {
            true => files.client_config(&OPTIONS).map(Some),
            false => files.check_unused(&OPTIONS).map(|()| None),
        };
        config.map_err(|error| LabError::Usage(error.to_string()))
    }
}

/// The topics of one board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    base: String,
    name: String,
}

impl Board {
    pub fn new(prefix: &str, name: &str) -> Self {
        Self {
            base: format!("{prefix}/{name}"),
            name: name.to_owned(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    pub fn command(&self, verb: &str) -> String {
        format!("{}/cmd/{verb}", self.base)
    }

    /// The same topics of every board, to subscribe to.
    pub fn everywhere(&self) -> Self {
        Self {
            base: format!(
                "{}/+",
                self.base.rsplit_once('/').map_or("", |(prefix, _)| prefix)
            ),
            name: "+".to_owned(),
        }
    }

    /// A topic of one job: `state`, `tokens`, `trace` or `result`.
    pub fn of_job(&self, id: &str, leaf: &str) -> String {
        format!("{}/jobs/{id}/{leaf}", self.base)
    }

    /// Where the board tells how far a model of its catalogue has come.
    pub fn model_state(&self, model: &str) -> String {
        format!("{}/models/{model}/state", self.base)
    }

    /// Everything that is published about one job.
    pub fn job_filter(&self, id: &str) -> String {
        format!("{}/jobs/{id}/#", self.base)
    }

    /// The last level of a topic of job `id`: `state`, `tokens`, `trace` or `result`.
    pub fn job_leaf<'t>(&self, id: &str, topic: &'t str) -> Option<&'t str> {
        topic
            .strip_prefix(&self.base)?
            .strip_prefix("/jobs/")?
            .strip_prefix(id)?
            .strip_prefix('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(broker: &str) -> Target {
        Target {
            broker: broker.to_owned(),
            ..Target::local(1883, "pi5-01")
        }
    }

    #[test]
    fn the_usual_spellings_of_a_broker() {
        let address = target("mqtt://lab@broker.example:1884").address().unwrap();
        assert_eq!(address.host, "broker.example");
        assert_eq!((address.port, address.user.as_deref()), (1884, Some("lab")));
        assert_eq!(target("mqtt://localhost").address().unwrap().port, 1883);
        assert_eq!(target("mqtt://[::1]:9").address().unwrap().host, "::1");
    }

    #[test]
    fn a_wrong_broker_is_a_usage_error_that_says_what_is_expected() {
        for bad in ["localhost", "http://x", "mqtt://", "mqtt://u:secret@x"] {
            let error = target(bad).address().err().expect(bad);
            assert_eq!(error.exit_code(), 2, "{bad}");
            assert!(
                error.to_string().contains("mqtt[s]://[USER@]HOST"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_password_in_the_url_is_never_shown() {
        for bad in [
            "mqtt://me:secret@x",
            "http://me:secret@x",
            "me:secret@x",
            "mqtt://me:1/secret@x",
            "mqtt://me:1#secret@x",
            "mqtt://me:secret@x:y",
            "mqtt://me:secret@x?y",
        ] {
            let error = target(bad).address().err().expect(bad).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn mqtts_is_tls_on_a_port_of_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let authority = rcgen::generate_simple_self_signed([]).unwrap();
        std::fs::write(file.path(), authority.cert.pem()).unwrap();
        let mut target = target("mqtts://x");
        target.ca_file = Some(file.path().to_owned());
        let address = target.address().unwrap();
        assert!(address.port == 8883 && address.tls.is_some());
        target.broker = "mqtt://x".to_owned();
        let error = target.address().err().unwrap();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--ca-file"), "{error}");
    }

    #[test]
    fn the_password_is_the_files_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret \n").unwrap();
        let mut target = target("mqtt://lab@x");
        target.password_file = Some(file.path().to_owned());
        let address = target.address().unwrap();
        assert_eq!(address.password.as_deref(), Some("s3cret "));
        target.broker = "mqtt://x".to_owned();
        assert!(target.address().is_err());
    }

    #[test]
    fn secrets_that_others_can_read_are_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut target = target("mqtts://lab@x");
        target.password_file = Some(file.path().to_owned());
        assert_eq!(target.warnings(), [""; 0]);
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file.path(), open).unwrap();
        let warnings = target.warnings();
        assert!(warnings[0].starts_with("--password-file"), "{warnings:?}");
    }

    #[test]
    fn a_jobs_topics_are_told_apart() {
        let board = Board::new("jouled", "pi5-01");
        let leaf = |topic| board.job_leaf("a", topic);
        assert_eq!(leaf("jouled/pi5-01/jobs/a/state"), Some("state"));
        assert_eq!(leaf("jouled/pi5-01/jobs/ab/state"), None);
        assert_eq!(leaf("jouled/pi5-02/jobs/a/state"), None);
        let everywhere = board.everywhere().of_job("a", "state");
        assert_eq!(everywhere, "jouled/+/jobs/a/state");
    }
}
