//! Where secrets lie: files, or credentials of the service that systemd passes in a directory
//! of their own (`LoadCredential=`, systemd.exec(5)).

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// The variable in which systemd names that directory.
pub const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A relative path names no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error(
        "a relative path names a systemd credential, and there is no {DIRECTORY}: give an \
         absolute path, or LoadCredential= in jouled's unit (and try a configuration with \
         systemd-run -p LoadCredential=…)"
    )]
    NoDirectory,
    #[error("a relative path names a systemd credential, which has a plain name without /")]
    NotAName,
}

/// An absolute path as it is, a relative one in the directory of credentials.
pub fn locate(path: &Path, directory: Option<&Path>) -> Result<PathBuf, CredentialError> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let mut parts = path.components();
    let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else {
        return Err(CredentialError::NotAName);
    };
    directory
        .map(|directory| directory.join(name))
        .ok_or(CredentialError::NoDirectory)
}

/// The password in a file: all of it but newlines at its end.
pub fn password(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether every user of the machine may read or write the file. A group is fine: root:jouled, 0640.
fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o006 != 0)
}

/// What to say of a secret that others can read; `key` is what names its file.
pub fn warning(key: &str, path: &Path) -> Option<String> {
    is_exposed(path).then(|| {
        format!(
            "{key} {path}: every user of this machine can read it; chmod o= {path}",
            path = path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_credential_stays_in_its_directory(name in "[./a\\n]{0,6}|.{0,12}") {
            let directory = Path::new("/run/credentials/jouled.service");
            let path = Path::new(&name);
            if let Ok(found) = locate(path, Some(directory)) && path.is_relative() {
                prop_assert_eq!(found.parent(), Some(directory));
                prop_assert!(found.file_name().is_some());
            }
        }
    }

    #[test]
    fn a_relative_path_is_a_credential() {
        let there = Some(Path::new("/run/credentials/jouled.service"));
        let at = |path: &str| locate(Path::new(path), there);
        assert_eq!(at("/etc/jouled/key"), Ok("/etc/jouled/key".into()));
        assert_eq!(at("key"), Ok("/run/credentials/jouled.service/key".into()));
        for path in ["", ".", "..", "../key", "a/b"] {
            assert_eq!(at(path), Err(CredentialError::NotAName), "{path:?}");
        }
        let absent = locate(Path::new("key"), None);
        assert_eq!(absent, Err(CredentialError::NoDirectory));
    }

    #[test]
    fn a_secret_is_for_its_owner_and_group() {
        let file = tempfile::NamedTempFile::new().expect("writable");
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).expect("its owner");
            is_exposed(file.path())
        };
        assert!(!mode(0o600));
        assert!(!mode(0o640));
        assert!(mode(0o644));
        assert!(!is_exposed(&file.path().join("absent")));
    }

    #[test]
    fn a_password_ends_before_the_newline() {
        let file = tempfile::NamedTempFile::new().expect("writable");
        std::fs::write(file.path(), "pass word \r\n").expect("writable");
        assert_eq!(password(file.path()).expect("readable"), "pass word ");
    }
}
