//! Drains the samplers: the running totals of every rail, and the traces of an attempt.

use crate::clock;
use crate::energy::Trace;
use crate::record::device::{Quality, RailRecord, SensorState};
use crate::sampler::{Sampler, SensorReport};
use crate::sensor::{Pace, RailSpec, Window};
use crate::units::{Joules, MonoNs, Span, Volts};
use std::sync::{Mutex, MutexGuard};

/// Longer outages are left out of a rail's cumulative energy; shorter ones are bridged with
/// the mean of their neighbours (a change of pace costs a few milliseconds).
const BRIDGED_UP_TO: Span = Span::from_millis(2_000);
/// A rail that has delivered nothing for so long is not waited for.
const PATIENCE: Span = Span::from_millis(1_000);
/// Between two looks while waiting; never in a measured window.
const LOOK_EVERY: Span = Span::from_millis(5);

/// Every rail's windows go through here, drained by whoever asks first.
pub struct Meter {
    sampler: Sampler,
    idle_pace: Pace,
    state: Mutex<State>,
}

struct State {
    totals: Vec<Total>,
    recording: Option<Recording>,
    scratch: Vec<Window>,
}

/// One trace a rail while an attempt is recorded.
struct Recording {
    traces: Vec<Trace>,
    /// Missed deadlines of each rail's sensor when the recording began.
    missed_before: Vec<u64>,
}

/// Running figures of one rail.
#[derive(Default)]
struct Total {
    windows: u64,
    energy: Joules,
    newest: Option<Window>,
    since_report: Stretch,
}

/// Sums over the windows since the last report.
#[derive(Default)]
struct Stretch {
    span_s: f64,
    energy_j: f64,
    volt_s: f64,
    amp_s: f64,
    worst: Option<Quality>,
}

/// One rail of a finished recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub spec: RailSpec,
    pub trace: Trace,
    pub missed_deadlines: u64,
}

impl Meter {
    pub fn new(sampler: Sampler, idle_pace: Pace) -> Self {
        sampler.set_pace(idle_pace);
        let rails = sampler.rails().len();
        Self {
            sampler,
            idle_pace,
            state: Mutex::new(State {
                totals: (0..rails).map(|_| Total::default()).collect(),
                recording: None,
                scratch: Vec::new(),
            }),
        }
    }

    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Goes to the full rate, waits until every working rail delivers at it, and records
    /// from there on.
    pub fn start_recording(&self) {
        self.sampler.set_pace(Pace::Full);
        self.drain();
        let recording = Recording {
            traces: self.sampler.rails().iter().map(Trace::of).collect(),
            missed_before: self.missed_deadlines(),
        };
        self.state().recording = Some(recording);
        // Windows that began in the idle pace may have been in the rings still.
        self.wait_for(clock::now());
    }

    /// Waits until every rail that delivers has been measured up to `t`.
    pub fn wait_for(&self, t: MonoNs) {
        let give_up = clock::now() + PATIENCE + self.longest_lag();
        let covered = |traces: &[Trace]| {
            traces
                .iter()
                .all(|trace| trace.end().is_some_and(|end| end >= t))
        };
        while !self.with_traces(covered) && clock::now() < give_up {
            clock::sleep(LOOK_EVERY);
        }
    }

    /// By how much the rails are late that are corrected for it.
    fn longest_lag(&self) -> Span {
        let rails = self.sampler.rails();
        let lags = rails.iter().filter_map(RailSpec::corrected_lag);
        Span::from_secs_f64(lags.map(|lag| lag.lag_s).fold(0.0, f64::max))
    }

    /// Ends the recording and goes back to the idle pace.
    pub fn stop_recording(&self) -> Vec<Recorded> {
        self.drain();
        let specs = self.sampler.rails();
        let missed = self.missed_deadlines();
        self.sampler.set_pace(self.idle_pace);
        let Some(recording) = self.state().recording.take() else {
            return Vec::new();
        };
        specs
            .into_iter()
            .zip(recording.traces)
            .zip(missed.iter().zip(recording.missed_before))
            .map(|((spec, trace), (after, before))| Recorded {
                spec,
                trace,
                missed_deadlines: after - before,
            })
            .collect()
    }

    /// Looks at the recorded traces so far, in the order of the rails.
    pub fn with_traces<R>(&self, look: impl FnOnce(&[Trace]) -> R) -> R {
        self.drain();
        let state = self.state();
        look(
            state
                .recording
                .as_ref()
                .map_or(&[], |recording| &recording.traces),
        )
    }

    /// Windows that each rail has delivered since the daemon started.
    pub fn windows(&self) -> Vec<u64> {
        self.state()
            .totals
            .iter()
            .map(|total| total.windows)
            .collect()
    }

    /// The newest bus voltage of each rail.
    pub fn voltages(&self) -> Vec<Option<Volts>> {
        let newest = |total: &Total| total.newest?.voltage;
        self.state().totals.iter().map(newest).collect()
    }

    /// Missed deadlines of the sensor of each rail.
    fn missed_deadlines(&self) -> Vec<u64> {
        self.of_each_rail(|sensor| sensor.missed_deadlines)
    }

    /// A fact of the sensor of each rail.
    fn of_each_rail<T: Clone>(&self, fact: impl Fn(&SensorReport) -> T) -> Vec<T> {
        let repeated =
            |sensor: SensorReport| std::iter::repeat_n(fact(&sensor), sensor.rails.len());
        self.sampler
            .sensors()
            .into_iter()
            .flat_map(repeated)
            .collect()
    }

    /// Moves what the samplers have delivered into totals and traces.
    pub fn drain(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        for (rail, total) in state.totals.iter_mut().enumerate() {
            state.scratch.clear();
            self.sampler.drain(rail, &mut state.scratch);
            for window in &state.scratch {
                total.add(window);
            }
            if let Some(recording) = &mut state.recording {
                for window in &state.scratch {
                    recording.traces[rail].push(window);
                }
            }
        }
    }

    /// What `rails/<rail>` says: means since the last call.
    pub fn rail_records(&self) -> Vec<RailRecord> {
        self.drain();
        let failed = self.of_each_rail(|sensor| sensor.state == SensorState::Failed);
        let mut state = self.state();
        self.sampler
            .rails()
            .iter()
            .zip(&mut state.totals)
            .zip(failed)
            .map(|((spec, total), failed)| {
                let nothing = if failed {
                    Quality::Failed
                } else {
                    Quality::Stale
                };
                total.report(spec, nothing)
            })
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no holder of the meter's lock panics")
    }
}

impl Total {
    fn add(&mut self, window: &Window) {
        if let Some(before) = &self.newest {
            let gap = window.t0.since(before.t1);
            if gap > Span(0) && gap <= BRIDGED_UP_TO {
                self.energy = self.energy + (before.power + window.power) * 0.5 * gap;
            }
        }
        self.windows += 1;
        let span = window.t1.since(window.t0);
        let energy = window.power * span;
        let span_s = span.as_secs_f64();
        self.energy = self.energy + energy;
        let stretch = &mut self.since_report;
        stretch.span_s += span_s;
        stretch.energy_j += energy.0;
        stretch.volt_s += window.voltage.map_or(f64::NAN, |v| v.0) * span_s;
        stretch.amp_s += window.current.map_or(f64::NAN, |a| a.0) * span_s;
        stretch.worst = stretch.worst.max(Some(window.quality));
        self.newest = Some(*window);
    }

    /// `nothing` is the quality of a stretch without windows.
    fn report(&mut self, spec: &RailSpec, nothing: Quality) -> RailRecord {
        let stretch = std::mem::take(&mut self.since_report);
        let mean = |sum: f64| Some(sum / stretch.span_s).filter(|mean| mean.is_finite());
        RailRecord {
            rail: spec.name.clone(),
            simulated: spec.simulated,
            power_w: mean(stretch.energy_j),
            voltage_v: mean(stretch.volt_s),
            current_a: mean(stretch.amp_s),
            energy_wh: self.newest.map(|_| self.energy.0 / 3600.0),
            quality: stretch.worst.unwrap_or(nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Amps, Volts, Watts};

    fn window(t0_ms: u64, t1_ms: u64, watts: f64) -> Window {
        Window {
            t0: MonoNs(t0_ms * 1_000_000),
            t1: MonoNs(t1_ms * 1_000_000),
            power: Watts(watts),
            voltage: Some(Volts(5.0)),
            current: Some(Amps(watts / 5.0)),
            quality: Quality::Good,
            lost: 0,
        }
    }

    #[test]
    fn short_gaps_are_bridged_and_outages_are_left_out() {
        let mut total = Total::default();
        total.add(&window(0, 1_000, 2.0));
        total.add(&window(2_000, 3_000, 4.0));
        assert_eq!(total.energy, Joules(2.0 + 3.0 + 4.0));
        total.add(&window(60_000, 61_000, 4.0));
        assert_eq!(total.energy, Joules(13.0));
    }

    #[test]
    fn nothing_delivered_is_stale_and_null_not_zero() {
        let spec = crate::measure::testing::rail("input");
        let mut total = Total::default();
        let record = total.report(&spec, Quality::Stale);
        assert_eq!((record.power_w, record.energy_wh), (None, None));
        assert_eq!(record.quality, Quality::Stale);

        total.add(&window(0, 1_000, 2.0));
        assert_eq!(total.report(&spec, Quality::Stale).power_w, Some(2.0));
        let stale = total.report(&spec, Quality::Stale);
        assert_eq!((stale.power_w, stale.quality), (None, Quality::Stale));
        assert!(stale.energy_wh.is_some());
    }

    #[test]
    fn unknown_volts_stay_unknown() {
        let mut total = Total::default();
        let mut blind = window(0, 1_000, 2.0);
        blind.voltage = None;
        total.add(&blind);
        let record = total.report(&crate::measure::testing::rail("input"), Quality::Stale);
        assert_eq!((record.power_w, record.voltage_v), (Some(2.0), None));
    }
}
