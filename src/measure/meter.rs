//! Drains the samplers: the running totals of every rail, and the traces of an attempt.

use crate::clock;
use crate::energy::Trace;
use crate::record::device::{Quality, RailRecord, SensorState};
use crate::sampler::{Sampler, SensorReport};
use crate::sensor::{Pace, RailSpec, Source, Window};
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
    specs: Vec<RailSpec>,
    traces: Vec<Trace>,
    /// Of each rail, whether its sensor is still to follow the full pace: the errors of a
    /// window depend on the mode that it was taken in.
    awaited: Vec<bool>,
    /// Missed deadlines of each rail's sensor when the recording began.
    missed_before: Vec<u64>,
}

impl Recording {
    /// Takes what a rail has delivered since the last call, `followed` being what its sensor
    /// was before these were taken out of the ring.
    fn take(&mut self, rail: usize, followed: Option<&RailSpec>, windows: &[Window]) {
        if !self.awaited[rail] {
            for window in windows {
                self.traces[rail].push(window);
            }
        } else if let Some(spec) = followed {
            // The first of the windows that come with this may be of the pace before.
            self.traces[rail] = Trace::of(spec);
            self.specs[rail] = spec.clone();
            self.awaited[rail] = false;
        }
    }
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

    /// Reads one more sensor; its rails come after those that are there. Not while an attempt
    /// is recorded, whose traces are those of its start.
    pub fn add(&self, source: Box<dyn Source>) -> std::io::Result<()> {
        let mut state = self.state();
        assert!(state.recording.is_none(), "sensors come between attempts");
        let rails = source.rails().len();
        self.sampler.add(source)?;
        state
            .totals
            .extend(std::iter::repeat_with(Total::default).take(rails));
        Ok(())
    }

    /// Goes to the full rate, waits until every working rail delivers at it, and records
    /// from there on: all that comes later lies within the traces.
    pub fn start_recording(&self) {
        self.sampler.set_pace(Pace::Full);
        let specs = self.sampler.rails();
        let recording = Recording {
            traces: specs.iter().map(Trace::of).collect(),
            awaited: vec![true; specs.len()],
            specs,
            missed_before: self.missed_deadlines(),
        };
        self.state().recording = Some(recording);
        // A rail with a negative lag knows the load only from so much later on.
        let has_begun = |trace: &Trace| trace.start().is_some_and(|t0| t0 <= clock::now());
        self.wait_until(has_begun, self.longest(|lag_s| -lag_s));
    }

    /// Waits until no window to come can change what is measured up to `t`, on any rail that
    /// delivers. Of a rail that is slower than the patience, less is seen beyond `t`.
    pub fn wait_for(&self, t: MonoNs) {
        self.wait_until(|trace| trace.has_settled(t), self.longest(|lag_s| lag_s));
    }

    fn wait_until(&self, holds: impl Fn(&Trace) -> bool, longer: Span) {
        let give_up = clock::now() + PATIENCE + longer;
        while !self.with_traces(|traces| traces.iter().all(&holds)) && clock::now() < give_up {
            clock::sleep(LOOK_EVERY);
        }
    }

    /// The most, or nothing, that `of` makes of the lags that are corrected for.
    fn longest(&self, of: impl Fn(f64) -> f64) -> Span {
        let rails = self.sampler.rails();
        let lags = rails.iter().filter_map(RailSpec::corrected_lag);
        Span::from_secs_f64(lags.map(|lag| of(lag.lag_s)).fold(0.0, f64::max))
    }

    /// Ends the recording and goes back to the idle pace.
    pub fn stop_recording(&self) -> Vec<Recorded> {
        self.drain();
        let missed = self.missed_deadlines();
        self.sampler.set_pace(self.idle_pace);
        let Some(recording) = self.state().recording.take() else {
            return Vec::new();
        };
        let rails = recording.specs.into_iter().zip(recording.traces);
        rails
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

    /// Of each rail, what it took since the daemon started; `None` before its first window.
    pub fn energies(&self) -> Vec<Option<Joules>> {
        self.drain();
        let energy = |total: &Total| total.newest.map(|_| total.energy);
        self.state().totals.iter().map(energy).collect()
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
        // Before the windows are: what comes with them may be older.
        let awaits = |recording: &Recording| recording.awaited.contains(&true);
        let followed = if state.recording.as_ref().is_some_and(awaits) {
            self.sampler.rails_at_pace()
        } else {
            Vec::new()
        };
        for (rail, total) in state.totals.iter_mut().enumerate() {
            state.scratch.clear();
            self.sampler.drain(rail, &mut state.scratch);
            for window in &state.scratch {
                total.add(window);
            }
            if let Some(recording) = &mut state.recording {
                let followed = followed.get(rail).and_then(Option::as_ref);
                recording.take(rail, followed, &state.scratch);
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
    use crate::sensor::testing::Tree;
    use crate::sensor::{KnownRails, Lag, SensorConfig, SensorKind, open};
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

    /// The simulated chip, whose default mode averages 8 conversions and whose idle one 128.
    fn simulated() -> Meter {
        let mut config = SensorConfig::new("input", SensorKind::Simulated);
        config.boundary = Some(crate::sensor::Boundary::BoardInput);
        config.waveform = Some("constant:1.5".into());
        let source = open(&config, &KnownRails::default()).unwrap();
        let meter = Meter::new(Sampler::start(vec![source]).unwrap(), Pace::Idle);
        until(|| {
            meter.drain();
            meter.windows()[0] > 0
        });
        meter
    }

    fn until(mut holds: impl FnMut() -> bool) {
        let patience = std::time::Instant::now();
        while !holds() {
            assert!(patience.elapsed().as_secs() < 60, "it never came");
            std::thread::yield_now();
        }
    }

    #[test]
    fn energies_leave_the_means_of_the_next_report_alone() {
        let meter = simulated();
        assert!(meter.energies()[0].is_some_and(|energy| energy.0 > 0.0));
        assert!(meter.rail_records()[0].power_w.is_some());
    }

    #[test]
    fn a_recording_is_of_the_full_pace_and_has_its_errors() {
        let meter = simulated();
        for _ in 0..3 {
            meter.start_recording();
            until(|| meter.with_traces(|traces| traces[0].windows() > 2));
            let recorded = meter.stop_recording().remove(0);
            assert_eq!(recorded.spec.mode.as_deref(), Some("avg8/12bit"));
            let limits = recorded.trace.limits();
            assert_eq!(*limits, recorded.spec.limits);
            assert!((limits.blind_share - 0.111).abs() < 0.001, "{limits:?}");
            let (t0, t1, _) = recorded.trace.iter().next().unwrap();
            // A cycle of the idle pace takes 68.6 ms.
            assert!(t1.since(t0) < Span::from_millis(60), "{t0:?} to {t1:?}");
        }
    }

    fn hwmon(tree: &Tree, lag: Option<Lag>) -> Meter {
        tree.hwmon(0, "ina226", "1-0040", &[("power1_input", "6000000")]);
        let mut config = SensorConfig::new("board", SensorKind::Hwmon);
        config.chip = Some("ina226".into());
        config.sysfs_root = tree.sysfs_root();
        config.lag = lag.map(|lag| [("board".to_owned(), lag)].into());
        let source = open(&config, &KnownRails::default()).unwrap();
        Meter::new(Sampler::start(vec![source]).unwrap(), Pace::Idle)
    }

    #[test]
    fn a_failed_sensor_is_recorded_once_it_is_back() {
        let tree = Tree::new();
        let meter = hwmon(&tree, None);
        tree.remove("class/hwmon/hwmon0");
        until(|| meter.sampler().sensors()[0].state == SensorState::Failed);
        meter.start_recording();
        assert_eq!(meter.with_traces(|traces| traces[0].windows()), 0);
        tree.hwmon(7, "ina226", "1-0040", &[("power1_input", "6000000")]);
        until(|| meter.with_traces(|traces| traces[0].windows()) > 0);
        let recorded = meter.stop_recording().remove(0);
        assert_eq!(*recorded.trace.limits(), recorded.spec.limits);
    }

    #[test]
    fn a_rail_of_negative_lag_covers_what_comes_after_the_start() {
        let tree = Tree::new();
        let late = crate::measure::testing::late_rail("board").lag.unwrap();
        let early = Lag {
            lag_s: -0.5,
            ..late
        };
        let meter = hwmon(&tree, Some(early));
        meter.start_recording();
        let start = meter.with_traces(|traces| traces[0].start());
        assert!(
            start.is_some_and(|start| start <= clock::now()),
            "{start:?}"
        );
    }

    #[test]
    fn only_what_comes_after_a_rail_is_described_is_recorded() {
        let (idle, full) = (
            crate::measure::testing::real_rail("input"),
            crate::measure::testing::rail("input"),
        );
        let mut recording = Recording {
            traces: vec![Trace::of(&idle)],
            specs: vec![idle],
            awaited: vec![true],
            missed_before: vec![0],
        };
        recording.take(0, None, &[window(0, 68, 2.0)]);
        recording.take(
            0,
            Some(&full),
            &[window(68, 136, 2.0), window(140, 145, 2.0)],
        );
        assert_eq!(recording.traces[0].windows(), 0);
        recording.take(0, None, &[window(145, 150, 2.0)]);
        assert_eq!(recording.traces[0].start(), Some(MonoNs(145_000_000)));
        assert_eq!(*recording.traces[0].limits(), full.limits);
        assert_eq!(recording.specs[0], full);
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
