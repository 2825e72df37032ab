//! What the kernel says about another process: memory, CPU time, faults. From
//! `/proc/PID/status`, `stat` and `io` (proc(5)).

use serde::{Deserialize, Serialize};
use std::fs;

/// Memory of a process, in bytes. `None`: the kernel does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessMemory {
    /// Largest resident set so far (VmHWM), mapped weights included.
    pub rss_peak_bytes: Option<u64>,
    pub anon_bytes: Option<u64>,
    /// Resident pages of files: mapped weights.
    pub file_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ProcessUsage {
    /// User and system time of all threads.
    pub cpu_s: f64,
    /// Page faults that needed the disk.
    pub major_faults: u64,
    /// Read from the disk; `None` if the kernel does not account for it.
    pub read_bytes: Option<u64>,
}

impl ProcessMemory {
    /// `None` when there is no such process.
    pub fn of(pid: u32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{pid}/status"))
            .ok()
            .map(|status| Self::parse(&status))
    }

    /// From the text of `/proc/PID/status`.
    pub fn parse(status: &str) -> Self {
        Self {
            rss_peak_bytes: kib_field(status, "VmHWM:"),
            anon_bytes: kib_field(status, "RssAnon:"),
            file_bytes: kib_field(status, "RssFile:"),
            swap_bytes: kib_field(status, "VmSwap:"),
        }
    }
}

impl ProcessUsage {
    /// `None` when there is no such process.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (ticks, major_faults) = parse_stat(&stat)?;
        let io = fs::read_to_string(format!("/proc/{pid}/io")).ok();
        Some(Self {
            cpu_s: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            major_faults,
            read_bytes: io.and_then(|io| number_after(&io, "read_bytes:")),
        })
    }
}

fn kib_field(text: &str, name: &str) -> Option<u64> {
    number_after(text, name).and_then(|kib| kib.checked_mul(1024))
}

/// The number behind `name` at the beginning of a line.
pub(super) fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Clock ticks used, and major faults. The command name may contain anything, so fields
/// are counted from the last parenthesis: the state is field 3.
pub fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)?.checked_add(field(15)?)?, field(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        let memory = ProcessMemory::of(pid).expect("this process exists");
        assert!(memory.rss_peak_bytes.is_some_and(|bytes| bytes > 0));
        assert!(ProcessUsage::of(pid).is_some());
    }

    #[test]
    fn a_command_name_can_not_shift_the_fields() {
        let stat = "7 (a) R 1) S 1 7 7 0 -1 4194560 100 0 3 0 250 50 0 0 20 0 1 0 9";
        assert_eq!(parse_stat(stat), Some((300, 3)));
    }

    #[test]
    fn a_kernel_thread_has_no_memory_fields() {
        assert_eq!(
            ProcessMemory::parse("Name:\tkthreadd\n"),
            ProcessMemory::default()
        );
    }

    proptest! {
        #[test]
        fn half_written_files_do_not_panic(text in "\\PC{0,80}") {
            let _ = parse_stat(&text);
            let _ = ProcessMemory::parse(&text);
        }
    }
}
