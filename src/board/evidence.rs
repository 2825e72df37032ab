//! Whether the board held itself back, or had too low a supply: what it shows of that before,
//! during and after an attempt.
//!
//! Three kinds of evidence. A counter of events and a flag that stays set since the boot
//! cover all the time between two looks; a state (a cooling device's, an alarm's) is of its
//! moment only, so it is looked at whenever a repetition has just ended and the board is warm.

use super::command;
use super::gauge::Gauge;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// A firmware call of a few milliseconds.
const WITHIN: Duration = Duration::from_millis(500);

/// One thing that a board shows about throttling, or about its supply.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub kind: EvidenceKind,
    /// What it means, for the record: `the firmware capped the clock`.
    pub means: String,
    /// Files below /sys; `*` stands for any letters of one name.
    pub files: Option<String>,
    /// What the content of `name` or `type` beside such a file begins with. Empty: anything.
    #[serde(default)]
    pub only: Vec<String>,
    /// Prints the flags where no file has them.
    pub command: Option<Vec<String>>,
    /// Bits that are set while it happens.
    #[serde(default)]
    pub now: Vec<u32>,
    /// Bits that stay set until the next boot once it has happened.
    #[serde(default)]
    pub since_boot: Vec<u32>,
    pub source: Option<String>,
    #[serde(default)]
    pub status: super::profile::Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// Bits of one hexadecimal number.
    Flags,
    /// Each file a count of events.
    Counter,
    /// Each file above 0 while it lasts.
    State,
}

/// What the evidence says about a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// With what it means.
    Seen(Vec<String>),
    NotSeen,
    /// A flag was set since the boot already, and would not show another time.
    Unclear,
    /// The board shows nothing.
    NoEvidence,
}

/// Errors: a sentence that begins with the key.
pub(super) fn check(evidence: &Evidence) -> Result<(), String> {
    let is_below = |pattern: &str| {
        let mut components = Path::new(pattern).components();
        !pattern.is_empty() && components.all(|part| matches!(part, Component::Normal(_)))
    };
    if evidence
        .files
        .as_deref()
        .is_some_and(|files| !is_below(files))
    {
        return Err("files: must be a path below /sys, without a leading /".to_owned());
    }
    let flags = evidence.kind == EvidenceKind::Flags;
    let bits = evidence.now.iter().chain(&evidence.since_boot);
    if flags {
        if evidence.files.is_none() && evidence.command.as_ref().is_none_or(Vec::is_empty) {
            return Err("files: flags need files or a command".to_owned());
        }
        if bits.clone().next().is_none() || bits.clone().any(|bit| *bit > 62) {
            return Err("now: flags need bits in now or since_boot, 0 to 62".to_owned());
        }
    } else if evidence.files.is_none() {
        return Err("files: is missing".to_owned());
    } else if evidence.command.is_some() || bits.clone().next().is_some() {
        return Err("kind: only flags have a command, now and since_boot".to_owned());
    }
    Ok(())
}

/// Looks at the evidence at the beginning of an attempt, now and then, and at its end.
pub struct EvidenceWatch<'a> {
    sysfs: &'a Path,
    watched: Vec<Watched<'a>>,
}

struct Watched<'a> {
    evidence: &'a Evidence,
    /// Of flags and counters.
    before: Reading,
    states: States,
}

/// Numbers by where they were read; empty where nothing could be read.
type Reading = BTreeMap<PathBuf, i64>;

/// What is of its moment: files found once, so that a look between two repetitions is short.
#[derive(Default)]
struct States {
    files: Vec<Gauge>,
    seen: bool,
    /// Whether anything could be read since the beginning.
    looked: bool,
}

impl States {
    fn find(evidence: &Evidence, sysfs: &Path) -> Self {
        let mut states = Self {
            files: files(evidence, sysfs)
                .map(|path| Gauge::open(&path, 1.0))
                .collect(),
            ..Self::default()
        };
        states.look();
        states.looked = false;
        states
    }

    fn look(&mut self) {
        for state in self.files.iter().filter_map(|file| file.read().ok()) {
            self.looked = true;
            self.seen |= state > 0.0;
        }
    }
}

impl<'a> EvidenceWatch<'a> {
    pub fn begin(evidence: &'a [Evidence], sysfs: &'a Path) -> Self {
        let watched = |evidence: &'a Evidence| {
            let is_state = evidence.kind == EvidenceKind::State;
            let (before, states) = match is_state {
                true => (Reading::new(), States::find(evidence, sysfs)),
                false => (read(evidence, sysfs), States::default()),
            };
            Watched {
                evidence,
                before,
                states,
            }
        };
        Self {
            sysfs,
            watched: evidence.iter().map(watched).collect(),
        }
    }

    /// Looks at what is of its moment: when a repetition, or all the work, has just ended.
    pub fn look(&mut self) {
        for watched in &mut self.watched {
            watched.states.look();
        }
    }

    /// Everything has ended.
    pub fn end(self) -> Finding {
        together(self.watched.iter().map(|watched| watched.end(self.sysfs)))
    }
}

/// Seen by one is seen; what one leaves open another can't rule out.
fn together(all: impl Iterator<Item = Finding>) -> Finding {
    all.fold(Finding::NoEvidence, |sum, one| match (sum, one) {
        (Finding::Seen(mut sum), Finding::Seen(one)) => {
            sum.extend(one);
            Finding::Seen(sum)
        }
        (Finding::Seen(seen), _) | (_, Finding::Seen(seen)) => Finding::Seen(seen),
        (Finding::Unclear, _) | (_, Finding::Unclear) => Finding::Unclear,
        (Finding::NotSeen, _) | (_, Finding::NotSeen) => Finding::NotSeen,
        (Finding::NoEvidence, Finding::NoEvidence) => Finding::NoEvidence,
    })
}

impl Watched<'_> {
    fn end(&self, sysfs: &Path) -> Finding {
        let evidence = self.evidence;
        let seen = || Finding::Seen(vec![evidence.means.clone()]);
        if evidence.kind == EvidenceKind::State {
            return match (self.states.seen, self.states.looked) {
                (true, _) => seen(),
                (false, true) => Finding::NotSeen,
                (false, false) => Finding::NoEvidence,
            };
        }
        let after = read(evidence, sysfs);
        let pairs = self.before.iter();
        let mut pairs = pairs.filter_map(|(path, b)| Some((*b, *after.get(path)?)));
        if evidence.kind == EvidenceKind::Counter {
            return match (pairs.clone().next(), pairs.any(|(b, a)| a > b)) {
                (None, _) => Finding::NoEvidence,
                (_, true) => seen(),
                (_, false) => Finding::NotSeen,
            };
        }
        let mask = |bits: &[u32]| bits.iter().fold(0, |mask, bit| mask | (1i64 << bit));
        let (now, since_boot) = (mask(&evidence.now), mask(&evidence.since_boot));
        match pairs.next() {
            None => Finding::NoEvidence,
            Some((b, a)) if (b | a) & now != 0 || a & !b & since_boot != 0 => seen(),
            Some((b, _)) if b & since_boot != 0 => Finding::Unclear,
            Some(_) => Finding::NotSeen,
        }
    }
}

fn read(evidence: &Evidence, sysfs: &Path) -> Reading {
    let radix = match evidence.kind {
        EvidenceKind::Flags => 16,
        EvidenceKind::Counter | EvidenceKind::State => 10,
    };
    let mut numbers: Reading = files(evidence, sysfs)
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path, number(&text, radix)?))
        })
        .collect();
    if numbers.is_empty()
        && let Some(command) = &evidence.command
        && let Some(printed) = command::output(command, WITHIN).ok()
        && let Some(number) = number(&printed, radix)
    {
        numbers.insert(PathBuf::new(), number);
    }
    numbers
}

/// `0`, `50000` or `throttled=0x50000`.
pub(super) fn number(text: &str, radix: u32) -> Option<i64> {
    let text = text.trim();
    let text = text.split_once('=').map_or(text, |(_, value)| value);
    i64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), radix).ok()
}

/// The files that are meant.
fn files(evidence: &Evidence, sysfs: &Path) -> impl Iterator<Item = PathBuf> {
    let patterns = evidence.files.iter();
    let found = patterns.flat_map(|pattern| found(sysfs, pattern));
    found.filter(|path| is_meant(path, &evidence.only))
}

fn found(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let root = glob::Pattern::escape(&root.to_string_lossy());
    let paths = glob::glob(&format!("{root}/{pattern}"));
    paths.into_iter().flatten().flatten().collect()
}

fn is_meant(path: &Path, only: &[String]) -> bool {
    let folder = path.parent().unwrap_or(Path::new("."));
    let begins = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        only.iter().any(|start| text.starts_with(start))
    };
    only.is_empty() || begins("name") || begins("type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn evidence(text: &str) -> Evidence {
        let evidence = toml::from_str(text).unwrap();
        assert_eq!(check(&evidence), Ok(()));
        evidence
    }

    /// A tree with a file, and what an attempt sees when its content changes.
    fn seen(evidence: &Evidence, path: &str, before: &str, after: &str) -> Finding {
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, before).unwrap();
        let evidence = std::slice::from_ref(evidence);
        let mut watch = EvidenceWatch::begin(evidence, tree.path());
        fs::write(&file, after).unwrap();
        watch.look();
        watch.end()
    }

    fn yes(means: &str) -> Finding {
        Finding::Seen(vec![means.to_owned()])
    }

    #[test]
    fn flags_tell_what_has_happened_since() {
        let pi = evidence(
            "kind = \"flags\"\nmeans = \"capped\"\nfiles = \"devices/soc*/get_throttled\"\n\
             now = [1, 2, 3]\nsince_boot = [17, 18, 19]\n",
        );
        let at = |before, after| seen(&pi, "devices/soc@1/get_throttled", before, after);
        assert_eq!(at("0\n", "0\n"), Finding::NotSeen);
        assert_eq!(at("0\n", "40000\n"), yes("capped"));
        assert_eq!(at("0\n", "40004\n"), yes("capped"));
        assert_eq!(at("40000\n", "40000\n"), Finding::Unclear);
        assert_eq!(at("40000\n", "c0000\n"), yes("capped"));
        assert_eq!(at("x", "0"), Finding::NoEvidence);
        // Low voltage (bits 0 and 16) is not among these.
        assert_eq!(at("0\n", "10001\n"), Finding::NotSeen);
    }

    #[test]
    fn flags_come_from_a_command_where_no_file_has_them() {
        let pi = evidence(
            "kind = \"flags\"\nmeans = \"capped\"\nfiles = \"absent\"\nnow = [2]\n\
             command = [\"echo\", \"throttled=0x50004\"]\n",
        );
        let watch = EvidenceWatch::begin(std::slice::from_ref(&pi), Path::new("/nonexistent"));
        assert_eq!(watch.end(), yes("capped"));
        let gone = Evidence {
            command: Some(vec!["/nonexistent/tool".to_owned()]),
            ..pi
        };
        let watch = EvidenceWatch::begin(std::slice::from_ref(&gone), Path::new("/nonexistent"));
        assert_eq!(watch.end(), Finding::NoEvidence);
    }

    #[test]
    fn counters_count_from_the_beginning_on() {
        let oc = evidence(
            "kind = \"counter\"\nmeans = \"over-current\"\n\
             files = \"class/hwmon/hwmon*/oc*_event_cnt\"\n",
        );
        let at = |before, after| seen(&oc, "class/hwmon/hwmon12/oc3_event_cnt", before, after);
        assert_eq!(at("15\n", "15\n"), Finding::NotSeen);
        assert_eq!(at("15\n", "16\n"), yes("over-current"));
        assert_eq!(at("15\n", ""), Finding::NoEvidence);
    }

    #[test]
    fn a_state_counts_for_the_devices_that_are_meant() {
        let cooling = evidence(
            "kind = \"state\"\nmeans = \"cooled\"\nonly = [\"cpufreq-\"]\n\
             files = \"class/thermal/cooling_device*/cur_state\"\n",
        );
        let tree = tempfile::tempdir().unwrap();
        let device = |number: u32, kind: &str, state: &str| {
            let folder = tree
                .path()
                .join(format!("class/thermal/cooling_device{number}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("type"), kind).unwrap();
            fs::write(folder.join("cur_state"), state).unwrap();
        };
        let watch = || EvidenceWatch::begin(std::slice::from_ref(&cooling), tree.path());
        let whole = || {
            let mut watch = watch();
            watch.look();
            watch.end()
        };
        device(0, "pwm-fan\n", "3\n");
        assert_eq!(whole(), Finding::NoEvidence);
        device(1, "cpufreq-cpu0\n", "0\n");
        assert_eq!(whole(), Finding::NotSeen);
        // Without a look after the work nothing is known about it.
        assert_eq!(watch().end(), Finding::NoEvidence);
        device(1, "cpufreq-cpu0\n", "2\n");
        assert_eq!(whole(), yes("cooled"));
    }

    #[test]
    fn one_that_saw_it_is_enough() {
        use Finding::{NoEvidence, NotSeen, Unclear};
        let all = |list: &[Finding]| together(list.iter().cloned());
        assert_eq!(all(&[]), NoEvidence);
        assert_eq!(all(&[NoEvidence, NotSeen]), NotSeen);
        assert_eq!(all(&[NotSeen, Unclear, NotSeen]), Unclear);
        assert_eq!(all(&[yes("a"), Unclear, NoEvidence]), yes("a"));
        let both = Finding::Seen(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(all(&[yes("a"), NotSeen, yes("b")]), both);
    }

    #[test]
    fn what_can_not_be_read_is_refused_at_once() {
        let refused = |text: &str| check(&toml::from_str(text).unwrap()).unwrap_err();
        let state = "kind = \"state\"\nmeans = \"m\"\n";
        assert!(refused(state).starts_with("files"));
        assert!(refused(&format!("{state}files = \"../../etc\"\n")).starts_with("files"));
        assert!(refused(&format!("{state}files = \"/sys/a\"\n")).starts_with("files"));
        assert!(refused(&format!("{state}files = \"a\"\nnow = [1]\n")).starts_with("kind"));
        let flags = "kind = \"flags\"\nmeans = \"m\"\nfiles = \"a\"\n";
        assert!(refused(flags).starts_with("now"));
        assert!(refused(&format!("{flags}now = [63]\n")).starts_with("now"));
    }
}
