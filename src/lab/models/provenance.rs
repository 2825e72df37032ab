//! `NAME.gguf.json` beside a model: where its bytes came from, and their SHA-256.

use super::draft::Draft;
use crate::lab::LabError;
use crate::runtime::gguf::Header;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
/// A chain of files, each made of the one before, is a few kilobytes.
const MOST_BYTES: u64 = 1 << 20;

/// Other fields than these may follow in a later version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub v: u32,
    /// File name, without folders.
    pub name: String,
    pub sha256: String,
    pub size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quant: Option<String>,
    /// When the file was made or fetched here, RFC 3339 in UTC.
    pub time: String,
    /// Program and version.
    pub by: String,
    /// An [`Origin`], or one of another program.
    pub origin: Value,
}

/// Where the bytes of a model come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    HuggingFace {
        /// Of the file, at the commit where the server names one.
        url: String,
        repository: String,
        file: String,
        /// As asked for.
        revision: String,
        /// What the server took that for.
        commit: Option<String>,
        /// Whose word its hash is: a mirror's is not Hugging Face's.
        vouched_by: Option<String>,
    },
    Web {
        /// Without its query, which may be a secret.
        url: String,
        vouched_by: Option<String>,
    },
    /// Joined in this order.
    Wheels { parts: Vec<WheelPart> },
    Quantized {
        from: Source,
        to: &'static str,
        engine: String,
        /// Tensors whose rows are no whole blocks of the type, and which got another.
        fallback_tensors: u32,
        /// The source was quantised already.
        requantized: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WheelPart {
    /// `PACKAGE==VERSION`.
    pub wheel: String,
    pub path: String,
    /// Of the file in it; `None` where the model was there already and no wheel was fetched.
    pub sha256: Option<String>,
}

/// What a model was made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    pub name: String,
    pub sha256: String,
    pub size_bytes: u64,
    pub quant: String,
    /// Of its own file of this kind, where that names the same bytes.
    pub origin: Option<Value>,
}

impl Provenance {
    pub fn new(name: &str, sha256: &str, size_bytes: u64, origin: &Origin) -> Self {
        Self {
            v: VERSION,
            name: name.to_owned(),
            sha256: sha256.to_owned(),
            size_bytes,
            arch: None,
            quant: None,
            time: crate::clock::wall_label(),
            by: concat!("joulectl ", env!("CARGO_PKG_VERSION")).to_owned(),
            origin: serde_json::to_value(origin).expect("an origin has only JSON-able fields"),
        }
    }

    pub fn with(self, header: &Header) -> Self {
        Self {
            arch: Some(header.architecture.clone()),
            quant: Some(header.quant.clone()),
            ..self
        }
    }

    /// Writes it beside the model, in place of one that is there.
    pub fn write(&self, model: &Path) -> Result<(), LabError> {
        let mut draft = Draft::replacing(&file_of(model))?;
        let mut text = serde_json::to_vec_pretty(self).expect("it has only JSON-able fields");
        text.push(b'\n');
        draft.write(&text)?;
        draft.keep()
    }

    /// Of the model at this path; `None` where there is none.
    ///
    /// Errors: there is one, and it can't be read or is something else.
    pub fn read(model: &Path) -> Result<Option<Self>, LabError> {
        let path = file_of(model);
        let wrong =
            |why: &dyn std::fmt::Display| LabError::Failed(format!("{}: {why}", path.display()));
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(&error)),
        };
        let mut text = String::new();
        file.take(MOST_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| wrong(&error))?;
        let provenance: Self = serde_json::from_str(&text)
            .map_err(|error| wrong(&format!("does not say where a model is from: {error}")))?;
        match provenance.v {
            VERSION => Ok(Some(provenance)),
            v => Err(wrong(&format!(
                "is of version {v}; this joulectl reads version {VERSION}"
            ))),
        }
    }
}

/// `m.gguf.json` of `m.gguf`.
pub fn file_of(model: &Path) -> PathBuf {
    let mut name = OsString::from(model);
    name.push(".json");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn provenance() -> Provenance {
        let origin = Origin::Web {
            url: "https://models.lab/m.gguf".to_owned(),
            vouched_by: None,
        };
        Provenance::new("m.gguf", &"ab".repeat(32), 5, &origin)
    }

    #[test]
    fn what_was_written_is_read_back_and_may_say_more() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.gguf");
        assert_eq!(Provenance::read(&model), Ok(None));
        let written = provenance();
        written.write(&model).unwrap();
        written.write(&model).unwrap();
        assert_eq!(Provenance::read(&model), Ok(Some(written.clone())));
        assert_eq!(written.origin["kind"], "web");
        let mut more = serde_json::to_value(&written).unwrap();
        more["licence"] = json!("MIT");
        std::fs::write(file_of(&model), more.to_string()).unwrap();
        assert_eq!(Provenance::read(&model), Ok(Some(written)));
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 1, "nothing else is left");
    }

    #[test]
    fn another_version_or_form_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m.gguf");
        let mut later = serde_json::to_value(provenance()).unwrap();
        later["v"] = json!(2);
        for (text, part) in [
            (later.to_string(), "version 2"),
            ("{}".to_owned(), "does not say where"),
            (String::new(), "does not say where"),
        ] {
            std::fs::write(file_of(&model), text).unwrap();
            let error = Provenance::read(&model).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(error.contains("m.gguf.json"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let dir = tempfile::tempdir().unwrap();
            let model = dir.path().join("m.gguf");
            std::fs::write(file_of(&model), text).unwrap();
            prop_assert!(Provenance::read(&model).is_err());
        }
    }
}
