//! Files of the repository that are made from the code: compared, or with `SCHEMAS=write`
//! written.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn kept(path: &str, content: &str) {
    let file = in_repository(path);
    if std::env::var_os("SCHEMAS").is_some_and(|value| value == "write") {
        // Whole at once: other tests read it meanwhile.
        let whole = tempfile::NamedTempFile::new_in(file.parent().unwrap()).unwrap();
        std::fs::write(whole.path(), content).unwrap();
        std::fs::set_permissions(whole.path(), Permissions::from_mode(0o644)).unwrap();
        whole.persist(&file).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == content,
        "{path} is not what the types say: run `make schemas`"
    );
}

/// The JSON of a wire record's snapshot.
pub fn snapshot(path: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(in_repository(path)).unwrap();
    let (_, json) = text.split_once("\n---\n").expect("a heading and JSON");
    serde_json::from_str(json).unwrap()
}
