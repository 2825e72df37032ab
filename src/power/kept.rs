//! What was in force before a change, on the disk before the change is made, so that it can be
//! put back whatever becomes of the program.

use super::policy::PolicySetting;
use crate::clock;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "before.json";
const NEW: &str = "before.json.new";
/// For root alone: it is written to sysfs as it stands.
const MODE: u32 = 0o600;

/// What is to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// Clocks begin anew with each boot; a power mode outlasts it.
    boot_id: String,
    /// `None`: it was not changed.
    pub power_mode: Option<u32>,
    pub policies: Vec<PolicySetting>,
    /// Of CPUs that came online with another power mode, as they came.
    #[serde(default)]
    pub came_online: Vec<PolicySetting>,
}

impl Before {
    /// Of this boot.
    pub fn new(power_mode: Option<u32>, policies: Vec<PolicySetting>) -> Self {
        Self {
            boot_id: clock::boot_id(),
            power_mode,
            policies,
            came_online: Vec::new(),
        }
    }

    /// Of an earlier boot nothing of the clocks is left to be put back.
    fn still_needed(self) -> Self {
        match self.boot_id == clock::boot_id() {
            true => self,
            false => Self {
                policies: Vec::new(),
                came_online: Vec::new(),
                ..self
            },
        }
    }
}

/// The file in which it is kept.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Returns once it outlasts a power cut.
    pub fn write(&self, before: &Before) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        fs::create_dir_all(&self.folder)?;
        let new = self.folder.join(NEW);
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .open(&new)?;
        file.write_all(&serde_json::to_vec(before)?)?;
        file.sync_all()?;
        fs::rename(new, self.folder.join(FILE))?;
        self.sync()
    }

    /// `None`: nothing is to be put back.
    ///
    /// Errors: it can't be read, or is damaged.
    pub fn read(&self) -> io::Result<Option<Before>> {
        match fs::read(self.folder.join(FILE)) {
            Ok(bytes) => {
                let before: Before = serde_json::from_slice(&bytes)?;
                Ok(Some(before.still_needed()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.sync(),
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Board;
    use super::*;

    #[test]
    fn clocks_are_of_one_boot_and_a_mode_of_all() {
        let board = Board::with_two_clusters();
        let kept = board.kept();
        assert_eq!(kept.read().unwrap(), None);
        let settings = board.cpufreq().settings().unwrap();
        let before = Before {
            came_online: settings.clone(),
            ..Before::new(Some(1), settings)
        };
        kept.write(&before).unwrap();
        assert_eq!(kept.read().unwrap(), Some(before.clone()));
        let earlier = Before {
            boot_id: "another".to_owned(),
            ..before.clone()
        };
        kept.write(&earlier).unwrap();
        let left = kept.read().unwrap().unwrap();
        assert_eq!((left.power_mode, left.policies.len()), (Some(1), 0));
        assert_eq!(left.came_online, []);
        kept.forget().unwrap();
        kept.forget().unwrap();
        assert_eq!(kept.read().unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_no_file_without_content() {
        let board = Board::with_two_clusters();
        board.kept().write(&Before::new(None, Vec::new())).unwrap();
        fs::write(board.path("state").join(FILE), "{\"boot_id\":").unwrap();
        assert!(board.kept().read().is_err());
    }
}
