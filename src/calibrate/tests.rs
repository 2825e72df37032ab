//! The whole way: a simulated chip with an offset and a gain error, in invented time.

use super::*;
use crate::clock::Clock;
use crate::sensor::ina219::{Ina219, Registers};
use crate::sensor::simulated::{Chip, Unit, Wiring};
use crate::sensor::virtual_time::VirtualClock;
use crate::sensor::{SensorConfig, SensorKind, Source};
use crate::units::{Span, Volts};
use ina219::address::Address;

const SECONDS: Span = Span::from_millis(4000);
const UNIT: Unit = Unit {
    clock_ratio: 1.02,
    offset: Volts(63e-6),
    gain: 1.027,
    bus_gain: 1.0,
};

fn source(amps: f64, calibration: Option<&Calibration>, clock: &VirtualClock) -> Box<dyn Source> {
    source_of(&format!("constant:{amps}"), calibration, clock)
}

fn source_of(
    waveform: &str,
    calibration: Option<&Calibration>,
    clock: &VirtualClock,
) -> Box<dyn Source> {
    let address = Address::default();
    let mut config = SensorConfig::new("input", SensorKind::Simulated);
    config.waveform = Some(waveform.to_owned());
    config.max_current_a = Some(4.0);
    config.calibration = calibration.cloned();
    let wiring = Wiring {
        address: address.as_byte(),
        shunt: Ohms(0.010),
        bus: Volts(5.0),
        current: waveform.parse().unwrap(),
        unit: UNIT,
    };
    let setup = crate::sensor::ina219::simulated_setup(&config, address.as_byte()).unwrap();
    let mut chip = Some(Chip::new(wiring, clock.clone()));
    let connect = Box::new(move || Ok(Registers::new(chip.take().unwrap(), address)));
    Box::new(Ina219::open(setup, clock.clone(), connect).unwrap())
}

/// A clock that reads on a little with each look, as real ones do.
fn reading(source: &mut dyn Source, clock: &VirtualClock) -> Reading {
    read(source, clock, SECONDS, &mut |_| {}).unwrap()
}

fn new_clock() -> VirtualClock {
    let clock = VirtualClock::default();
    clock.advance(Span::from_millis(123_457));
    clock
}

fn power(amps: f64, calibration: &Calibration) -> (f64, RailSpec) {
    let clock = new_clock();
    let mut source = source(amps, Some(calibration), &clock);
    let rail = source.rails()[0].clone();
    (reading(source.as_mut(), &clock).mean_a * 5.0, rail)
}

fn calibrated(currents: &[f64], reference: f64) -> Calibration {
    let clock = new_clock();
    let mut idle = source(0.0, None, &clock);
    let zero = reading(idle.as_mut(), &clock);
    let offset = offset_of(&zero, &idle.rails()[0], None, "2026-11-21".into()).unwrap();
    let mut rail = None;
    let points: Vec<Point> = currents
        .iter()
        .map(|true_a| {
            let mut source = source(*true_a, Some(&offset), &clock);
            rail = Some(source.rails()[0].clone());
            Point {
                true_a: *true_a,
                reading: reading(source.as_mut(), &clock),
            }
        })
        .collect();
    gain_of(
        &points,
        reference,
        &rail.unwrap(),
        Some(&offset),
        "2026-11-22".into(),
    )
    .unwrap()
}

#[test]
fn after_calibration_the_power_is_right_within_the_stated_limit() {
    for currents in [&[2.0][..], &[0.5, 3.0][..]] {
        let calibration = calibrated(currents, 0.001);
        assert!(
            (calibration.offset_uv.unwrap() - 63.0).abs() < calibration.offset_limit_uv.unwrap()
        );
        assert!((calibration.gain.unwrap() - 1.0 / 1.027).abs() < calibration.gain_limit.unwrap());
        for amps in [0.2, 1.1, 3.7] {
            let (watts, rail) = power(amps, &calibration);
            let gain = rail
                .limits
                .scale
                .iter()
                .find(|(name, _)| *name == "calibration");
            let (_, gain) = gain.expect("the calibration's limit replaces the data sheet's");
            let limit = amps * 5.0 * gain + (rail.limits.current_offset.0 + 0.001) * 5.0;
            assert!(
                (watts - amps * 5.0).abs() < limit,
                "{amps} A: {watts} W ± {limit}"
            );
            assert!(rail.limits.current_offset.0 < 0.0025);
            assert_eq!(rail.calibration_date.as_deref(), Some("2026-11-22"));
        }
    }
}

#[test]
fn a_connected_load_is_no_offset() {
    let clock = new_clock();
    let mut source = source(0.4, None, &clock);
    let reading = reading(source.as_mut(), &clock);
    let error = offset_of(&reading, &source.rails()[0], None, String::new()).unwrap_err();
    assert!(error.to_string().contains("disconnect the load"), "{error}");
}

#[test]
fn a_moving_reading_is_refused() {
    let clock = new_clock();
    let mut source = source_of("square:-0.012,0.012,0.05,0.5", None, &clock);
    let reading = reading(source.as_mut(), &clock);
    let error = offset_of(&reading, &source.rails()[0], None, String::new()).unwrap_err();
    assert!(matches!(error, CalibrateError::Unsteady { .. }), "{error}");
}

#[test]
fn impossible_currents_are_refused() {
    let clock = new_clock();
    let mut source = source(1.0, None, &clock);
    let reading = reading(source.as_mut(), &clock);
    let rail = source.rails()[0].clone();
    let gain = |true_a: f64, reading: Reading| {
        let points = [Point { true_a, reading }];
        gain_of(&points, 0.001, &rail, None, String::new()).unwrap_err()
    };
    assert!(matches!(gain(0.0, reading), CalibrateError::Current(_)));
    assert!(matches!(
        gain(f64::NAN, reading),
        CalibrateError::Current(_)
    ));
    assert!(matches!(
        gain(2.0, reading),
        CalibrateError::Implausible { .. }
    ));
    assert!(matches!(
        gain(-1.0, reading),
        CalibrateError::Implausible { .. }
    ));
    let small = Reading {
        mean_a: 0.1,
        ..reading
    };
    assert!(matches!(gain(0.1, small), CalibrateError::TooCoarse { .. }));
}

#[test]
fn gaps_and_saturation_are_refused() {
    let clock = new_clock();
    let mut clipped = source(9.0, None, &clock);
    let error = read(clipped.as_mut(), &clock, SECONDS, &mut |_| {}).unwrap_err();
    assert_eq!(error, CalibrateError::Saturated);

    /// Sleeps through most cycles.
    struct Sleepy(VirtualClock);
    impl Clock for Sleepy {
        fn now(&self) -> crate::units::MonoNs {
            self.0.now()
        }
        fn sleep_until(&self, deadline: crate::units::MonoNs) {
            self.0.sleep_until(deadline + Span::from_millis(20));
        }
    }
    let mut source = source(0.0, None, &clock);
    let error = read(
        source.as_mut(),
        &Sleepy(clock.clone()),
        SECONDS,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(matches!(error, CalibrateError::Gaps { .. }), "{error}");
}

#[test]
fn the_file_is_a_layer_that_replaces_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("jouled.toml");
    let block = "[device]\nname = \"b\"\n[[sensor]]\nname = \"input\"\nkind = \"simulated\"\n\
                 waveform = \"constant:1\"\nboundary = \"board-input\"\n";
    std::fs::write(&main, block).unwrap();
    for gain in [1.01, 0.99] {
        let calibration = Calibration {
            date: "2026-11-21".into(),
            offset_uv: Some(12.5),
            offset_limit_uv: Some(3.0),
            gain: Some(gain),
            gain_limit: Some(0.002),
        };
        let path = store(&main, "input", &calibration).unwrap();
        assert_eq!(path, folder.path().join("conf.d/calibration-input.toml"));
        let config = crate::config::load(&main, []).unwrap();
        assert_eq!(config.sensor[0].calibration, Some(calibration));
    }
    let files = std::fs::read_dir(folder.path().join("conf.d")).unwrap();
    assert_eq!(files.count(), 1, "nothing partial is left");
}
