//! `.NAME.trail` beside what has come of a model so far: which file of which server it is. The
//! rest is only put behind it when it belongs to the same.

use super::web::Wanted;
use crate::workload::ModelName;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use ureq::http::{HeaderMap, HeaderValue, header};

/// Empty where nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trail {
    /// Of the address, which may be a secret, the SHA-256.
    address: String,
    sha256: Option<String>,
    /// The server's name for the content, `ETag`.
    tag: Option<String>,
}

fn path(dir: &Path, name: &ModelName) -> PathBuf {
    dir.join(format!(".{name}.trail"))
}

/// Signatures in a query change from one time to the next.
fn address(wanted: &Wanted) -> String {
    use sha2::{Digest, Sha256};
    let mut url = wanted.url.clone();
    url.set_query(None);
    url.set_fragment(None);
    crate::workload::job::hex(&Sha256::digest(url.as_str()))
}

/// A link in its place is not followed.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?
        .write_all(text)
}

impl Trail {
    pub fn read(dir: &Path, name: &ModelName) -> Self {
        let text = std::fs::read(path(dir, name)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The bytes that come from here on are of this answer.
    pub fn begin(dir: &Path, wanted: &Wanted, answer: &HeaderMap) {
        let tag = answer.get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let trail = Self {
            address: address(wanted),
            sha256: wanted.sha256.clone(),
            tag: tag.map(str::to_owned),
        };
        let text = serde_json::to_vec(&trail).expect("it has only JSON-able fields");
        // Without it the next fetch begins anew, which is right too.
        let _ = write(&path(dir, &wanted.name), &text);
    }

    pub fn forget(dir: &Path, name: &ModelName) {
        // One that is left is read with nothing beside it, and replaced.
        let _ = std::fs::remove_file(path(dir, name));
    }

    /// A hash that is known tells in the end, wherever the pieces came from.
    pub fn is_of(&self, wanted: &Wanted) -> bool {
        match &wanted.sha256 {
            Some(sha256) => self.sha256.as_ref() == Some(sha256),
            None => self.sha256.is_none() && self.address == address(wanted),
        }
    }

    /// The tag, where it means the same bytes (RFC 9110, 8.8.1).
    pub fn strong_tag(&self) -> Option<HeaderValue> {
        let tag = self.tag.as_deref().filter(|tag| tag.starts_with('"'))?;
        tag.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(url: &str, sha256: Option<&str>) -> Wanted {
        Wanted {
            name: "m.gguf".parse().unwrap(),
            url: url.parse().unwrap(),
            sha256: sha256.map(str::to_owned),
            size_bytes: None,
            token: None,
        }
    }

    fn answer(tag: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ETAG, tag.parse().unwrap())])
    }

    #[test]
    fn the_same_file_goes_on_and_another_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let first = wanted("https://x.lab/m.gguf?signature=secret", None);
        assert!(!Trail::read(dir.path(), &first.name).is_of(&first));
        Trail::begin(dir.path(), &first, &answer("\"v1\""));
        let trail = Trail::read(dir.path(), &first.name);
        assert!(trail.is_of(&wanted("https://x.lab/m.gguf?signature=other", None)));
        assert!(!trail.is_of(&wanted("https://y.lab/m.gguf", None)));
        assert!(!trail.is_of(&wanted("https://x.lab/m.gguf", Some("ab"))));
        assert_eq!(trail.strong_tag().unwrap(), "\"v1\"");
        let text = std::fs::read_to_string(path(dir.path(), &first.name)).unwrap();
        assert!(!text.contains("secret"));
        // A weak tag may mean other bytes.
        Trail::begin(dir.path(), &first, &answer("W/\"v1\""));
        assert_eq!(Trail::read(dir.path(), &first.name).strong_tag(), None);
        Trail::forget(dir.path(), &first.name);
        assert_eq!(Trail::read(dir.path(), &first.name), Trail::default());
    }

    #[test]
    fn a_link_in_its_place_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        std::fs::write(&other, "mine").unwrap();
        let first = wanted("https://x.lab/m.gguf", None);
        std::os::unix::fs::symlink(&other, path(dir.path(), &first.name)).unwrap();
        Trail::begin(dir.path(), &first, &answer("\"v1\""));
        assert_eq!(std::fs::read(&other).unwrap(), b"mine");
    }

    #[test]
    fn with_a_hash_it_does_not_matter_where_the_pieces_are_from() {
        let dir = tempfile::tempdir().unwrap();
        let first = wanted("https://x.lab/m.gguf", Some("ab"));
        Trail::begin(dir.path(), &first, &answer("\"v1\""));
        let trail = Trail::read(dir.path(), &first.name);
        assert!(trail.is_of(&wanted("https://mirror.lab/m.gguf", Some("ab"))));
        assert!(!trail.is_of(&wanted("https://x.lab/m.gguf", Some("cd"))));
    }
}
