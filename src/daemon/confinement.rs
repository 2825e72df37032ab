//! How this board's workers are confined: the policy of each runtime, and what of it holds
//! here.

use super::Shared;
use crate::clock;
use crate::config::{BUILT_IN_RUNTIME, Confinement, RuntimeConfig};
use crate::runtime::confine::Policy;
use crate::runtime::confine::attempts::{ALL, InForce, NO_NETWORK, Trial};
use crate::store::Store;
use crate::units::Span;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A trial takes some milliseconds, but where a file system hangs it does too.
const TRIAL_WITHIN: Span = Span::from_millis(10_000);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What holds of each runtime's confinement, tried once in the life of the daemon.
#[derive(Default)]
pub struct Tried(OnceLock<BTreeMap<String, InForce>>);

/// Begins to find out, beside everything else.
pub fn try_out(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let tried = std::thread::Builder::new()
        .name("confinement".to_owned())
        .spawn(move || {
            for name in shared.runtimes() {
                let missing = shared.missing(&name).join(", ");
                if !missing.is_empty() {
                    tracing::warn!("workers of \"{name}\" are not confined as they should be: {missing} does not hold");
                }
            }
        });
    // Then whoever needs to know tries it.
    if let Err(error) = tried {
        tracing::warn!(%error, "the confinement of workers is tried later");
    }
}

impl Shared {
    /// Names of the runtimes that a job can choose.
    pub fn runtimes(&self) -> Vec<String> {
        let mut names: Vec<String> = self.config.runtime.keys().cloned().collect();
        if !names.iter().any(|name| name == BUILT_IN_RUNTIME) {
            names.push(BUILT_IN_RUNTIME.to_owned());
        }
        names
    }

    /// The command that starts a confined worker of a runtime. The error is for the client.
    pub fn worker(&self, runtime: &str) -> Result<Vec<String>, String> {
        let unknown = || format!("no runtime \"{runtime}\" is configured here");
        let command = self.command(runtime).ok_or_else(unknown)?;
        if self.config.worker.confinement == Confinement::Required {
            let missing = self.missing(runtime);
            if !missing.is_empty() {
                return Err(format!(
                    "worker.confinement = \"required\", and this board can't confine the runtime \"{runtime}\": {} does not hold; a kernel with Landlock and seccomp is needed",
                    missing.join(", ")
                ));
            }
        }
        Ok(self.policy(runtime, &command).command(&command))
    }

    /// What holds for the worker of every runtime. Blocks while it is tried.
    pub fn in_force(&self) -> InForce {
        let tried = self.tried();
        let everywhere = |item: &str| tried.values().all(|held| held.get(item) == Some(&true));
        ALL.iter()
            .map(|item| ((*item).to_owned(), everywhere(item)))
            .collect()
    }

    /// What should hold for a runtime and does not.
    fn missing(&self, runtime: &str) -> Vec<&'static str> {
        let held = self.tried().get(runtime);
        let configured = self.config.runtime.get(runtime);
        let waived = |item: &str| item == NO_NETWORK && configured.is_some_and(|c| c.network);
        let holds = |item: &str| held.is_some_and(|held| held.get(item) == Some(&true));
        ALL.into_iter()
            .filter(|item| !holds(item) && !waived(item))
            .collect()
    }

    fn tried(&self) -> &BTreeMap<String, InForce> {
        self.tried.0.get_or_init(|| {
            let names = self.runtimes().into_iter();
            names
                .map(|name| {
                    let command = self.command(&name).unwrap_or_default();
                    let held = self.try_one(self.policy(&name, &command));
                    (name, held)
                })
                .collect()
        })
    }

    fn try_one(&self, policy: Policy) -> InForce {
        let state = &self.config.storage.dir;
        let trial = Trial {
            policy,
            state: state.clone(),
            state_file: state.join(Store::FILE),
            models: self.config.models.dir.clone(),
        };
        let [program, arguments @ ..] = trial.command();
        // What the kernel can't do goes to this daemon's log.
        let output = output_within(Command::new(program).args(arguments), TRIAL_WITHIN);
        let held = output.map_err(|error| error.to_string()).and_then(|said| {
            serde_json::from_slice(&said.stdout)
                .map_err(|error| format!("it ended with {}: {error}", said.status))
        });
        held.unwrap_or_else(|error| {
            tracing::error!(error, "the confinement of workers can't be tried");
            InForce::new()
        })
    }

    /// The command of a runtime that a job names.
    fn command(&self, name: &str) -> Option<Vec<String>> {
        match self.config.runtime.get(name) {
            Some(runtime) if !runtime.command.is_empty() => Some(runtime.command.clone()),
            _ if name == BUILT_IN_RUNTIME => Some(built_in_worker()),
            _ => None,
        }
    }

    fn policy(&self, runtime: &str, command: &[String]) -> Policy {
        let none = RuntimeConfig::default();
        let extra = self.config.runtime.get(runtime).unwrap_or(&none);
        let mut read = vec![self.config.models.dir.clone(), self.config.data.dir.clone()];
        read.extend(named_files(command));
        let program = program(command, &self.config.storage.dir);
        let libraries = program.as_deref().and_then(libraries);
        Policy {
            run: program
                .into_iter()
                .chain(libraries)
                .chain(extra.read.iter().cloned())
                .collect(),
            read,
            write: extra.write.clone(),
            network: extra.network,
            data_bytes: self.config.worker.memory_max_bytes().ok().flatten(),
            required: self.config.worker.confinement == Confinement::Required,
        }
    }
}

/// What a program of few words says. One that does not end in time is killed and not waited
/// for: what hangs in the kernel hears no signal.
fn output_within(command: &mut Command, patience: Span) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let deadline = clock::now() + patience;
    while child.try_wait()?.is_none() {
        if clock::now() >= deadline {
            child.kill()?;
            std::thread::Builder::new()
                .name("confinement".to_owned())
                .spawn(move || child.wait())?;
            let late = format!(
                "it has not ended within {} s: does a file system of the state, the models or a runtime hang?",
                patience.as_secs_f64()
            );
            return Err(io::Error::new(ErrorKind::TimedOut, late));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    child.wait_with_output()
}

/// The worker beside this program, where a build leaves it, else in the libexec directory
/// of the same prefix, where an installation does.
fn built_in_worker() -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_default();
    let here = program.parent().unwrap_or(Path::new("."));
    let beside = here.join("jouled-worker");
    let installed = here.join("../libexec/jouled/jouled-worker");
    let worker = if beside.exists() { beside } else { installed };
    vec![worker.to_string_lossy().into_owned()]
}

/// The folder of a command's program, where its libraries may be; the program alone if the
/// state directory lies below that folder. `None` if there is no such program.
fn program(command: &[String], state: &Path) -> Option<PathBuf> {
    let name = Path::new(command.first()?);
    let searched = std::env::var_os("PATH").unwrap_or_default();
    let found = if name.components().count() > 1 {
        name.canonicalize().ok()
    } else {
        let places = std::env::split_paths(&searched);
        places
            .filter_map(|place| place.join(name).canonicalize().ok())
            .find(|path| path.is_file())
    }?;
    let folder = found.parent()?;
    let state = state.canonicalize().unwrap_or_else(|_| state.to_owned());
    if state.starts_with(folder) {
        Some(found)
    } else {
        Some(folder.to_owned())
    }
}

/// llama.cpp's libraries of an installation, below whatever prefix it lies: what has been
/// found for a program in its libexec folder.
fn libraries(program: &Path) -> Option<PathBuf> {
    let libexec = Path::new("libexec/jouled");
    let folder = program.ends_with(libexec).then_some(program)?;
    folder.join("../../lib/jouled").canonicalize().ok()
}

/// Files that the administrator's command names by their absolute path, such as a script.
fn named_files(command: &[String]) -> Vec<PathBuf> {
    let arguments = command.iter().skip(1).map(OsStr::new).map(Path::new);
    arguments
        .filter(|path| path.is_absolute() && path.is_file())
        .map(Path::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_comes_with_its_folder_unless_the_state_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let tool = root.join("bin/tool");
        std::fs::create_dir(root.join("bin")).unwrap();
        std::fs::write(&tool, "").unwrap();
        let command = [tool.to_str().unwrap().to_owned(), "-c".to_owned()];
        let beside = root.join("state");
        assert_eq!(program(&command, &beside), Some(root.join("bin")));
        let below = root.join("bin/state");
        assert_eq!(program(&command, &below), Some(tool.clone()));
        assert_eq!(program(&["/nonexistent/tool".to_owned()], &beside), None);
        let shell = program(&["sh".to_owned()], &beside).unwrap();
        assert!(shell.join("sh").exists() || shell.join("dash").exists());
    }

    #[test]
    fn an_installed_worker_comes_with_its_libraries() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let libexec = root.join("libexec/jouled");
        std::fs::create_dir_all(&libexec).unwrap();
        assert_eq!(libraries(&libexec), None);
        std::fs::create_dir_all(root.join("lib/jouled")).unwrap();
        assert_eq!(libraries(&libexec), Some(root.join("lib/jouled")));
        assert_eq!(libraries(&root), None);
    }

    #[test]
    fn a_trial_that_hangs_is_not_waited_for() {
        let run = |script: &str, patience| {
            output_within(Command::new("sh").args(["-c", script]), patience)
        };
        let said = run("echo held", Span::from_millis(60_000)).unwrap();
        assert_eq!(said.stdout, b"held\n");
        let late = run("exec sleep 1000", Span::from_millis(50)).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut, "{late}");
    }

    #[test]
    fn a_script_that_the_command_names_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("worker.py");
        std::fs::write(&script, "").unwrap();
        let named = ["python3", script.to_str().unwrap(), "relative", "/etc"].map(str::to_owned);
        assert_eq!(named_files(&named), [script]);
    }
}
