//! The one clock of every measurement, CLOCK_MONOTONIC, and the wall-clock label that a
//! record carries beside it.

use crate::units::{MonoNs, Span};
use rustix::thread::{ClockId as SleepClock, clock_nanosleep_absolute};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::OnceLock;

/// Time as a sensor driver sees it. Tests drive a driver and the simulated chip behind it
/// with invented time.
pub trait Clock {
    fn now(&self) -> MonoNs;
    /// Returns at `deadline` or a little later; at once when it has passed.
    fn sleep_until(&self, deadline: MonoNs);
}

/// CLOCK_MONOTONIC of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> MonoNs {
        now()
    }

    fn sleep_until(&self, deadline: MonoNs) {
        let at = Timespec {
            tv_sec: (deadline.0 / 1_000_000_000) as i64,
            tv_nsec: (deadline.0 % 1_000_000_000) as i64,
        };
        // A signal may end the sleep early: ask again for the same moment.
        while clock_nanosleep_absolute(SleepClock::Monotonic, &at).is_err() && now() < deadline {}
    }
}

/// CLOCK_MONOTONIC now.
pub fn now() -> MonoNs {
    let t = clock_gettime(ClockId::Monotonic);
    MonoNs(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
}

/// Blocks this thread for `span`.
pub fn sleep(span: Span) {
    Monotonic.sleep_until(now() + span);
}

/// The wall clock: for labels and for times that a client states, never part of a duration.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The wall clock as RFC 3339 in UTC with milliseconds.
pub fn wall_label() -> String {
    format!("{:.3}", wall())
}

/// Seconds of the Unix epoch, for deadlines that a client states in wall-clock time.
pub fn unix_seconds() -> i64 {
    wall().as_second()
}

/// Whether systemd-timesyncd says that the wall clock is synchronised. `false` under any
/// other time service too, since the label is not to be trusted on a guess.
pub fn wall_synchronised() -> bool {
    std::path::Path::new("/run/systemd/timesync/synchronized").exists()
}

/// This boot's id, which tells apart monotonic times of different boots.
pub fn boot_id() -> String {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_else(|_| "unknown".to_owned())
    })
    .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_reaches_the_deadline() {
        let deadline = now() + Span::from_millis(2);
        Monotonic.sleep_until(deadline);
        assert!(now() >= deadline);
    }

    #[test]
    fn the_label_is_rfc_3339_in_utc() {
        let label = wall_label();
        assert!(label.ends_with('Z'), "{label}");
        assert!(label.parse::<jiff::Timestamp>().is_ok(), "{label}");
    }
}
