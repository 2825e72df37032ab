//! What the person at the board should know about a reading, and do about a failure.

use super::figure;
use super::tally::Tally;
use crate::sampler::SensorReport;
use crate::sensor::ina2xx::Chip;
use crate::sensor::{BoundaryBasis, Quality, RailSpec, ReadingKind, SensorConfig, SensorKind};
use crate::units::MonoNs;

/// Below this coverage an interval's figure is withheld (the attempt's rule of 1 % bridged).
const COVERAGE_LEAST: f64 = 0.99;
/// A source that delivers less than this share of what it was asked for is slower than that.
const RATE_LEAST: f64 = 0.8;
/// A step above this share of the reading makes small differences invisible.
const STEP_SHARE: f64 = 0.05;

/// Why a supply of this `type` (class/power_supply) is no power sensor; `None` for a type
/// that tells nothing which could be taken for a measurement.
pub fn refused_supply(kind: &str) -> Option<&'static str> {
    match kind {
        "Battery" => Some(
            "not used: a battery's gauge tells the charge that it estimates, not what the board \
             draws",
        ),
        _ if kind.starts_with("USB") || kind == "Wireless" => Some(
            "not used: these are the volts and amperes negotiated with the supply, not measured \
             ones",
        ),
        _ => None,
    }
}

/// What is missing before a chip that was found can be read.
pub fn incomplete(chip: Chip) -> String {
    let told = match chip {
        Chip::Ina219 => " (by its registers; it has no identification)",
        _ => "",
    };
    format!(
        "an {chip} answers{told}; state its shunt, its largest current and what it encloses in the \
         block below"
    )
}

/// `reason` with the commands that would help, where it is one of permissions.
pub fn explained(kind: &str, device: Option<&str>, reason: &str) -> String {
    if !reason.to_lowercase().contains("permission denied") {
        return reason.to_owned();
    }
    let remedy = match kind {
        "rapl" => {
            "for now: `sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj`; for good: a line \
             `z /sys/class/powercap/intel-rapl:*/energy_uj 0440 root jouled` in \
             /etc/tmpfiles.d/jouled.conf"
        }
        "ina219" | "ina226" | "ina228" | "ina3221" | "i2c" => {
            "`sudo usermod -aG i2c $USER` and log in again; where /dev/i2c-* belongs to root alone, \
             a udev rule: `SUBSYSTEM==\"i2c-dev\", GROUP=\"i2c\", MODE=\"0660\"`"
        }
        "pmic" => "`sudo usermod -aG video $USER` and log in again (/dev/vcio)",
        "modbus" if device.is_some_and(|device| device.starts_with("/dev/")) => {
            "`sudo usermod -aG dialout $USER` and log in again"
        }
        _ => return reason.to_owned(),
    };
    format!("{reason}. Try {remedy}")
}

/// What qualifies every figure of the sensor.
pub fn of_sensor(config: &SensorConfig, report: &SensorReport) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.rails.iter().any(|rail| rail.simulated) {
        warnings.push("simulated: no board draws this power".to_owned());
    }
    if let Some(feeds) = config.feeds.filter(|feeds| *feeds > 1) {
        warnings.push(format!(
            "the board has {feeds} feeds; this sensor sees one of them"
        ));
    }
    let last = report.reason.as_deref();
    match (report.errors, last) {
        (0, _) => {}
        (errors, Some(last)) => warnings.push(format!("{errors} polls failed, the last: {last}")),
        (errors, None) => warnings.push(format!("{errors} polls failed")),
    }
    if report.missed_deadlines > 0 {
        warnings.push(format!(
            "{} readings came late; give jouled real-time priority (CAP_SYS_NICE or an RTPRIO \
             limit), or read on a less busy machine",
            report.missed_deadlines
        ));
    }
    if report.dropped > 0 {
        warnings.push(format!("{} readings were dropped", report.dropped));
    }
    warnings
}

/// What qualifies one rail, read until `until`.
pub fn of_rail(
    config: &SensorConfig,
    rail: &RailSpec,
    tally: &Tally,
    until: MonoNs,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let stated = config.boundary.is_some() || rail.boundary_basis == BoundaryBasis::Profile;
    if !stated && matches!(config.kind, SensorKind::Hwmon | SensorKind::Tegrastats) {
        warnings.push(format!(
            "nobody has stated what it encloses; \"{}\" is assumed: state `boundary`",
            rail.boundary
        ));
    }
    let range = rail.range_mv.map(|mv| format!(" of ±{mv} mV"));
    let range = range.unwrap_or_default();
    match tally.quality() {
        None => warnings.push("nothing was delivered".to_owned()),
        Some(Quality::Saturated) => warnings.push(format!(
            "saturated: the current leaves the range{range}; raise max_current_a, or use a smaller \
             shunt"
        )),
        Some(Quality::NearFullScale) => warnings.push(format!(
            "near full scale: means above 80 % of the range{range} can hide clipped peaks; raise \
             max_current_a"
        )),
        Some(Quality::Good | Quality::Stale | Quality::Failed) => {}
    }
    warnings.extend(pace(config, rail, tally, until));
    let step = rail.limits.power_step(tally.voltage());
    if let (Some(power), Some(step)) = (tally.power(), step) {
        if power.0 < -3.0 * step.0 && tally.current().is_some() {
            warnings.push("the current flows backwards: are IN+ and IN- swapped?".to_owned());
        } else if step.0 > STEP_SHARE * power.0.abs() {
            warnings.push(format!(
                "coarse: one step, {}, is more than {:.0} % of the reading",
                figure::step(step.0, "W"),
                STEP_SHARE * 100.0
            ));
        }
    }
    warnings
}

/// Whether it delivers as often as it was asked to.
fn pace(config: &SensorConfig, rail: &RailSpec, tally: &Tally, until: MonoNs) -> Option<String> {
    let coverage = tally.coverage(until)?;
    let rate_hz = tally.rate_hz()?;
    let is_slow = rate_hz < RATE_LEAST * rail.nominal_rate_hz;
    if rail.kind != ReadingKind::Window {
        return is_slow.then(|| {
            format!(
                "asked for {}, it delivers {}",
                figure::rate(rail.nominal_rate_hz),
                figure::rate(rate_hz)
            )
        });
    }
    (coverage < COVERAGE_LEAST || is_slow).then(|| match &config.bus {
        Some(bus) => format!(
            "cycles are lost: {bus} or this machine can't follow this mode; run the bus at 400 kHz, \
             or choose a slower adc_shunt"
        ),
        None => "cycles are lost: this machine is too busy to follow this mode".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing;
    use crate::sensor::{Boundary, ErrorLimits, Window};
    use crate::units::{Amps, Volts, Watts};

    fn rail(kind: ReadingKind) -> RailSpec {
        RailSpec {
            kind,
            range_mv: Some(80),
            nominal_rate_hz: 100.0,
            limits: ErrorLimits {
                current_step: Amps(0.002),
                ..ErrorLimits::default()
            },
            ..testing::rail("input")
        }
    }

    /// A second of windows of 10 ms, every `every`-th delivered.
    fn tally(watts: f64, quality: Quality, every: u64) -> (Tally, MonoNs) {
        let mut tally = Tally::default();
        for slot in (0..100).step_by(every as usize) {
            tally.add(&Window {
                t0: MonoNs(slot * 10_000_000),
                t1: MonoNs((slot + 1) * 10_000_000),
                power: Watts(watts),
                voltage: Some(Volts(5.0)),
                current: Some(Amps(watts / 5.0)),
                quality,
                lost: 0,
            });
        }
        (tally, MonoNs(1_000_000_000))
    }

    fn config() -> SensorConfig {
        let mut config = SensorConfig::new("input", SensorKind::Ina219);
        config.boundary = Some(Boundary::BoardInput);
        config.bus = Some("/dev/i2c-1".to_owned());
        config
    }

    fn warned(config: &SensorConfig, kind: ReadingKind, (tally, until): (Tally, MonoNs)) -> String {
        of_rail(config, &rail(kind), &tally, until).join("; ")
    }

    #[test]
    fn a_healthy_rail_has_no_warning() {
        let healthy = tally(5.0, Quality::Good, 1);
        assert_eq!(warned(&config(), ReadingKind::Window, healthy), "");
    }

    #[test]
    fn each_fault_says_what_to_do() {
        let window = ReadingKind::Window;
        let lost = warned(&config(), window, tally(5.0, Quality::Good, 2));
        assert!(
            lost.contains("/dev/i2c-1") && lost.contains("400 kHz"),
            "{lost}"
        );
        let clipped = warned(&config(), window, tally(5.0, Quality::Saturated, 1));
        assert!(clipped.contains("±80 mV"), "{clipped}");
        let swapped = warned(&config(), window, tally(-5.0, Quality::Good, 1));
        assert!(swapped.contains("swapped"), "{swapped}");
        let coarse = warned(&config(), window, tally(0.05, Quality::Good, 1));
        assert!(coarse.contains("10 mW"), "{coarse}");
        let slow = warned(&config(), ReadingKind::Point, tally(5.0, Quality::Good, 2));
        assert!(slow.contains("asked for 100.0/s"), "{slow}");
        let nothing = warned(&config(), window, (Tally::default(), MonoNs(0)));
        assert!(nothing.contains("nothing was delivered"), "{nothing}");
    }

    #[test]
    fn an_unknown_boundary_is_asked_for() {
        let config = SensorConfig::new("board", SensorKind::Hwmon);
        let text = warned(&config, ReadingKind::Point, tally(5.0, Quality::Good, 1));
        assert!(text.contains("state `boundary`"), "{text}");
    }

    #[test]
    fn permissions_have_commands() {
        let denied = "/x: permission denied";
        assert!(explained("rapl", None, denied).contains("tmpfiles.d"));
        assert!(explained("ina219", None, denied).contains("usermod -aG i2c"));
        assert!(explained("pmic", None, denied).contains("-aG video"));
        assert_eq!(explained("rapl", None, "gone"), "gone");
    }
}
