//! Opens the candidates and reads them all at once, with the threads that the daemon would
//! read them with.

use super::find::{Candidate, Reach};
use super::tally::Tally;
use crate::clock;
use crate::record::device::SensorState;
use crate::sampler::{Sampler, SensorReport};
use crate::sensor::{self, KnownRails, Pace, RailSpec, Source, Window};
use crate::units::{MonoNs, Span};
use std::sync::mpsc;
use std::time::Duration;

/// A device that takes longer than this to open hangs.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// How much longer a rail that has delivered nothing yet is waited for: meters and tegrastats
/// may take a second to their second reading.
const PATIENCE: Span = Span::from_millis(2_500);
/// Between two looks into the rings, which hold eight seconds.
const LOOK_EVERY: Span = Span::from_millis(20);

/// A candidate and what became of it.
#[derive(Debug)]
pub struct Reading {
    pub candidate: Candidate,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub enum Outcome {
    /// It was not read, and why.
    Closed(String),
    Read {
        report: SensorReport,
        rails: Vec<(RailSpec, Tally)>,
        /// When the last window was taken out.
        until: MonoNs,
    },
}

/// An opened source, or why there is none, for each candidate. They are opened all at once,
/// since some take a second.
pub fn open(candidates: &[Candidate], known: &KnownRails) -> Vec<Result<Box<dyn Source>, String>> {
    let (sender, receiver) = mpsc::channel();
    let mut opened: Vec<Result<Box<dyn Source>, String>> = Vec::new();
    let mut pending = 0;
    for (index, candidate) in candidates.iter().enumerate() {
        let why = match &candidate.reach {
            Reach::Open | Reach::Expected => {
                let (config, known) = (candidate.config.clone(), known.clone());
                let sender = sender.clone();
                // Not joined: one that hangs in the kernel must not hold the others up.
                std::thread::spawn(move || {
                    let source = sensor::open(&config, &known).map_err(|error| error.to_string());
                    // The receiver has given up on this one if it is gone.
                    let _ = sender.send((index, source));
                });
                pending += 1;
                format!(
                    "did not open within {} s; something holds the device",
                    OPEN_WITHIN.as_secs()
                )
            }
            Reach::Incomplete(why) | Reach::Closed(why) => why.clone(),
        };
        opened.push(Err(why));
    }
    let give_up = clock::now() + Span::from_millis(OPEN_WITHIN.as_millis() as u64);
    while pending > 0 {
        let left = Duration::from_nanos(give_up.since(clock::now()).0);
        let Ok((index, source)) = receiver.recv_timeout(left) else {
            break;
        };
        opened[index] = source;
        pending -= 1;
    }
    opened
}

/// Reads each candidate for `span`.
///
/// Errors: a thread can't be started.
pub fn read(
    mut candidates: Vec<Candidate>,
    known: &KnownRails,
    span: Span,
) -> std::io::Result<Vec<Reading>> {
    let mut sources = Vec::new();
    let mut closed = Vec::new();
    for (opened, candidate) in open(&candidates, known).into_iter().zip(&mut candidates) {
        match opened {
            Ok(source) => {
                candidate.warnings.extend(source.warnings());
                sources.push(source);
                closed.push(None);
            }
            Err(why) => closed.push(Some(why)),
        }
    }
    let sampler = Sampler::start(sources)?;
    let (tallies, until) = sample(&sampler, span);
    let mut sensors = sampler.sensors().into_iter();
    let mut tallies = tallies.into_iter();
    let outcome = |why: Option<String>| match why {
        Some(why) => Outcome::Closed(why),
        None => {
            let report = sensors.next().expect("one report an opened source");
            let rails = report.rails.iter().cloned().zip(&mut tallies).collect();
            Outcome::Read {
                report,
                rails,
                until,
            }
        }
    };
    let outcomes: Vec<Outcome> = closed.into_iter().map(outcome).collect();
    Ok(candidates
        .into_iter()
        .zip(outcomes)
        .map(|(candidate, outcome)| Reading { candidate, outcome })
        .collect())
}

/// One tally a rail, over windows of the full pace, and when the last look was.
fn sample(sampler: &Sampler, span: Span) -> (Vec<Tally>, MonoNs) {
    sampler.set_pace(Pace::Full);
    let start = clock::now();
    let (end, give_up) = (start + span, start + span + PATIENCE);
    let mut tallies = vec![Tally::default(); sampler.rails().len()];
    let mut windows: Vec<Window> = Vec::new();
    loop {
        for (rail, tally) in tallies.iter_mut().enumerate() {
            windows.clear();
            sampler.drain(rail, &mut windows);
            for window in windows.iter().filter(|window| window.t0 >= start) {
                tally.add(window);
            }
        }
        let now = clock::now();
        if now >= give_up || (now >= end && !is_awaited(sampler, &tallies)) {
            return (tallies, now);
        }
        clock::sleep(LOOK_EVERY);
    }
}

/// Whether a rail of a working sensor has delivered nothing yet.
fn is_awaited(sampler: &Sampler, tallies: &[Tally]) -> bool {
    let mut tallies = tallies.iter();
    sampler.sensors().iter().any(|sensor| {
        let nothing = tallies
            .by_ref()
            .take(sensor.rails.len())
            .filter(|tally| tally.windows == 0)
            .count();
        nothing > 0 && sensor.state == SensorState::Ok
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::{Boundary, Quality, SensorConfig, SensorKind};

    fn candidate(config: SensorConfig, reach: Reach) -> Candidate {
        Candidate {
            kind: config.kind.to_string(),
            device: None,
            config,
            configured: true,
            reach,
            note: None,
            warnings: Vec::new(),
        }
    }

    fn simulated(name: &str, waveform: &str) -> SensorConfig {
        let mut config = SensorConfig::new(name, SensorKind::Simulated);
        config.waveform = Some(waveform.to_owned());
        config.bus_v = Some(5.0);
        config.boundary = Some(Boundary::BoardInput);
        config
    }

    #[test]
    fn one_that_fails_keeps_no_other_from_being_read() {
        let mut absent = SensorConfig::new("absent", SensorKind::Ina219);
        absent.bus = Some("/dev/i2c-absent".to_owned());
        absent.address = Some(0x40);
        absent.shunt_ohm = Some(0.01);
        absent.max_current_a = Some(4.0);
        absent.boundary = Some(Boundary::Rail);
        let candidates = vec![
            candidate(simulated("a", "constant:1"), Reach::Open),
            candidate(absent, Reach::Open),
            candidate(
                SensorConfig::new("half", SensorKind::Ina219),
                Reach::Incomplete("shunt unknown".to_owned()),
            ),
            candidate(simulated("b", "constant:2"), Reach::Open),
        ];
        let span = Span::from_millis(200);
        let readings = read(candidates, &KnownRails::default(), span).unwrap();
        let powers: Vec<Option<f64>> = readings
            .iter()
            .map(|reading| match &reading.outcome {
                Outcome::Closed(_) => None,
                Outcome::Read { rails, .. } => rails[0].1.power().map(|power| power.0),
            })
            .collect();
        assert!((powers[0].unwrap() - 5.0).abs() < 0.1, "{powers:?}");
        assert_eq!((powers[1], powers[2]), (None, None));
        assert!((powers[3].unwrap() - 10.0).abs() < 0.1, "{powers:?}");
        let Outcome::Read { report, rails, .. } = &readings[0].outcome else {
            unreachable!("it was read");
        };
        assert_eq!(report.name, "a");
        assert_eq!(rails[0].0.mode.as_deref(), Some("avg8/12bit"));
        assert_eq!(rails[0].1.quality(), Some(Quality::Good));
    }
}
