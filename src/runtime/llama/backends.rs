//! llama.cpp's kernels as libraries, in builds with the feature `dynamic-backends`: one for
//! each generation of CPUs, of which the best that runs here is loaded when the worker starts,
//! and one for each kind of accelerator.
//!
//! They are loaded from the installation alone. Left to itself, llama.cpp would look for them
//! in the folder that they were built in and in the current one, which are anybody's.

#[cfg(feature = "dynamic-backends")]
use super::Failure;
#[cfg(feature = "dynamic-backends")]
use crate::runtime::confine::START_FAILED;
#[cfg(any(feature = "dynamic-backends", test))]
use std::path::{Path, PathBuf};

/// In an installation, as seen from the worker's folder.
#[cfg(any(feature = "dynamic-backends", test))]
const INSTALLED: &str = "../../lib/jouled";
const CPU_PREFIX: &str = "libggml-cpu-";
const SUFFIX: &str = ".so";

/// Loads what runs here. Once, before llama.cpp is started.
#[cfg(feature = "dynamic-backends")]
pub fn load() -> Result<(), Failure> {
    let worker = std::env::current_exe().unwrap_or_default();
    let folder = folder(worker.parent().unwrap_or(Path::new("/")));
    if folder.to_str().is_some() {
        llama_cpp_2::llama_backend::load_backends_from_path(&folder);
    }
    let devices = llama_cpp_2::list_llama_ggml_backend_devices();
    if devices.iter().any(|device| device.backend == "CPU") {
        return Ok(());
    }
    eprintln!(
        "jouled-worker: no {CPU_PREFIX}*{SUFFIX} that runs here in {}",
        folder.display()
    );
    Err(Failure::new(
        START_FAILED,
        "llama.cpp's kernels for this CPU are missing from the installation's lib/jouled; \
         install jouled again",
    ))
}

/// Where the libraries are, as the worker's file lies.
#[cfg(any(feature = "dynamic-backends", test))]
fn folder(beside: &Path) -> PathBuf {
    let installed = beside.join(INSTALLED);
    installed.canonicalize().unwrap_or(beside.to_owned())
}

/// The generation of CPUs that the loaded kernels were made for, as llama.cpp calls it:
/// `haswell`, `armv8.2_2`. `None` where they are a part of the worker.
pub fn cpu_variant() -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    variant_among(&maps).map(str::to_owned)
}

/// Those that were only asked whether they run here are unmapped again.
fn variant_among(maps: &str) -> Option<&str> {
    maps.lines().find_map(|line| {
        let (_, file) = line.rsplit_once('/')?;
        file.strip_prefix(CPU_PREFIX)?.strip_suffix(SUFFIX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variant_is_that_of_the_mapped_library() {
        let maps = "\
            7f0-7f1 r--p 00000000 08:01 1 /usr/lib/jouled/libggml-base.so\n\
            7f1-7f2 r-xp 00000000 08:01 2 /usr/lib/jouled/libggml-cpu-armv8.2_2.so\n\
            7f2-7f3 rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(variant_among(maps), Some("armv8.2_2"));
        assert_eq!(variant_among("7f0-7f1 r-xp 0 08:01 1 /usr/bin/x\n"), None);
    }

    #[test]
    fn an_installation_has_its_libraries_in_a_folder_of_their_own() {
        let prefix = tempfile::tempdir().unwrap();
        let prefix = prefix.path().canonicalize().unwrap();
        let worker = prefix.join("libexec/jouled");
        std::fs::create_dir_all(&worker).unwrap();
        assert_eq!(folder(&worker), worker);
        let libraries = prefix.join("lib/jouled");
        std::fs::create_dir_all(&libraries).unwrap();
        assert_eq!(folder(&worker), libraries);
    }
}
