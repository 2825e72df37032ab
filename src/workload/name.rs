//! Names that come from the network. Each type can only be made from a name that is safe
//! as a topic level, as a file name and in a log line.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A name was not acceptable; the text says what is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

fn check(name: &str, longest: usize, what: &str) -> Result<(), NameError> {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let goes_on_well = bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if starts_well && goes_on_well && name.len() <= longest {
        return Ok(());
    }
    Err(NameError(format!(
        "{what} must be 1 to {longest} characters of [A-Za-z0-9._-], the first a letter or digit"
    )))
}

macro_rules! name {
    ($(#[doc = $doc:literal])* $type:ident, $longest:expr, $what:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let rest = $longest - 1;
                json_schema!({
                    "type": "string",
                    "description": concat!($($doc),*).trim(),
                    "pattern": format!("^[A-Za-z0-9][A-Za-z0-9._-]{{0,{rest}}}$"),
                })
            }
        }
        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                check(&name, $longest, $what)?;
                Ok(Self(name))
            }
        }
        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::try_from(name.to_owned())
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The client's name of a job: also a topic level.
    JobId,
    64,
    "a job id"
);
name!(
    /// A model's file name in the model directory; it can't name anything outside it.
    ModelName,
    128,
    "a model name"
);
name!(
    /// A file name in the data directory; it can't name anything outside it.
    DataName,
    128,
    "a data name"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_names_are_fine() {
        assert!("smol-1".parse::<JobId>().is_ok());
        assert!(
            "SmolLM2-135M-Instruct.Q4_1.gguf"
                .parse::<ModelName>()
                .is_ok()
        );
    }

    #[test]
    fn what_could_leave_the_directory_or_the_topic_is_refused() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "a\0b",
            "+",
            "#",
            "a b",
            "-rf",
            "．．／x",
            ".hidden",
        ] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad:?}");
            assert!(bad.parse::<DataName>().is_err(), "{bad:?}");
            assert!(bad.parse::<JobId>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(64).parse::<JobId>().is_ok());
        assert!("x".repeat(65).parse::<JobId>().is_err());
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_one_safe_path_component(name in ".*") {
            if let Ok(name) = name.parse::<ModelName>() {
                let path = std::path::Path::new(name.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(name.as_str()));
            }
        }
    }
}
