//! The driver against register-level chips in invented time.

use super::*;
use crate::clock::Clock;
use crate::sensor::i2c::BusError;
use crate::sensor::simulated::Waveform;
use crate::sensor::virtual_time::VirtualClock;
use crate::sensor::{Quality, Sink, Window};
use crate::units::{MonoNs, Span};
use embedded_hal::i2c::{ErrorType, I2c, Operation};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

const SHUNT_OHM: f64 = 0.01;
const BUS_V: f64 = 12.0;
const ADDRESS: u8 = 0x41;

/// What a register map does to the conversions; times are those of the data sheets.
#[derive(Clone, Copy, PartialEq)]
enum Map {
    Ina226,
    Ina228,
    Ina3221,
}

/// One chip: configuration registers as written, results from the waveform's mean.
struct Registers {
    map: Map,
    clock: VirtualClock,
    clock_ratio: f64,
    waveform: Waveform,
    written: HashMap<u8, u16>,
    started: MonoNs,
    /// Cycles whose flag has been cleared.
    cleared: u64,
}

impl Registers {
    fn power_on(&mut self) {
        self.written = match self.map {
            Map::Ina226 => HashMap::from([(0, 0x4127)]),
            Map::Ina228 => HashMap::from([(0, 0), (1, 0xfb68)]),
            Map::Ina3221 => HashMap::from([(0, 0x7127)]),
        };
        self.restart();
    }

    fn restart(&mut self) {
        self.started = self.clock.now();
        self.cleared = 0;
    }

    /// Shunt and bus time in ns, averages, channels.
    fn timing(&self) -> (f64, f64, u64, u64) {
        let slow = [140, 204, 332, 588, 1_100, 2_116, 4_156, 8_244];
        let fast = [50, 84, 150, 280, 540, 1_052, 2_074, 4_120];
        let averages = [1, 4, 16, 64, 128, 256, 512, 1024];
        let field = |value: u16, shift: u16| usize::from(value >> shift & 0b111);
        let (times, value, shunt, bus, average) = match self.map {
            Map::Ina228 => (fast, self.written[&1], 6, 9, 0),
            _ => (slow, self.written[&0], 3, 6, 9),
        };
        let channels = match self.map {
            Map::Ina3221 => (value >> 12 & 0b111).count_ones().into(),
            _ => 1,
        };
        let time = |shift| f64::from(times[field(value, shift)]) * 1e3 * self.clock_ratio;
        (
            time(shunt),
            time(bus),
            averages[field(value, average)],
            channels,
        )
    }

    fn cycles(&self) -> u64 {
        let (shunt, bus, average, channels) = self.timing();
        let cycle = (shunt + bus) * (average * channels) as f64;
        (self.clock.now().since(self.started).0 as f64 / cycle) as u64
    }

    /// Shunt voltage of the last cycle; its first channel's conversions begin the cycle.
    fn shunt_v(&mut self) -> Option<f64> {
        let (shunt, bus, average, channels) = self.timing();
        let cycle = (shunt + bus) * (average * channels) as f64;
        let last = self.cycles().checked_sub(1)?;
        let t0 = self.started + Span((last as f64 * cycle) as u64);
        let t1 = t0 + Span(if average == 1 { shunt } else { cycle } as u64);
        Some(self.waveform.mean(t0, t1).0 * SHUNT_OHM)
    }

    fn ready(&mut self) -> bool {
        let cycles = self.cycles();
        let ready = cycles > self.cleared;
        self.cleared = cycles;
        ready
    }

    fn read(&mut self, register: u8) -> u32 {
        let code = |volts: Option<f64>, step: f64, largest: f64| {
            (volts.unwrap_or(0.0) / step)
                .round()
                .clamp(-largest - 1.0, largest) as i32
        };
        match (self.map, register) {
            (Map::Ina226, 0x01) => code(self.shunt_v(), 2.5e-6, 32767.0) as u16 as u32,
            (Map::Ina226, 0x02) => code(self.shunt_v().and(Some(BUS_V)), 1.25e-3, 32767.0) as u32,
            (Map::Ina226, 0x06) => u32::from(self.ready()) << 3,
            (Map::Ina228, 0x04) => {
                let fine = self.written[&0] & 0x10 != 0;
                let step = if fine { 78.125e-9 } else { 312.5e-9 };
                (code(self.shunt_v(), step, 524_287.0) << 4) as u32 & 0xff_ffff
            }
            (Map::Ina228, 0x05) => {
                (code(self.shunt_v().and(Some(BUS_V)), 195.3125e-6, 524_287.0) << 4) as u32
            }
            (Map::Ina228, 0x0b) => u32::from(self.ready()) << 1,
            (Map::Ina3221, 0x01..=0x06) => {
                let channel = (register - 1) / 2;
                let enabled = self.written[&0] & 0x4000 >> channel != 0;
                let there = self.shunt_v().filter(|_| enabled);
                let value = if register % 2 == 1 {
                    // Each channel carries a part of the current.
                    let share = f64::from(channel + 1);
                    code(there.map(|volts| volts / share), 40e-6, 4095.0)
                } else {
                    code(there.and(Some(BUS_V)), 8e-3, 4095.0)
                };
                (value << 3) as u16 as u32
            }
            (Map::Ina3221, 0x0f) => u32::from(self.ready()),
            _ => self.written.get(&register).copied().unwrap_or(0).into(),
        }
    }
}

#[derive(Clone)]
struct Wire(Arc<Mutex<Registers>>);

impl ErrorType for Wire {
    type Error = BusError;
}

impl I2c for Wire {
    fn transaction(&mut self, address: u8, ops: &mut [Operation<'_>]) -> Result<(), BusError> {
        let mut chip = self.0.lock().unwrap();
        chip.clock.advance(Span::from_micros(130));
        if address != ADDRESS {
            return Err(BusError::Errno(121));
        }
        let mut pointer = 0;
        for operation in ops {
            match operation {
                Operation::Write(bytes) => {
                    pointer = bytes[0];
                    if let [_, high, low] = bytes {
                        let value = u16::from_be_bytes([*high, *low]);
                        chip.written.insert(pointer, value);
                        chip.restart();
                    }
                }
                Operation::Read(bytes) => {
                    let value = chip.read(pointer).to_be_bytes();
                    let from = 4 - bytes.len();
                    bytes.copy_from_slice(&value[from..]);
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Windows(Vec<Vec<Window>>);

impl Sink for Windows {
    fn push(&mut self, rail: usize, window: Window) {
        self.0.resize_with(self.0.len().max(rail + 1), Vec::new);
        self.0[rail].push(window);
    }
}

struct Bench {
    clock: VirtualClock,
    wire: Wire,
    source: Box<dyn Source>,
    windows: Windows,
}

fn bench(map: Map, waveform: &str, change: impl FnOnce(&mut SensorConfig)) -> Bench {
    let clock = VirtualClock::default();
    clock.set(MonoNs(7_000_123_457));
    let (kind, name) = match map {
        Map::Ina226 => (SensorKind::Ina226, "ina226"),
        Map::Ina228 => (SensorKind::Ina228, "ina228"),
        Map::Ina3221 => (SensorKind::Ina3221, "ina3221"),
    };
    let mut registers = Registers {
        map,
        clock: clock.clone(),
        clock_ratio: 0.96,
        waveform: waveform.parse().unwrap(),
        written: HashMap::new(),
        started: clock.now(),
        cleared: 0,
    };
    registers.power_on();
    let wire = Wire(Arc::new(Mutex::new(registers)));
    let mut config = SensorConfig::new("input", kind);
    config.boundary = Some(Boundary::BoardInput);
    config.bus = Some("/dev/i2c-7".into());
    config.address = Some(ADDRESS.into());
    config.shunt_ohm = Some(SHUNT_OHM);
    if map != Map::Ina3221 {
        config.max_current_a = Some(4.0);
    }
    change(&mut config);
    config.check().unwrap();
    let setup = setup(&config, name);
    let (channels, _) = channels(&config);
    let again = wire.clone();
    let source: Box<dyn Source> = match map {
        Map::Ina226 => {
            let connect = Box::new(move || Ok(Ina226::new(again.clone(), ADDRESS)));
            Box::new(Driver::open(setup, clock.clone(), connect).unwrap())
        }
        Map::Ina228 => {
            let connect = Box::new(move || Ok(Ina228::new(again.clone(), ADDRESS)));
            Box::new(Driver::open(setup, clock.clone(), connect).unwrap())
        }
        Map::Ina3221 => {
            let connect =
                Box::new(move || Ok(Ina3221::new(again.clone(), ADDRESS, channels.clone())));
            Box::new(Driver::open(setup, clock.clone(), connect).unwrap())
        }
    };
    Bench {
        clock,
        wire,
        source,
        windows: Windows::default(),
    }
}

impl Bench {
    fn run(&mut self, span: Span) {
        let end = self.clock.now() + span;
        while self.clock.now() < end {
            let deadline = self.source.poll(&mut self.windows).unwrap();
            self.clock.set(deadline + Span::from_micros(30));
        }
    }
}

#[test]
fn long_phases_have_the_energy_of_the_closed_form() {
    for map in [Map::Ina226, Map::Ina228, Map::Ina3221] {
        for waveform in [
            "constant:1.5",
            "square:0.5,2.5,0.7131,0.3",
            "ramp:0.4,2.8,0.313",
        ] {
            let mut bench = bench(map, waveform, |_| {});
            bench.run(Span::from_millis(8_000));
            let windows = &bench.windows.0[0];
            assert!(windows.iter().all(|window| window.lost == 0));
            assert!(windows.windows(2).all(|pair| pair[0].t1 == pair[1].t0));
            let (t0, t1) = (windows[0].t0, windows[windows.len() - 1].t1);
            let truth: Waveform = waveform.parse().unwrap();
            let exact = truth.integral(t0, t1).unwrap() * BUS_V;
            let energy: f64 = windows
                .iter()
                .map(|window| (window.power * window.t1.since(window.t0)).0)
                .sum();
            // The INA3221 sees a sixth to a third of the time and has steps of 4 mA.
            let relative = if map == Map::Ina3221 { 0.01 } else { 0.002 };
            let off = energy - exact;
            assert!(
                off.abs() < relative * exact,
                "{waveform}: {off} J of {exact} J"
            );
        }
    }
}

#[test]
fn three_channels_are_three_rails() {
    let mut bench = bench(Map::Ina3221, "constant:1.2", |config| {
        config.labels = Some(vec!["CPU".into(), String::new(), "io".into()]);
    });
    let names: Vec<String> = bench
        .source
        .rails()
        .iter()
        .map(|r| r.name.clone())
        .collect();
    assert_eq!(names, ["input.cpu", "input.io"]);
    bench.run(Span::from_millis(500));
    let amps = |rail: usize| bench.windows.0[rail][5].current.unwrap().0;
    assert!((amps(0) - 1.2).abs() < 0.003, "{}", amps(0));
    assert!((amps(1) - 0.4).abs() < 0.003, "{}", amps(1));
}

#[test]
fn signs_and_full_scale() {
    for (map, full_a) in [
        (Map::Ina226, 9.0),
        (Map::Ina228, 17.0),
        (Map::Ina3221, 17.0),
    ] {
        let mut negative = bench(map, "constant:-1", |_| {});
        negative.run(Span::from_millis(300));
        let window = negative.windows.0[0][3];
        assert!((window.power.0 + BUS_V).abs() < 0.03, "{window:?}");
        let mut clipped = bench(map, &format!("constant:{full_a}"), |_| {});
        clipped.run(Span::from_millis(300));
        assert_eq!(clipped.windows.0[0][3].quality, Quality::Saturated);
    }
}

#[test]
fn the_smaller_range_is_taken_where_it_has_headroom() {
    let bench = bench(Map::Ina228, "constant:1", |config| {
        config.max_current_a = Some(2.5);
    });
    assert_eq!(bench.source.rails()[0].range_mv, Some(41));
    assert!(bench.source.rails()[0].limits.current_step.0 < 8e-6);
}

#[test]
fn a_reset_chip_is_set_again() {
    for map in [Map::Ina226, Map::Ina228, Map::Ina3221] {
        let mut bench = bench(map, "constant:1.5", |_| {});
        bench.run(Span::from_millis(500));
        bench.wire.0.lock().unwrap().power_on();
        bench.run(Span::from_millis(2_500));
        let windows = &bench.windows.0[0];
        assert!(
            windows
                .iter()
                .all(|window| (window.power.0 - 18.0).abs() < 0.03)
        );
        assert!(
            windows.iter().any(|window| window.lost > 0),
            "a gap is told"
        );
        let last = windows[windows.len() - 1];
        let cycle = 0.96 / bench.source.rails()[0].nominal_rate_hz;
        assert!((last.t1.since(last.t0).as_secs_f64() / cycle - 1.0).abs() < 0.1);
    }
}

#[test]
fn a_block_that_cannot_be_wired_is_refused() {
    let key = |kind, change: fn(&mut SensorConfig)| {
        let mut config = SensorConfig::new("input", kind);
        config.boundary = Some(Boundary::Rail);
        config.bus = Some("/dev/i2c-1".into());
        config.address = Some(0x40);
        config.shunt_ohm = Some(0.01);
        change(&mut config);
        config.check().err().map(|error| error.key().to_owned())
    };
    assert_eq!(key(SensorKind::Ina3221, |_| {}), None);
    let at_45 = key(SensorKind::Ina3221, |config| config.address = Some(0x45));
    assert_eq!(at_45.as_deref(), Some("address"));
    let none = key(SensorKind::Ina3221, |config| config.labels = Some(vec![]));
    assert_eq!(none.as_deref(), Some("labels"));
    let missing = key(SensorKind::Ina226, |_| {});
    assert_eq!(missing.as_deref(), Some("max_current_a"));
    let large = key(SensorKind::Ina226, |config| {
        config.max_current_a = Some(8.3)
    });
    assert_eq!(large.as_deref(), Some("max_current_a"));
    assert_eq!(
        key(SensorKind::Ina228, |config| config.max_current_a =
            Some(8.3)),
        None
    );
}
