//! What is known about hwmon's power chips, by the content of their `name` file.

use super::discover::Cycle;
use crate::sensor::ErrorLimits;
use crate::sensor::sysfs::ASSUMED_GAIN;
use crate::units::{Amps, Joules, Ohms, Span, Watts};

/// Where a chip's power stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `powerN_input` in µW, else `energyN_input` in µJ. What `inN` and `currN` belong to is
    /// not known.
    Generic,
    /// One channel: `in1` is the bus in mV (`in0` the shunt), `curr1` in mA, `power1` in µW.
    Ina2xx,
    /// Three channels: `in1` to `in3` are the buses in mV, `curr1` to `curr3` in mA; no
    /// power. `in4` to `in7` and `curr4` are shunt voltages and sums.
    Ina3221,
    /// L4T 32's tree of its own, with K from 0: `in_powerK_input` in mW, `in_voltageK_input`
    /// in mV, `in_currentK_input` in mA.
    Iio,
}

/// Limits of a chip that measures over a shunt, from its data sheet; voltages are those over
/// the shunt.
#[derive(Debug)]
pub(super) struct Chip {
    pub name: &'static str,
    pub layout: Layout,
    step_uv: f64,
    offset_uv: f64,
    gain: f64,
    /// The step of the power register in steps of the current register, and the latter.
    power_steps: f64,
    register_uv: f64,
    /// A shunt inside the chip, trimmed with it.
    inner_shunt: Option<Ohms>,
    /// One cycle of all conversions as the driver sets the chip up, where no
    /// `update_interval` tells it.
    cycle: Span,
}

/// Data sheets: INA219 SBOS448G (12 bit at ±320 mV, as the driver configures it, grade A),
/// INA226 SBOS547, INA228, INA237, INA238, INA260, INA3221.
const CHIPS: &[Chip] = &[
    ina219("ina219"),
    ina219("ina220"),
    ina226("ina226"),
    ina226("ina230"),
    ina226("ina231"),
    ina238("ina237"),
    ina238("ina238"),
    Chip {
        step_uv: 0.3125,
        offset_uv: 1.0,
        gain: 0.0005,
        power_steps: 3.2,
        register_uv: 0.3125,
        ..ina238("ina228")
    },
    Chip {
        offset_uv: 10.0,
        gain: 0.0015,
        // 10 mW over 1.25 mA through 2 mΩ.
        power_steps: 8.0,
        inner_shunt: Some(Ohms(0.002)),
        ..ina226("ina260")
    },
    ina3221("ina3221", Layout::Ina3221),
    ina3221("ina3221x", Layout::Iio),
];

const fn ina219(name: &'static str) -> Chip {
    Chip {
        name,
        layout: Layout::Ina2xx,
        step_uv: 80.0,
        offset_uv: 200.0,
        gain: 0.005,
        power_steps: 20.0,
        register_uv: 10.0,
        inner_shunt: None,
        cycle: Span::from_micros(1064),
    }
}

const fn ina226(name: &'static str) -> Chip {
    Chip {
        name,
        layout: Layout::Ina2xx,
        step_uv: 2.5,
        offset_uv: 10.0,
        gain: 0.001,
        power_steps: 25.0,
        register_uv: 2.5,
        inner_shunt: None,
        // 16 averages of 1.1 ms twice.
        cycle: Span::from_micros(35_200),
    }
}

const fn ina238(name: &'static str) -> Chip {
    Chip {
        name,
        layout: Layout::Ina2xx,
        step_uv: 5.0,
        offset_uv: 5.0,
        gain: 0.001,
        power_steps: 0.2,
        register_uv: 5.0,
        inner_shunt: None,
        // Bus, shunt and temperature of 1.052 ms each.
        cycle: Span::from_micros(3156),
    }
}

const fn ina3221(name: &'static str, layout: Layout) -> Chip {
    Chip {
        name,
        layout,
        step_uv: 40.0,
        offset_uv: 80.0,
        gain: 0.0025,
        // No power register: the step of power is that of current.
        power_steps: 0.0,
        register_uv: 40.0,
        inner_shunt: None,
        // Three channels, 1.1 ms twice.
        cycle: Span::from_micros(6600),
    }
}

/// What the driver assumes where nobody tells it the shunt.
pub(super) const DRIVERS_DEFAULT: Ohms = Ohms(0.010);
/// Where nobody at all tells the shunt: the smallest in use (AGX Orin and Thor), so that the
/// step comes out too coarse rather than too fine.
const ASSUMED_SHUNT: Ohms = Ohms(0.002);
const SHUNT_TOLERANCE: f64 = 0.01;
/// The drivers round current to it.
const ONE_MA: f64 = 1e-3;
/// A driver that says nothing about its refresh is taken to keep up with the usual rate.
const ASSUMED_CYCLE: Span = Span::from_millis(100);

/// The chip of that name; `None` for one whose data sheet this table doesn't know.
pub(super) fn chip(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().find(|chip| chip.name == name)
}

pub(super) fn layout(name: &str) -> Layout {
    chip(name).map_or(Layout::Generic, |chip| chip.layout)
}

/// One cycle of the chip's conversions: what `update_interval` states, in ms, else the
/// channels in use and their `samples`, else the driver's way of setting it up.
pub(super) fn cycle(
    name: &str,
    update_interval_ms: Option<i64>,
    samples: Option<i64>,
    channels: usize,
) -> Cycle {
    let channels = channels.max(1) as u64;
    let chip = chip(name);
    let positive = |number: Option<i64>| number?.try_into().ok().filter(|n: &u64| *n > 0);
    let (span, stated) = match (positive(update_interval_ms), positive(samples), chip) {
        (Some(ms), _, _) => (Span::from_millis(ms), true),
        (None, Some(samples), Some(chip)) if chip.layout == Layout::Ina3221 => {
            (Span(chip.cycle.0 / 3 * channels * samples), true)
        }
        (None, _, Some(chip)) => (chip.cycle, false),
        // Like RAPL, the processor's counters move every millisecond.
        (None, _, None) if name == "amd_energy" => (Span::from_millis(1), false),
        (None, _, None) => (ASSUMED_CYCLE, false),
    };
    Cycle {
        span,
        stated,
        // As long for a shunt as for a bus, and for every channel.
        conversion: chip.map(|chip| match chip.layout {
            Layout::Ina3221 | Layout::Iio => Span(span.0 / (2 * channels)),
            Layout::Ina2xx | Layout::Generic => Span(span.0 / 2),
        }),
    }
}

impl Chip {
    /// Whether the shunt outside decides what a reading means.
    pub fn has_outer_shunt(&self) -> bool {
        self.inner_shunt.is_none()
    }

    pub fn shunt(&self, told: Option<Ohms>) -> Option<Ohms> {
        self.inner_shunt.or(told)
    }

    /// Limits with the shunt as far as it is known. `computed` where power is the product of
    /// the driver's voltage and current, and no register.
    pub fn limits(&self, shunt: Option<Ohms>, computed: bool) -> ErrorLimits {
        let ohms = self.shunt(shunt).unwrap_or(ASSUMED_SHUNT).0;
        let mut scale = vec![("gain", self.gain), ("bus-gain", self.gain)];
        if self.has_outer_shunt() {
            scale.insert(0, ("shunt", SHUNT_TOLERANCE));
        }
        let step = self.step_uv * 1e-6 / ohms;
        let register = self.register_uv * 1e-6 / ohms;
        ErrorLimits {
            scale,
            current_offset: Amps(self.offset_uv * 1e-6 / ohms),
            current_step: Amps(if computed { step.max(ONE_MA) } else { step }),
            power_step: Watts(if computed {
                0.0
            } else {
                self.power_steps * register
            }),
            ..ErrorLimits::default()
        }
    }
}

/// Limits of a chip that the table doesn't know and that tells power.
pub(super) fn assumed_power() -> ErrorLimits {
    ErrorLimits {
        scale: vec![ASSUMED_GAIN],
        power_step: Watts(1e-6),
        ..ErrorLimits::default()
    }
}

/// Limits of a counter of energy.
pub(super) fn assumed_energy(name: &str) -> ErrorLimits {
    // AMD's energy unit, 2^-16 J; the others are taken by their word.
    let step = if name == "amd_energy" { 15.3e-6 } else { 1e-6 };
    ErrorLimits {
        scale: vec![ASSUMED_GAIN],
        energy_step: Joules(step),
        ..ErrorLimits::default()
    }
}

/// Why nothing that a chip of this name or of the power supply class says is a measurement
/// of the board.
pub(super) fn refusal(name: &str, power_supply: bool) -> Option<&'static str> {
    let negotiated = ["ucsi_", "tcpm_", "usbpd", "usb_pd", "husb238"];
    if negotiated.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(
            "it tells what the USB-PD partners agreed on, not what flows: measure with a sensor \
             in the supply's wire",
        );
    }
    let battery = ["bat", "cw2015", "bq27", "max1704", "sbs"];
    let gauge = name.to_ascii_lowercase();
    if power_supply || battery.iter().any(|prefix| gauge.starts_with(prefix)) {
        return Some(
            "it tells a charger's setting or a battery's own flow at its own pace, not what the \
             board draws: measure with a sensor in the supply's wire",
        );
    }
    None
}

/// What a chip without power is good for, to explain that it can't be read for power.
pub(super) fn without_power(name: &str) -> &'static str {
    match name {
        "rpi_volt" => "it only tells under-voltage",
        "rp1_adc" => "the RP1's ADC tells voltages only",
        "cpu_thermal" | "coretemp" | "k10temp" => "it tells temperatures only",
        "pwmfan" => "it drives the fan",
        _ => "it has no power*_input and no energy*_input, and it is no INA chip",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Volts;

    #[test]
    fn an_ina3221_step_is_40_uv_over_its_shunt() {
        let limits = chip("ina3221").unwrap().limits(Some(Ohms(0.002)), true);
        assert!((limits.current_step.0 - 0.020).abs() < 1e-12);
        assert!((limits.current_offset.0 - 0.040).abs() < 1e-12);
        let at_20_v = limits.power_step(Some(Volts(20.0))).unwrap();
        assert!((at_20_v.0 - 0.4).abs() < 1e-12);
        // Never finer than what the driver rounds to.
        let coarse = chip("ina3221").unwrap().limits(Some(Ohms(0.1)), true);
        assert_eq!(coarse.current_step, Amps(1e-3));
    }

    #[test]
    fn an_ina219_step_of_power_is_20_of_current() {
        let limits = chip("ina219").unwrap().limits(Some(Ohms(0.1)), false);
        assert!((limits.power_step.0 - 2e-3).abs() < 1e-12);
        assert!((limits.current_step.0 - 0.8e-3).abs() < 1e-12);
        let ina260 = chip("ina260").unwrap().limits(None, false);
        assert!((ina260.power_step.0 - 10e-3).abs() < 1e-12);
        assert!(ina260.scale.iter().all(|(name, _)| *name != "shunt"));
    }

    #[test]
    fn the_cycle_is_what_the_driver_states_or_sets_up() {
        let span = |name, interval, samples, channels| {
            let cycle = cycle(name, interval, samples, channels);
            (cycle.span.0 / 1000, cycle.stated)
        };
        assert_eq!(span("ina226", Some(70), None, 1), (70_000, true));
        assert_eq!(span("ina226", Some(0), None, 1), (35_200, false));
        assert_eq!(span("ina3221", None, Some(64), 2), (281_600, true));
        assert_eq!(span("ina219", None, None, 1), (1064, false));
        assert_eq!(span("corsairpsu", None, None, 1), (100_000, false));
        let of_three = cycle("ina3221", Some(66), None, 3);
        assert_eq!(of_three.conversion, Some(Span::from_millis(11)));
    }

    #[test]
    fn negotiated_values_are_refused() {
        assert!(
            refusal("tcpm_source_psy_4_0022", false)
                .unwrap()
                .contains("agreed")
        );
        assert!(
            refusal("ucsi_source_psy_USBC000:001", true)
                .unwrap()
                .contains("agreed")
        );
        assert!(refusal("BAT0", false).unwrap().contains("battery"));
        assert!(refusal("AC", true).is_some());
        assert_eq!(refusal("ina219", false), None);
    }
}
