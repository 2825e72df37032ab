//! `[metrics]`: where Prometheus may read the board's metrics. Without `listen` nothing listens.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Address and port, such as `127.0.0.1:9187`.
    pub listen: Option<String>,
    /// Whether `listen` may be an address that other machines reach: who reads metrics is asked
    /// for no name, and nothing is encrypted.
    pub allow_remote: bool,
}

impl MetricsConfig {
    /// Where to listen, checked.
    pub fn address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let Some(text) = &self.listen else {
            return Ok(None);
        };
        let wrong = |message: String| ConfigError::Value {
            key: "metrics.listen".to_owned(),
            message,
        };
        let address: SocketAddr = text.parse().map_err(|_| {
            wrong(format!(
                "\"{text}\" is no address with a port, such as \"127.0.0.1:9187\" or \
                 \"[::1]:9187\"; names are not looked up"
            ))
        })?;
        if address.port() == 0 {
            return Err(wrong(format!("\"{text}\": choose a port; 9187 is usual")));
        }
        if !address.ip().is_loopback() && !self.allow_remote {
            return Err(wrong(format!(
                "\"{text}\" can be reached from other machines, without a name and in clear; \
                 listen on 127.0.0.1 behind a proxy, or set metrics.allow_remote = true"
            )));
        }
        Ok(Some(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(listen: &str, allow_remote: bool) -> Result<Option<SocketAddr>, String> {
        let config = MetricsConfig {
            listen: Some(listen.to_owned()),
            allow_remote,
        };
        config.address().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_listens_unless_asked() {
        assert_eq!(MetricsConfig::default().address(), Ok(None));
    }

    #[test]
    fn other_machines_reach_it_only_when_that_is_said() {
        for here in ["127.0.0.1:9187", "127.8.8.8:1", "[::1]:9187"] {
            assert!(address(here, false).is_ok(), "{here}");
        }
        for open in ["0.0.0.0:9187", "192.168.1.5:9187", "[::]:9187"] {
            let error = address(open, false).unwrap_err();
            assert!(error.contains("metrics.allow_remote"), "{error}");
            assert!(address(open, true).is_ok(), "{open}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_what_is_one() {
        for wrong in [
            "",
            "9187",
            ":9187",
            "localhost:9187",
            "127.0.0.1",
            "::1:9187x",
        ] {
            let error = address(wrong, true).unwrap_err();
            assert!(error.contains("127.0.0.1:9187"), "{wrong}: {error}");
        }
        assert!(address("127.0.0.1:0", false).unwrap_err().contains("port"));
    }
}
