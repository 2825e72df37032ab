//! The INA219 as a [`Source`]: one window per conversion cycle.

use super::Mode;
use super::bus::{Fault, Registers, explain};
use super::tracker::Tracker;
use crate::clock::Clock;
use crate::sensor::config::VoltageAt;
use crate::sensor::{
    OpenError, Pace, PollError, Quality, RailSpec, ReadingKind, Sink, Source, Window,
};
use crate::units::{Amps, MonoNs, Ohms, Span, Volts};
use embedded_hal::i2c::I2c;
use ina219::address::Address;

/// The configuration is read back this often, since a chip that a dip of its supply reset
/// goes on delivering, with its default mode and range.
const READ_BACK: Span = Span::from_millis(1000);
/// And no more often than this when cycles look odd.
const READ_BACK_SOONEST: Span = Span::from_millis(50);
/// Errors in a row after which the device is opened anew.
const ERRORS_BEFORE_RESET: u32 = 5;
/// Torn readings in a row that are no accident: the bus cannot follow the mode.
const TORN_BEFORE_GIVING_UP: u32 = 100;
/// An averaged mean above this share of the range may hide clipped parts.
const NEAR_FULL_SCALE: f64 = 0.8;

/// How one chip is wired and read.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Name, boundary and origin; mode, limits and rate are filled in by the driver.
    pub rail: RailSpec,
    /// The I2C device, for messages and to group sensors by bus.
    pub bus: String,
    pub address: Address,
    pub mode: Mode,
    pub shunt: Ohms,
    pub shunt_tolerance: f64,
    pub voltage_at: VoltageAt,
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

type Reopen<I2C> = Box<dyn FnMut() -> Result<I2C, OpenError> + Send>;

/// Driver of one chip on one bus.
pub struct Ina219<I2C, C> {
    setup: Setup,
    clock: C,
    reopen: Reopen<I2C>,
    registers: Registers<I2C>,
    rail: [RailSpec; 1],
    mode: Mode,
    tracker: Tracker,
    read_back_at: MonoNs,
    /// Cycles lost since the last window.
    lost: u32,
    errors: u32,
    torn: u32,
    tally: Tally,
}

impl<I2C, C> Ina219<I2C, C>
where
    I2C: I2c,
    I2C::Error: Fault,
    C: Clock,
{
    /// Opens the bus and sets the chip's mode at full pace.
    pub fn open(setup: Setup, clock: C, mut reopen: Reopen<I2C>) -> Result<Self, OpenError> {
        let registers = Registers::new(reopen()?, setup.address);
        let now = clock.now();
        let mode = setup.mode;
        let mut driver = Ina219 {
            rail: [described(&setup, mode)],
            tracker: Tracker::new(mode.cycle(), now),
            setup,
            clock,
            reopen,
            registers,
            mode,
            read_back_at: now,
            lost: 0,
            errors: 0,
            torn: 0,
            tally: Tally::default(),
        };
        driver.configure().map_err(OpenError::Device)?;
        Ok(driver)
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Writes the mode and checks that it is there: there is no identification register.
    fn configure(&mut self) -> Result<(), String> {
        let written = self.registers.configure(self.mode);
        written.map_err(|error| self.explain(error))?;
        let now = self.clock.now();
        self.tracker.restart(self.mode.cycle(), now);
        let read = self.registers.configuration();
        if read.map_err(|error| self.explain(error))? != self.mode.configuration() {
            return Err(format!(
                "{}: what answers at address {:#04x} does not keep the INA219's configuration; \
                 check the address",
                self.setup.bus,
                self.setup.address.as_byte()
            ));
        }
        self.read_back_at = now + READ_BACK;
        Ok(())
    }

    fn explain(&self, error: I2C::Error) -> String {
        explain(
            &self.setup.bus,
            self.setup.address.as_byte(),
            error.errno(),
            &error,
        )
    }

    /// Tells an error that will pass from one that needs the device opened anew.
    fn failed(&mut self, error: I2C::Error) -> PollError {
        self.errors += 1;
        let text = self.explain(error);
        if self.errors >= ERRORS_BEFORE_RESET {
            PollError::Fatal(text)
        } else {
            PollError::Retry(text)
        }
    }

    /// Reads the configuration back. `false` when the chip had lost it and was set again.
    fn still_configured(&mut self) -> Result<bool, PollError> {
        let read = self.registers.configuration();
        let configuration = read.map_err(|error| self.failed(error))?;
        self.read_back_at = self.clock.now() + READ_BACK;
        if configuration == self.mode.configuration() {
            return Ok(true);
        }
        self.tally.chip_resets += 1;
        self.lost += 1;
        self.tally.lost += 1;
        self.configure().map_err(PollError::Fatal)?;
        Ok(false)
    }

    fn look(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let before = self.clock.now();
        self.tally.polls += 1;
        let bus = self.registers.bus();
        let bus = bus.map_err(|error| self.failed(error))?;
        let after = self.clock.now();
        if !bus.ready {
            if self.tracker.overdue(after) {
                if self.still_configured()? {
                    return Err(PollError::Fatal(format!(
                        "{}: the INA219 at address {:#04x} has stopped converting",
                        self.setup.bus,
                        self.setup.address.as_byte()
                    )));
                }
                return Ok(self.tracker.deadline());
            }
            return Ok(self.tracker.not_ready(before, after));
        }

        let shunt = self.registers.shunt();
        let code = shunt.map_err(|error| self.failed(error))?;
        let shunt_read = self.clock.now();
        let cleared = self.registers.clear_ready();
        cleared.map_err(|error| self.failed(error))?;
        let cleared_at = self.clock.now();

        let cycle = self.tracker.ready(after);
        // Past this moment the next cycle's shunt result may have taken the register.
        let torn = shunt_read > self.tracker.holds_until(self.mode.shunt.time());
        self.tracker.cleared(shunt_read, cleared_at);
        self.errors = 0;

        let soonest = self.read_back_at - READ_BACK + READ_BACK_SOONEST;
        let doubtful = cycle.surprising && after > soonest;
        if (doubtful || after >= self.read_back_at) && !self.still_configured()? {
            return Ok(self.tracker.deadline());
        }

        self.lost += cycle.lost;
        self.tally.lost += u64::from(cycle.lost);
        self.torn = if torn { self.torn + 1 } else { 0 };
        if self.torn >= TORN_BEFORE_GIVING_UP {
            self.torn = 0;
            return Err(PollError::Fatal(format!(
                "{}: the INA219 at address {:#04x} in mode {} overwrites its results before they \
                 are read; run the I2C bus at 400 kHz, or set adc_shunt to avg2 or slower",
                self.setup.bus,
                self.setup.address.as_byte(),
                self.mode
            )));
        }
        if torn || !cycle.whole {
            self.lost += 1;
            self.tally.lost += 1;
        } else {
            self.tally.cycles += 1;
            let window = self.window(cycle.start, cycle.end, code, bus.millivolts);
            sink.push(0, window);
            self.lost = 0;
        }
        Ok(self.tracker.deadline())
    }

    fn window(&self, t0: MonoNs, t1: MonoNs, code: i16, millivolts: u16) -> Window {
        let drop = Volts(f64::from(code) * 10e-6);
        let at_load = Volts(f64::from(millivolts) * 1e-3);
        let voltage = match self.setup.voltage_at {
            VoltageAt::Load => at_load,
            VoltageAt::Supply => at_load + drop,
        };
        let current: Amps = drop / self.setup.shunt;
        let full_scale = self.mode.full_scale_code();
        let magnitude = code.unsigned_abs();
        let quality = if magnitude >= full_scale {
            Quality::Saturated
        } else if self.mode.averages()
            && f64::from(magnitude) > NEAR_FULL_SCALE * f64::from(full_scale)
        {
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

/// The rail as it is read in `mode`.
fn described(setup: &Setup, mode: Mode) -> RailSpec {
    RailSpec {
        kind: ReadingKind::Window,
        mode: Some(mode.to_string()),
        range_mv: Some(mode.range_mv()),
        shunt: Some(setup.shunt),
        duty: Some(mode.duty()),
        nominal_rate_hz: mode.rate_hz(),
        limits: mode.limits(setup.shunt, setup.shunt_tolerance),
        ..setup.rail.clone()
    }
}

impl<I2C, C> Source for Ina219<I2C, C>
where
    I2C: I2c + Send,
    I2C::Error: Fault,
    C: Clock + Send,
{
    fn name(&self) -> &str {
        &self.rail[0].name
    }

    fn bus(&self) -> Option<&str> {
        Some(&self.setup.bus)
    }

    fn rails(&self) -> &[RailSpec] {
        &self.rail
    }

    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        let mode = match pace {
            Pace::Full => self.setup.mode,
            Pace::Idle => self.setup.mode.idle(),
        };
        if mode != self.mode {
            self.mode = mode;
            self.rail = [described(&self.setup, mode)];
            self.lost = 0;
            self.configure().map_err(PollError::Fatal)?;
        }
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        self.look(sink)
    }

    fn reset(&mut self) -> Result<(), PollError> {
        let i2c = (self.reopen)().map_err(|error| PollError::Fatal(error.to_string()))?;
        self.registers = Registers::new(i2c, self.setup.address);
        self.errors = 0;
        self.configure().map_err(PollError::Fatal)
    }
}
