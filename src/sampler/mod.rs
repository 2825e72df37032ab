//! Threads that read the sensors, and the buffers between them and whoever integrates.
//!
//! One thread a bus: sensors that share an I2C bus take turns on it anyway, all others don't
//! wait for each other. Windows go into a ring per rail that never blocks; a full ring drops
//! and counts.

mod stalled;
mod thread;

use crate::clock;
use crate::record::device::SensorState;
use crate::sensor::{Pace, RailSpec, Source, Window};
use crate::units::Span;
use rtrb::{Consumer, RingBuffer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use thread::{Entry, Feed};

pub use stalled::Thread;

/// Seconds of windows at the full rate that fit into a rail's ring.
const RING_S: f64 = 8.0;
const RING_LEAST: usize = 256;
/// A sampler thread formats no more than an error text.
const STACK_BYTES: usize = 128 * 1024;
/// A thread that has not come back from its driver by then is left behind.
const STOP_WITHIN: Span = Span::from_millis(1_000);
const LOOK_WHILE_STOPPING: Span = Span::from_millis(2);

/// The running sampler. Dropping it stops the threads.
pub struct Sampler {
    control: Arc<Control>,
    /// Written only when a source is added.
    parts: RwLock<Parts>,
}

#[derive(Default)]
struct Parts {
    sensors: Vec<Arc<Shared>>,
    rings: Vec<Mutex<Consumer<Window>>>,
    threads: Vec<Bus>,
}

/// The thread of one bus.
struct Bus {
    /// Its name, where other sensors can be on it too.
    name: Option<String>,
    arrivals: Sender<Entry>,
    thread: Arc<Thread>,
    handle: JoinHandle<()>,
}

/// How one sensor is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorReport {
    pub name: String,
    pub rails: Vec<RailSpec>,
    /// Wake-ups more than one period after their deadline.
    pub missed_deadlines: u64,
    /// Windows that a full ring dropped.
    pub dropped: u64,
    pub errors: u64,
    pub state: SensorState,
    /// What failed and what to try, while the state is `Failed`.
    pub reason: Option<String>,
}

/// What the threads are told.
#[derive(Default)]
struct Control {
    stop: AtomicBool,
    order: AtomicU64,
    /// Threads that run under SCHED_FIFO.
    realtime: AtomicU64,
}

/// The pace that is asked for, as the number of times it has changed: a source that follows
/// an order has left behind whatever pace it had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order(u64);

impl Order {
    /// The first is to be idle, and each change is to the other pace.
    fn pace(self) -> Pace {
        match self.0 % 2 {
            0 => Pace::Idle,
            _ => Pace::Full,
        }
    }
}

impl Control {
    fn order(&self) -> Order {
        Order(self.order.load(Ordering::Acquire))
    }
}

/// What a thread tells about one sensor.
struct Shared {
    name: String,
    missed_deadlines: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
    /// The failure's text; `None` while the sensor works. Locked by the thread only when it changes.
    failure: Mutex<Option<String>>,
    /// Why nothing comes, while the thread that reads the sensor hangs.
    stalled: Mutex<Option<String>>,
    described: Mutex<Described>,
}

/// A sensor's rails at the pace of the order that it follows; `None` before the first.
struct Described {
    rails: Vec<RailSpec>,
    order: Option<Order>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing behind these locks is left half-changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sampler {
    /// Reads `sources` at the idle pace until told otherwise. Rails are numbered in the
    /// order of the sources and of their rails.
    pub fn start(sources: Vec<Box<dyn Source>>) -> std::io::Result<Sampler> {
        let sampler = Sampler {
            control: Arc::default(),
            parts: RwLock::default(),
        };
        for source in sources {
            sampler.add(source)?;
        }
        Ok(sampler)
    }

    /// Reads one more; its rails come after those that are there.
    pub fn add(&self, source: Box<dyn Source>) -> std::io::Result<()> {
        let shared = Arc::new(Shared {
            name: source.name().to_owned(),
            missed_deadlines: AtomicU64::default(),
            dropped: AtomicU64::default(),
            errors: AtomicU64::default(),
            failure: Mutex::default(),
            stalled: Mutex::default(),
            described: Mutex::new(Described {
                rails: source.rails().to_vec(),
                order: None,
            }),
        });
        let ring = |rail: &RailSpec| {
            let capacity = (RING_S * rail.nominal_rate_hz).ceil() as usize;
            RingBuffer::new(capacity.max(RING_LEAST))
        };
        let (producers, consumers): (Vec<_>, Vec<_>) = source.rails().iter().map(ring).unzip();
        let bus = source.bus().map(str::to_owned);
        let entry = Entry::new(source, Feed::new(producers, shared.clone()));
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        let same = |of: &&Bus| bus.is_some() && of.name == bus;
        match parts.threads.iter().find(same) {
            Some(bus) => {
                bus.thread.reads(&shared);
                // A thread that has panicked takes no more; its sensors are silent.
                let _ = bus.arrivals.send(entry);
            }
            None => {
                let thread = Arc::new(Thread::default());
                thread.reads(&shared);
                let (arrivals, arriving) = channel();
                let (control, known) = (self.control.clone(), thread.clone());
                let handle = std::thread::Builder::new()
                    .name("sampler".into())
                    .stack_size(STACK_BYTES)
                    .spawn(move || thread::run(entry, &arriving, &control, &known))?;
                parts.threads.push(Bus {
                    name: bus,
                    arrivals,
                    thread,
                    handle,
                });
            }
        }
        parts.sensors.push(shared);
        parts.rings.extend(consumers.into_iter().map(Mutex::new));
        Ok(())
    }

    fn parts(&self) -> RwLockReadGuard<'_, Parts> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes effect at each source's next poll, within 100 ms; [`Self::rails_at_pace`] tells
    /// when it has.
    pub fn set_pace(&self, pace: Pace) {
        let change = |number| (Order(number).pace() != pace).then_some(number + 1);
        // An error says that the pace is this one already.
        let _ = self
            .control
            .order
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
    }

    /// Each rail at the pace last set, or `None` while its sensor doesn't follow it yet: only
    /// windows that arrive after this has told a rail are sure to be of that pace.
    pub fn rails_at_pace(&self) -> Vec<Option<RailSpec>> {
        let order = Some(self.control.order());
        let follows = |sensor: &Arc<Shared>| {
            let described = lock(&sensor.described);
            let follows = described.order == order;
            let rails = described.rails.iter();
            rails
                .map(|rail| follows.then(|| rail.clone()))
                .collect::<Vec<_>>()
        };
        self.parts().sensors.iter().flat_map(follows).collect()
    }

    /// Whether every thread runs under SCHED_FIFO; without it busy cores delay readings.
    pub fn realtime(&self) -> bool {
        self.control.realtime.load(Ordering::Acquire) == self.parts().threads.len() as u64
    }

    /// The rails as they are read now; mode, duty and rate follow the pace.
    pub fn rails(&self) -> Vec<RailSpec> {
        self.parts()
            .sensors
            .iter()
            .flat_map(|sensor| lock(&sensor.described).rails.clone())
            .collect()
    }

    /// Moves what has arrived for `rail` to the end of `windows`. Any thread may call it;
    /// each window is handed out once.
    pub fn drain(&self, rail: usize, windows: &mut Vec<Window>) {
        if let Some(ring) = self.parts().rings.get(rail) {
            let mut ring = lock(ring);
            windows.reserve(ring.slots());
            while let Ok(window) = ring.pop() {
                windows.push(window);
            }
        }
    }

    /// The threads, each of which reads the sensors of a bus.
    pub fn threads(&self) -> Vec<Arc<Thread>> {
        let parts = self.parts();
        parts.threads.iter().map(|bus| bus.thread.clone()).collect()
    }

    /// Every sensor's counters and state, in the order of the sources.
    pub fn sensors(&self) -> Vec<SensorReport> {
        let parts = self.parts();
        parts.sensors.iter().map(|sensor| sensor.report()).collect()
    }
}

impl Shared {
    fn report(&self) -> SensorReport {
        let stalled = lock(&self.stalled).clone();
        let reason = stalled.or_else(|| lock(&self.failure).clone());
        SensorReport {
            name: self.name.clone(),
            rails: lock(&self.described).rails.clone(),
            missed_deadlines: self.missed_deadlines.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            state: if reason.is_some() {
                SensorState::Failed
            } else {
                SensorState::Ok
            },
            reason,
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Release);
        let give_up = clock::now() + STOP_WITHIN;
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        for Bus { handle, .. } in parts.threads.drain(..) {
            while !handle.is_finished() && clock::now() < give_up {
                clock::sleep(LOOK_WHILE_STOPPING);
            }
            if handle.is_finished() {
                // A sampler that panicked has nothing left to stop.
                let _ = handle.join();
            }
        }
    }
}

#[cfg(test)]
mod tests;
