//! A sampler thread that does not come back from a driver.
//!
//! Nothing can be done about it from within. Where it waits in the kernel, uninterruptibly, no
//! signal reaches it either: the process could not even end. Its sensors are failed ones until
//! it is back, and everybody else goes on.

use super::{Shared, lock};
use crate::pulse::Pulse;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

/// What is known about one thread from outside.
#[derive(Default)]
pub struct Thread {
    pub(super) pulse: Pulse,
    /// The kernel's number of it; 0 before it runs.
    id: AtomicI32,
    sensors: Mutex<Vec<Arc<Shared>>>,
}

impl Thread {
    /// It reads this one too.
    pub(super) fn reads(&self, sensor: &Arc<Shared>) {
        lock(&self.sensors).push(sensor.clone());
    }

    /// Called on the thread itself.
    pub(super) fn begins(&self) {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        self.id.store(id, Ordering::Relaxed);
    }

    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The sensors that it reads.
    pub fn names(&self) -> String {
        let sensors = lock(&self.sensors);
        let names: Vec<&str> = sensors.iter().map(|s| s.name.as_str()).collect();
        names.join(", ")
    }

    /// Whether it waits in the kernel where no signal reaches it.
    pub fn is_out_of_reach(&self) -> bool {
        let id = self.id.load(Ordering::Relaxed);
        let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat"));
        stat.is_ok_and(|stat| state(&stat) == Some('D'))
    }

    /// Lets its sensors count as failed for this reason, or no longer.
    pub fn set_stalled(&self, why: Option<&str>) {
        for sensor in lock(&self.sensors).iter() {
            *lock(&sensor.stalled) = why.map(str::to_owned);
        }
    }
}

/// The field after the name in brackets, which may hold anything (proc_pid_stat(5)).
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_whatever_name() {
        assert_eq!(state("7 (sampler) D 1 2"), Some('D'));
        assert_eq!(state("7 (a) D (b) S 1 2"), Some('S'));
        assert_eq!(state(""), None);
    }

    #[test]
    fn this_thread_is_within_reach() {
        let thread = Thread::default();
        thread.begins();
        assert!(!thread.is_out_of_reach());
    }
}
