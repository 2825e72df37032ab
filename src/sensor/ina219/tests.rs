//! The driver against the simulated chip in invented time: the wire and the wake-ups take as
//! long as a test says.

use super::*;
use crate::clock::Clock;
use crate::sensor::i2c::{BusError, FaultKind};
use crate::sensor::ina2xx::CycleMode;
use crate::sensor::simulated::{Chip, Unit, Waveform, Wiring};
use crate::sensor::virtual_time::VirtualClock;
use crate::sensor::{Calibration, Pace, PollError, Quality, Sink, Window};
use crate::units::{MonoNs, Ohms, Span, Volts};
use embedded_hal::i2c::{ErrorType, I2c, Operation};
use std::sync::{Arc, Mutex};

const EREMOTEIO: i32 = 121;

/// The chip on a wire: each transaction takes `wire` before the register is reached.
#[derive(Clone)]
struct Wire {
    chip: Arc<Mutex<Chip<VirtualClock>>>,
    clock: VirtualClock,
    wire: Span,
    /// Delays that come before one transaction each, by its number.
    stall: Arc<Mutex<Option<(u8, Span)>>>,
    broken: Arc<Mutex<Option<BusError>>>,
}

impl ErrorType for Wire {
    type Error = BusError;
}

impl I2c for Wire {
    fn transaction(&mut self, address: u8, ops: &mut [Operation<'_>]) -> Result<(), BusError> {
        if let Some(error) = *self.broken.lock().unwrap() {
            return Err(error);
        }
        if let Some(Operation::Write([register, ..])) = ops.first() {
            let mut stall = self.stall.lock().unwrap();
            if let Some((at, span)) = *stall
                && at == *register
            {
                self.clock.advance(span);
                *stall = None;
            }
        }
        self.clock.advance(self.wire);
        let mut chip = self.chip.lock().unwrap();
        let answer = chip.transaction(address, ops);
        answer.map_err(|_| BusError::Errno(EREMOTEIO))
    }
}

#[derive(Default)]
struct Windows(Vec<Window>);

impl Sink for Windows {
    fn push(&mut self, _rail: usize, window: Window) {
        self.0.push(window);
    }
}

struct Bench {
    clock: VirtualClock,
    wire: Wire,
    driver: Ina219<Wire, VirtualClock>,
    deadline: MonoNs,
    windows: Windows,
    lateness: Box<dyn FnMut() -> Span>,
}

struct Rig {
    waveform: &'static str,
    shunt: AdcMode,
    bus: AdcMode,
    clock_ratio: f64,
    max_current_a: f64,
    voltage_at: Option<VoltageAt>,
    wire: Span,
    unit: Unit,
    calibration: Option<Calibration>,
}

impl Default for Rig {
    fn default() -> Self {
        Rig {
            waveform: "constant:1.5",
            shunt: AdcMode::Avg8,
            bus: AdcMode::Bits12,
            clock_ratio: 1.0,
            max_current_a: 4.0,
            voltage_at: None,
            wire: Span::from_micros(20),
            unit: Unit::default(),
            calibration: None,
        }
    }
}

const SHUNT: Ohms = Ohms(0.01);

impl Rig {
    fn bench(self) -> Bench {
        let clock = VirtualClock::default();
        // Not at a period of any waveform.
        clock.set(MonoNs(3_000_000_123_457));
        let chip = Chip::new(
            Wiring {
                address: 0x44,
                shunt: SHUNT,
                bus: Volts(5.0),
                current: self.waveform.parse().unwrap(),
                unit: Unit {
                    clock_ratio: self.clock_ratio,
                    ..self.unit
                },
            },
            clock.clone(),
        );
        let wire = Wire {
            chip: Arc::new(Mutex::new(chip)),
            clock: clock.clone(),
            wire: self.wire,
            stall: Arc::default(),
            broken: Arc::default(),
        };
        let mut config = SensorConfig::new("input", crate::sensor::SensorKind::Simulated);
        config.waveform = Some(self.waveform.into());
        config.adc_shunt = Some(self.shunt.name().into());
        config.adc_bus = Some(self.bus.name().into());
        config.max_current_a = Some(self.max_current_a);
        config.voltage_at = self.voltage_at;
        config.calibration = self.calibration;
        let setup = setup(&config, "/dev/i2c-7".into(), 0x44, "ina219", false).unwrap();
        let again = wire.clone();
        let address = Address::from_byte(0x44).unwrap();
        let connect = Box::new(move || Ok(Registers::new(again.clone(), address)));
        let driver = Ina219::open(setup, clock.clone(), connect).unwrap();
        Bench {
            deadline: clock.now(),
            clock,
            wire,
            driver,
            windows: Windows::default(),
            lateness: Box::new(|| Span::from_micros(30)),
        }
    }
}

impl Bench {
    fn step(&mut self) {
        let late = (self.lateness)();
        self.clock.set(self.deadline + late);
        self.deadline = self.driver.poll(&mut self.windows).unwrap();
    }

    fn run(&mut self, span: Span) {
        let end = self.clock.now() + span;
        while self.clock.now() < end {
            self.step();
        }
    }

    fn energy(&self) -> f64 {
        let energy = |window: &Window| (window.power * window.t1.since(window.t0)).0;
        self.windows.0.iter().map(energy).sum()
    }

    fn stretch(&self) -> (MonoNs, MonoNs) {
        let windows = &self.windows.0;
        (windows.first().unwrap().t0, windows.last().unwrap().t1)
    }

    fn assert_contiguous(&self) {
        for pair in self.windows.0.windows(2) {
            assert_eq!(pair[0].t1, pair[1].t0);
        }
    }
}

#[test]
fn every_mode_is_followed_with_any_chip_clock() {
    for shunt in AdcMode::ALL {
        for ratio in [0.9, 0.955, 1.0, 1.03, 1.1] {
            let bits = matches!(shunt, AdcMode::Bits9 | AdcMode::Bits10 | AdcMode::Bits11);
            let mut bench = Rig {
                shunt,
                clock_ratio: ratio,
                wire: Span::from_micros(if bits { 8 } else { 20 }),
                ..Rig::default()
            }
            .bench();
            bench.lateness = Box::new(|| Span::from_micros(10));
            let cycle = bench.driver.rails()[0].nominal_rate_hz.recip() * ratio;
            bench.run(Span::from_secs_f64(300.0 * cycle));
            let tally = bench.driver.tally();
            let what = format!("{shunt:?} at {ratio}: {tally:?}");
            assert_eq!(tally.lost, 0, "{what}");
            assert!((298..=301).contains(&tally.cycles), "{what}");
            assert!(tally.polls <= 2 * tally.cycles + 20, "{what}");
            bench.assert_contiguous();
            for window in &bench.windows.0[40..] {
                let length = window.t1.since(window.t0).as_secs_f64() / cycle;
                assert!((length - 1.0).abs() < 0.12, "{what}: a window of {length}");
            }
            let (t0, t1) = bench.stretch();
            let mean = t1.since(t0).as_secs_f64() / bench.windows.0.len() as f64 / cycle;
            assert!((mean - 1.0).abs() < 0.001, "{what}: mean {mean}");
        }
    }
}

#[test]
fn edges_are_timed_to_a_small_part_of_a_cycle() {
    let mut bench = Rig {
        clock_ratio: 1.07,
        ..Rig::default()
    }
    .bench();
    let configured = bench.clock.now() - Span::from_micros(20);
    bench.run(Span::from_millis(3000));
    let cycle = 4792e3 * 1.07;
    for window in &bench.windows.0[20..] {
        let phase = window.t1.since(configured).0 as f64 / cycle;
        let error = (phase - phase.round()).abs();
        assert!(error < 0.02, "an edge is off by {error} of a cycle");
    }
}

#[test]
fn long_phases_have_the_energy_of_the_closed_form() {
    for waveform in [
        "constant:1.5",
        "square:0.5,2.5,0.7131,0.3",
        "ramp:0.4,2.8,0.313",
        "sine:1.6,1.1,0.0937",
    ] {
        for shunt in [AdcMode::Bits12, AdcMode::Avg8] {
            let mut bench = Rig {
                waveform,
                shunt,
                clock_ratio: 0.96,
                ..Rig::default()
            }
            .bench();
            bench.run(Span::from_millis(12_000));
            let (t0, t1) = bench.stretch();
            let truth: Waveform = waveform.parse().unwrap();
            let exact = truth.integral(t0, t1).unwrap() * 5.0;
            let half_step_w = 0.002 / 2.0 * 5.0;
            let allowed = 0.001 * exact + half_step_w * t1.since(t0).as_secs_f64();
            let off = bench.energy() - exact;
            assert!(
                off.abs() < allowed,
                "{waveform} {shunt:?}: {off} J of {exact} J"
            );
        }
    }
}

#[test]
fn current_has_a_sign_and_the_supply_side_adds_the_drop() {
    let mut bench = Rig {
        waveform: "constant:-1",
        ..Rig::default()
    }
    .bench();
    bench.run(Span::from_millis(100));
    let window = bench.windows.0[5];
    assert!((window.current.unwrap().0 + 1.0).abs() < 1e-9);
    assert!((window.power.0 + 5.0).abs() < 1e-9);

    let mut bench = Rig {
        waveform: "constant:2",
        voltage_at: Some(VoltageAt::Supply),
        ..Rig::default()
    }
    .bench();
    bench.run(Span::from_millis(100));
    assert!((bench.windows.0[5].power.0 - 5.02 * 2.0).abs() < 1e-9);
}

#[test]
fn clipping_is_told_and_near_clipping_too() {
    let quality = |waveform, shunt| {
        let mut bench = Rig {
            waveform,
            shunt,
            ..Rig::default()
        }
        .bench();
        bench.run(Span::from_millis(100));
        bench.windows.0[5].quality
    };
    // The range is 80 mV, 8 A.
    assert_eq!(quality("constant:9", AdcMode::Avg8), Quality::Saturated);
    assert_eq!(quality("constant:-9", AdcMode::Bits12), Quality::Saturated);
    assert_eq!(quality("constant:7", AdcMode::Avg8), Quality::NearFullScale);
    assert_eq!(quality("constant:7", AdcMode::Bits12), Quality::Good);
    assert_eq!(quality("constant:6", AdcMode::Avg8), Quality::Good);
}

#[test]
fn a_reset_chip_is_noticed_and_set_again() {
    let mut bench = Rig::default().bench();
    bench.run(Span::from_millis(1500));
    bench.wire.chip.lock().unwrap().power_on_reset();
    let reset_at = bench.clock.now();
    // Its cycles are shorter now, which shows before the regular look at the configuration.
    bench.run(Span::from_millis(150));
    assert_eq!(bench.driver.tally().chip_resets, 1);
    bench.run(Span::from_millis(1500));
    assert_eq!(bench.driver.tally().chip_resets, 1);
    let after: Vec<&Window> = bench
        .windows
        .0
        .iter()
        .filter(|w| w.t0 >= reset_at)
        .collect();
    assert!(after.iter().any(|window| window.lost > 0), "a gap is told");
    let last = after.last().unwrap();
    assert!((last.t1.since(last.t0).as_secs_f64() - 4.792e-3).abs() < 1e-4);
}

#[test]
fn a_late_thread_loses_cycles_and_leaves_a_gap() {
    for late_ms in [6, 9, 13, 20, 47, 110, 1003] {
        let mut bench = Rig::default().bench();
        bench.run(Span::from_millis(500));
        let before = bench.windows.0.len();
        bench.deadline = bench.deadline + Span::from_millis(late_ms);
        bench.run(Span::from_millis(1500));
        let windows = &bench.windows.0[before..];
        for window in windows {
            let length = window.t1.since(window.t0).as_secs_f64() / 4.792e-3;
            assert!((length - 1.0).abs() < 0.1, "{late_ms} ms late: {length}");
        }
        let gaps: Vec<_> = bench
            .windows
            .0
            .windows(2)
            .filter(|pair| pair[0].t1 != pair[1].t0)
            .collect();
        assert_eq!(gaps.len(), 1, "{late_ms} ms late");
        let gap = gaps[0][1].t0.since(gaps[0][0].t1).as_secs_f64() / 4.792e-3;
        assert_eq!(gap.round() as u32, gaps[0][1].lost, "{late_ms} ms late");
        assert_eq!(bench.driver.tally().lost, u64::from(gaps[0][1].lost));
    }
}

/// A stall before each of the three reads of a cycle: nothing torn, nothing silently lost.
#[test]
fn a_conversion_that_ends_between_two_reads_is_counted() {
    for register in [1, 2, 3] {
        for stall_us in [300, 2_000, 4_400, 4_700, 5_000, 7_000] {
            let mut bench = Rig {
                waveform: "ramp:0,8,20",
                ..Rig::default()
            }
            .bench();
            bench.run(Span::from_millis(400));
            let stall = Span::from_micros(stall_us);
            *bench.wire.stall.lock().unwrap() = Some((register, stall));
            bench.run(Span::from_millis(400));
            let what = format!("{stall_us} us before register {register}");
            let (t0, t1) = bench.stretch();
            let cycles = (t1.since(t0).as_secs_f64() / 4.792e-3).round() as u64;
            let delivered = bench.windows.0.len() as u64;
            let lost: u64 = bench.windows.0.iter().map(|w| u64::from(w.lost)).sum();
            assert_eq!(delivered + lost, cycles, "{what}");
            // Each mean belongs to its own window: the ramp tells when it was taken.
            for window in &bench.windows.0[10..] {
                let shunt_end = window.t0 + Span::from_micros(4_260);
                let ramp: Waveform = "ramp:0,8,20".parse().unwrap();
                let charge = ramp.integral(window.t0, shunt_end).unwrap();
                let expected = charge / 4.26e-3;
                let off = (window.current.unwrap().0 - expected).abs();
                assert!(off < 0.0016, "{what}: {off} A off, torn");
            }
        }
    }
}

#[test]
fn the_idle_pace_is_slow_and_the_full_pace_comes_back() {
    let mut bench = Rig {
        clock_ratio: 1.08,
        ..Rig::default()
    }
    .bench();
    bench.run(Span::from_millis(1000));
    bench.driver.set_pace(Pace::Idle).unwrap();
    assert_eq!(
        bench.driver.rails()[0].mode.as_deref(),
        Some("avg128/12bit")
    );
    bench.deadline = bench.clock.now();
    let (cycles, polls) = (bench.driver.tally().cycles, bench.driver.tally().polls);
    bench.run(Span::from_millis(10_000));
    let cycles = bench.driver.tally().cycles - cycles;
    assert!((130..=150).contains(&cycles), "{cycles}");
    assert!(bench.driver.tally().polls - polls < 2 * cycles + 20);
    bench.driver.set_pace(Pace::Full).unwrap();
    bench.deadline = bench.clock.now();
    let before = bench.windows.0.len();
    bench.run(Span::from_millis(1000));
    assert!(bench.windows.0.len() - before > 190);
    assert_eq!(bench.driver.tally().lost, 0);
}

#[test]
fn a_dead_bus_is_retried_then_fatal_and_comes_back() {
    let mut bench = Rig::default().bench();
    bench.run(Span::from_millis(100));
    *bench.wire.broken.lock().unwrap() = Some(BusError::Errno(EREMOTEIO));
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        bench.clock.advance(Span::from_millis(10));
        outcomes.push(bench.driver.poll(&mut bench.windows).unwrap_err());
    }
    assert!(matches!(outcomes[0], PollError::Retry(_)));
    assert!(matches!(outcomes[4], PollError::Fatal(_)));
    assert!(bench.driver.reset().is_err());
    *bench.wire.broken.lock().unwrap() = None;
    bench.driver.reset().unwrap();
    bench.deadline = bench.clock.now();
    let before = bench.windows.0.len();
    bench.run(Span::from_millis(200));
    assert!(bench.windows.0.len() - before > 35);
}

#[test]
fn a_bus_too_slow_for_the_mode_is_told() {
    // 12 bit needs the shunt within 0.53 ms; two reads at 100 kHz take 0.96 ms.
    let mut bench = Rig {
        shunt: AdcMode::Bits12,
        wire: Span::from_micros(480),
        ..Rig::default()
    }
    .bench();
    let error = loop {
        bench.clock.set(bench.deadline);
        match bench.driver.poll(&mut bench.windows) {
            Ok(deadline) => bench.deadline = deadline,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("400 kHz"), "{error}");
    assert!(bench.windows.0.is_empty());
}

/// Lateness as seen on machines with all cores busy: mostly short, at times a time slice of
/// others, of which there are several in a row without real-time priority.
fn lateness(often: u64) -> Box<dyn FnMut() -> Span> {
    let mut seed = 7_u64;
    Box::new(move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = seed >> 33;
        let us = if random % 1000 < often {
            500 + random / 1000 % 12_000
        } else {
            20 + random / 1000 % 250
        };
        Span::from_micros(us)
    })
}

#[test]
fn a_loaded_machine_wakes_late_and_nothing_is_torn() {
    for (often, may_lose) in [(10, 0.02), (100, 0.2)] {
        for clock_ratio in [0.93, 1.0, 1.08] {
            let mut bench = Rig {
                waveform: "ramp:0,8,20",
                clock_ratio,
                ..Rig::default()
            }
            .bench();
            bench.lateness = lateness(often);
            bench.run(Span::from_millis(15_000));
            let ramp: Waveform = "ramp:0,8,20".parse().unwrap();
            let what = format!("{often} of 1000 late, clock {clock_ratio}");
            let mut lengths = Vec::new();
            for window in &bench.windows.0[60..] {
                let length = window.t1.since(window.t0).as_secs_f64();
                lengths.push(length / (4.792e-3 * clock_ratio));
                let charge = ramp.integral(window.t0, window.t1).unwrap();
                let off = (window.current.unwrap().0 - charge / length).abs();
                // A torn reading would be off by a cycle of ramp, 1.8 mA, and a step.
                assert!(off < 0.0025, "{what}: {off} A off");
            }
            lengths.sort_by(f64::total_cmp);
            let median = lengths[lengths.len() / 2];
            assert!((median - 1.0).abs() < 0.005, "{what}: median {median}");
            assert!(lengths[0] > 0.7, "{what}: shortest {}", lengths[0]);
            let longest = lengths.last().unwrap();
            assert!(*longest < 1.13, "{what}: longest {longest}");
            let tally = bench.driver.tally();
            let lost = tally.lost as f64 / (tally.lost + tally.cycles) as f64;
            assert!(lost < may_lose, "{what}: {tally:?}");
        }
    }
}
