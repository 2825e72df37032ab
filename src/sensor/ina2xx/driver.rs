//! Chips that convert in cycles as a [`Source`]: one window per cycle and rail.
//!
//! A fault is a state, not an end: short ones are tried again, lasting ones have the device
//! opened and the chip configured anew. After any fault, and whenever something looks odd,
//! nothing is delivered before the configuration has been read back, since a chip that a dip
//! of its supply reset goes on delivering with its default mode and range.

use super::Correction;
use super::bus_limit::BusLimit;
use super::cycles::{CycleChip, CycleMode, Sample};
use super::tracker::Tracker;
use crate::clock::Clock;
use crate::sensor::config::VoltageAt;
use crate::sensor::i2c::{Fault, FaultKind};
use crate::sensor::{
    OpenError, Pace, PollError, Quality, RailSpec, ReadingKind, Sink, Source, Window,
};
use crate::units::{MonoNs, Ohms, Span, Volts};

/// The configuration is read back this often where the bus has no time for it in each cycle.
const READ_BACK: Span = Span::from_millis(1000);
/// And no more often than this when cycles look odd.
const READ_BACK_SOONEST: Span = Span::from_millis(50);
/// Errors in a row after which the device is opened anew.
const ERRORS_BEFORE_RESET: u32 = 5;
/// Readings in a row that took longer than their results stood are no accident: the bus
/// cannot follow the mode.
const TORN_BEFORE_GIVING_UP: u32 = 100;
/// An averaged mean above this share of the range may hide clipped parts.
const NEAR_FULL_SCALE: f64 = 0.8;

/// How one chip is wired and read.
#[derive(Debug, Clone)]
pub struct Setup<M> {
    /// The sensor's configured name.
    pub name: String,
    /// Name, boundary and origin of each rail; mode, limits and rate are filled in by the
    /// driver.
    pub rails: Vec<RailSpec>,
    /// The I2C device, for messages and to group sensors by bus.
    pub bus: String,
    pub address: u8,
    pub mode: M,
    pub shunt: Ohms,
    pub shunt_tolerance: f64,
    pub voltage_at: VoltageAt,
    pub correction: Correction,
}

/// What the driver has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub cycles: u64,
    /// Reads of the bus register that looked for the flag.
    pub polls: u64,
    pub lost: u64,
    /// Times that the chip was found with another configuration.
    pub chip_resets: u64,
}

/// Opens the bus and makes sure of the chip.
pub type Connect<R> = Box<dyn FnMut() -> Result<R, Fault> + Send>;

/// Driver of one chip on one bus.
pub struct Driver<R: CycleChip, C> {
    setup: Setup<R::Mode>,
    clock: C,
    connect: Connect<R>,
    /// `None` from a reset on until the device could be opened again.
    chip: Option<R>,
    rails: Vec<RailSpec>,
    /// At the full pace: as configured, or as fast as the bus allows.
    full: R::Mode,
    mode: R::Mode,
    limit: BusLimit,
    tracker: Tracker,
    samples: Vec<Sample>,
    read_back_at: MonoNs,
    /// Cycles lost since the last window.
    lost: u32,
    errors: u32,
    torn: u32,
    /// A result of the last window was zero, as all are right after a reset.
    zero: bool,
    /// Until the next window.
    fault: Option<Fault>,
    tally: Tally,
}

impl<R: CycleChip, C: Clock> Driver<R, C> {
    /// Opens the bus, times it and sets the chip's mode at full pace.
    pub fn open(
        setup: Setup<R::Mode>,
        clock: C,
        mut connect: Connect<R>,
    ) -> Result<Self, OpenError> {
        let mut chip = connect()?;
        let limit = BusLimit::measure(&clock, || chip.poll().map(drop))
            .map_err(|error| Fault::of(&setup.bus, setup.address, &error))?;
        let mode = limit.fit(setup.mode);
        let now = clock.now();
        let mut driver = Driver {
            rails: described(&setup, mode),
            samples: vec![Sample::default(); setup.rails.len()],
            tracker: Tracker::new(mode.cycle(), now),
            setup,
            clock,
            connect,
            chip: Some(chip),
            full: mode,
            mode,
            limit,
            read_back_at: now,
            lost: 0,
            errors: 0,
            torn: 0,
            zero: false,
            fault: None,
            tally: Tally::default(),
        };
        driver.configure()?;
        Ok(driver)
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn chip(&mut self) -> &mut R {
        self.chip
            .as_mut()
            .expect("whoever comes from outside finds it open or opens it")
    }

    /// What is wrong now; `None` while windows come.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Writes the mode and checks that it is there.
    fn configure(&mut self) -> Result<(), Fault> {
        let fast = self.limit.has_time_to_read_ahead(self.mode);
        let mode = self.mode;
        self.chip().allow_read_ahead(fast);
        let written = self.chip().configure(mode);
        written.map_err(|error| self.transfer_fault(&error))?;
        let now = self.clock.now();
        self.tracker.restart(self.mode.cycle(), now);
        let kept = self.chip().keeps(mode);
        if !kept.map_err(|error| self.transfer_fault(&error))? {
            return Err(self.fault_of(
                FaultKind::OtherChip,
                format!(
                    "what answers there does not keep the configuration of the {}; check the \
                     address",
                    self.setup.rails[0].source
                ),
            ));
        }
        self.read_back_at = now + READ_BACK;
        Ok(())
    }

    fn fault_of(&self, kind: FaultKind, detail: String) -> Fault {
        Fault {
            kind,
            bus: self.setup.bus.clone(),
            address: self.setup.address,
            detail,
        }
    }

    fn transfer_fault(&self, error: &R::Error) -> Fault {
        Fault::of(&self.setup.bus, self.setup.address, error)
    }

    /// Enters the fault's state and tells whether it will pass or needs the device opened
    /// anew.
    fn failed(&mut self, fault: Fault) -> PollError {
        self.errors += 1;
        let text = fault.to_string();
        let lasting = fault.is_lasting() || self.errors >= ERRORS_BEFORE_RESET;
        self.fault = Some(fault);
        if lasting {
            PollError::Fatal(text)
        } else {
            PollError::Retry(text)
        }
    }

    fn broken(&mut self, error: R::Error) -> PollError {
        let fault = self.transfer_fault(&error);
        self.failed(fault)
    }

    fn reconfigure(&mut self) -> Result<(), PollError> {
        self.configure().map_err(|fault| {
            let text = fault.to_string();
            self.fault = Some(fault);
            PollError::Fatal(text)
        })
    }

    /// Reads the configuration back. `false` when the chip had lost it and was set again.
    fn still_configured(&mut self) -> Result<bool, PollError> {
        let mode = self.mode;
        let kept = self.chip().keeps(mode);
        let kept = kept.map_err(|error| self.broken(error))?;
        self.read_back_at = self.clock.now() + READ_BACK;
        if !kept {
            self.tally.chip_resets += 1;
            self.reconfigure()?;
        }
        Ok(kept)
    }

    fn lose(&mut self, cycles: u32) {
        self.lost += cycles;
        self.tally.lost += u64::from(cycles);
    }

    fn look(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let before = self.clock.now();
        self.tally.polls += 1;
        let ready = if self.tracker.expects_flag() {
            self.chip().poll_for_results()
        } else {
            self.chip().poll()
        };
        let ready = ready.map_err(|error| self.broken(error))?;
        let after = self.clock.now();
        if !ready {
            if !self.tracker.overdue(after) {
                return Ok(self.tracker.not_ready(before, after));
            }
            if self.still_configured()? {
                let stopped = self.fault_of(FaultKind::Stopped, String::new());
                return Err(self.failed(stopped));
            }
            self.lose(1);
            return Ok(self.tracker.deadline());
        }

        let mut samples = std::mem::take(&mut self.samples);
        let read = self.chip().results(&mut samples);
        self.samples = samples;
        read.map_err(|error| self.broken(error))?;
        let read_at = self.clock.now();
        let cleared_by = if R::POLL_CLEARS {
            after
        } else {
            let cleared = self.chip().clear();
            cleared.map_err(|error| self.broken(error))?;
            self.clock.now()
        };

        let cycle = self.tracker.ready(after);
        // Past this moment the next cycle's results may have taken the registers.
        let torn = read_at > self.tracker.holds_until(self.mode.results_stand());
        self.tracker.cleared(before, cleared_by);
        self.lose(cycle.lost);

        if self.is_to_verify(cycle.surprising, after) {
            match self.still_configured() {
                Ok(true) => {}
                Ok(false) => {
                    self.lose(1);
                    return Ok(self.tracker.deadline());
                }
                Err(error) => {
                    self.lose(1);
                    return Err(error);
                }
            }
        }

        // A thread that came late is no fault of the bus.
        let slow = torn && read_at.since(before) > self.mode.results_stand();
        self.torn = if slow { self.torn + 1 } else { 0 };
        if self.torn >= TORN_BEFORE_GIVING_UP {
            self.torn = 0;
            let slow = self.fault_of(FaultKind::TooSlow, format!("mode {}", self.mode));
            return Err(self.failed(slow));
        }
        if torn || !cycle.whole {
            self.lose(1);
        } else {
            self.tally.cycles += 1;
            for rail in 0..self.samples.len() {
                sink.push(
                    rail,
                    self.window(cycle.start, cycle.end, self.samples[rail]),
                );
            }
            self.lost = 0;
        }
        self.errors = 0;
        self.fault = None;
        Ok(self.tracker.deadline())
    }

    /// Whether the configuration is to be read back before the samples are believed.
    fn is_to_verify(&mut self, surprising: bool, now: MonoNs) -> bool {
        let zero = self
            .samples
            .iter()
            .any(|sample| sample.drop == Volts(0.0) || sample.bus == Volts(0.0));
        let suddenly_zero = zero && !self.zero;
        self.zero = zero;
        let soonest = self.read_back_at - READ_BACK + READ_BACK_SOONEST;
        suddenly_zero
            || self.fault.is_some()
            || (surprising && now > soonest)
            || now >= self.read_back_at
            || (self.mode.averages() && self.limit.has_time_to_verify(self.mode))
    }

    fn window(&self, t0: MonoNs, t1: MonoNs, sample: Sample) -> Window {
        let correction = &self.setup.correction;
        let voltage = match self.setup.voltage_at {
            VoltageAt::Load => sample.bus,
            VoltageAt::Supply => sample.bus + correction.drop(sample.drop),
        };
        let current = correction.current(sample.drop, self.setup.shunt);
        let near = NEAR_FULL_SCALE * self.mode.range().0;
        let quality = if sample.saturated {
            Quality::Saturated
        } else if self.mode.averages() && sample.drop.0.abs() > near {
            Quality::NearFullScale
        } else {
            Quality::Good
        };
        Window {
            t0,
            t1,
            power: voltage * current,
            voltage: Some(voltage),
            current: Some(current),
            quality,
            lost: self.lost,
        }
    }
}

/// The rails as they are read in `mode`.
fn described<M: CycleMode>(setup: &Setup<M>, mode: M) -> Vec<RailSpec> {
    let limits = mode.limits(setup.shunt, setup.shunt_tolerance, &setup.correction);
    let rail = |rail: &RailSpec| RailSpec {
        kind: ReadingKind::Window,
        mode: Some(mode.to_string()),
        range_mv: Some((mode.range().0 * 1e3).round() as u32),
        shunt: Some(setup.shunt),
        voltage_at: Some(setup.voltage_at),
        duty: Some(mode.duty()),
        nominal_rate_hz: mode.rate_hz(),
        limits: limits.clone(),
        ..rail.clone()
    };
    setup.rails.iter().map(rail).collect()
}

impl<R, C> Source for Driver<R, C>
where
    R: CycleChip + Send,
    C: Clock + Send,
{
    fn name(&self) -> &str {
        &self.setup.name
    }

    fn bus(&self) -> Option<&str> {
        Some(&self.setup.bus)
    }

    fn rails(&self) -> &[RailSpec] {
        &self.rails
    }

    fn warnings(&self) -> Vec<String> {
        let (wanted, limit) = (self.setup.mode, self.limit);
        if limit.follows(wanted) {
            return Vec::new();
        }
        vec![format!(
            "{}: the bus is the limit: a register takes {:.0} us, which allows {:.0} cycles/s of \
             the chip at {:#04x}; {wanted} makes {:.0}, so it is read in {}; run the bus at 400 kHz",
            self.setup.bus,
            limit.transfer().as_secs_f64() * 1e6,
            limit.most_cycles_hz(wanted),
            self.setup.address,
            wanted.rate_hz(),
            self.full,
        )]
    }

    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        let mode = match pace {
            Pace::Full => self.full,
            Pace::Idle => self.full.idle(),
        };
        if mode != self.mode {
            if self.chip.is_none() {
                self.reset()?;
            }
            self.mode = mode;
            self.rails = described(&self.setup, mode);
            self.lost = 0;
            self.reconfigure()?;
        }
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        if self.chip.is_none() {
            self.reset()?;
        }
        self.look(sink)
    }

    fn reset(&mut self) -> Result<(), PollError> {
        // First of all: the kernel can't let go of an adapter that was pulled, nor take it back,
        // while a file of it is open (i2c_del_adapter waits for the last one).
        self.chip = None;
        match (self.connect)() {
            Ok(chip) => self.chip = Some(chip),
            Err(fault) => {
                let text = fault.to_string();
                self.fault = Some(fault);
                return Err(PollError::Fatal(text));
            }
        }
        self.errors = 0;
        self.reconfigure()
    }
}
