//! What the board is, from device tree or DMI, /proc, /etc and sysfs.

use super::absence::Absence;
use super::clocks::Policy;
use super::detect::BoardIdentity;
use super::power_mode::PowerMode;
use super::profile::Profile;
use super::setting::Setting;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// This machine: what is known about its kind, and where the kernel shows the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    pub profile: Profile,
    pub identity: BoardIdentity,
    /// /sys, or a copy of it.
    pub sysfs: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Board {
    pub profile: String,
    pub model: Option<String>,
    pub kernel: String,
    /// The distribution: `Debian GNU/Linux 12 (bookworm)`.
    #[serde(default)]
    pub os: Option<String>,
    /// NVIDIA's Linux for Tegra: `36.4.4`.
    #[serde(default)]
    pub l4t: Option<String>,
    /// What started the kernel, with its version.
    #[serde(default)]
    pub firmware: Option<String>,
    pub cpu: Option<String>,
    pub cpus: u32,
    pub memory_bytes: Option<u64>,
    /// Peak bandwidth of the main memory as the profile states it, 10^9 bytes a second.
    #[serde(default)]
    pub memory_bandwidth_gb_s: Option<f64>,
    /// Whether an accelerator has no memory but the main memory.
    #[serde(default)]
    pub memory_unified: Option<bool>,
    /// Of the first CPUs that share a clock.
    pub governor: Option<String>,
    /// By clock domain (`cpu0-3`), where the governors differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub governors: BTreeMap<String, String>,
    /// The least and the most that the governors may choose, of all CPUs.
    #[serde(default)]
    pub cpu_min_mhz: Option<f64>,
    #[serde(default)]
    pub cpu_max_mhz: Option<f64>,
    /// The highest cap of any CPU's clock.
    #[serde(default)]
    pub max_freq_khz: Option<u32>,
    /// By clock domain (`cpu0-3`), where the caps differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub max_freqs_khz: BTreeMap<String, u32>,
    pub power_mode: Option<String>,
    /// `null` also where the board names its mode only.
    #[serde(default)]
    pub power_mode_id: Option<u32>,
    pub power_mode_reason: Option<String>,
    /// What was in force when the attempt had ended, of what a job may set. In `info` there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Setting>,
    /// Field name → why it is `null`, but for the power mode.
    #[serde(default)]
    pub reasons: BTreeMap<String, Absence>,
}

impl Board {
    /// Reads the board's facts. Where the profile knows how to ask for the power mode, a
    /// command is run: not to be called within a measured window.
    pub fn read(host: &Host) -> Self {
        let kernel = rustix::system::uname();
        let identity = &host.identity;
        let mode = match &host.profile.power_mode {
            Some(modes) => PowerMode::read(modes),
            None => Err("not supported".to_owned()),
        };
        let policies = Policy::all(&host.sysfs);
        let governors = by_domain(&policies, |policy| policy.governor().ok());
        let caps = by_domain(&policies, Policy::max_khz);
        let limits = policies.iter().filter_map(Policy::limits_mhz);
        let limits = limits.reduce(|(a, b), (min, max)| (a.min(min), b.max(max)));
        let mut reasons = BTreeMap::new();
        let mut told = Told(&mut reasons);
        Self {
            profile: host.profile.name.clone(),
            model: told.value(
                "model",
                identity.model.clone().or_else(|| identity.product.clone()),
            ),
            kernel: kernel.release().to_string_lossy().into_owned(),
            os: told.value("os", text("/etc/os-release").as_deref().and_then(os_name)),
            l4t: told.value(
                "l4t",
                text("/etc/nv_tegra_release")
                    .as_deref()
                    .and_then(l4t_release),
            ),
            firmware: told.value("firmware", identity.firmware.clone()),
            cpu: told.value("cpu", text("/proc/cpuinfo").as_deref().and_then(cpu_name)),
            cpus: std::thread::available_parallelism()
                .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
            memory_bytes: told.value("memory_bytes", super::memory::meminfo("MemTotal")),
            memory_bandwidth_gb_s: told.stated(
                "memory_bandwidth_gb_s",
                host.profile.memory_bandwidth_gb_s(identity),
            ),
            memory_unified: told.stated(
                "memory_unified",
                host.profile
                    .accelerator
                    .as_ref()
                    .map(|one| one.unified_memory),
            ),
            governor: told.value("governor", governors.first().map(|(_, name)| name.clone())),
            cpu_min_mhz: told.value("cpu_min_mhz", limits.map(|(min, _)| min)),
            cpu_max_mhz: told.value("cpu_max_mhz", limits.map(|(_, max)| max)),
            max_freq_khz: told.value("max_freq_khz", caps.iter().map(|(_, khz)| *khz).max()),
            max_freqs_khz: differing(caps),
            governors: differing(governors),
            power_mode_id: mode.as_ref().ok().and_then(|mode| mode.id),
            power_mode_reason: mode.as_ref().err().cloned(),
            power_mode: mode.ok().map(|mode| mode.name),
            end: None,
            reasons,
        }
    }
}

/// Notes why a fact is missing.
struct Told<'a>(&'a mut BTreeMap<String, Absence>);

impl Told<'_> {
    /// By the machine.
    fn value<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        self.noted(name, value, Absence::NotSupported)
    }

    /// By the profile.
    fn stated<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        self.noted(name, value, Absence::NotReported)
    }

    fn noted<T>(&mut self, name: &str, value: Option<T>, absence: Absence) -> Option<T> {
        if value.is_none() {
            self.0.insert(name.to_owned(), absence);
        }
        value
    }
}

fn text(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// In the order of the CPUs.
fn by_domain<T>(policies: &[Policy], read: impl Fn(&Policy) -> Option<T>) -> Vec<(String, T)> {
    let named = |policy: &Policy| Some((policy.name.clone(), read(policy)?));
    policies.iter().filter_map(named).collect()
}

fn differing<T: PartialEq>(domains: Vec<(String, T)>) -> BTreeMap<String, T> {
    let same = |pair: &[(String, T)]| pair[0].1 == pair[1].1;
    match domains.windows(2).all(same) {
        true => BTreeMap::new(),
        false => domains.into_iter().collect(),
    }
}

/// `PRETTY_NAME` of os-release(5).
pub(super) fn os_name(release: &str) -> Option<String> {
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// `# R36 (release), REVISION: 4.4, GCID: …` is 36.4.4.
pub(super) fn l4t_release(text: &str) -> Option<String> {
    let line = text.lines().next()?;
    let (release, rest) = line.trim_start_matches(['#', ' ']).split_once(' ')?;
    let (_, revision) = rest.split_once("REVISION:")?;
    let revision = revision.split(',').next()?.trim();
    let release = release.strip_prefix('R')?;
    (!revision.is_empty()).then(|| format!("{release}.{revision}"))
}

/// x86 names its model; arm64 kernels only give implementer and part numbers.
pub(super) fn cpu_name(cpuinfo: &str) -> Option<String> {
    let value = |key: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        })
    };
    value("model name").or_else(|| {
        Some(format!(
            "implementer {} part {}",
            value("CPU implementer")?,
            value("CPU part")?
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_tree_names_the_board() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(
            tree.path().join("model"),
            "Raspberry Pi 5 Model B Rev 1.0\0",
        )
        .expect("write");
        let board = Board::read(&Host {
            profile: Profile::unknown("mine"),
            identity: BoardIdentity::read(tree.path(), tree.path()),
            sysfs: tree.path().to_owned(),
        });
        assert_eq!(board.profile, "mine");
        assert_eq!(
            board.model.as_deref(),
            Some("Raspberry Pi 5 Model B Rev 1.0")
        );
        assert_eq!(board.governor, None);
        for fact in ["governor", "cpu_max_mhz", "firmware"] {
            assert_eq!(board.reasons[fact], Absence::NotSupported, "{fact}");
        }
        assert_eq!(board.reasons["memory_unified"], Absence::NotReported);
        assert!(!board.reasons.contains_key("model"));
        assert_eq!(board.power_mode_reason.as_deref(), Some("not supported"));
    }

    #[test]
    fn governors_and_caps_are_named_apart_where_they_differ() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let cluster = |first: u32, governor: &str, min: &str, max: &str| {
            let cpufreq = tree.path().join("devices/system/cpu/cpufreq");
            let folder = cpufreq.join(format!("policy{first}"));
            std::fs::create_dir_all(&folder).expect("mkdir");
            let cpus = format!("{} {}", first, first + 1);
            for (file, content) in [
                ("related_cpus", cpus.as_str()),
                ("affected_cpus", cpus.as_str()),
                ("scaling_governor", governor),
                ("scaling_min_freq", min),
                ("scaling_max_freq", max),
            ] {
                std::fs::write(folder.join(file), format!("{content}\n")).expect("write");
            }
        };
        let read = || {
            Board::read(&Host {
                profile: Profile::unknown("mine"),
                identity: BoardIdentity::default(),
                sysfs: tree.path().to_owned(),
            })
        };
        cluster(0, "schedutil", "408000", "1800000");
        cluster(2, "schedutil", "408000", "2400000");
        let board = read();
        assert_eq!(board.governor.as_deref(), Some("schedutil"));
        assert!(board.governors.is_empty());
        assert_eq!(board.max_freq_khz, Some(2_400_000));
        let caps = [("cpu0-1", 1_800_000), ("cpu2-3", 2_400_000)];
        let caps = caps.map(|(name, khz)| (name.to_owned(), khz));
        assert_eq!(board.max_freqs_khz, caps.into());
        assert_eq!(
            (board.cpu_min_mhz, board.cpu_max_mhz),
            (Some(408.0), Some(2400.0))
        );
        // A cluster that the power mode has switched off: the kernel keeps its last clocks.
        cluster(4, "schedutil", "408000", "2600000");
        let policies = tree.path().join("devices/system/cpu/cpufreq");
        std::fs::write(policies.join("policy4/affected_cpus"), "\n").expect("write");
        assert_eq!(read().max_freq_khz, Some(2_400_000));
        cluster(2, "performance", "408000", "1800000");
        assert!(read().max_freqs_khz.is_empty());
        let governors = [("cpu0-1", "schedutil"), ("cpu2-3", "performance")];
        let governors = governors.map(|(name, is)| (name.to_owned(), is.to_owned()));
        assert_eq!(read().governors, governors.into());
    }

    #[test]
    fn releases_are_named_as_their_makers_do() {
        let debian = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        let named = os_name(debian);
        assert_eq!(named.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(os_name("PRETTY_NAME=Yocto\n").as_deref(), Some("Yocto"));
        assert_eq!(os_name("NAME=x\nPRETTY_NAME=\"\"\n"), None);
        let l4t = "# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic, EABI: aarch64";
        assert_eq!(l4t_release(l4t).as_deref(), Some("36.4.4"));
        for text in [
            "",
            "#",
            "# R36 (release)",
            "x REVISION: 1",
            "# R36 REVISION: ,",
            "# R36 (release)\nREVISION: 4.4",
        ] {
            assert_eq!(l4t_release(text), None, "{text}");
        }
    }

    #[test]
    fn both_kinds_of_cpuinfo_name_the_cpu() {
        assert_eq!(
            cpu_name("model name\t: AMD EPYC\n").as_deref(),
            Some("AMD EPYC")
        );
        assert_eq!(
            cpu_name("CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n").as_deref(),
            Some("implementer 0x41 part 0xd0b")
        );
        assert_eq!(cpu_name(""), None);
    }
}
