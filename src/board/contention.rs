//! Whether others used the CPU while a model ran. Pressure stall information alone can't
//! tell, since it counts the model's own threads too.

use crate::units::{MonoNs, Span};

/// CPU used by others plus steal above this share of the machine marks a run `contended`.
const CONTENDED_ABOVE: f64 = 0.02;

/// Counters at one moment, from /proc/stat and /proc/pressure/cpu.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuTimes {
    pub at: MonoNs,
    /// CPU seconds of all CPUs that were neither idle nor waiting for a disk.
    pub busy_s: f64,
    pub steal_s: f64,
    pub cpus: u32,
    /// Seconds in which some task waited for a CPU; `None` without PSI.
    pub pressure_s: Option<f64>,
}

/// What happened between two moments, as shares of the machine's CPU time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contention {
    pub foreign_cpu: f64,
    pub steal: f64,
    pub psi_some: Option<f64>,
    pub contended: bool,
}

impl CpuTimes {
    /// Reads the counters; `None` where /proc/stat can't be read.
    pub fn read() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let pressure = std::fs::read_to_string("/proc/pressure/cpu").ok();
        Self::parse(crate::clock::now(), &stat, pressure.as_deref())
    }

    fn parse(at: MonoNs, stat: &str, pressure: Option<&str>) -> Option<Self> {
        let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
        let fields: Vec<f64> = stat
            .lines()
            .next()?
            .strip_prefix("cpu ")?
            .split_whitespace()
            .map_while(|field| field.parse().ok())
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
            pressure_s: pressure.and_then(|text| {
                let total = text.lines().next()?.split("total=").nth(1)?;
                Some(total.trim().parse::<f64>().ok()? * 1e-6)
            }),
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
        Some(Contention {
            foreign_cpu,
            steal,
            psi_some: later
                .pressure_s
                .zip(self.pressure_s)
                .map(|(b, a)| (b - a) / span.as_secs_f64()),
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
        let times = CpuTimes::parse(MonoNs(0), STAT, Some(PRESSURE)).expect("a valid stat");
        assert_eq!((times.busy_s, times.steal_s, times.cpus), (1.5, 0.1, 2));
        assert_eq!(times.pressure_s, Some(2.0));
        assert_eq!(CpuTimes::parse(MonoNs(0), "cpu 1 2", None), None);
    }

    #[test]
    fn foreign_work_marks_a_run() {
        let start = CpuTimes::parse(MonoNs(0), STAT, Some(PRESSURE)).expect("a valid stat");
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
