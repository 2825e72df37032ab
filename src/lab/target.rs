//! Which broker and which board a command talks to.

use super::LabError;
use std::path::PathBuf;
use url::Url;

/// Connection options, the same for every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// The broker, as mqtt://[USER@]HOST[:PORT]
    #[arg(
        long,
        env = "JOULED_BROKER",
        value_name = "URL",
        default_value = "mqtt://localhost:1883"
    )]
    pub broker: String,
    /// File with the password of USER (never given on the command line, where others see it)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The board; may be left out when only one is online
    #[arg(long, short, value_name = "NAME")]
    pub device: Option<String>,
    /// First level of every topic
    #[arg(long, default_value = "jouled", value_name = "TOPIC")]
    pub prefix: String,
}

/// Where to connect and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
}

impl Target {
    /// A target without credentials, as `demo` and the tests use it.
    pub fn local(port: u16, device: &str) -> Self {
        Self {
            broker: format!("mqtt://127.0.0.1:{port}"),
            password_file: None,
            device: Some(device.to_owned()),
            prefix: "jouled".to_owned(),
        }
    }

    /// Checks the URL and reads the password.
    pub fn address(&self) -> Result<Address, LabError> {
        let wrong = |why: &str| {
            LabError::Usage(format!(
                "--broker {}: {why}; expected mqtt://[USER@]HOST[:PORT]",
                self.broker
            ))
        };
        let url = Url::parse(&self.broker).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "mqtt" | "tcp" => {}
            "mqtts" | "ssl" => return Err(wrong("this build does not speak TLS")),
            _ => return Err(wrong("the scheme is not mqtt")),
        }
        if url.password().is_some() {
            return Err(wrong(
                "a password on the command line is visible to others, put it into a file \
                 and name that with --password-file",
            ));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("it names no host"))?;
        let password = match &self.password_file {
            None => None,
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    LabError::Usage(format!("--password-file {}: {error}", file.display()))
                })?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        };
        let user = (!url.username().is_empty()).then(|| url.username().to_owned());
        if password.is_some() && user.is_none() {
            return Err(wrong("--password-file is given, but the URL names no user"));
        }
        Ok(Address {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(1883),
            user,
            password,
        })
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
        for bad in [
            "localhost",
            "http://x",
            "mqtts://x",
            "mqtt://",
            "mqtt://u:secret@x",
        ] {
            let error = target(bad).address().expect_err(bad);
            assert_eq!(error.exit_code(), 2, "{bad}");
            assert!(error.to_string().contains("mqtt://[USER@]HOST"), "{error}");
        }
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
    fn a_jobs_topics_are_told_apart() {
        let board = Board::new("jouled", "pi5-01");
        let leaf = |topic| board.job_leaf("a", topic);
        assert_eq!(leaf("jouled/pi5-01/jobs/a/state"), Some("state"));
        assert_eq!(leaf("jouled/pi5-01/jobs/ab/state"), None);
        assert_eq!(leaf("jouled/pi5-02/jobs/a/state"), None);
    }
}
