//! A simulated INA219 on a wire, read by the real driver in virtual time.

use super::power::Power;
use embedded_hal::i2c::{ErrorType, I2c, Operation};
use ina219::address::Address;
use jouled::clock::Clock;
use jouled::sensor::ina2xx::{Correction, CycleMode};
use jouled::sensor::ina219::{AdcMode, Ina219, Mode, Registers, simulated_setup};
use jouled::sensor::simulated::{Charge, Chip, NoAcknowledge, Unit, Waveform, Wiring};
use jouled::sensor::{ErrorLimits, SensorConfig, SensorKind, Sink, Source, Window};
use jouled::units::{Amps, MonoNs, Ohms, Span, Volts};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const ADDRESS: u8 = 0x44;
const SHUNT: Ohms = Ohms(0.010);
const SHUNT_TOLERANCE: f64 = 0.01;
/// The range is 80 mV then, 8 A.
const MAX_CURRENT: Amps = Amps(4.0);
/// A register access at 400 kHz with what the kernel adds.
const TRANSFER: Span = Span::from_micros(120);
/// How late a thread wakes up.
const LATENESS_US: (f64, f64) = (10.0, 80.0);

/// The sensor and the host that reads it.
#[derive(Debug, Clone)]
pub struct Rig {
    pub shunt_adc: AdcMode,
    pub bus_adc: AdcMode,
    pub unit: Unit,
    pub bus: Volts,
    /// Host seconds in a second.
    pub host_ratio: f64,
}

impl Rig {
    /// A perfect unit in a mode.
    pub fn perfect(shunt_adc: AdcMode, bus_adc: AdcMode) -> Self {
        Self {
            shunt_adc,
            bus_adc,
            unit: Unit::default(),
            // Neither it nor the currents fall on a step of the converters.
            bus: Volts(5.0827),
            host_ratio: 1.0,
        }
    }

    pub fn mode(&self) -> Mode {
        Mode::new(self.shunt_adc, self.bus_adc, MAX_CURRENT.0 * SHUNT.0).expect("it fits 80 mV")
    }

    /// What the data sheet allows a unit to be off by.
    pub fn limits(&self) -> ErrorLimits {
        self.mode()
            .limits(SHUNT, SHUNT_TOLERANCE, &Correction::default())
    }

    pub fn shunt(&self) -> Ohms {
        SHUNT
    }

    /// Reads the chip for `seconds` from time zero while it measures `power`. Times of the
    /// windows are the host's.
    pub fn record(
        &self,
        power: Arc<dyn Power>,
        seconds: f64,
        random: &mut fastrand::Rng,
    ) -> Vec<Window> {
        let clock = HostClock {
            true_ns: Arc::new(AtomicU64::new(0)),
            ratio: self.host_ratio,
        };
        let mut config = SensorConfig::new("input", SensorKind::Simulated);
        config.adc_shunt = Some(self.shunt_adc.name().into());
        config.adc_bus = Some(self.bus_adc.name().into());
        config.max_current_a = Some(MAX_CURRENT.0);
        config.shunt_ohm = Some(SHUNT.0);
        config.shunt_tolerance = Some(SHUNT_TOLERANCE);
        let setup = simulated_setup(&config, ADDRESS).expect("the configuration is complete");
        let (unit, bus, wire) = (self.unit, self.bus, clock.clone());
        let connect = Box::new(move || {
            let wiring = Wiring {
                address: ADDRESS,
                shunt: SHUNT,
                bus,
                current: Waveform::Drawn(Box::new(Drawn {
                    power: power.clone(),
                    bus,
                })),
                unit,
            };
            let chip = Wire {
                chip: Chip::new(wiring, TrueClock(wire.true_ns.clone())),
                true_ns: wire.true_ns.clone(),
            };
            let address = Address::from_byte(ADDRESS).expect("0x44 is an INA219's");
            Ok(Registers::new(chip, address))
        });
        let mut driver =
            Ina219::open(setup, clock.clone(), connect).expect("the simulated chip answers");
        let mut windows = Kept(Vec::with_capacity(
            (seconds * driver.rails()[0].nominal_rate_hz * 1.2) as usize,
        ));
        let end = MonoNs((seconds * 1e9) as u64);
        while clock.true_now() < end {
            let deadline = driver.poll(&mut windows).expect("the wire is sound");
            clock.sleep_until(deadline);
            let (least, most) = LATENESS_US;
            clock.pass(Span::from_secs_f64(
                1e-6 * (least + (most - least) * random.f64()),
            ));
        }
        windows.0
    }
}

struct Kept(Vec<Window>);

impl Sink for Kept {
    fn push(&mut self, _rail: usize, window: Window) {
        self.0.push(window);
    }
}

/// A power as the current that a constant voltage drives.
#[derive(Debug)]
struct Drawn {
    power: Arc<dyn Power>,
    bus: Volts,
}

impl Charge for Drawn {
    fn until(&self, t: MonoNs) -> f64 {
        self.power.joules(t.0 as f64 * 1e-9) / self.bus.0
    }

    fn peak(&self) -> Amps {
        Amps(self.power.peak_w() / self.bus.0)
    }
}

/// The time that passes.
#[derive(Debug, Clone)]
struct TrueClock(Arc<AtomicU64>);

impl Clock for TrueClock {
    fn now(&self) -> MonoNs {
        MonoNs(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, deadline: MonoNs) {
        self.0.fetch_max(deadline.0, Ordering::Relaxed);
    }
}

/// CLOCK_MONOTONIC of a host whose crystal is a little off.
#[derive(Debug, Clone)]
struct HostClock {
    true_ns: Arc<AtomicU64>,
    ratio: f64,
}

impl HostClock {
    fn true_now(&self) -> MonoNs {
        MonoNs(self.true_ns.load(Ordering::Relaxed))
    }

    fn pass(&self, span: Span) {
        self.true_ns.fetch_add(span.0, Ordering::Relaxed);
    }
}

impl Clock for HostClock {
    fn now(&self) -> MonoNs {
        MonoNs((self.true_now().0 as f64 * self.ratio).round() as u64)
    }

    fn sleep_until(&self, deadline: MonoNs) {
        let at = (deadline.0 as f64 / self.ratio).ceil() as u64;
        self.true_ns.fetch_max(at, Ordering::Relaxed);
    }
}

/// Each transfer takes its time before the register is reached.
struct Wire {
    chip: Chip<TrueClock>,
    true_ns: Arc<AtomicU64>,
}

impl ErrorType for Wire {
    type Error = NoAcknowledge;
}

impl I2c for Wire {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), NoAcknowledge> {
        self.true_ns.fetch_add(TRANSFER.0, Ordering::Relaxed);
        self.chip.transaction(address, operations)
    }
}
