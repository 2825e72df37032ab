//! ADC modes, ranges and error limits of the INA219 (TI SBOS448G, tables 4 to 7 and the
//! electrical characteristics of the A grade at 25 °C).

use crate::sensor::ErrorLimits;
use crate::sensor::ina2xx::{Correction, CycleMode, Transfers};
use crate::units::{Ohms, Span, Volts};
use ina219::configuration::{BusVoltageRange, Configuration, Resolution, ShuntVoltageRange};

/// Resolution or averaging of one of the two conversions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdcMode {
    Bits9,
    Bits10,
    Bits11,
    Bits12,
    Avg2,
    Avg4,
    Avg8,
    Avg16,
    Avg32,
    Avg64,
    Avg128,
}

impl AdcMode {
    /// From the fastest to the slowest.
    pub const ALL: [AdcMode; 11] = [
        Self::Bits9,
        Self::Bits10,
        Self::Bits11,
        Self::Bits12,
        Self::Avg2,
        Self::Avg4,
        Self::Avg8,
        Self::Avg16,
        Self::Avg32,
        Self::Avg64,
        Self::Avg128,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bits9 => "9bit",
            Self::Bits10 => "10bit",
            Self::Bits11 => "11bit",
            Self::Bits12 => "12bit",
            Self::Avg2 => "avg2",
            Self::Avg4 => "avg4",
            Self::Avg8 => "avg8",
            Self::Avg16 => "avg16",
            Self::Avg32 => "avg32",
            Self::Avg64 => "avg64",
            Self::Avg128 => "avg128",
        }
    }

    pub fn parse(name: &str) -> Option<AdcMode> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    fn resolution(self) -> Resolution {
        match self {
            Self::Bits9 => Resolution::Res9Bit,
            Self::Bits10 => Resolution::Res10Bit,
            Self::Bits11 => Resolution::Res11Bit,
            Self::Bits12 => Resolution::Res12Bit,
            Self::Avg2 => Resolution::Avg2,
            Self::Avg4 => Resolution::Avg4,
            Self::Avg8 => Resolution::Avg8,
            Self::Avg16 => Resolution::Avg16,
            Self::Avg32 => Resolution::Avg32,
            Self::Avg64 => Resolution::Avg64,
            Self::Avg128 => Resolution::Avg128,
        }
    }

    /// Typical conversion time; the chip's own clock is up to 10 % off.
    pub fn time(self) -> Span {
        Span::from_micros(self.resolution().conversion_time_us().into())
    }

    /// How many times coarser than 12 bit one conversion is.
    fn coarseness(self) -> f64 {
        match self {
            Self::Bits9 => 8.0,
            Self::Bits10 => 4.0,
            Self::Bits11 => 2.0,
            _ => 1.0,
        }
    }

    fn averages(self) -> bool {
        self.time() > Self::Bits12.time()
    }

    /// The fastest shunt mode of at least 12 bit whose cycles come at `rate_hz` or less
    /// (to 2 %, so that the rounded rates of the documentation select their own mode).
    pub fn fastest_within(rate_hz: f64, bus: AdcMode) -> AdcMode {
        Self::ALL
            .into_iter()
            .filter(|mode| *mode >= Self::Bits12)
            .find(|mode| 1.0 / (mode.time() + bus.time()).as_secs_f64() <= rate_hz * 1.02)
            .unwrap_or(Self::Avg128)
    }
}

impl PartialOrd for AdcMode {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some((*self as u8).cmp(&(*other as u8)))
    }
}

/// Shunt and bus mode and the shunt's range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    pub shunt: AdcMode,
    pub bus: AdcMode,
    range: ShuntVoltageRange,
}

/// Range in mV, offset limit in µV (A grade maximum).
const RANGES: [(ShuntVoltageRange, u32, f64); 4] = [
    (ShuntVoltageRange::Fsr40mv, 40, 100.0),
    (ShuntVoltageRange::Fsr80mv, 80, 125.0),
    (ShuntVoltageRange::Fsr160mv, 160, 150.0),
    (ShuntVoltageRange::Fsr320mv, 320, 200.0),
];

/// One step of the bus converter at 12 bit.
const BUS_STEP_V: f64 = 4e-3;

/// Headroom over the stated maximum: averaging hides peaks.
const HEADROOM: f64 = 1.5;

impl Mode {
    /// The smallest range with headroom over `peak_v` across the shunt; the largest when
    /// none has it. `None` when even the largest would clip `peak_v` itself.
    pub fn new(shunt: AdcMode, bus: AdcMode, peak_v: f64) -> Option<Mode> {
        // A 4.0 A maximum on 10 mΩ is meant to fit a limit computed as 4.0 * 0.01.
        let tolerance = 1.0 + 1e-9;
        let with_headroom = RANGES
            .iter()
            .find(|(_, mv, _)| HEADROOM * peak_v <= f64::from(*mv) * 1e-3 * tolerance);
        let (range, _, _) = match with_headroom {
            Some(found) => *found,
            None if peak_v <= 0.32 * tolerance => RANGES[3],
            None => return None,
        };
        Some(Mode { shunt, bus, range })
    }

    pub(super) fn configuration(self) -> Configuration {
        Configuration {
            bus_voltage_range: BusVoltageRange::Fsr32v,
            shunt_voltage_range: self.range,
            bus_resolution: self.bus.resolution(),
            shunt_resolution: self.shunt.resolution(),
            ..Configuration::default()
        }
    }

    pub fn range_mv(self) -> u32 {
        self.row().1
    }

    fn row(self) -> &'static (ShuntVoltageRange, u32, f64) {
        RANGES
            .iter()
            .find(|(range, _, _)| *range == self.range)
            .expect("every range has its row")
    }

    /// The code at which the ADC clips, in steps of 10 µV.
    pub(super) fn full_scale_code(self) -> u16 {
        (self.range_mv() * 100) as u16
    }

    /// One ADC step at the shunt, in volts: 10 µV at 12 bit in the smallest range.
    fn shunt_step_v(self) -> f64 {
        10e-6 * f64::from(self.range_mv()) / 40.0 * self.shunt.coarseness()
    }
}

impl CycleMode for Mode {
    /// One shunt and one bus conversion.
    fn cycle(self) -> Span {
        self.shunt.time() + self.bus.time()
    }

    fn duty(self) -> f64 {
        self.shunt.time().as_secs_f64() / self.cycle().as_secs_f64()
    }

    fn range(self) -> Volts {
        Volts(f64::from(self.range_mv()) * 1e-3)
    }

    fn averages(self) -> bool {
        self.shunt.averages()
    }

    /// The shunt is converted first.
    fn results_stand(self) -> Span {
        self.shunt.time()
    }

    /// Bus, shunt, and power to clear the flag.
    fn transfers(self) -> Transfers {
        Transfers {
            until_read: 2,
            in_all: 3,
        }
    }

    /// Under 15 cycles a second.
    fn idle(self) -> Mode {
        Mode {
            shunt: AdcMode::Avg128,
            bus: AdcMode::Bits12,
            ..self
        }
    }

    fn slower(self) -> Option<Mode> {
        let shunt = AdcMode::ALL.into_iter().find(|mode| *mode > self.shunt)?;
        Some(Mode { shunt, ..self })
    }

    fn limits(self, shunt: Ohms, shunt_tolerance: f64, correction: &Correction) -> ErrorLimits {
        let mut scale = correction.scale_limits(shunt_tolerance, 0.005);
        scale.push(("bus-gain", 0.005));
        // The host's clock, which times the cycles: a crystal's order of magnitude.
        scale.push(("time-base", 100e-6));
        ErrorLimits {
            scale,
            current_offset: correction.offset_limit(Volts(self.row().2 * 1e-6)) / shunt,
            current_step: Volts(self.shunt_step_v()) / shunt,
            voltage_step: Volts(BUS_STEP_V * self.bus.coarseness()),
            blind_share: 1.0 - self.duty(),
            ..ErrorLimits::default()
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.shunt.name(), self.bus.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_has_half_again_the_maximum() {
        let range = |peak_v: f64| {
            Mode::new(AdcMode::Avg8, AdcMode::Bits12, peak_v).map(|mode| mode.range_mv())
        };
        assert_eq!(range(0.02), Some(40));
        assert_eq!(range(0.04), Some(80));
        assert_eq!(range(0.2), Some(320));
        assert_eq!(range(0.3), Some(320));
        assert_eq!(range(0.33), None);
    }

    #[test]
    fn the_default_mode_is_as_documented() {
        let mode = Mode::new(AdcMode::Avg8, AdcMode::Bits12, 0.04).unwrap();
        assert_eq!(mode.to_string(), "avg8/12bit");
        assert!((mode.rate_hz() - 208.7).abs() < 0.1, "{}", mode.rate_hz());
        assert!((mode.duty() - 0.889).abs() < 0.001, "{}", mode.duty());
        let limits = mode.limits(Ohms(0.01), 0.01, &Correction::default());
        assert!((limits.current_offset.0 - 0.0125).abs() < 1e-12);
        assert!((limits.current_step.0 - 0.002).abs() < 1e-12);
        assert!(mode.idle().rate_hz() < 15.0);
    }

    #[test]
    fn names_and_modes_are_one_to_one() {
        for mode in AdcMode::ALL {
            assert_eq!(AdcMode::parse(mode.name()), Some(mode));
        }
        assert_eq!(AdcMode::parse("13bit"), None);
    }
}
