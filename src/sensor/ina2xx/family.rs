//! Ranges, steps, conversion times and error limits of the families, as data, and the mode
//! of one of them: averaging and the two conversion times.
//!
//! From TI SBOS547B (INA226), SLYS021A (INA228) and SBOS576B (INA3221): maxima at 25 °C.

use super::Correction;
use super::cycles::{CycleMode, Transfers};
use crate::sensor::ErrorLimits;
use crate::units::{Ohms, Span, Volts};

/// What is the same for all chips of a kind.
#[derive(Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    /// Conversion times by their code.
    times_us: [u16; 8],
    /// Averages by their code.
    averages: &'static [u16],
    pub range: Volts,
    pub shunt_step: Volts,
    pub bus_step: Volts,
    offset: Volts,
    gain: f64,
    bus_gain: f64,
}

const AVERAGES: [u16; 8] = [1, 4, 16, 64, 128, 256, 512, 1024];
const TIMES_US: [u16; 8] = [140, 204, 332, 588, 1_100, 2_116, 4_156, 8_244];

pub static INA226: Family = Family {
    name: "ina226",
    times_us: TIMES_US,
    averages: &AVERAGES,
    range: Volts(0.08192),
    shunt_step: Volts(2.5e-6),
    bus_step: Volts(1.25e-3),
    offset: Volts(10e-6),
    gain: 0.001,
    bus_gain: 0.001,
};

/// ADCRANGE = 0.
pub static INA228_WIDE: Family = Family {
    name: "ina228",
    times_us: [50, 84, 150, 280, 540, 1_052, 2_074, 4_120],
    averages: &AVERAGES,
    range: Volts(0.16384),
    shunt_step: Volts(312.5e-9),
    bus_step: Volts(195.3125e-6),
    offset: Volts(1e-6),
    gain: 0.0005,
    bus_gain: 0.0005,
};

/// ADCRANGE = 1.
pub static INA228_FINE: Family = Family {
    range: Volts(0.04096),
    shunt_step: Volts(78.125e-9),
    ..INA228_WIDE
};

/// Averaging stays off: it would be a running average over the last cycles, so that a
/// window would show what was before it.
pub static INA3221: Family = Family {
    name: "ina3221",
    times_us: TIMES_US,
    averages: &[1],
    range: Volts(0.1638),
    shunt_step: Volts(40e-6),
    bus_step: Volts(8e-3),
    offset: Volts(80e-6),
    gain: 0.0025,
    bus_gain: 0.0025,
};

/// The bus voltage hardly moves within a cycle, so that its conversions are the shortest
/// and most of the time goes to the current.
const BUS_CODE: usize = 0;
/// Averages of short conversions would give much of a cycle to the bus voltage.
const LEAST_SHARE: f64 = 0.87;
/// Between attempts.
const IDLE_HZ: f64 = 14.7;

/// Averaging and conversion times, by their codes.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    pub family: &'static Family,
    channels: usize,
    average: usize,
    shunt: usize,
}

impl PartialEq for Mode {
    fn eq(&self, other: &Mode) -> bool {
        std::ptr::eq(self.family, other.family)
            && (self.channels, self.average, self.shunt)
                == (other.channels, other.average, other.shunt)
    }
}

impl Mode {
    /// The fastest that stays at or below `rate_hz` (to 2 %, for rounded rates), else the
    /// slowest.
    pub fn at_rate(family: &'static Family, channels: usize, rate_hz: f64) -> Mode {
        let ladder = Mode::ladder(family, channels);
        let slowest = ladder[ladder.len() - 1];
        ladder
            .into_iter()
            .find(|mode| mode.rate_hz() <= rate_hz * 1.02)
            .unwrap_or(slowest)
    }

    /// All modes, from the fastest to the slowest.
    fn ladder(family: &'static Family, channels: usize) -> Vec<Mode> {
        let mut modes: Vec<Mode> = (0..family.averages.len())
            .flat_map(|average| (0..family.times_us.len()).map(move |shunt| (average, shunt)))
            .map(|(average, shunt)| Mode {
                family,
                channels,
                average,
                shunt,
            })
            .filter(|mode| !mode.averages() || mode.duty() * channels as f64 > LEAST_SHARE)
            .collect();
        modes.sort_by_key(|mode| mode.cycle());
        modes
    }

    pub fn average_code(self) -> u16 {
        self.average as u16
    }

    pub fn shunt_code(self) -> u16 {
        self.shunt as u16
    }

    pub fn bus_code(self) -> u16 {
        BUS_CODE as u16
    }

    fn average_of(self) -> u64 {
        u64::from(self.family.averages[self.average])
    }

    fn shunt_time(self) -> Span {
        Span::from_micros(self.family.times_us[self.shunt].into())
    }

    fn bus_time(self) -> Span {
        Span::from_micros(self.family.times_us[BUS_CODE].into())
    }
}

impl CycleMode for Mode {
    fn cycle(self) -> Span {
        let conversions = self.average_of() * self.channels as u64;
        Span((self.shunt_time() + self.bus_time()).0 * conversions)
    }

    fn duty(self) -> f64 {
        let one = (self.shunt_time() + self.bus_time()).as_secs_f64();
        self.shunt_time().as_secs_f64() / one / self.channels as f64
    }

    fn range(self) -> Volts {
        self.family.range
    }

    fn averages(self) -> bool {
        self.average_of() > 1
    }

    /// The first channel's next shunt result comes when its last conversion of a cycle ends.
    fn results_stand(self) -> Span {
        if self.channels == 1 {
            Span(self.cycle().0 - self.bus_time().0)
        } else {
            self.shunt_time()
        }
    }

    /// The flag, then shunt and bus of each channel.
    fn transfers(self) -> Transfers {
        let all = 1 + 2 * self.channels as u32;
        Transfers {
            until_read: all,
            in_all: all,
        }
    }

    fn idle(self) -> Mode {
        let idle = Mode::at_rate(self.family, self.channels, IDLE_HZ);
        if idle.cycle() > self.cycle() {
            idle
        } else {
            self
        }
    }

    fn slower(self) -> Option<Mode> {
        Mode::ladder(self.family, self.channels)
            .into_iter()
            .find(|mode| mode.cycle() > self.cycle())
    }

    fn limits(self, shunt: Ohms, shunt_tolerance: f64, correction: &Correction) -> ErrorLimits {
        let mut scale = correction.scale_limits(shunt_tolerance, self.family.gain);
        scale.push(("bus-gain", self.family.bus_gain));
        // The host's clock, which times the cycles: a crystal's order of magnitude.
        scale.push(("time-base", 100e-6));
        ErrorLimits {
            scale,
            current_offset: correction.offset_limit(self.family.offset) / shunt,
            current_step: self.family.shunt_step / shunt,
            voltage_step: self.family.bus_step,
            blind_share: 1.0 - self.duty(),
            ..ErrorLimits::default()
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "avg{}/{}us/{}us",
            self.average_of(),
            self.family.times_us[self.shunt],
            self.family.times_us[BUS_CODE]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_selects_the_mode() {
        let mode = |family, channels, rate| Mode::at_rate(family, channels, rate).to_string();
        assert_eq!(mode(&INA226, 1, 200.0), "avg4/1100us/140us");
        assert_eq!(mode(&INA226, 1, 1000.0), "avg1/1100us/140us");
        assert_eq!(mode(&INA228_WIDE, 1, 250.0), "avg1/4120us/50us");
        assert_eq!(mode(&INA3221, 3, 50.0), "avg1/8244us/140us");
        assert_eq!(mode(&INA3221, 1, 1.0), "avg1/8244us/140us");
        assert!(Mode::at_rate(&INA226, 1, 200.0).idle().rate_hz() < 15.0);
    }

    #[test]
    fn most_of_a_cycle_is_current() {
        assert!(Mode::at_rate(&INA226, 1, 200.0).duty() > 0.88);
        assert!(Mode::at_rate(&INA228_FINE, 1, 200.0).duty() > 0.9);
        let three = Mode::at_rate(&INA3221, 3, 50.0).duty();
        assert!((0.32..0.34).contains(&three), "{three}");
    }
}
