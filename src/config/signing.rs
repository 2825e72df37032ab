//! `[signing]`: whose jobs a board takes, on a broker that others write to as well.

use super::ConfigError;
use crate::workload::signature::TrustedKeys;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SigningConfig {
    /// Refuse jobs without a signature by one of `keys`.
    pub required: bool,
    /// Ed25519 public keys by name, 32 bytes in base64, as `joulectl keygen` prints them.
    pub keys: BTreeMap<String, String>,
}

impl SigningConfig {
    /// The keys, read.
    pub fn trusted(&self) -> Result<TrustedKeys, ConfigError> {
        let wrong = |message: String| ConfigError::Value {
            key: "signing.keys".to_owned(),
            message,
        };
        let keys = TrustedKeys::parse(&self.keys).map_err(|error| wrong(error.to_string()))?;
        if self.required && keys.is_empty() {
            let message = "signing.required = true, and no key: every job would be refused";
            return Err(wrong(message.to_owned()));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked_before_anything_runs() {
        let with = |required, keys: &[(&str, &str)]| SigningConfig {
            required,
            keys: keys
                .iter()
                .map(|(name, key)| ((*name).to_owned(), (*key).to_owned()))
                .collect(),
        };
        let good = ("lab", "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=");
        assert!(with(true, &[good]).trusted().is_ok());
        assert!(with(false, &[]).trusted().is_ok());
        assert!(with(true, &[]).trusted().is_err());
        let error = with(false, &[good, ("eve", "c2hvcnQ=")]).trusted();
        let error = error.expect_err("too short").to_string();
        assert!(
            error.contains("signing.keys") && error.contains("\"eve\""),
            "{error}"
        );
    }
}
