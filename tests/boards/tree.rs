//! An invented board: device tree and sysfs in a temporary folder.

use std::path::{Path, PathBuf};

pub struct Tree(tempfile::TempDir);

impl Tree {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    pub fn devicetree(&self) -> PathBuf {
        self.path("dt")
    }

    pub fn sysfs(&self) -> PathBuf {
        self.path("sys")
    }

    /// Folders are made as needed.
    pub fn write(&self, relative: &str, content: &[u8]) {
        let path = self.path(relative);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).expect("mkdir");
        std::fs::write(path, content).expect("write");
    }

    pub fn is_board(&self, compatible: &[&str], model: &str) {
        let ended = |text: &str| format!("{text}\0");
        let entries: String = compatible.iter().map(|entry| ended(entry)).collect();
        self.write("dt/compatible", entries.as_bytes());
        self.write("dt/model", ended(model).as_bytes());
    }
}
