//! Any bytes as the configuration file: it is loaded, or refused with a sentence.

#![no_main]

use jouled::config::load;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::TempDir;

static FOLDER: OnceLock<TempDir> = OnceLock::new();

/// In memory: a disk is a hundred times slower than the parser.
fn file() -> PathBuf {
    let folder = FOLDER.get_or_init(|| TempDir::new_in("/dev/shm").expect("a temporary folder"));
    folder.path().join("jouled.toml")
}

fuzz_target!(|bytes: &[u8]| {
    let file = file();
    std::fs::write(&file, bytes).expect("a temporary file can be written");
    if let Err(error) = load(&file, []) {
        assert!(!error.to_string().is_empty());
    }
});
