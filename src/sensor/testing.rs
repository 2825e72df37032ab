//! What the tests of sources share: invented sysfs trees and a sink that keeps everything.

use super::{Sink, Window};
use std::path::{Path, PathBuf};

/// A sysfs tree in a temporary folder.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    pub fn new() -> Tree {
        Tree(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    /// Folders are made as needed.
    pub fn write(&self, relative: &str, content: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("it is below the root")).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A chip of `class/hwmon` that hangs on `device`.
    pub fn hwmon(&self, number: u32, chip: &str, device: &str, files: &[(&str, &str)]) {
        let folder = format!("class/hwmon/hwmon{number}");
        self.write(&format!("{folder}/name"), &format!("{chip}\n"));
        let target = self.path(&format!("devices/{device}"));
        std::fs::create_dir_all(&target).unwrap();
        std::os::unix::fs::symlink(target, self.path(&format!("{folder}/device"))).unwrap();
        for (file, content) in files {
            self.write(&format!("{folder}/{file}"), &format!("{content}\n"));
        }
    }

    pub fn remove(&self, relative: &str) {
        std::fs::remove_dir_all(self.path(relative)).unwrap();
    }

    /// The root as a configuration states it.
    pub fn sysfs_root(&self) -> Option<String> {
        self.root().to_str().map(str::to_owned)
    }
}

/// Windows with the index of their rail.
#[derive(Default)]
pub(crate) struct Collect(pub Vec<(usize, Window)>);

impl Sink for Collect {
    fn push(&mut self, rail: usize, window: Window) {
        self.0.push((rail, window));
    }
}
