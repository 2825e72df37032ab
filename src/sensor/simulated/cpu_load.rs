//! This machine's CPU use from the first line of /proc/stat, cheaply.

use crate::units::{MonoNs, Span};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The kernel counts in ticks of 10 ms: a shorter interval would be mostly noise.
const INTERVAL: Span = Span::from_millis(50);

/// Share of all CPUs' time that was not idle over the last interval.
#[derive(Debug, Default)]
pub struct CpuLoad {
    file: Option<File>,
    last: Option<Ticks>,
    read_at: MonoNs,
    share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticks {
    busy: u64,
    total: u64,
}

impl CpuLoad {
    /// The last known share at `now`, read again at most every 50 ms.
    pub fn busy_share(&mut self, now: MonoNs) -> f64 {
        if self.last.is_none() || now.since(self.read_at) >= INTERVAL {
            self.read_at = now;
            if let Some(ticks) = self.read() {
                if let Some(last) = self.last
                    && ticks.total > last.total
                {
                    let busy = ticks.busy.saturating_sub(last.busy) as f64;
                    self.share = (busy / (ticks.total - last.total) as f64).min(1.0);
                }
                self.last = Some(ticks);
            }
        }
        self.share
    }

    fn read(&mut self) -> Option<Ticks> {
        if self.file.is_none() {
            self.file = File::open("/proc/stat").ok();
        }
        let mut text = [0; 256];
        let length = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        parse(std::str::from_utf8(&text[..length]).ok()?)
    }
}

/// user, nice, system, idle, iowait, irq, softirq, steal: proc(5).
fn parse(stat: &str) -> Option<Ticks> {
    let mut total = 0_u64;
    let mut idle = 0;
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    for (index, field) in fields.split_whitespace().take(8).enumerate() {
        let ticks: u64 = field.parse().ok()?;
        total = total.checked_add(ticks)?;
        if index == 3 || index == 4 {
            idle += ticks;
        }
    }
    (total > 0).then_some(Ticks {
        busy: total - idle,
        total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_iowait_are_not_busy() {
        let ticks = parse("cpu  10 0 5 70 10 2 3 0 0 0\ncpu0 1 2").unwrap();
        assert_eq!(
            ticks,
            Ticks {
                busy: 20,
                total: 100
            }
        );
        assert_eq!(parse("intr 1 2 3"), None);
        assert_eq!(parse(&format!("cpu  {} 1 0 0", u64::MAX)), None);
    }

    #[test]
    fn this_machine_has_a_share() {
        let mut load = CpuLoad::default();
        load.busy_share(MonoNs(0));
        let share = load.busy_share(MonoNs(1_000_000_000));
        assert!((0.0..=1.0).contains(&share));
    }
}
