//! A board in a temporary folder: cpufreq with two clusters and one that is offline, an nvpmodel,
//! and where is kept what was in force.

use super::{Control, Cpufreq, Kept, Nvpmodel};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub struct Board(tempfile::TempDir);

const CPUFREQ: &str = "sys/devices/system/cpu/cpufreq";

impl Board {
    /// Four small CPUs, two large ones, two that are offline, and no nvpmodel.
    pub fn with_two_clusters() -> Self {
        let board = Self(tempfile::tempdir().unwrap());
        let small = ("policy0", "0 1 2 3", "408000", "1800000");
        let large = ("policy4", "4 5", "600000", "2400000");
        let offline = ("policy6", "6 7", "600000", "2200000");
        for (policy, cpus, min, max) in [small, large, offline] {
            for (file, text) in [
                ("related_cpus", cpus),
                ("affected_cpus", cpus),
                ("cpuinfo_min_freq", min),
                ("cpuinfo_max_freq", max),
                ("scaling_min_freq", min),
                ("scaling_max_freq", max),
                ("scaling_governor", "schedutil"),
                ("schedutil/rate_limit_us", "10000"),
            ] {
                board.write(&format!("{policy}/{file}"), text);
            }
            let steps = format!("{min} 1200000 {max}");
            board.write(&format!("{policy}/scaling_available_frequencies"), &steps);
        }
        // Offline, as nvpmodel beside it leaves CPUs that it switches off.
        board.write("policy6/affected_cpus", "");
        let policy = board.path(CPUFREQ).join("policy6");
        fs::rename(
            policy.join("scaling_governor"),
            policy.join("last_governor"),
        )
        .unwrap();
        let governors = "scaling_available_governors";
        board.write(
            &format!("policy0/{governors}"),
            "schedutil ondemand powersave performance",
        );
        board.write(
            &format!("policy4/{governors}"),
            "performance schedutil powersave",
        );
        board.write(
            &format!("policy6/{governors}"),
            "performance schedutil powersave",
        );
        board
    }

    /// The same with an nvpmodel in mode 1 of four. Mode 2 takes a restart; mode 3 it says to
    /// have set, and has not.
    pub fn with_nvpmodel() -> Self {
        let board = Self::with_two_clusters();
        // Links: a program that was just written may be busy when a test beside this one forks.
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        for name in ["nvpmodel", "nvpmodel.conf"] {
            symlink(data.join(name), board.path(name)).unwrap();
        }
        fs::write(board.path("mode"), "1\n").unwrap();
        board
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn cpufreq(&self) -> Cpufreq {
        Cpufreq::new(&self.path("sys"))
    }

    pub fn nvpmodel(&self) -> Nvpmodel {
        Nvpmodel::new(self.path("nvpmodel"), self.path("nvpmodel.conf"))
    }

    pub fn kept(&self) -> Kept {
        Kept::new(&self.path("state"))
    }

    pub fn control(&self) -> Control {
        Control::new(self.cpufreq(), self.nvpmodel(), self.kept())
    }

    /// A file of cpufreq.
    pub fn write(&self, file: &str, text: &str) {
        put(&self.path(CPUFREQ).join(file), text);
    }

    /// The kernel's cooling of the large CPUs' clock, in this state.
    pub fn heats(&self, state: &str) {
        let cooling = self.path("sys/class/thermal/cooling_device1");
        put(&cooling.join("type"), "thermal-cpufreq-1");
        put(&cooling.join("cur_state"), state);
    }

    pub fn read(&self, file: &str) -> String {
        let text = fs::read_to_string(self.path(CPUFREQ).join(file)).unwrap();
        text.trim().to_owned()
    }

    pub fn replace_by_nothing(&self, file: &str) {
        let path = self.path(CPUFREQ).join(file);
        fs::remove_file(&path).unwrap();
        symlink("/dev/null", path).unwrap();
    }

    /// At once, whoever reads it meanwhile.
    pub fn replace(&self, file: &str, text: &str) {
        let new = self.path("new");
        put(&new, text);
        fs::rename(new, self.path(CPUFREQ).join(file)).unwrap();
    }

    pub fn mode(&self) -> String {
        fs::read_to_string(self.path("mode"))
            .unwrap()
            .trim()
            .to_owned()
    }
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
    fs::write(path, format!("{text}\n")).unwrap();
}
