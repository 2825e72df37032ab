//! Whether the kernel killed a worker because memory ran out: the counter `oom_kill` of
//! `/proc/vmstat` (and of the worker's control group, `memory.events` or in version 1
//! `memory.oom_control`) has risen while the worker ran. What the worker held is looked at now
//! and then, since nothing is left to look at afterwards.

use super::process::{ProcessMemory, number_after};
use crate::units::{MonoNs, Span};
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// A look takes two small files of `/proc`.
const LOOK_EVERY: Span = Span::from_millis(250);
/// A limit of version 1 that is none: the largest number of whole pages.
const UNLIMITED: u64 = 1 << 60;

/// What was seen of a worker that the kernel has killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutOfMemory {
    /// Resident at its peak, as far as it was seen.
    pub held_bytes: Option<u64>,
    /// MemAvailable when it was seen last.
    pub available_bytes: Option<u64>,
    /// Limit of its control group, if that is where the kill was counted.
    pub limit_bytes: Option<u64>,
}

/// Watches one worker.
#[derive(Debug)]
pub struct OomWatch {
    pid: u32,
    proc: PathBuf,
    cgroups: PathBuf,
    kills_before: Option<u64>,
    group: Option<Group>,
    due: MonoNs,
    seen: OutOfMemory,
}

/// A control group, and its counter when the worker was first seen in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    counter: PathBuf,
    limit: PathBuf,
    kills_before: Option<u64>,
}

impl OomWatch {
    pub fn begin(pid: u32) -> Self {
        Self::below(Path::new("/proc"), Path::new("/sys/fs/cgroup"), pid)
    }

    fn below(proc: &Path, cgroups: &Path, pid: u32) -> Self {
        Self {
            pid,
            proc: proc.to_owned(),
            cgroups: cgroups.to_owned(),
            kills_before: kills(&proc.join("vmstat")),
            group: None,
            due: MonoNs::default(),
            seen: OutOfMemory::default(),
        }
    }

    /// Looks at what the worker holds, if it is time to.
    pub fn look(&mut self, now: MonoNs) {
        if now < self.due {
            return;
        }
        self.due = now + LOOK_EVERY;
        let of = |file: &str| read_to_string(self.proc.join(file)).ok();
        if let Some(status) = of(&format!("{}/status", self.pid)) {
            let peak = ProcessMemory::parse(&status).rss_peak_bytes;
            // A process that is ending has none any more.
            self.seen.held_bytes = peak.or(self.seen.held_bytes);
        }
        if let Some(memory) = of("meminfo") {
            let kib = number_after(&memory, "MemAvailable:");
            self.seen.available_bytes = kib.map(|kib| kib * 1024);
        }
        let group = of(&format!("{}/cgroup", self.pid)).and_then(|text| self.group_of(&text));
        let counter = |group: &Option<Group>| group.as_ref().map(|group| group.counter.clone());
        if group.is_some() && counter(&group) != counter(&self.group) {
            self.group = group;
        }
    }

    /// What was seen of it, if the kernel has killed for want of memory since the beginning.
    pub fn verdict(&self) -> Option<OutOfMemory> {
        let risen = |before: Option<u64>, now: Option<u64>| {
            before.zip(now).is_some_and(|(before, now)| now > before)
        };
        let in_group = self
            .group
            .as_ref()
            .filter(|group| risen(group.kills_before, kills(&group.counter)));
        let anywhere = risen(self.kills_before, kills(&self.proc.join("vmstat")));
        (anywhere || in_group.is_some()).then(|| OutOfMemory {
            limit_bytes: in_group.and_then(Group::limit_bytes),
            ..self.seen
        })
    }

    /// From the lines of cgroups(7): `N:memory:PATH` of version 1 goes before `0::PATH` of
    /// version 2, which then has no memory controller.
    fn group_of(&self, lines: &str) -> Option<Group> {
        let path = |wanted: &str| {
            lines.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let controllers = fields.next()?;
                let path = fields.next()?.trim_start_matches('/');
                controllers
                    .split(',')
                    .any(|name| name == wanted)
                    .then_some(path)
            })
        };
        let (folder, counter, limit) = match (path("memory"), path("")) {
            (Some(path), _) => (
                self.cgroups.join("memory").join(path),
                "memory.oom_control",
                "memory.limit_in_bytes",
            ),
            (None, Some(path)) => (self.cgroups.join(path), "memory.events", "memory.max"),
            (None, None) => return None,
        };
        let counter = folder.join(counter);
        Some(Group {
            kills_before: kills(&counter),
            limit: folder.join(limit),
            counter,
        })
    }
}

impl Group {
    fn limit_bytes(&self) -> Option<u64> {
        let text = read_to_string(&self.limit).ok()?;
        text.trim().parse().ok().filter(|limit| *limit < UNLIMITED)
    }
}

fn kills(counter: &Path) -> Option<u64> {
    number_after(&read_to_string(counter).ok()?, "oom_kill ")
}

/// Words that engines, C++ and Python use when an allocation fails, and how a process that
/// did not expect it ends.
const STARVED: [&str; 5] = ["alloc", "memory", "SIGABRT", "SIGSEGV", "exited with code"];

/// The reason of a worker's end, with the limit that it may have run into.
pub fn with_limit(reason: String, limit_bytes: u64) -> String {
    if STARVED.iter().any(|word| reason.contains(word)) {
        let mib = limit_bytes >> 20;
        format!("{reason}; worker.memory_max allows it {mib} MiB of memory of its own")
    } else {
        reason
    }
}

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        f.write_str("the kernel killed the worker because memory ran out")?;
        if let Some(held) = self.held_bytes {
            write!(f, "; it held at least {} MiB", mib(held))?;
        }
        if let Some(limit) = self.limit_bytes {
            write!(f, "; its control group may hold {} MiB", mib(limit))?;
        }
        if let Some(available) = self.available_bytes {
            write!(f, "; {} MiB were available on the board", mib(available))?;
        }
        f.write_str("; choose a smaller model or n_ctx")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A `/proc` and a `/sys/fs/cgroup` of files.
    struct Board(tempfile::TempDir);

    impl Board {
        fn with(files: &[(&str, &str)]) -> Self {
            let board = Self(tempfile::tempdir().unwrap());
            board.write(files);
            board
        }

        fn write(&self, files: &[(&str, &str)]) {
            for (path, text) in files {
                let path = self.0.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        }

        fn watch(&self) -> OomWatch {
            OomWatch::below(
                &self.0.path().join("proc"),
                &self.0.path().join("cgroup"),
                7,
            )
        }
    }

    const RUNNING: [(&str, &str); 3] = [
        ("proc/vmstat", "oom_kill_x 9\noom_kill 3\n"),
        (
            "proc/meminfo",
            "MemTotal: 8000 kB\nMemAvailable:  51200 kB\n",
        ),
        ("proc/7/status", "Name: w\nVmHWM:\t 2097152 kB\n"),
    ];

    #[test]
    fn a_kill_anywhere_counts_with_what_was_seen_last() {
        let board = Board::with(&RUNNING);
        let mut watch = board.watch();
        watch.look(MonoNs(1));
        assert_eq!(watch.verdict(), None);
        board.write(&[
            ("proc/vmstat", "oom_kill 4\n"),
            ("proc/7/status", "Name: w\n"),
        ]);
        watch.look(MonoNs(1) + LOOK_EVERY);
        let verdict = watch.verdict().expect("it was killed");
        assert_eq!(
            verdict.to_string(),
            "the kernel killed the worker because memory ran out; it held at least 2048 MiB; \
             50 MiB were available on the board; choose a smaller model or n_ctx"
        );
    }

    #[test]
    fn a_control_group_counts_where_vmstat_is_hidden() {
        for (lines, counter, limit) in [
            (
                "5:cpu:/a\n4:memory:/job\n0::/b\n",
                "cgroup/memory/job/memory.oom_control",
                "cgroup/memory/job/memory.limit_in_bytes",
            ),
            (
                "0::/job\n",
                "cgroup/job/memory.events",
                "cgroup/job/memory.max",
            ),
        ] {
            let board = Board::with(&[
                ("proc/7/cgroup", lines),
                (counter, "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
                (limit, "67108864\n"),
            ]);
            let mut watch = board.watch();
            watch.look(MonoNs(1));
            assert_eq!(watch.verdict(), None);
            board.write(&[(counter, "oom 2\noom_kill 1\n")]);
            let verdict = watch.verdict().expect("it was killed");
            assert_eq!(verdict.limit_bytes, Some(64 << 20));
            board.write(&[(limit, "max\n")]);
            assert_eq!(watch.verdict().expect("it was killed").limit_bytes, None);
        }
    }

    #[test]
    fn a_limit_is_named_where_it_may_be_the_cause() {
        let named = |reason: &str| with_limit(reason.to_owned(), 64 << 20);
        assert!(
            named("the worker ended: killed by SIGABRT")
                .ends_with("; worker.memory_max allows it 64 MiB of memory of its own")
        );
        assert_eq!(named("the prompt is too long"), "the prompt is too long");
    }

    #[test]
    fn where_nothing_is_counted_nothing_is_said() {
        let mut watch = Board::with(&[]).watch();
        watch.look(MonoNs(1));
        assert_eq!(watch.verdict(), None);
    }

    proptest! {
        #[test]
        fn lines_of_groups_do_not_panic(lines in "\\PC{0,40}(\n[0-9]:[a-z,]{0,8}:/[a-z/.]{0,8}){0,3}") {
            let _ = Board::with(&[]).watch().group_of(&lines);
        }
    }
}
