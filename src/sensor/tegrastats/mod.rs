//! NVIDIA's tegrastats: the power rails of a Jetson as its own tool prints them, a line
//! every interval, in mW. A point's time is that of its line's arrival.
//!
//! The tool reads the INA3221 that hwmon shows too, costs CPU time and tells neither voltage
//! nor current, so hwmon is the better source where the kernel shows it; tegrastats works
//! on every release and is a second opinion.

mod child;
pub mod line;
mod rhythm;

use super::config::SensorConfig;
use super::known::KnownRail;
use super::schedule::Schedule;
use super::sweep::{Channel, Sample, Sweep};
use super::sysfs::ASSUMED_GAIN;
use super::{
    Boundary, ConfigError, ErrorLimits, KnownRails, OpenError, Pace, PollError, RailSpec,
    ReadingKind, Sink, Source,
};
use crate::clock;
use crate::units::{MonoNs, Span, Volts, Watts};
use child::{Arrival, Launcher, Running};
use line::{LineError, Rail};
use rhythm::Rhythm;
use std::sync::mpsc::RecvTimeoutError;

const COMMAND: [&str; 3] = ["tegrastats", "--interval", "100"];
/// What tegrastats takes without `--interval`.
const DEFAULT_INTERVAL_MS: u32 = 1000;
/// Beyond the interval; it reads its devices before the first line.
const FIRST_LINE_WITHIN: Span = Span::from_millis(3_000);
/// Beyond three intervals.
const SILENT_AT_MOST: Span = Span::from_millis(1_000);
const IDLE_RATE_HZ: f64 = 15.0;
/// The INA3221's step of shunt voltage (data sheet SBOS576, electrical characteristics).
const SHUNT_STEP: Volts = Volts(40e-6);
/// Its largest offset, 80 µV, in such steps.
const OFFSET_STEPS: f64 = 2.0;

pub(super) fn check(config: &SensorConfig) -> Result<(), ConfigError> {
    let command = command(config);
    let is_program = command.first().is_some_and(|program| !program.is_empty());
    if !is_program || command.iter().any(|part| part.contains('\0')) {
        return Err(out_of_range(
            config,
            "a program and its arguments, such as [\"tegrastats\", \"--interval\", \"100\"]",
        ));
    }
    match interval(&command) {
        Some(_) => Ok(()),
        None => Err(out_of_range(
            config,
            "--interval takes whole milliseconds, 1 to 10000",
        )),
    }
}

fn out_of_range(config: &SensorConfig, allowed: &'static str) -> ConfigError {
    ConfigError::Range {
        sensor: config.name.clone(),
        key: "command",
        value: format!("{:?}", command(config)),
        allowed,
    }
}

fn command(config: &SensorConfig) -> Vec<String> {
    let default = || COMMAND.map(str::to_owned).to_vec();
    config.command.clone().unwrap_or_else(default)
}

/// What `--interval` says; `None` where it can't be meant.
fn interval(command: &[String]) -> Option<Span> {
    let arguments = &command[1..];
    let joined = arguments
        .iter()
        .find_map(|part| part.strip_prefix("--interval="));
    let stated = match (
        joined,
        arguments.iter().position(|part| part == "--interval"),
    ) {
        (Some(value), _) => value,
        (None, Some(index)) => arguments.get(index + 1)?,
        (None, None) => return Some(Span::from_millis(u64::from(DEFAULT_INTERVAL_MS))),
    };
    let ms: u32 = stated.parse().ok()?;
    (1..=10_000)
        .contains(&ms)
        .then(|| Span::from_millis(u64::from(ms)))
}

struct Tegrastats {
    name: String,
    launcher: Launcher,
    /// `None` after a fatal error, until it is started anew.
    running: Option<Running>,
    /// The rails of the first line, in their order.
    labels: Vec<String>,
    sweep: Sweep,
    schedule: Schedule,
    interval: Span,
    /// When power was last told, or when the program was started.
    heard: MonoNs,
    /// The program has been started anew and has told nothing yet.
    starting: bool,
    /// What is wrong with the lines since then.
    fault: Option<LineError>,
    rhythm: Rhythm,
    /// When the last line came that was not left out for being too many.
    taken: MonoNs,
    warned: bool,
}

/// Starts the command that `config` names and waits for its first line, which names the
/// rails. `config` has passed its check.
pub fn open(config: &SensorConfig, known: &KnownRails) -> Result<Box<dyn Source>, OpenError> {
    let command = command(config);
    let interval = interval(&command).expect("the configuration has passed its check");
    let launcher = Launcher::new(command)
        .map_err(|error| OpenError::Device(format!("no thread to start it: {error}")))?;
    let mut running = launcher.start().map_err(OpenError::Device)?;
    let labels = first_labels(&mut running, interval).map_err(OpenError::Device)?;
    let channels = labels
        .iter()
        .map(|label| Channel {
            label: label.clone(),
            kind: ReadingKind::Point,
            wrap: None,
            limits: limits(known.rail(label), interval),
        })
        .collect();
    let mut sweep = Sweep::new(config, known, "tegrastats", Boundary::Rail, channels);
    let schedule = Schedule::new(1.0 / interval.as_secs_f64(), IDLE_RATE_HZ);
    sweep.set_rate(schedule.rate_hz());
    Ok(Box::new(Tegrastats {
        name: config.name.clone(),
        launcher,
        running: Some(running),
        labels,
        sweep,
        schedule,
        interval,
        heard: clock::now(),
        starting: false,
        fault: None,
        rhythm: Rhythm::default(),
        taken: MonoNs(0),
        warned: false,
    }))
}

/// The rails of the first line that has some.
fn first_labels(running: &mut Running, interval: Span) -> Result<Vec<String>, String> {
    let within = FIRST_LINE_WITHIN + interval;
    let deadline = clock::now() + within;
    let mut unlike = None;
    loop {
        match running.next_line(deadline) {
            Ok(Arrival { text, .. }) => match line::rails(&text) {
                Ok(rails) => return Ok(rails.iter().map(|rail| rail.label.to_owned()).collect()),
                Err(error) => unlike = Some((error, text)),
            },
            Err(RecvTimeoutError::Disconnected) if unlike.is_none() => {
                return Err(format!("{}, before it told any power", running.obituary()));
            }
            Err(_) => return Err(no_rails(running.program(), within, unlike)),
        }
    }
}

fn no_rails(program: &str, within: Span, last: Option<(LineError, String)>) -> String {
    match last {
        None => format!(
            "`{program}`: no line within {:.1} s; if it prints lines in a terminal, its output \
             to a pipe is held back: put \"stdbuf\", \"-oL\" in front of it in `command`",
            within.as_secs_f64()
        ),
        Some((LineError::NoPower, _)) => format!(
            "`{program}`: {}; some carrier boards have no power monitor, and some releases show \
             power to root only",
            LineError::NoPower
        ),
        Some((LineError::Foreign, text)) => {
            let beginning: String = text.chars().take(60).collect();
            format!("`{program}` printed `{beginning}`: {}", LineError::Foreign)
        }
    }
}

/// tegrastats states no limits: a step is that of the INA3221 where its shunt is known,
/// else of what is printed.
fn limits(known: Option<&KnownRail>, interval: Span) -> ErrorLimits {
    let step = known
        .and_then(|rail| rail.nominal_voltage.zip(rail.shunt))
        .map(|(voltage, shunt)| voltage * (SHUNT_STEP / shunt));
    ErrorLimits {
        scale: vec![ASSUMED_GAIN],
        power_step: step.unwrap_or(Watts(0.001)),
        power_offset: step.map_or(Watts(0.0), |step| step * OFFSET_STEPS),
        refresh: interval,
        ..ErrorLimits::default()
    }
}

/// A line's power by the rails' order; `None` for a rail that is absent from it. The n-th
/// rail of a name is the n-th of that name in the line.
fn samples(labels: &[String], rails: &[Rail], at: MonoNs) -> Vec<Option<Sample>> {
    let of_label = |index: usize, label: &String| {
        let before = labels[..index].iter().filter(|other| *other == label);
        let mut same = rails.iter().filter(|rail| rail.label == label);
        let rail = same.nth(before.count())?;
        Some(Sample::Point {
            at,
            power: Watts(f64::from(rail.milliwatts) / 1e3),
            voltage: None,
            current: None,
        })
    };
    labels
        .iter()
        .enumerate()
        .map(|(index, label)| of_label(index, label))
        .collect()
}

impl Tegrastats {
    fn take_lines(&mut self, sink: &mut dyn Sink) -> Result<(), PollError> {
        loop {
            let Some(running) = &mut self.running else {
                return Err(PollError::Fatal("tegrastats does not run".to_owned()));
            };
            match running.next_line(MonoNs(0)) {
                Ok(arrival) => self.take(&arrival, sink)?,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(PollError::Fatal(running.obituary()));
                }
            }
        }
        self.check_silence()
    }

    fn take(&mut self, arrival: &Arrival, sink: &mut dyn Sink) -> Result<(), PollError> {
        if arrival.untimed > 1 && !self.warned {
            self.warned = true;
            tracing::warn!(
                sensor = self.name,
                "lines of tegrastats arrive in blocks, and only the last of a block has a time: \
                 put \"stdbuf\", \"-oL\" in front of it in `command`"
            );
        }
        let samples = match line::rails(&arrival.text) {
            Ok(rails) => samples(&self.labels, &rails, arrival.at),
            Err(error) => {
                self.fault = Some(error);
                return Ok(());
            }
        };
        if samples.iter().all(Option::is_none) {
            self.fault = Some(LineError::NoPower);
            return Ok(());
        }
        self.rhythm.note(arrival.at);
        // Not the line's time: it may have waited in the queue for this poll.
        self.heard = clock::now();
        self.starting = false;
        self.fault = None;
        let period = self.schedule.period();
        if period > self.interval && arrival.at.since(self.taken) < period {
            return Ok(());
        }
        self.taken = arrival.at;
        let period = period.max(self.rhythm.usual());
        self.sweep.advance(&samples, period, sink)
    }

    fn check_silence(&self) -> Result<(), PollError> {
        let patience = if self.starting {
            FIRST_LINE_WITHIN + self.interval
        } else {
            SILENT_AT_MOST + Span(3 * self.interval.0)
        };
        let silence = clock::now().since(self.heard);
        let program = self.running.as_ref().map_or("tegrastats", Running::program);
        if silence > patience {
            let fault = match self.fault {
                Some(fault) => format!("its lines don't help: {fault}"),
                None => "it is started again".to_owned(),
            };
            return Err(PollError::Fatal(format!(
                "`{program}` has told no power for {:.1} s; {fault}",
                silence.as_secs_f64()
            )));
        }
        if self.starting {
            return Err(PollError::Retry(format!(
                "`{program}` has been started again and has told no power yet"
            )));
        }
        Ok(())
    }
}

impl Source for Tegrastats {
    fn name(&self) -> &str {
        &self.name
    }

    fn rails(&self) -> &[RailSpec] {
        self.sweep.specs()
    }

    /// The program goes on at its interval; at the idle pace lines beyond 15 a second are
    /// left out.
    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        self.schedule.set_pace(pace);
        self.sweep.set_rate(self.schedule.rate_hz());
        Ok(())
    }

    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let outcome = self.take_lines(sink);
        if let Err(PollError::Fatal(_)) = outcome {
            self.running = None;
        }
        outcome.map(|()| self.schedule.next())
    }

    /// Leaves alone what has been started anew and has had no time to print a line.
    fn reset(&mut self) -> Result<(), PollError> {
        if self.running.is_none() {
            self.running = Some(self.launcher.start().map_err(PollError::Fatal)?);
            self.heard = clock::now();
            self.starting = true;
            self.fault = None;
            self.rhythm = Rhythm::default();
            self.sweep.restart();
            self.schedule.restart();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
