//! A load on every CPU that is switched on and off at times that are known.

use crate::clock;
use crate::units::{MonoNs, Span};
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Below the sampler's threads, which must not wait for a CPU that this load has.
const NICENESS: i32 = 5;
/// Multiplications between two looks at the switch: some 10 µs.
const BURST: u32 = 4_000;

/// A thread a CPU, parked while the load is off.
pub(super) struct Load {
    switch: Arc<Switch>,
    parts: Vec<Part>,
}

#[derive(Default)]
struct Switch {
    on: AtomicBool,
    end: AtomicBool,
}

struct Part {
    thread: Option<JoinHandle<()>>,
    /// When it last began or ended to burn, in ns.
    changed: Arc<AtomicU64>,
}

impl Load {
    /// Off at first.
    pub fn start() -> std::io::Result<Load> {
        let cpus = std::thread::available_parallelism()?.get();
        let mut load = Load {
            switch: Arc::default(),
            parts: Vec::with_capacity(cpus),
        };
        for _ in 0..cpus {
            let switch = load.switch.clone();
            let changed = Arc::new(AtomicU64::default());
            let tell = changed.clone();
            let thread = std::thread::Builder::new()
                .name("load".into())
                .spawn(move || run(&switch, &tell))?;
            load.parts.push(Part {
                thread: Some(thread),
                changed,
            });
        }
        Ok(load)
    }

    pub fn switch(&self, on: bool) {
        self.switch.on.store(on, Ordering::Release);
        self.wake();
    }

    /// The mean time at which the parts changed, and how far from it the farthest did; `None`
    /// while one of them has not changed since `order`.
    pub fn changed_since(&self, order: MonoNs) -> Option<(MonoNs, Span)> {
        let times = self.parts.iter();
        let times: Vec<u64> = times
            .map(|part| part.changed.load(Ordering::Acquire))
            .collect();
        let (first, last) = (times.iter().min()?, times.iter().max()?);
        if *first < order.0 {
            return None;
        }
        let later: u64 = times.iter().map(|time| time - first).sum();
        let mean = first + later / times.len() as u64;
        Some((MonoNs(mean), Span((mean - first).max(last - mean))))
    }

    fn wake(&self) {
        for thread in self.parts.iter().filter_map(|part| part.thread.as_ref()) {
            thread.thread().unpark();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.switch.end.store(true, Ordering::Release);
        self.wake();
        for thread in self.parts.iter_mut().filter_map(|part| part.thread.take()) {
            // It has nothing to tell; a panic has been printed.
            let _ = thread.join();
        }
    }
}

fn run(switch: &Switch, changed: &AtomicU64) {
    // On Linux both are a thread's own. Without them the load is only less exact.
    let _ = rustix::process::nice(NICENESS);
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let ends = || switch.end.load(Ordering::Acquire);
    let is_on = || switch.on.load(Ordering::Acquire) && !ends();
    let mut number = 1.0f64;
    while !ends() {
        if !is_on() {
            std::thread::park();
            continue;
        }
        changed.store(clock::now().0, Ordering::Release);
        while is_on() {
            for _ in 0..BURST {
                number = black_box(number).mul_add(0.999_999, 1e-6);
            }
        }
        changed.store(clock::now().0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for the parts, however busy the machine is.
    fn changed(load: &Load, order: MonoNs) -> MonoNs {
        loop {
            if let Some((at, _)) = load.changed_since(order) {
                return at;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn every_part_tells_when_it_changed() {
        let load = Load::start().unwrap();
        let began = clock::now();
        assert_eq!(load.changed_since(began), None);
        load.switch(true);
        let on = changed(&load, began);
        let order = clock::now();
        load.switch(false);
        let off = changed(&load, order);
        assert!(began <= on && on <= order && order <= off);
    }
}
