//! Modbus meters over TCP or a serial line: total active power as points.
//!
//! Each sweep is one request for the span of registers that hold power, voltage and current,
//! stamped at the middle of the exchange. The register itself may be older, by up to the
//! map's `refresh_ms`: that age is a limit of the rail. Energy counters of meters are too
//! coarse for an inference (1 Wh is 3600 J) and are not read.

mod decode;
mod fault;
#[cfg(fuzzing)]
pub mod fuzzing;
mod line;
mod listening;
mod map;
mod meters;
mod register;
mod settings;
mod sunspec;

use super::schedule::Schedule;
use super::sweep::{Channel, Sample, Sweep};
use super::{
    Boundary, ConfigError, ErrorLimits, KnownRails, OpenError, Pace, PollError, RailSpec,
    ReadingKind, SensorConfig, Sink, Source,
};
use crate::units::{MonoNs, Span, Watts};
use decode::{Absence, Reading};
use fault::{Exception, Fault, FaultKind};
use line::{Answer, Line, Question};
use map::Block;
use meters::Meter;
use settings::Settings;
use std::sync::{Arc, Mutex, PoisonError};

pub use map::{FactSource, MeterMap, Models, Variant};
pub use register::{Function, Kind, Register, Unit, WordOrder};

const IDLE_RATE_HZ: f64 = 1.0;
const PATIENCE: Span = Span::from_millis(10_000);
/// Of a reset, with the wait for a silent line.
const MOST_QUESTIONS: u64 = 20;
/// Nothing that is read over a network changes faster.
const FASTEST_HZ: f64 = 100.0;

pub(super) fn check(config: &SensorConfig) -> Result<(), ConfigError> {
    Settings::of(config).map(drop)
}

/// Opens the meter that `config` describes. `config` has passed its check. A meter that does
/// not answer yet is no error here, since it may come up after the board: each poll says what
/// is wrong until it does.
pub fn open(config: &SensorConfig) -> Result<Box<dyn Source>, OpenError> {
    let settings = Settings::of(config)?;
    let line = line::shared(&settings.address).map_err(OpenError::Device)?;
    let map = settings.meter.map();
    let channel = Channel {
        label: "power".to_owned(),
        kind: ReadingKind::Point,
        wrap: None,
        limits: limits(map, None),
    };
    let boundary = map.boundary.unwrap_or(Boundary::Wall);
    let known = KnownRails::default();
    let mut sweep = Sweep::new(config, &known, "modbus", boundary, vec![channel]);
    let full_rate_hz = full_rate_hz(config, &settings);
    sweep.set_rate(full_rate_hz);
    let mut source = Modbus {
        name: config.name.clone(),
        sweep,
        schedule: Schedule::new(full_rate_hz, IDLE_RATE_HZ),
        settings,
        line,
        contact: None,
        failure: String::new(),
    };
    // Its sentence comes with the first poll.
    let _ = source.make_contact();
    Ok(Box::new(source))
}

struct Modbus {
    name: String,
    settings: Settings,
    line: Arc<Mutex<Line>>,
    contact: Option<Contact>,
    /// Why there is no contact.
    failure: String,
    sweep: Sweep,
    schedule: Schedule,
}

/// A meter that has answered: where its registers are.
struct Contact {
    map: MeterMap,
    block: Block,
}

/// The fastest rate that makes sense: two readings in each period of refresh, and no more
/// than the wire and the meter's pause allow.
fn full_rate_hz(config: &SensorConfig, settings: &Settings) -> f64 {
    let map = settings.meter.map();
    let wanted = config.rate_hz.unwrap_or(2000.0 / f64::from(map.refresh_ms));
    let registers = map.block().map_or(map::MOST_REGISTERS, |block| block.count);
    // A request has 8 characters, its answer 5 and two a register.
    let characters = 8.0 + 5.0 + 2.0 * f64::from(registers);
    let address = &settings.address;
    let silence = Span::from_millis(u64::from(map.pause_ms)).max(address.frame_gap());
    let exchange = address.wire_time(characters) + address.frame_gap() + silence;
    wanted
        .min(FASTEST_HZ)
        .min(1.0 / exchange.as_secs_f64().max(1.0 / FASTEST_HZ))
}

fn limits(map: &MeterMap, step: Option<Watts>) -> ErrorLimits {
    ErrorLimits {
        scale: vec![("meter-class", map.accuracy)],
        power_offset: Watts(map.offset_w),
        power_step: step.unwrap_or_default(),
        refresh: Span::from_millis(u64::from(map.refresh_ms)),
        ..ErrorLimits::default()
    }
}

impl Modbus {
    fn question(&self, map: &MeterMap, block: Block, opening: Option<Block>) -> Question {
        Question {
            unit: self.settings.unit,
            function: map.function,
            block,
            opening: opening.filter(|opening| opening.count != block.count),
            timeout: self.settings.timeout,
            pause: Span::from_millis(u64::from(map.pause_ms)),
        }
    }

    fn ask(&self, question: &Question) -> Result<Answer, Fault> {
        // A panic leaves the line closed: the next question opens it again.
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.ask(question)
    }

    fn sweep_once(&self, contact: &Contact) -> Result<Answer, Fault> {
        let opening = contact.map.power_alone();
        let question = self.question(&contact.map, contact.block, Some(opening));
        self.ask(&question)
    }

    /// Finds the meter's registers and asks for them once, which tells the step of power.
    fn make_contact(&mut self) -> Result<(), PollError> {
        let found = self.find_meter().and_then(|contact| {
            let answer = self.sweep_once(&contact)?;
            Ok((contact, answer))
        });
        match found {
            Ok((contact, answer)) => {
                let step = decode::power_step(&contact.map, contact.block, &answer.words);
                let rail = &mut self.sweep.specs_mut()[0];
                rail.limits = limits(&contact.map, step);
                self.contact = Some(contact);
                Ok(())
            }
            Err(fault) => {
                self.failure = fault.to_string();
                self.contact = None;
                Err(PollError::Fatal(self.failure.clone()))
            }
        }
    }

    fn find_meter(&self) -> Result<Contact, Fault> {
        let no_meter = |why| Fault {
            line: self.settings.address.name().to_owned(),
            unit: self.settings.unit,
            kind: FaultKind::NoMeter(why),
        };
        let map = match &self.settings.meter {
            Meter::Map(map) => map.as_ref().clone(),
            Meter::SunSpec { integers, floats } => sunspec::discover(integers, floats, |block| {
                match self.ask(&self.question(integers, block, None)) {
                    Ok(answer) => Ok(Some(answer.words)),
                    Err(fault) if is_not_there(&fault) => Ok(None),
                    Err(fault) => Err(fault),
                }
            })?
            .map_err(no_meter)?,
        };
        let block = map.block().map_err(|fault| no_meter(fault.value))?;
        Ok(Contact { map, block })
    }

    fn reading(&self) -> Result<(Answer, Reading), PollError> {
        let Some(contact) = &self.contact else {
            return Err(PollError::Fatal(self.failure.clone()));
        };
        let answer = self.sweep_once(contact)?;
        let reading = decode::reading(&contact.map, contact.block, &answer.words);
        Ok((answer, reading))
    }

    fn absent(&self, absence: Absence) -> PollError {
        let name = self.settings.address.name();
        let text = format!("{name}, unit {}: {absence}", self.settings.unit);
        match absence {
            // Another meter, or a SunSpec device whose models have moved.
            Absence::UnknownModel(_) => PollError::Fatal(text),
            _ => PollError::Retry(text),
        }
    }
}

/// The answer of a device that has nothing at the address.
fn is_not_there(fault: &Fault) -> bool {
    let FaultKind::Refused { exception, .. } = &fault.kind else {
        return false;
    };
    matches!(
        exception,
        Exception::IllegalFunction | Exception::IllegalDataAddress | Exception::IllegalDataValue
    )
}

impl Source for Modbus {
    fn name(&self) -> &str {
        &self.name
    }

    fn bus(&self) -> Option<&str> {
        Some(self.settings.address.name())
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
        let point = self.reading().and_then(|(answer, reading)| {
            let power = reading.power.map_err(|absence| self.absent(absence))?;
            let point = Sample::Point {
                at: answer.at,
                power,
                voltage: reading.voltage,
                current: reading.current,
            };
            Ok((answer.took, point))
        });
        match point {
            Ok((took, point)) => {
                // A meter that answers slowly misses nothing by it.
                let period = self.schedule.period().max(took);
                self.sweep.advance(&[Some(point)], period, sink)?;
                Ok(self.schedule.next())
            }
            Err(error) => {
                // What was not read is a gap, however short.
                self.sweep.restart();
                Err(error)
            }
        }
    }

    fn reset(&mut self) -> Result<(), PollError> {
        self.make_contact()?;
        self.sweep.restart();
        self.schedule.restart();
        Ok(())
    }

    /// Several questions, each of which may take its time, on a line that others use too.
    fn patience(&self) -> Span {
        Span(PATIENCE.0 + MOST_QUESTIONS * self.settings.timeout.0)
    }
}
