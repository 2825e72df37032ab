//! A Jetson in a temporary folder: cpufreq with two clusters and one that is offline, an
//! nvpmodel, and the real jouled-power that sets them.

use super::support::daemon::STEADY;
use super::support::lab::PATIENCE;
use rustix::process::getuid;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Board(tempfile::TempDir);

impl Board {
    pub fn new() -> Self {
        let board = Self(tempfile::tempdir().unwrap());
        for (policy, cpus, min, max) in [
            ("policy0", "0 1 2 3", "408000", "1800000"),
            ("policy4", "4 5", "600000", "2400000"),
            ("policy6", "6 7", "600000", "2200000"),
        ] {
            for (file, text) in [
                ("related_cpus", cpus),
                ("affected_cpus", cpus),
                ("cpuinfo_min_freq", min),
                ("cpuinfo_max_freq", max),
                ("scaling_min_freq", min),
                ("scaling_max_freq", max),
                ("scaling_governor", "schedutil"),
                ("scaling_available_governors", "performance schedutil"),
            ] {
                board.set(policy, file, text);
            }
        }
        // Offline, as nvpmodel beside it leaves CPUs that it switches off.
        board.set("policy6", "affected_cpus", "");
        let governor = board.file("policy6", "scaling_governor");
        std::fs::rename(&governor, governor.with_file_name("last_governor")).unwrap();
        // Links: a program that was just written may be busy when a test beside this one forks.
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        for name in ["nvpmodel", "nvpmodel.conf"] {
            symlink(data.join(name), board.path(name)).unwrap();
        }
        std::fs::write(board.path("mode"), "1\n").unwrap();
        board
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, policy: &str, file: &str) -> PathBuf {
        self.path("sys/devices/system/cpu/cpufreq")
            .join(policy)
            .join(file)
    }

    pub fn set(&self, policy: &str, file: &str, text: &str) {
        let path = self.file(policy, file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    }

    /// Power mode, governor and cap of the large CPUs.
    pub fn is(&self) -> (String, String, String) {
        let line = |path: PathBuf| std::fs::read_to_string(path).unwrap().trim().to_owned();
        (
            line(self.path("mode")),
            line(self.file("policy4", "scaling_governor")),
            line(self.file("policy4", "scaling_max_freq")),
        )
    }

    pub fn is_as_before(&self) -> bool {
        self.is() == before()
    }

    /// Waits until it is so.
    pub fn comes_back(&self) {
        let came = eventually(|| self.is_as_before());
        assert!(came, "it stays at {:?}", self.is());
    }

    /// What the daemon has to know of it, beside a sensor.
    pub fn configuration(&self) -> String {
        format!(
            "[board]\nprofile = \"test-jetson\"\nsysfs_root = {:?}\n[power]\nsocket = {:?}\n{STEADY}",
            self.path("sys"),
            self.path("power.sock"),
        )
    }

    /// A profile of the daemon's `boards` folder, which says how the mode is read back.
    pub fn write_profile(&self, daemon: &Path) {
        let boards = daemon.join("boards");
        std::fs::create_dir_all(&boards).unwrap();
        let profile = format!(
            "name = \"test-jetson\"\ntitle = \"a Jetson\"\n[power_mode]\ncommand = [{:?}, \"-q\"]\n",
            self.path("nvpmodel")
        );
        std::fs::write(boards.join("test-jetson.toml"), profile).unwrap();
    }

    /// jouled-power for this user, once it serves.
    pub fn serve(&self) -> Service {
        self.serve_for(getuid().as_raw())
    }

    pub fn serve_for(&self, user: u32) -> Service {
        let socket = self.path("power.sock");
        let mut command = self.command("serve");
        command.arg("--listen").arg(&socket);
        let child = command.arg("--user").arg(user.to_string()).spawn().unwrap();
        let service = Service(child);
        assert!(
            eventually(|| UnixStream::connect(&socket).is_ok()),
            "it does not serve"
        );
        service
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jouled-power"));
        command.arg(name).stdin(Stdio::null()).stdout(Stdio::null());
        for (option, file) in [
            ("--state", "state"),
            ("--sysfs-root", "sys"),
            ("--nvpmodel", "nvpmodel"),
            ("--nvpmodel-conf", "nvpmodel.conf"),
        ] {
            command.arg(option).arg(self.path(file));
        }
        command
    }
}

pub fn before() -> (String, String, String) {
    ["1", "schedutil", "2400000"].map(str::to_owned).into()
}

/// A jouled-power, killed with the test.
pub struct Service(pub Child);

impl Service {
    /// SIGKILL: no last words.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn eventually(mut fits: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        if fits() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
