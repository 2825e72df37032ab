//! The running figures of every rail, from which either view draws a frame.

use crate::clock;
use crate::minute::History;
use crate::probe::find::{Candidate, Reach};
use crate::probe::tally::Tally;
use crate::probe::{advice, read};
use crate::record::device::SensorState;
use crate::sampler::Sampler;
use crate::sensor::{Boundary, KnownRails, Pace, Quality, RailSpec, Window};
use crate::units::{Amps, Joules, MonoNs, Span, Volts, Watts};
use std::collections::VecDeque;

/// Figures shown are means over this time, or over 2.5 windows where those are longer.
const SHOWN: Span = Span::from_millis(1_000);

/// Every source that could be opened, being read.
pub struct Follow {
    sampler: Sampler,
    rails: Vec<Live>,
    /// Sources that couldn't be opened, and why.
    closed: Vec<(String, String)>,
    started: MonoNs,
    scratch: Vec<Window>,
}

struct Live {
    recent: VecDeque<Window>,
    total: Tally,
    history: History,
}

/// What there is to show at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub now: MonoNs,
    pub elapsed: Span,
    pub rails: Vec<RailFrame>,
    /// Failures of sources, in words.
    pub faults: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RailFrame {
    pub name: String,
    pub source: &'static str,
    pub boundary: Boundary,
    pub simulated: bool,
    pub mode: Option<String>,
    pub power: Option<Watts>,
    pub voltage: Option<Volts>,
    pub current: Option<Amps>,
    pub quality: Quality,
    pub rate_hz: Option<f64>,
    /// Since the first reading.
    pub coverage: Option<f64>,
    pub energy: Option<Joules>,
    pub history: History,
}

impl Follow {
    /// Opens what can be opened and reads it at the full rate.
    ///
    /// Errors: a thread can't be started.
    pub fn start(candidates: &[Candidate], known: &KnownRails) -> std::io::Result<Follow> {
        let mut sources = Vec::new();
        let mut closed = Vec::new();
        for (candidate, opened) in candidates.iter().zip(read::open(candidates, known)) {
            match opened {
                Ok(source) => sources.push(source),
                // What can't be read at all is the list's matter.
                Err(_) if candidate.reach != Reach::Open => {}
                Err(why) => {
                    let why = advice::explained(&candidate.kind, candidate.device.as_deref(), &why);
                    closed.push((candidate.config.name.clone(), why));
                }
            }
        }
        let sampler = Sampler::start(sources)?;
        sampler.set_pace(Pace::Full);
        let rails = sampler.rails().iter().map(|_| Live::new()).collect();
        Ok(Follow {
            sampler,
            rails,
            closed,
            started: clock::now(),
            scratch: Vec::new(),
        })
    }

    /// Takes in what has been read and tells how things stand.
    pub fn frame(&mut self) -> Frame {
        for (rail, live) in self.rails.iter_mut().enumerate() {
            self.scratch.clear();
            self.sampler.drain(rail, &mut self.scratch);
            for window in self
                .scratch
                .iter()
                .filter(|window| window.t0 >= self.started)
            {
                live.add(window);
            }
        }
        let now = clock::now();
        let sensors = self.sampler.sensors();
        let states = sensors.iter().flat_map(|sensor| {
            let nothing = match sensor.state {
                SensorState::Ok => Quality::Stale,
                SensorState::Failed => Quality::Failed,
            };
            sensor.rails.iter().map(move |rail| (rail, nothing))
        });
        let rails = states
            .zip(&mut self.rails)
            .map(|((spec, nothing), live)| live.frame(spec, nothing, now))
            .collect();
        let failing = sensors
            .iter()
            .filter_map(|sensor| Some((sensor.name.clone(), sensor.reason.clone()?)));
        Frame {
            now,
            elapsed: now.since(self.started),
            rails,
            faults: self.closed.iter().cloned().chain(failing).collect(),
        }
    }
}

impl Live {
    fn new() -> Live {
        Live {
            recent: VecDeque::new(),
            total: Tally::default(),
            history: History::default(),
        }
    }

    fn add(&mut self, window: &Window) {
        self.total.add(window);
        self.history.add(window.t0, window.t1, window.power);
        self.recent.push_back(*window);
    }

    /// `nothing` is the quality of a rail that has delivered nothing lately.
    fn frame(&mut self, spec: &RailSpec, nothing: Quality, now: MonoNs) -> RailFrame {
        let newest = self.recent.back();
        let span = newest.map_or(Span(0), |window| window.t1.since(window.t0));
        let shown = now - SHOWN.max(Span(span.0 * 5 / 2));
        while self.recent.front().is_some_and(|oldest| oldest.t1 <= shown) {
            self.recent.pop_front();
        }
        let mut tally = Tally::default();
        self.recent.iter().for_each(|window| tally.add(window));
        RailFrame {
            name: spec.name.clone(),
            source: spec.source,
            boundary: spec.boundary,
            simulated: spec.simulated,
            mode: spec.mode.clone(),
            power: tally.power(),
            voltage: tally.voltage(),
            current: tally.current(),
            quality: tally.quality().unwrap_or(nothing),
            rate_hz: tally.rate_hz(),
            coverage: self.total.coverage(now),
            energy: self.total.energy(),
            history: self.history.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing::rail;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    fn window(t0_ms: u64, t1_ms: u64, watts: f64) -> Window {
        Window {
            t0: at(t0_ms),
            t1: at(t1_ms),
            power: Watts(watts),
            voltage: None,
            current: None,
            quality: Quality::Good,
            lost: 0,
        }
    }

    #[test]
    fn figures_are_of_the_last_second_and_energy_since_the_start() {
        let mut live = Live::new();
        for slot in 0..20 {
            let watts = if slot < 10 { 1.0 } else { 3.0 };
            live.add(&window(slot * 100, (slot + 1) * 100, watts));
        }
        let frame = live.frame(&rail("input"), Quality::Stale, at(2000));
        assert!((frame.power.unwrap().0 - 3.0).abs() < 1e-9);
        assert!((frame.energy.unwrap().0 - 4.0).abs() < 1e-9);
        assert_eq!(frame.coverage, Some(1.0));
        assert_eq!(frame.quality, Quality::Good);
    }

    #[test]
    fn a_rail_that_fell_silent_shows_no_power_but_keeps_its_energy() {
        let mut live = Live::new();
        live.add(&window(0, 100, 5.0));
        let frame = live.frame(&rail("input"), Quality::Failed, at(5000));
        assert_eq!((frame.power, frame.quality), (None, Quality::Failed));
        assert!(frame.coverage.unwrap() < 0.05);
        assert_eq!(frame.energy, Some(Joules(0.5)));
    }

    #[test]
    fn a_slow_source_is_shown_between_its_readings() {
        let mut live = Live::new();
        live.add(&window(0, 2000, 5.0));
        let frame = live.frame(&rail("input"), Quality::Stale, at(5500));
        assert_eq!(frame.power, Some(Watts(5.0)));
    }
}
