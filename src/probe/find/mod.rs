//! The sources that are configured and those that can be found. Nothing is opened here but
//! what tells that a source is there.

mod chips;
mod i2c;

use crate::board::OwnSensor;
use crate::config::{BoardConfig, Config};
use crate::sensor::{KnownRails, SensorConfig, SensorKind, hwmon, rapl};
use chips::is_chip;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where to look.
#[derive(Debug, Clone)]
pub struct Scope {
    pub sysfs_root: PathBuf,
    /// Folder of the I2C devices; `None` for a copied tree, which has none.
    pub i2c: Option<PathBuf>,
    /// The folders of PATH, in which tegrastats and vcgencmd are looked for.
    pub path: Option<OsString>,
    pub configured: Vec<SensorConfig>,
    pub board: Board,
}

impl Scope {
    /// What `config` states, this machine's I2C buses unless its tree is a copy, and its
    /// programs.
    pub fn of(config: Config) -> Scope {
        let own = config.board.sysfs_root == Path::new("/sys");
        Scope {
            board: Board::of(&config.board),
            sysfs_root: config.board.sysfs_root,
            i2c: own.then(|| PathBuf::from("/dev")),
            path: std::env::var_os("PATH"),
            configured: config.sensor,
        }
    }
}

/// What is known about the board before any sensor is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Board {
    pub profile: String,
    pub model: Option<String>,
    pub notes: Vec<String>,
    pub known: KnownRails,
    /// The sensors that boards of this kind have.
    pub own: Vec<OwnSensor>,
}

impl Board {
    /// The board whose files are where `config` says, as its profile describes it.
    pub fn of(config: &BoardConfig) -> Board {
        let Some(host) = config.host() else {
            return Board {
                profile: config.profile.clone(),
                ..Board::default()
            };
        };
        Board {
            known: host.profile.known_rails(),
            profile: host.profile.name,
            model: host.identity.model.or(host.identity.product),
            notes: host.profile.notes,
            own: host.profile.sensor,
        }
    }
}

impl std::fmt::Display for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let model = self.model.as_deref().unwrap_or("unknown model");
        write!(f, "{} · {model}", self.profile)
    }
}

/// One source, by the block that configures it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub config: SensorConfig,
    /// What the list calls its kind and its place.
    pub kind: String,
    pub device: Option<String>,
    pub configured: bool,
    pub reach: Reach,
    /// What the board's profile says about it.
    pub note: Option<String>,
    /// What was seen before it was read: what the source says for itself, too.
    pub warnings: Vec<String>,
}

/// What can be done with a candidate.
#[derive(Debug, Clone, PartialEq)]
pub enum Reach {
    /// It can be opened.
    Open,
    /// The profile says that it is there: opening it tells why it was not found.
    Expected,
    /// Only the user can complete its block.
    Incomplete(String),
    /// It is refused or out of reach, and why.
    Closed(String),
}

/// Every source in `scope`: the configured ones in their order, then the others.
pub fn find(scope: &Scope) -> Vec<Candidate> {
    let mut found = Found::new(scope);
    found.chips();
    found.packages();
    found.programs();
    found.i2c_buses();
    found.supplies();
    found.expected();
    found.candidates
}

struct Found<'a> {
    scope: &'a Scope,
    inputs: Vec<hwmon::Input>,
    candidates: Vec<Candidate>,
}

impl<'a> Found<'a> {
    fn new(scope: &'a Scope) -> Found<'a> {
        let mut found = Found {
            inputs: hwmon::discover(&scope.sysfs_root),
            scope,
            candidates: Vec::new(),
        };
        for config in scope.configured.clone() {
            found.list(Candidate {
                configured: true,
                ..candidate(config, Reach::Open)
            });
        }
        found
    }

    fn has(&self, is_it: impl Fn(&SensorConfig) -> bool) -> bool {
        self.scope.configured.iter().any(is_it)
    }

    fn add(&mut self, mut config: SensorConfig, reach: Reach) {
        let own = self.scope.board.own.iter().find(|own| is_own(own, &config));
        config.boundary = own.and_then(|own| own.boundary);
        self.list(candidate(config, reach));
    }

    fn list(&mut self, mut candidate: Candidate) {
        let config = &candidate.config;
        let own = self.scope.board.own.iter().find(|own| is_own(own, config));
        candidate.note = own.and_then(|own| own.note.clone());
        let inputs = self.inputs.iter().filter(|input| is_chip(input, config));
        candidate.warnings = inputs.flat_map(|input| input.warnings.clone()).collect();
        candidate.warnings.dedup();
        self.candidates.push(candidate);
    }

    /// What is no sensor, or is out of reach.
    fn refuse(&mut self, name: &str, kind: &str, device: String, why: String) {
        let config = self.block(name, SensorKind::Hwmon);
        self.candidates.push(Candidate {
            kind: kind.to_owned(),
            device: Some(device),
            ..candidate(config, Reach::Closed(why))
        });
    }

    /// A block with a name that no other has.
    fn block(&self, base: &str, kind: SensorKind) -> SensorConfig {
        let taken: BTreeSet<&str> = self
            .candidates
            .iter()
            .map(|candidate| candidate.config.name.as_str())
            .collect();
        let base = safe(base);
        let name = std::iter::once(base.clone())
            .chain((2..).map(|suffix| format!("{base}_{suffix}")))
            .find(|name| !taken.contains(name.as_str()))
            .expect("the suffixes never end");
        SensorConfig::new(name, kind)
    }

    /// The tree that a block must name: none for the machine's own.
    fn sysfs_root(&self) -> Option<String> {
        let root = &self.scope.sysfs_root;
        let absolute = std::path::absolute(root).unwrap_or_else(|_| root.clone());
        (absolute != Path::new("/sys")).then(|| absolute.to_string_lossy().into_owned())
    }

    fn packages(&mut self) {
        let there = !rapl::discover(&self.scope.sysfs_root).is_empty();
        if there && !self.has(|sensor| sensor.kind == SensorKind::Rapl) {
            let mut config = self.block("cpu", SensorKind::Rapl);
            config.sysfs_root = self.sysfs_root();
            self.add(config, Reach::Open);
        }
    }

    /// Sources that are programs: run only where they are installed.
    fn programs(&mut self) {
        let sources = [
            (SensorKind::Tegrastats, "tegrastats", "tegrastats"),
            (SensorKind::Pmic, "vcgencmd", "pmic"),
        ];
        for (kind, program, name) in sources {
            if !self.has(|sensor| sensor.kind == kind) && self.installed(program) {
                let config = self.block(name, kind);
                self.add(config, Reach::Open);
            }
        }
    }

    fn installed(&self, program: &str) -> bool {
        let path = self.scope.path.as_deref().unwrap_or_default();
        std::env::split_paths(path).any(|folder| {
            let file = std::fs::metadata(folder.join(program));
            file.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        })
    }

    /// What the profile names and nothing showed: listed with the reason, unless another
    /// sensor of its kind stands for it.
    fn expected(&mut self) {
        for own in &self.scope.board.own {
            let stands_for_it = |other: &Candidate| {
                other.config.kind == own.kind && !matches!(other.reach, Reach::Closed(_))
            };
            if self.candidates.iter().any(stands_for_it) {
                continue;
            }
            let base = own.chip.clone().unwrap_or_else(|| match own.kind {
                SensorKind::Rapl => "cpu".to_owned(),
                kind => kind.to_string(),
            });
            let mut config = self.block(&base, own.kind);
            config.chip.clone_from(&own.chip);
            if matches!(own.kind, SensorKind::Hwmon | SensorKind::Rapl) {
                config.sysfs_root = self.sysfs_root();
            }
            self.add(config, Reach::Expected);
        }
    }
}

fn candidate(config: SensorConfig, reach: Reach) -> Candidate {
    Candidate {
        kind: config.kind.to_string(),
        device: device(&config),
        configured: false,
        reach,
        note: None,
        warnings: Vec::new(),
        config,
    }
}

fn is_own(own: &OwnSensor, config: &SensorConfig) -> bool {
    own.kind == config.kind && own.chip == config.chip
}

/// `/dev/i2c-1 0x44`, `ina3221 1-0040`, `tegrastats --interval 100`.
fn device(config: &SensorConfig) -> Option<String> {
    let address = config.address.map(|address| format!("{address:#04x}"));
    let parts = [
        config.bus.clone(),
        address,
        config.chip.clone(),
        config.endpoint.clone(),
        config.device.clone(),
        config.unit.map(|unit| format!("unit {unit}")),
        config.command.as_ref().map(|command| command.join(" ")),
        config.waveform.clone(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// `text` as a sensor's name.
fn safe(text: &str) -> String {
    let name: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '_' | '.' | '-' => c,
            _ => '_',
        })
        // Room for a suffix within the 63 characters of a name.
        .take(56)
        .collect();
    if name.is_empty() {
        "sensor".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::board::Status;
    use std::fs;

    pub(super) fn scope(root: &Path) -> Scope {
        Scope {
            sysfs_root: root.to_owned(),
            i2c: None,
            path: None,
            configured: Vec::new(),
            board: Board::default(),
        }
    }

    pub(super) fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn names(scope: &Scope) -> Vec<String> {
        let found = find(scope);
        found.into_iter().map(|found| found.config.name).collect()
    }

    #[test]
    fn chips_packages_and_programs_are_found() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path();
        write(root, "class/hwmon/hwmon0/name", "Chip One\n");
        write(root, "class/hwmon/hwmon0/power1_input", "1\n");
        write(root, "class/hwmon/hwmon1/name", "coretemp\n");
        write(root, "class/hwmon/hwmon1/temp1_input", "1\n");
        write(root, "class/powercap/intel-rapl:0/name", "package-0\n");
        write(root, "class/powercap/intel-rapl:0/energy_uj", "1\n");
        write(root, "bin/tegrastats", "#!/bin/sh\n");
        write(root, "bin/vcgencmd", "not executable\n");
        let program = root.join("bin/tegrastats");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut scope = scope(root);
        scope.path = Some(root.join("bin").into_os_string());
        assert_eq!(names(&scope), ["chip_one", "cpu", "tegrastats"]);
        let chip = &find(&scope)[0].config;
        assert_eq!(chip.chip.as_deref(), Some("Chip One"));
        assert_eq!(chip.sysfs_root.as_deref(), root.to_str());
    }

    #[test]
    fn what_is_configured_is_not_listed_twice_and_keeps_its_name() {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path(), "class/hwmon/hwmon0/name", "ina226\n");
        write(tree.path(), "class/hwmon/hwmon0/power1_input", "1\n");
        write(tree.path(), "class/hwmon/hwmon1/name", "input\n");
        write(tree.path(), "class/hwmon/hwmon1/power1_input", "1\n");
        let mut scope = scope(tree.path());
        let mut config = SensorConfig::new("input", SensorKind::Hwmon);
        config.chip = Some("ina226".to_owned());
        scope.configured.push(config);
        assert_eq!(names(&scope), ["input", "input_2"]);
        assert!(find(&scope)[0].configured);
    }

    #[test]
    fn what_the_profile_promises_and_is_not_there_is_listed() {
        let tree = tempfile::tempdir().unwrap();
        let mut scope = scope(tree.path());
        let own = |kind, chip: Option<&str>| OwnSensor {
            kind,
            chip: chip.map(str::to_owned),
            boundary: None,
            note: None,
            source: None,
            status: Status::Verified,
        };
        scope.board.own = vec![
            own(SensorKind::Hwmon, Some("ina3221")),
            own(SensorKind::Hwmon, Some("ina3221x")),
            own(SensorKind::Tegrastats, None),
        ];
        assert_eq!(names(&scope), ["ina3221", "tegrastats"]);
        assert!(
            find(&scope)
                .iter()
                .all(|found| found.reach == Reach::Expected)
        );
    }
}
