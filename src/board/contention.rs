//! Whether others used the CPU while a model ran. Pressure stall information alone can't
//! tell, since it counts the model's own threads too.

use crate::units::{MonoNs, Span};
use serde::{Deserialize, Serialize};

/// CPU used by others plus steal above this share of the machine marks a run `contended`.
const CONTENDED_ABOVE: f64 = 0.02;

/// Counters at one moment, from /proc/stat and /proc/pressure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuTimes {
    pub at: MonoNs,
    /// CPU seconds of all CPUs that were neither idle nor waiting for a disk.
    pub busy_s: f64,
    pub steal_s: f64,
    pub cpus: u32,
    pub pressure: Pressure,
}

/// Seconds in which some task waited, since the boot; `None` without PSI (kernel
/// documentation, accounting/psi).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    pub cpu_s: Option<f64>,
    /// For memory that had been taken away and comes back from the disk.
    pub memory_s: Option<f64>,
    /// For a disk.
    pub io_s: Option<f64>,
}

impl Pressure {
    fn read() -> Self {
        let some = |resource| {
            let text = std::fs::read_to_string(format!("/proc/pressure/{resource}")).ok()?;
            some_s(&text)
        };
        Self {
            cpu_s: some("cpu"),
            memory_s: some("memory"),
            io_s: some("io"),
        }
    }
}

pub(super) fn some_s(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let microseconds: u64 = some.split_once("total=")?.1.trim().parse().ok()?;
    Some(microseconds as f64 * 1e-6)
}

/// What happened between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Contention {
    /// Shares of the machine's CPU time.
    pub foreign_cpu: f64,
    pub steal: f64,
    /// Shares of the time in which some task waited.
    pub psi_some: Option<f64>,
    pub psi_memory_some: Option<f64>,
    pub psi_io_some: Option<f64>,
    pub contended: bool,
}

impl CpuTimes {
    /// Reads the counters; `None` where /proc/stat can't be read.
    pub fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        Self::parse(crate::clock::now(), &stat, Pressure::read())
    }

    pub(super) fn parse(at: MonoNs, stat: &str, pressure: Pressure) -> Option<Self> {
        let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
        // As whole numbers: `f64` would also take `inf` and `nan`.
        let fields: Vec<f64> = stat
            .lines()
            .next()?
            .strip_prefix("cpu ")?
            .split_whitespace()
            .map_while(|field| field.parse::<u64>().ok())
            .map(|ticks| ticks as f64)
            .collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else {
            return None;
        };
        let cpus = stat
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with("cpu"))
            .count();
        Some(Self {
            at,
            busy_s: (user + nice + system + irq + softirq) / ticks_per_s,
            steal_s: steal / ticks_per_s,
            cpus: u32::try_from(cpus).ok().filter(|n| *n > 0)?,
            pressure,
        })
    }

    /// What others did from `self` to `later`, when the worker and this daemon together
    /// used `own_s` CPU seconds. `None` for an interval too short for the 10 ms ticks.
    pub fn until(&self, later: &CpuTimes, own_s: f64) -> Option<Contention> {
        let span = later.at.since(self.at);
        if span < Span::from_millis(200) {
            return None;
        }
        let capacity_s = span.as_secs_f64() * f64::from(later.cpus);
        let foreign_s = (later.busy_s - self.busy_s - own_s).max(0.0);
        let foreign_cpu = foreign_s / capacity_s;
        let steal = (later.steal_s - self.steal_s) / capacity_s;
        let waited = |of: fn(&Pressure) -> Option<f64>| {
            let waited_s = of(&later.pressure)? - of(&self.pressure)?;
            Some(waited_s / span.as_secs_f64())
        };
        Some(Contention {
            foreign_cpu,
            steal,
            psi_some: waited(|pressure| pressure.cpu_s),
            psi_memory_some: waited(|pressure| pressure.memory_s),
            psi_io_some: waited(|pressure| pressure.io_s),
            contended: foreign_cpu + steal > CONTENDED_ABOVE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 0 50 1000 5 0 0 10 0 0\ncpu0 1\ncpu1 1\nintr 5\n";
    const PRESSURE: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull total=0\n";

    #[test]
    fn counters_are_read_by_position() {
        let none = Pressure::default();
        let times = CpuTimes::parse(MonoNs(0), STAT, none).expect("a valid stat");
        assert_eq!((times.busy_s, times.steal_s, times.cpus), (1.5, 0.1, 2));
        assert_eq!(some_s(PRESSURE), Some(2.0));
        assert_eq!(some_s("full avg10=0.00 total=5\n"), None);
        for bad in ["cpu 1 2", "cpu nan 0 0 0 0 0 0 0\ncpu0 1\n"] {
            assert_eq!(CpuTimes::parse(MonoNs(0), bad, none), None);
        }
        assert_eq!(some_s("some total=inf\n"), None);
    }

    #[test]
    fn waiting_is_a_share_of_the_time_for_each_resource() {
        let pressure = |cpu_s, memory_s, io_s| Pressure {
            cpu_s: Some(cpu_s),
            memory_s,
            io_s: Some(io_s),
        };
        let at = |s: u64, pressure| {
            let times = CpuTimes::parse(MonoNs(s * 1_000_000_000), STAT, pressure);
            times.expect("a valid stat")
        };
        let start = at(0, pressure(2.0, None, 1.0));
        let seen = start
            .until(&at(10, pressure(7.0, Some(3.0), 1.0)), 0.0)
            .expect("a long interval");
        assert_eq!(seen.psi_some, Some(0.5));
        assert_eq!((seen.psi_memory_some, seen.psi_io_some), (None, Some(0.0)));
    }

    #[test]
    fn foreign_work_marks_a_run() {
        let start = CpuTimes::parse(MonoNs(0), STAT, Pressure::default()).expect("a valid stat");
        let mut end = start;
        end.at = MonoNs(10_000_000_000);
        end.busy_s += 19.0;
        let clean = start.until(&end, 18.9).expect("a long interval");
        assert!(!clean.contended, "{clean:?}");
        let busy = start.until(&end, 10.0).expect("a long interval");
        assert!(busy.contended && (busy.foreign_cpu - 0.45).abs() < 1e-9);
        assert_eq!(start.until(&start, 0.0), None);
    }
}
