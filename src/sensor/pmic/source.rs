//! Runs the command and makes points of its answers.

use super::exchange::{Answer, Exchange};
use super::parse::{Adc, parse};
use crate::sensor::schedule::Schedule;
use crate::sensor::sweep::{Channel, Sample, Sweep};
use crate::sensor::sysfs::ASSUMED_GAIN;
use crate::sensor::{
    Boundary, ConfigError, ErrorLimits, KnownRail, KnownRails, KnownTotal, OpenError, Pace,
    PollError, RailSpec, ReadingKind, SensorConfig, Sink, Source,
};
use crate::units::{Amps, MonoNs, Span, Volts};

const FULL_RATE_HZ: f64 = 2.0;
const IDLE_RATE_HZ: f64 = 1.0;
/// A process each time: more would be a load of its own.
const HIGHEST_RATE_HZ: f64 = 10.0;
/// Share of a period.
const DITHER: f64 = 0.25;
/// Neither the ADC's step nor the age of its values is documented: these are assumed.
const ASSUMED_STEP: Amps = Amps(1e-3);
const ASSUMED_AGE: Span = Span::from_millis(500);

struct Pmic {
    name: String,
    exchange: Exchange,
    labels: Vec<String>,
    sweep: Sweep,
    schedule: Schedule,
}

pub(in crate::sensor) fn check(config: &SensorConfig) -> Result<(), ConfigError> {
    match &config.command {
        Some(command) if command.is_empty() => Err(ConfigError::Range {
            sensor: config.name.clone(),
            key: "command",
            value: "[]".into(),
            allowed: "the program and its arguments, such as [\"vcgencmd\", \"pmic_read_adc\"]",
        }),
        _ => Ok(()),
    }
}

/// Runs the command once to learn the rails. `config` has passed its check.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let command = config
        .command
        .clone()
        .unwrap_or_else(|| ["vcgencmd", "pmic_read_adc"].map(str::to_owned).to_vec());
    let shown = command.join(" ");
    let exchange = Exchange::start(command)
        .map_err(|error| OpenError::Device(format!("{shown}: no thread for it: {error}")))?;
    let (_, text) = exchange.ask().map_err(OpenError::Device)?;
    let adc = parse(&text);
    let pairs: Vec<(&str, Volts)> = adc.pairs().map(|(name, _, volts)| (name, volts)).collect();
    if pairs.is_empty() {
        return Err(OpenError::Device(no_power(&shown, &text)));
    }
    let labels: Vec<String> = pairs.iter().map(|(name, _)| (*name).to_owned()).collect();
    let channels = labels
        .iter()
        .map(|label| Channel {
            label: label.clone(),
            kind: ReadingKind::Point,
            wrap: None,
            limits: ErrorLimits {
                scale: vec![ASSUMED_GAIN],
                current_step: ASSUMED_STEP,
                refresh: ASSUMED_AGE,
                ..ErrorLimits::default()
            },
        })
        .collect();
    let mut sweep = Sweep::new(config, &known(&pairs), "pmic", Boundary::Rail, channels);
    let rate_hz = config.rate_hz.unwrap_or(FULL_RATE_HZ).min(HIGHEST_RATE_HZ);
    sweep.set_rate(rate_hz);
    Ok(Box::new(Pmic {
        name: config.name.clone(),
        exchange,
        labels,
        sweep,
        schedule: Schedule::new(rate_hz, IDLE_RATE_HZ).dithered(DITHER),
    }))
}

fn no_power(command: &str, text: &str) -> String {
    let line: String = text.lines().next().unwrap_or_default().trim().into();
    format!(
        "{command}: no rail with both current and voltage in its answer (`{line}`); only the \
         Raspberry Pi 5's PMIC measures currents: on any other board use an external sensor"
    )
}

/// The set of pairs is the total.
fn known(pairs: &[(&str, Volts)]) -> KnownRails {
    let rails = pairs.iter().map(|(name, volts)| KnownRail {
        label: (*name).to_owned(),
        boundary: Boundary::Rail,
        contained_in: None,
        excludes: Vec::new(),
        shunt: None,
        nominal_voltage: Some(*volts),
    });
    KnownRails {
        rails: rails.collect(),
        total: Some(KnownTotal {
            labels: pairs.iter().map(|(name, _)| (*name).to_owned()).collect(),
            boundary: Boundary::Partial,
            excludes: [
                "the 5 V input's own current",
                "USB",
                "PCIe and NVMe",
                "5 V of the HAT",
                "fan",
                "regulator loss",
            ]
            .map(str::to_owned)
            .to_vec(),
        }),
    }
}

impl Pmic {
    /// A sample of every rail in the answer, and the first that is missing.
    fn samples(&self, answer: Answer) -> (Vec<Option<Sample>>, Option<String>) {
        let (at, text) = match answer {
            Ok(answer) => answer,
            Err(error) => return (vec![None; self.labels.len()], Some(error)),
        };
        let adc: Adc = parse(&text);
        let mut missing = None;
        let samples = self.labels.iter().map(|label| {
            let Some((current, voltage)) = adc.pair(label) else {
                missing.get_or_insert_with(|| format!("{label} is not in the PMIC's answer"));
                return None;
            };
            Some(Sample::Point {
                at,
                power: voltage * current,
                voltage: Some(voltage),
                current: Some(current),
            })
        });
        (samples.collect(), missing)
    }
}

impl Source for Pmic {
    fn name(&self) -> &str {
        &self.name
    }

    fn rails(&self) -> &[RailSpec] {
        self.sweep.specs()
    }

    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        self.schedule.set_pace(pace);
        self.sweep.set_rate(self.schedule.rate_hz());
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let (samples, missing) = self.samples(self.exchange.ask());
        self.sweep.advance(&samples, self.schedule.period(), sink)?;
        match missing {
            Some(text) => Err(PollError::Retry(text)),
            None => Ok(self.schedule.next()),
        }
    }

    fn reset(&mut self) -> Result<(), PollError> {
        self.sweep.restart();
        self.schedule.restart();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::testing::{Collect, Tree};
    use crate::sensor::{SensorKind, Window};
    use crate::units::Watts;

    const ANSWER: &str = "   DDR_VDD2_A current(4)=0.00000000A\n   \
        VDD_CORE_A current(7)=2.00000000A\n   DDR_VDD2_V volt(12)=1.10000000V\n   \
        VDD_CORE_V volt(15)=0.75000000V\n   HDMI_A current(22)=0.10000000A\n   \
        HDMI_V volt(23)=5.00000000V\n   EXT5V_V volt(24)=5.10000000V\n";

    fn config(tree: &Tree, answer: &str) -> SensorConfig {
        tree.write("answer", answer);
        let mut config = SensorConfig::new("pi", SensorKind::Pmic);
        let file = tree.path("answer").to_str().unwrap().to_owned();
        config.command = Some(vec!["cat".into(), file]);
        config.rate_hz = Some(0.1);
        config
    }

    #[test]
    fn the_total_is_the_sum_of_the_pairs_and_says_what_it_leaves_out() {
        let tree = Tree::new();
        let mut source = open(&config(&tree, ANSWER)).unwrap();
        let names: Vec<&str> = source.rails().iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["pi.ddr_vdd2", "pi.vdd_core", "pi.hdmi", "pi.total"]);
        let total = &source.rails()[3];
        assert_eq!(total.boundary, Boundary::Partial);
        assert!(total.excludes.iter().any(|what| what == "USB"));
        assert_eq!(source.rails()[1].contained_in.as_deref(), Some("pi.total"));

        let mut sink = Collect::default();
        source.poll(&mut sink).unwrap();
        source.poll(&mut sink).unwrap();
        let power: Vec<Watts> = sink.0.iter().map(|(_, w): &(_, Window)| w.power).collect();
        assert_eq!(power, [Watts(0.0), Watts(1.5), Watts(0.5), Watts(2.0)]);
    }

    #[test]
    fn a_rail_that_is_missing_is_a_gap_in_the_total_too() {
        let tree = Tree::new();
        let mut source = open(&config(&tree, ANSWER)).unwrap();
        let mut sink = Collect::default();
        source.poll(&mut sink).unwrap();
        tree.write("answer", &ANSWER.replace("HDMI_V", "HDMI_?"));
        let error = source.poll(&mut sink).unwrap_err();
        assert_eq!(
            error,
            PollError::Retry("HDMI is not in the PMIC's answer".into())
        );
        let rails: Vec<usize> = sink.0.iter().map(|(rail, _)| *rail).collect();
        assert_eq!(rails, [0, 1]);
        tree.write("answer", "");
        assert!(matches!(source.poll(&mut sink), Err(PollError::Retry(_))));
    }

    #[test]
    fn a_board_that_measures_no_current_is_told_so() {
        let tree = Tree::new();
        let refused = |answer: &str| open(&config(&tree, answer)).err().unwrap().to_string();
        let unknown = refused("error=1 error_msg=\"Command not registered\"\n");
        assert!(unknown.contains("not registered") && unknown.contains("Raspberry Pi 5"));
        assert!(refused("EXT5V_V volt(24)=5.1V\n").contains("external sensor"));
    }

    #[test]
    fn an_empty_command_is_refused() {
        let mut config = SensorConfig::new("pi", SensorKind::Pmic);
        config.command = Some(Vec::new());
        assert_eq!(check(&config).unwrap_err().key(), "command");
    }
}
