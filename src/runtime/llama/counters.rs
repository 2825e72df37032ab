//! What the worker's threads do in a phase, as the kernel counts it: faults and reads of
//! the disk, and the CPU's own counters. Read at the ends of phases, never for a token.
//!
//! The CPU's counters are opened before there is another thread and passed on to each that
//! is made later (`inherit`), so that llama.cpp's threads are counted too. A CPU may have
//! fewer counters than there are events; the kernel then lets them take turns. What was
//! counted is scaled to the whole time, as perf does, and both times are sent along. On
//! boards with two kinds of cores an event may be counted on one kind only: the scaled count
//! then supposes that the other one does alike.

use super::ffi;
use crate::runtime::process::number_after;
use crate::runtime::protocol::{HardwareCounters, HardwareCounts, PhaseCounters};
use perf_event::events::{Event, Hardware};
use perf_event::{Builder, Counter};
use rustix::io::{Errno, pread};
use std::fs::File;
use std::io;

/// In the order of a snapshot's events.
const EVENTS: [Hardware; 4] = [
    Hardware::INSTRUCTIONS,
    Hardware::CPU_CYCLES,
    Hardware::CACHE_REFERENCES,
    Hardware::CACHE_MISSES,
];

/// Open counters of this process.
#[derive(Debug)]
pub struct Meter {
    /// `None`: the kernel keeps no account.
    io: Option<File>,
    events: [Option<Counter>; 4],
    hardware: HardwareCounters,
}

/// The counters at one moment, from when each began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Snapshot {
    major_faults: u64,
    read_bytes: Option<u64>,
    events: [Option<Event64>; 4],
}

/// One event at one moment. The times are sums over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Event64 {
    count: u64,
    enabled_ns: u64,
    /// Of these, how long it had a counter.
    running_ns: u64,
}

impl Meter {
    /// Call it before any other thread is made.
    pub fn open() -> Self {
        Self::of(EVENTS)
    }

    fn of(events: [impl Event; 4]) -> Self {
        let opened = events.map(|event| {
            Builder::new(event)
                .exclude_kernel(true)
                .inherit(true)
                .enabled(true)
                .build()
        });
        let hardware = access(&opened);
        Self {
            io: File::open("/proc/self/io").ok(),
            events: opened.map(Result::ok),
            hardware,
        }
    }

    pub fn hardware(&self) -> HardwareCounters {
        self.hardware
    }

    /// From the start of the process until now.
    pub fn read(&mut self) -> Snapshot {
        Snapshot {
            major_faults: ffi::major_faults(),
            read_bytes: self.io.as_ref().and_then(read_bytes),
            events: self
                .events
                .each_mut()
                .map(|event| event.as_mut().and_then(read_event)),
        }
    }
}

/// Of all events together: what one of them may, the others may too.
fn access(opened: &[io::Result<Counter>]) -> HardwareCounters {
    let denied = |result: &io::Result<Counter>| {
        let error = result.as_ref().err().and_then(Errno::from_io_error);
        matches!(error, Some(Errno::ACCESS | Errno::PERM))
    };
    if opened.iter().any(Result::is_ok) {
        HardwareCounters::Counting
    } else if opened.iter().any(denied) {
        HardwareCounters::NotPermitted
    } else {
        HardwareCounters::NotSupported
    }
}

/// From `/proc/PID/io` (proc_pid_io(5)).
fn read_bytes(io: &File) -> Option<u64> {
    // Seven lines of a name and a number.
    let mut text = [0u8; 512];
    let length = pread(io, &mut text, 0).ok()?;
    number_after(std::str::from_utf8(&text[..length]).ok()?, "read_bytes:")
}

fn read_event(counter: &mut Counter) -> Option<Event64> {
    let read = counter.read_count_and_time().ok()?;
    Some(Event64 {
        count: read.count,
        enabled_ns: read.time_enabled,
        running_ns: read.time_running,
    })
}

impl Snapshot {
    /// What happened between `before` and this.
    pub fn since(&self, before: &Snapshot) -> PhaseCounters {
        let mut events = [None; 4];
        for ((event, now), before) in events.iter_mut().zip(self.events).zip(before.events) {
            *event = now.map(|now| now.since(before.unwrap_or_default()));
        }
        PhaseCounters {
            major_faults: Some(self.major_faults.saturating_sub(before.major_faults)),
            read_bytes: self
                .read_bytes
                .map(|bytes| bytes.saturating_sub(before.read_bytes.unwrap_or(0))),
            hardware: hardware(events),
        }
    }
}

fn hardware(events: [Option<Event64>; 4]) -> Option<HardwareCounts> {
    let counted = events.iter().flatten();
    let (enabled_ns, running_ns) = counted
        .map(|event| (event.enabled_ns, event.running_ns))
        .reduce(|a, b| (a.0 + b.0, a.1 + b.1))?;
    let [instructions, cycles, cache_references, cache_misses] =
        events.map(|event| event.and_then(Event64::scaled));
    Some(HardwareCounts {
        instructions,
        cycles,
        cache_references,
        cache_misses,
        enabled_ns: Some(enabled_ns),
        running_ns: Some(running_ns),
    })
}

impl Event64 {
    fn since(self, before: Event64) -> Event64 {
        let enabled_ns = self.enabled_ns.saturating_sub(before.enabled_ns);
        let running_ns = self.running_ns.saturating_sub(before.running_ns);
        Event64 {
            count: self.count.saturating_sub(before.count),
            enabled_ns,
            // The times of inherited events are added up thread by thread while those run, and
            // what ran can come out longer by a hair.
            running_ns: running_ns.min(enabled_ns),
        }
    }

    /// `None` if it never had a counter: nothing was counted, which is not 0.
    fn scaled(self) -> Option<u64> {
        let Event64 {
            count,
            enabled_ns,
            running_ns,
        } = self;
        if running_ns >= enabled_ns {
            return Some(count);
        }
        let whole = u128::from(count) * u128::from(enabled_ns);
        let scaled = whole.checked_div(u128::from(running_ns))?;
        u64::try_from(scaled).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perf_event::events::Software;
    use rustix::time::{ClockId, clock_gettime};

    /// Events that every kernel counts, in the places of the CPU's.
    fn software() -> Option<Meter> {
        let meter = Meter::of([
            Software::TASK_CLOCK,
            Software::PAGE_FAULTS,
            Software::CPU_CLOCK,
            Software::DUMMY,
        ]);
        // A container may forbid it.
        let counting = meter.hardware() == HardwareCounters::Counting;
        assert!(counting || meter.hardware() == HardwareCounters::NotPermitted);
        counting.then_some(meter)
    }

    const BUSY_NS: u64 = 20_000_000;

    /// Until this thread has computed for so long, however long that takes.
    fn compute() {
        let used = || {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
        };
        let start = used();
        while used() - start < BUSY_NS {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn threads_that_are_made_later_are_counted_and_phases_apart() {
        let Some(mut meter) = software() else { return };
        let start = meter.read();
        // One that ends before the counters are read, and one that lives on.
        std::thread::spawn(compute).join().unwrap();
        let (done, computed) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let living = std::thread::spawn(move || {
            compute();
            done.send(()).unwrap();
            let _ = ended.recv();
        });
        computed.recv().unwrap();
        let busy = meter.read();
        let quiet = meter.read();
        drop(end);
        living.join().unwrap();

        let task_clock = |counted: PhaseCounters| counted.hardware.unwrap().instructions.unwrap();
        let counted = busy.since(&start);
        // The two clocks differ a little.
        let used = task_clock(counted);
        assert!(used > 2 * BUSY_NS * 9 / 10, "{used}");
        assert!(task_clock(quiet.since(&busy)) < BUSY_NS);
        let hardware = counted.hardware.unwrap();
        // Stacks may be used again, without a fault.
        assert!(hardware.cycles.is_some());
        // Software events need no turns.
        assert_eq!(hardware.running_ns, hardware.enabled_ns);
    }

    #[test]
    fn the_cpus_own_counters_count_or_say_why_not() {
        let mut meter = Meter::open();
        let start = meter.read();
        compute();
        let counted = meter.read().since(&start);
        match meter.hardware() {
            HardwareCounters::Counting => assert!(counted.hardware.is_some()),
            _ => assert_eq!(counted.hardware, None),
        }
        assert!(counted.major_faults.is_some());
        assert_eq!(
            counted.read_bytes.is_some(),
            File::open("/proc/self/io").is_ok()
        );
    }

    #[test]
    fn refusals_are_told_apart() {
        let failed = |code: i32| Err(io::Error::from_raw_os_error(code));
        let eacces = Errno::ACCESS.raw_os_error();
        let enoent = Errno::NOENT.raw_os_error();
        let denied = [failed(enoent), failed(eacces)];
        assert_eq!(access(&denied), HardwareCounters::NotPermitted);
        let none = [failed(enoent), failed(Errno::OPNOTSUPP.raw_os_error())];
        assert_eq!(access(&none), HardwareCounters::NotSupported);
        // perf-event's own error of an old kernel has no code.
        let old = [Err(io::Error::from(io::ErrorKind::Unsupported))];
        assert_eq!(access(&old), HardwareCounters::NotSupported);
    }

    #[test]
    fn turns_are_scaled_to_the_whole_time_and_nothing_is_not_zero() {
        let event = |count, enabled_ns, running_ns| Event64 {
            count,
            enabled_ns,
            running_ns,
        };
        assert_eq!(event(10, 100, 100).scaled(), Some(10));
        assert_eq!(event(10, 100, 25).scaled(), Some(40));
        assert_eq!(event(0, 100, 0).scaled(), None);
        // No thread ran at all.
        assert_eq!(event(0, 0, 0).scaled(), Some(0));
        let hair = event(10, 200, 201).since(event(0, 100, 100));
        assert_eq!(hair, event(10, 100, 100));
        let long = event(u64::MAX, 3, 2);
        assert_eq!(long.scaled(), None);

        let turns = [
            Some(event(10, 100, 25)),
            None,
            Some(event(8, 100, 50)),
            None,
        ];
        let counted = hardware(turns).unwrap();
        assert_eq!(
            (
                counted.instructions,
                counted.cycles,
                counted.cache_references
            ),
            (Some(40), None, Some(16))
        );
        assert_eq!(
            (counted.running_ns, counted.enabled_ns),
            (Some(75), Some(200))
        );
        assert_eq!(hardware([None; 4]), None);
    }
}
