//! Polls the channels of the configured chips.

use super::chips;
use super::discover::{Input, checked};
use super::method::Method;
use super::select::Selector;
use crate::clock;
use crate::sensor::schedule::Schedule;
use crate::sensor::sweep::{Channel, Sample, Sweep};
use crate::sensor::sysfs::{NumberFile, Outcome, ReadError};
use crate::sensor::{
    Boundary, ErrorLimits, KnownRails, OpenError, Pace, PollError, RailSpec, ReadingKind,
    SensorConfig, Sink, Source,
};
use crate::units::{MonoNs, Ohms, Span};

/// Chips whose cycle is known.
const KNOWN_RATE_HZ: f64 = 20.0;
const OTHER_RATE_HZ: f64 = 10.0;
const IDLE_RATE_HZ: f64 = 10.0;
/// A sweep may take this much longer than the fastest before it misses its deadline.
const HEADROOM: f64 = 1.25;
/// Share of a period: two readings are less than 2.5 periods apart all the same.
const MOST_DITHER: f64 = 0.4;
/// A channel that is gone while others are there is looked for this often: it takes a walk
/// through sysfs.
const LOOK_AGAIN: Span = Span::from_millis(5_000);
const PATIENCE: Span = Span::from_millis(5_000);
const PATIENCE_A_RAIL: Span = Span::from_millis(3_000);

/// One rail: which channel it is, whatever hwmon number its chip has, and its files now.
struct Rail {
    device: Option<String>,
    channel: String,
    files: Method<NumberFile>,
}

struct Hwmon {
    name: String,
    selector: Selector,
    rails: Vec<Rail>,
    /// How long each rail's current is converted for one reading, where that is known.
    conversions: Vec<Option<Span>>,
    samples: Vec<Option<Sample>>,
    look_again: MonoNs,
    warnings: Vec<String>,
    sweep: Sweep,
    schedule: Schedule,
}

/// Opens the channels of the chips that `config` names: every one that is there and not
/// disabled, as long as one of them can be read. `config` has passed its check.
pub fn open(config: &SensorConfig, known: &KnownRails) -> Result<Box<dyn Source>, OpenError> {
    let selector = Selector::new(config);
    let inputs = measured(&selector).map_err(OpenError::Device)?;
    let mut warnings: Vec<String> = inputs
        .iter()
        .flat_map(|input| warnings(input, known))
        .collect();
    let shunts: Vec<Option<Ohms>> = inputs.iter().map(|input| shunt(input, known)).collect();
    let channels = inputs
        .iter()
        .zip(&shunts)
        .map(|(input, shunt)| described(input, *shunt))
        .collect();
    // A sum over a processor's sockets is as far as a counter goes.
    let boundary = match selector.chip.as_str() {
        "amd_energy" => Boundary::Package,
        _ => Boundary::Rail,
    };
    let mut sweep = Sweep::new(config, known, "hwmon", boundary, channels);
    for (spec, shunt) in sweep.specs_mut().iter_mut().zip(&shunts) {
        spec.shunt = *shunt;
    }
    let is_known = chips::chip(&selector.chip).is_some();
    let conversions = inputs.iter().map(|input| input.cycle.conversion).collect();
    let stated = inputs.iter().filter(|input| input.cycle.stated);
    let cycle = stated.map(|input| input.cycle.span).max();
    let mut rails: Vec<Rail> = inputs.into_iter().map(Rail::new).collect();
    let sweep_s = sweep_time(&mut rails).as_secs_f64() * HEADROOM;
    let least_s = cycle.unwrap_or_default().as_secs_f64().max(sweep_s);
    let (rate_hz, slowed) = rate(config, is_known, least_s);
    warnings.extend(slowed);
    let dither = (1.0 - sweep_s * rate_hz).clamp(0.0, MOST_DITHER);
    let mut source = Hwmon {
        name: config.name.clone(),
        selector,
        rails,
        conversions,
        samples: Vec::new(),
        look_again: MonoNs(0),
        warnings,
        sweep,
        schedule: Schedule::new(rate_hz, IDLE_RATE_HZ).dithered(dither),
    };
    source.follow_rate();
    Ok(Box::new(source))
}

/// The channels that are rails; an error when none of them can be read.
fn measured(selector: &Selector) -> Result<Vec<Input>, String> {
    let found: Vec<Input> = selector.inputs()?.into_iter().map(checked).collect();
    let first_reason = found.iter().find_map(|input| input.readable.clone().err());
    let rails: Vec<Input> = found.into_iter().filter(|i| i.absence.is_none()).collect();
    match first_reason {
        Some(reason) if rails.iter().all(|input| input.readable.is_err()) => Err(reason),
        _ => Ok(rails),
    }
}

/// The driver's shunt, else the board profile's.
fn shunt(input: &Input, known: &KnownRails) -> Option<Ohms> {
    let told = input.shunt.or_else(|| known.rail(&input.label)?.shunt);
    match chips::chip(&input.chip) {
        Some(chip) => chip.shunt(told),
        None => told,
    }
}

fn warnings(input: &Input, known: &KnownRails) -> Vec<String> {
    let mut warnings = input.warnings.clone();
    let profile = known.rail(&input.label).and_then(|rail| rail.shunt);
    if let (Some(driver), Some(profile)) = (input.shunt, profile)
        && (driver.0 / profile.0 - 1.0).abs() > 0.01
    {
        warnings.push(format!(
            "{}: the driver reckons with a shunt of {} mOhm, the board's profile says {} mOhm",
            input.path.display(),
            driver.0 * 1e3,
            profile.0 * 1e3
        ));
    }
    warnings
}

fn described(input: &Input, shunt: Option<Ohms>) -> Channel {
    let limits = match (chips::chip(&input.chip), input.kind) {
        (_, ReadingKind::Counter) => chips::assumed_energy(&input.chip),
        (Some(chip), _) => chip.limits(shunt, input.method.computed()),
        (None, _) => chips::assumed_power(),
    };
    Channel {
        label: input.label.clone(),
        kind: input.kind,
        wrap: None,
        limits: ErrorLimits {
            refresh: input.cycle.span,
            ..limits
        },
    }
}

/// How long one sweep takes: the shortest of three, so that a busy moment doesn't pass for
/// a slow chip.
fn sweep_time(rails: &mut [Rail]) -> Span {
    let once = |rails: &mut [Rail]| {
        let t0 = clock::now();
        for rail in rails {
            // Only its time counts here.
            let _ = rail.files.read();
        }
        clock::now().since(t0)
    };
    (0..3).map(|_| once(rails)).min().unwrap_or_default()
}

/// The configured or usual rate, but no more than the chip refreshes and can be read; and a
/// warning where that is less than what was asked for.
fn rate(config: &SensorConfig, is_known: bool, least_s: f64) -> (f64, Option<String>) {
    let usual = if is_known {
        KNOWN_RATE_HZ
    } else {
        OTHER_RATE_HZ
    };
    let most = 1.0 / least_s.max(1e-3);
    let too_much = config.rate_hz.filter(|asked| *asked > most);
    let warning = too_much.map(|asked| {
        format!("rate_hz = {asked} is more than the chip gives: read at {most:.1} Hz")
    });
    (config.rate_hz.unwrap_or(usual).min(most), warning)
}

impl Rail {
    fn new(input: Input) -> Rail {
        Rail {
            device: input.device,
            channel: input.channel,
            files: input.method.open(),
        }
    }
}

impl Hwmon {
    /// Takes the files of every rail anew, under whatever hwmon number they are now.
    fn find_again(&mut self) -> Result<(), String> {
        for input in self.selector.inputs()? {
            let rail = self
                .rails
                .iter_mut()
                .find(|rail| rail.device == input.device && rail.channel == input.channel);
            if let Some(rail) = rail {
                *rail = Rail::new(input);
            }
        }
        Ok(())
    }

    fn follow_rate(&mut self) {
        let rate_hz = self.schedule.rate_hz();
        self.sweep.set_rate(rate_hz);
        for (spec, conversion) in self.sweep.specs_mut().iter_mut().zip(&self.conversions) {
            spec.duty = conversion.map(|time| (time.as_secs_f64() * rate_hz).min(1.0));
        }
    }
}

impl Source for Hwmon {
    fn name(&self) -> &str {
        &self.name
    }

    fn rails(&self) -> &[RailSpec] {
        self.sweep.specs()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        self.schedule.set_pace(pace);
        self.follow_rate();
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let mut outcome = Outcome::default();
        self.samples.clear();
        for rail in &mut self.rails {
            self.samples.push(outcome.of(rail.files.read()));
        }
        let advanced = self
            .sweep
            .advance(&self.samples, self.schedule.period(), sink);
        if outcome.some_gone() && clock::now() >= self.look_again {
            self.look_again = clock::now() + LOOK_AGAIN;
            // Nothing found is what the outcome says already.
            let _ = self.find_again();
        }
        outcome.result(ReadError::to_string).and(advanced)?;
        Ok(self.schedule.next())
    }

    fn reset(&mut self) -> Result<(), PollError> {
        self.find_again().map_err(PollError::Fatal)?;
        self.sweep.restart();
        self.schedule.restart();
        Ok(())
    }

    /// A driver on a bus that hangs lets each file of each rail wait for its timeout.
    fn patience(&self) -> Span {
        Span(PATIENCE.0 + PATIENCE_A_RAIL.0 * self.rails.len() as u64)
    }
}
