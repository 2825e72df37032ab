//! One policy of cpufreq: CPUs that share a clock, with their governor, its tunables and the
//! least and highest clock, in kHz.

use super::protocol::{Refusal, RefusalCode, is_name};
use crate::board::is_online;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// More than the kernel shows in one of these files: at most a page.
const LONGEST_FILE: u64 = 4096;
/// More than any governor has.
const MOST_TUNABLES: usize = 32;

/// What is in force for CPUs that share a clock, to be put back later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySetting {
    /// The number in the policy's name, that of its first CPU.
    pub policy: u32,
    pub governor: String,
    /// Of this governor. The kernel forgets them when another one takes over.
    pub tunables: BTreeMap<String, String>,
    /// `None`: they are not touched.
    pub limits: Option<Limits>,
}

/// The least and the highest clock that a governor may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub min_khz: u32,
    pub max_khz: u32,
}

impl PolicySetting {
    /// For a change that touches no limits. What heat makes of them meanwhile would be put back
    /// as if it were the administrator's.
    pub fn without_limits(self) -> Self {
        Self {
            limits: None,
            ..self
        }
    }
}

impl Limits {
    /// Whether these may be set where others are in force: the kernel shows the tightest of all
    /// limits, and those of heat or firmware are not ours to lift. A highest clock below the
    /// least one takes that down with it.
    fn are_behind(self, shown: Self) -> bool {
        let least = shown.min_khz >= self.min_khz || shown.min_khz == shown.max_khz;
        shown.max_khz <= self.max_khz && least
    }
}

impl std::fmt::Display for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {} kHz", self.min_khz, self.max_khz)
    }
}

/// CPUs that share a clock.
#[derive(Debug)]
pub(super) struct Policy {
    number: u32,
    folder: PathBuf,
    /// Where governors that are set for all CPUs at once have their tunables.
    shared: PathBuf,
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "policy{}", self.number)
    }
}

impl Policy {
    pub fn new(root: &Path, number: u32) -> Self {
        Self {
            number,
            folder: root.join(format!("policy{number}")),
            shared: root.to_owned(),
        }
    }

    /// Whether it has CPUs that are online.
    pub fn is_online(&self) -> bool {
        is_online(&self.folder)
    }

    pub fn setting(&self) -> Result<PolicySetting, Refusal> {
        let governor = self
            .line("scaling_governor")
            .map_err(|error| self.failed("scaling_governor", &error))?;
        Ok(PolicySetting {
            policy: self.number,
            tunables: self.tunables(&governor),
            governor,
            limits: Some(self.limits()?),
        })
    }

    fn limits(&self) -> Result<Limits, Refusal> {
        Ok(Limits {
            min_khz: self.khz("scaling_min_freq")?,
            max_khz: self.khz("scaling_max_freq")?,
        })
    }

    /// Asks the kernel for what was in force; it may take a moment.
    pub fn restore(&self, before: &PolicySetting) -> Result<(), Refusal> {
        if !self.is_online() {
            return Err(self.differs(
                "is offline and has what an earlier job set; switch its CPUs on or restart the \
                 board",
            ));
        }
        let is_back = || {
            let is = self.line("scaling_governor");
            is.is_ok_and(|is| is == before.governor)
        };
        let mut outcome = match is_back() {
            true => Ok(()),
            false => self.write("scaling_governor", &before.governor),
        };
        // Also where an earlier try had brought back the governor.
        if is_back() {
            outcome = outcome.and(self.restore_tunables(before));
        }
        if let Some(limits) = before.limits {
            outcome = outcome.and(self.restore_limits(limits));
        }
        outcome
    }

    /// Whether the limits that were in force are the ones that are shown.
    pub fn shows(&self, before: &PolicySetting) -> bool {
        let is = self.limits().ok();
        before.limits.is_none_or(|was| is == Some(was))
    }

    /// Whether what was in force is so again, but for what others limit further.
    pub fn check_restored(&self, before: &PolicySetting) -> Result<(), Refusal> {
        let was = &before.governor;
        match self.line("scaling_governor") {
            Ok(is) if is == *was => {}
            Ok(is) => return Err(self.differs(&format!("is at {is}, and was at {was}"))),
            Err(error) => return Err(self.failed("scaling_governor", &error)),
        }
        let Some(was) = before.limits else {
            return Ok(());
        };
        let is = self.limits()?;
        match was.are_behind(is) {
            true => Ok(()),
            false => Err(self.differs(&format!("has {is}, and had {was}"))),
        }
    }

    /// Both are written whatever is shown: that may be another's limit, or an older one.
    fn restore_limits(&self, before: Limits) -> Result<(), Refusal> {
        // The limit that is farther away first: a minimum above the maximum is none.
        let max = self.write("scaling_max_freq", &before.max_khz.to_string());
        let min = self.write("scaling_min_freq", &before.min_khz.to_string());
        max.and(min)
    }

    fn differs(&self, how: &str) -> Refusal {
        Refusal::new(RefusalCode::NotRestored, format!("{self} {how}"))
    }

    fn restore_tunables(&self, before: &PolicySetting) -> Result<(), Refusal> {
        let governor = &before.governor;
        let folder = self.governor_folder(governor);
        let left = put_in_two_passes(&before.tunables, |name, value| {
            let Some(folder) = folder.as_ref().filter(|_| is_name(name)) else {
                return false;
            };
            let path = folder.join(name);
            let is_there = || line(&path).is_ok_and(|is| is == value);
            is_there() || (overwrite(&path, value).is_ok() && is_there())
        });
        match left.is_empty() {
            true => Ok(()),
            false => Err(self.differs(&format!(
                "is at {governor} again, and these of its tunables are not as before: {}",
                left.join(", ")
            ))),
        }
    }

    fn tunables(&self, governor: &str) -> BTreeMap<String, String> {
        let Some(folder) = self.governor_folder(governor) else {
            return BTreeMap::new();
        };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| {
            let name = entry.file_name().to_str()?.to_owned();
            // What can only be read is nothing to put back.
            let writable = !entry.metadata().ok()?.permissions().readonly();
            let value = line(&entry.path()).ok()?;
            (writable && is_name(&name)).then_some((name, value))
        });
        files.take(MOST_TUNABLES).collect()
    }

    /// Where a governor's tunables are: of this policy, or of all.
    fn governor_folder(&self, governor: &str) -> Option<PathBuf> {
        if !is_name(governor) {
            return None;
        }
        let folders = [&self.folder, &self.shared].map(|folder| folder.join(governor));
        folders.into_iter().find(|folder| folder.is_dir())
    }

    pub fn governors(&self) -> Vec<String> {
        self.list("scaling_available_governors")
    }

    pub fn steps(&self) -> Vec<u32> {
        let mut steps: Vec<u32> = self.list("scaling_available_frequencies");
        steps.sort_unstable();
        steps
    }

    fn list<T: FromStr>(&self, file: &str) -> Vec<T> {
        let text = self.line(file).unwrap_or_default();
        let words = text.split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    }

    pub fn is_capped_at(&self, khz: u32) -> bool {
        self.number("scaling_max_freq").is_ok_and(|is| is == khz)
    }

    pub fn khz(&self, file: &str) -> Result<u32, Refusal> {
        self.number(file).map_err(|error| self.failed(file, &error))
    }

    pub fn number(&self, file: &str) -> io::Result<u32> {
        let text = self.line(file)?;
        text.parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }

    pub fn line(&self, file: &str) -> io::Result<String> {
        line(&self.folder.join(file))
    }

    pub fn write(&self, file: &str, value: &str) -> Result<(), Refusal> {
        let written = overwrite(&self.folder.join(file), value);
        written.map_err(|error| self.failed(file, &error))
    }

    fn failed(&self, file: &str, error: &io::Error) -> Refusal {
        Refusal::new(RefusalCode::Failed, format!("{self}: {file}: {error}"))
    }
}

/// Puts each value in its place, and names those that did not take it. Some are taken only
/// beside others: conservative's lower threshold has to stay below the upper one, whichever of
/// them is written first (drivers/cpufreq/cpufreq_conservative.c).
fn put_in_two_passes(
    values: &BTreeMap<String, String>,
    mut put: impl FnMut(&str, &str) -> bool,
) -> Vec<&str> {
    for (name, value) in values {
        put(name, value);
    }
    let left = values.iter().filter(|(name, value)| !put(name, value));
    left.map(|(name, _)| name.as_str()).collect()
}

/// What is in a file of sysfs, without the line's end.
fn line(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(LONGEST_FILE)
        .read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

/// Into a file that is there: none is made.
fn overwrite(path: &Path, value: &str) -> io::Result<()> {
    let mut file = fs::File::options().write(true).truncate(true).open(path)?;
    file.write_all(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_others_are_tighter_and_never_wider() {
        let limits = |min_khz, max_khz| Limits { min_khz, max_khz };
        let ours = limits(600_000, 2_400_000);
        for others in [
            ours,
            limits(600_000, 1_200_000),
            limits(1_200_000, 2_400_000),
            limits(408_000, 408_000),
        ] {
            assert!(ours.are_behind(others), "{others}");
        }
        for left_behind in [limits(600_000, 2_500_000), limits(408_000, 1_200_000)] {
            assert!(!ours.are_behind(left_behind), "{left_behind}");
        }
    }

    #[test]
    fn thresholds_that_may_not_cross_come_back_in_either_order() {
        for ((down, up), (was_down, was_up)) in [
            ((20, 80), (85, 95)),
            ((85, 95), (20, 80)),
            ((20, 80), (20, 80)),
        ] {
            let (mut down, mut up): (u32, u32) = (down, up);
            let values = [
                ("down_threshold".to_owned(), was_down.to_string()),
                ("frozen".to_owned(), "1".to_owned()),
                ("up_threshold".to_owned(), was_up.to_string()),
            ];
            let values = BTreeMap::from(values);
            let left = put_in_two_passes(&values, |name, value| {
                let value: u32 = value.parse().unwrap();
                match name {
                    "down_threshold" if value < up => down = value,
                    "up_threshold" if value > down => up = value,
                    _ => return false,
                }
                true
            });
            assert_eq!(left, ["frozen"]);
            assert_eq!((down, up), (was_down, was_up));
        }
    }
}
