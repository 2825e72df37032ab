//! The model directory: which models there are, and their SHA-256.

use crate::record::device::ModelInfo;
use crate::runtime::gguf::Header;
use crate::store::{self, FileIdentity, Store};
use crate::workload::ModelName;
use crate::workload::job::hex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
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
    #[error("model \"{0}\" is not hashed yet")]
    NotHashed(String),
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

/// The files of the directory that a job could name, and what makes them what they are.
pub type Seen = Vec<(ModelName, FileIdentity)>;

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
    /// until the file changes. It takes minutes for a large file, so `go_on` is asked before
    /// each block; it may wait, and stops the hashing with `false`.
    pub fn find(
        &self,
        name: &ModelName,
        wanted: Option<&str>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<FoundModel, ModelError> {
        let path = self.path(name)?;
        let unreadable = |error: std::io::Error| ModelError::Unreadable {
            name: name.to_string(),
            message: error.to_string(),
        };
        let mut file = File::open(&path).map_err(unreadable)?;
        let identity = FileIdentity::of(&file.metadata().map_err(unreadable)?);
        let sha256 = match self.known_hash(name, identity) {
            Some(known) => known,
            None => {
                let hash = hash(&mut file, go_on).map_err(unreadable)?;
                let hash = hash.ok_or_else(|| ModelError::NotHashed(name.to_string()))?;
                let kept = store::lock(&self.store).keep_model_hash(name.as_str(), identity, &hash);
                if let Err(error) = kept {
                    tracing::warn!(%error, "the hash of {name} is not remembered");
                }
                hash
            }
        };
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
            size_bytes: identity.size_bytes,
        })
    }

    /// Size of a model that is there, and its SHA-256 if it is known; nothing is hashed.
    pub fn glance(&self, name: &ModelName) -> Option<(u64, Option<String>)> {
        let identity = FileIdentity::of(&std::fs::metadata(self.path(name).ok()?).ok()?);
        Some((identity.size_bytes, self.known_hash(name, identity)))
    }

    /// A look at the directory, to tell whether anything has changed.
    pub fn seen(&self) -> Seen {
        let identity = |name: &ModelName| {
            let file = std::fs::metadata(self.dir.join(name.as_str())).ok()?;
            Some((name.clone(), FileIdentity::of(&file)))
        };
        self.names().iter().filter_map(identity).collect()
    }

    /// Every model, hashed; see [`ModelDirectory::find`] about `go_on`.
    pub fn list(&self, go_on: &dyn Fn() -> bool) -> Vec<ModelInfo> {
        let info = |name: &ModelName| self.info(name, go_on);
        self.names().iter().map(info).collect()
    }

    /// Files whose name a job could give.
    fn names(&self) -> Vec<ModelName> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut names: Vec<ModelName> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|name: &ModelName| name.as_str().ends_with(".gguf"))
            .collect();
        names.sort();
        names
    }

    fn info(&self, name: &ModelName, go_on: &dyn Fn() -> bool) -> ModelInfo {
        let found = self
            .find(name, None, go_on)
            .map_err(|error| error.to_string());
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

    fn known_hash(&self, name: &ModelName, identity: FileIdentity) -> Option<String> {
        store::lock(&self.store)
            .model_hash(name.as_str(), identity)
            .unwrap_or_else(|error| {
                tracing::warn!(%error, "{name} is hashed again");
                None
            })
    }
}

/// SHA-256 of a file; `None` when `go_on` ended it.
fn hash(file: &mut File, go_on: &dyn Fn() -> bool) -> std::io::Result<Option<String>> {
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 18];
    while go_on() {
        match file.read(&mut block)? {
            0 => return Ok(Some(hex(&hash.finalize()))),
            n => hash.update(&block[..n]),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, ModelDirectory) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let models = dir.path().join("models");
        std::fs::create_dir(&models).expect("mkdir");
        for (name, text) in files {
            std::fs::write(models.join(name), text).expect("write");
        }
        let store = Store::open(&dir.path().join("state")).expect("a fresh store opens");
        (
            dir,
            ModelDirectory::new(models, Arc::new(Mutex::new(store))),
        )
    }

    fn name(name: &str) -> ModelName {
        name.parse().expect("a valid name")
    }

    /// Of the text "abc", FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_stopped_hash_is_not_known_and_a_finished_one_is_remembered() {
        let (_dir, models) = directory(&[("m.gguf", "abc")]);
        let name = name("m.gguf");
        let stopped = models.find(&name, None, &|| false);
        assert_eq!(
            stopped.map(|found| found.sha256),
            Err(ModelError::NotHashed("m.gguf".to_owned()))
        );
        assert_eq!(models.glance(&name), Some((3, None)));
        let seen = models.seen();
        let found = models.find(&name, None, &|| true).expect("it is there");
        assert_eq!(models.glance(&name), Some((3, Some(ABC.to_owned()))));
        assert_eq!(models.seen(), seen);
        assert_eq!((found.sha256.as_str(), found.size_bytes), (ABC, 3));
        let known = models.find(&name, Some(ABC), &|| false).expect("known");
        assert_eq!(known.sha256, ABC);
        let other = models.find(&name, Some("00"), &|| false);
        assert!(matches!(other, Err(ModelError::OtherHash { .. })));
    }

    #[test]
    fn what_is_not_hashed_or_no_model_says_so_in_the_list() {
        let (_dir, models) = directory(&[("b.gguf", "abc"), ("a.txt", "x"), (".c.gguf", "x")]);
        let list = models.list(&|| false);
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].name.as_str(), &list[0].sha256), ("b.gguf", &None));
        let reason = list[0].reason.as_deref().expect("why it has no hash");
        assert!(reason.contains("not hashed yet"), "{reason}");
        let list = models.list(&|| true);
        assert!(list[0].sha256.is_none() && list[0].reason.is_some());
    }

    #[test]
    fn nothing_outside_the_directory_is_a_model_and_its_absence_is_no_error() {
        let (dir, models) = directory(&[]);
        std::fs::write(dir.path().join("secret"), "x").expect("write");
        let link = dir.path().join("models/link.gguf");
        std::os::unix::fs::symlink(dir.path().join("secret"), link).expect("symlink");
        for bad in ["link.gguf", "absent.gguf"] {
            let unknown = ModelError::Unknown(bad.to_owned());
            assert_eq!(models.path(&name(bad)), Err(unknown));
        }
        std::fs::remove_dir_all(dir.path().join("models")).expect("rm");
        assert!(models.list(&|| true).is_empty());
        assert!(models.path(&name("m.gguf")).is_err());
    }
}
