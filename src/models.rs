//! The model directory: which models there are, and their SHA-256.

use crate::record::device::ModelInfo;
use crate::runtime::gguf::Header;
use crate::store::{self, FileIdentity, Store};
use crate::workload::ModelName;
use crate::workload::job::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A model can't be used. The text is for the client: names, no paths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("there is no model \"{0}\" in the model directory")]
    Unknown(String),
    #[error("model \"{name}\" cannot be read: {message}")]
    Unreadable { name: String, message: String },
    #[error("model \"{name}\" has SHA-256 {actual}, not the {wanted} that the job asks for")]
    OtherHash {
        name: String,
        actual: String,
        wanted: String,
    },
}

/// The models that a job can name.
#[derive(Clone)]
pub struct ModelDirectory {
    dir: PathBuf,
    store: Arc<Mutex<Store>>,
}

/// One model, found and hashed.
#[derive(Debug, Clone)]
pub struct FoundModel {
    pub path: PathBuf,
    pub sha256: String,
    pub size_bytes: u64,
}

impl ModelDirectory {
    pub fn new(dir: PathBuf, store: Arc<Mutex<Store>>) -> Self {
        Self { dir, store }
    }

    /// The path of a model that is there. A link may not lead out of the directory.
    pub fn path(&self, name: &ModelName) -> Result<PathBuf, ModelError> {
        let unknown = || ModelError::Unknown(name.to_string());
        let dir = self.dir.canonicalize().map_err(|_| unknown())?;
        let path = dir
            .join(name.as_str())
            .canonicalize()
            .map_err(|_| unknown())?;
        if path.starts_with(&dir) && path.is_file() {
            Ok(path)
        } else {
            Err(unknown())
        }
    }

    /// Finds and hashes a model. Hashing reads the whole file once; the store remembers it
    /// until the file changes.
    pub fn find(&self, name: &ModelName, wanted: Option<&str>) -> Result<FoundModel, ModelError> {
        let path = self.path(name)?;
        let unreadable = |message: String| ModelError::Unreadable {
            name: name.to_string(),
            message,
        };
        let (sha256, size_bytes) = self
            .sha256(name, &path)
            .map_err(|error| unreadable(error.to_string()))?;
        if let Some(wanted) = wanted.filter(|wanted| !wanted.eq_ignore_ascii_case(&sha256)) {
            return Err(ModelError::OtherHash {
                name: name.to_string(),
                actual: sha256,
                wanted: wanted.to_owned(),
            });
        }
        Ok(FoundModel {
            path,
            sha256,
            size_bytes,
        })
    }

    /// Every file whose name a job could give, hashed.
    pub fn list(&self) -> Vec<ModelInfo> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut names: Vec<ModelName> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|name: &ModelName| name.as_str().ends_with(".gguf"))
            .collect();
        names.sort();
        names.iter().map(|name| self.info(name)).collect()
    }

    fn info(&self, name: &ModelName) -> ModelInfo {
        let found = self.find(name, None).map_err(|error| error.to_string());
        let read = found.and_then(|found| {
            let header = Header::open(&found.path).map_err(|error| error.to_string())?;
            Ok((found, header.architecture))
        });
        match read {
            Ok((found, arch)) => ModelInfo {
                name: name.to_string(),
                size_bytes: Some(found.size_bytes),
                sha256: Some(found.sha256),
                arch: Some(arch),
                reason: None,
            },
            Err(reason) => ModelInfo {
                name: name.to_string(),
                size_bytes: None,
                sha256: None,
                arch: None,
                reason: Some(reason),
            },
        }
    }

    fn sha256(&self, name: &ModelName, path: &Path) -> std::io::Result<(String, u64)> {
        let mut file = File::open(path)?;
        let facts = file.metadata()?;
        let identity = FileIdentity::of(&facts);
        match store::lock(&self.store).model_hash(name.as_str(), identity) {
            Ok(Some(known)) => return Ok((known, identity.size_bytes)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "{name} is hashed again"),
        }
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 18];
        loop {
            match file.read(&mut block)? {
                0 => break,
                n => hash.update(&block[..n]),
            }
        }
        let sha256 = hex(&hash.finalize());
        if let Err(error) =
            store::lock(&self.store).keep_model_hash(name.as_str(), identity, &sha256)
        {
            tracing::warn!(%error, "the hash of {name} is not remembered");
        }
        Ok((sha256, identity.size_bytes))
    }
}
