//! `jouled calibrate sampler-power`: what reading the sensors at the configured rate takes
//! beyond reading them at the idle rate, as the primary rail shows it.
//!
//! Both paces alternate in pairs whose order turns each time (ABBA), so that a drift cancels.
//! The figure is the mean difference of the pairs, its uncertainty Student's t over them: a
//! paired comparison. A gain error scales it, an offset cancels. Each pace has the error limits
//! of its own mode.

use super::bar::Bar;
use super::rig::Rig;
use super::{CalibrateError, file, today};
use crate::clock;
use crate::config::{Config, SamplerPower};
use crate::energy::{Estimate, Statistic, Trace};
use crate::sensor::{Pace, RailSpec};
use crate::units::{MonoNs, Span};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

const PAIRS: u64 = 6;
/// A pair with gaps is left out.
const FEWEST_PAIRS: usize = 4;
/// Of a stretch, after the change of pace.
const SETTLE: Span = Span::from_millis(250);
/// For the readings of the last stretch to come in, where the rail is not late.
const TAIL: Span = Span::from_millis(1_500);

/// One stretch at one pace.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    pace: Pace,
    t0: MonoNs,
    t1: MonoNs,
    /// Share of one CPU that this process used.
    cpu: f64,
}

/// Measures for `span`, prints and stores what was found. Returns what was written.
pub fn sampler_power(
    main: &Path,
    config: &Config,
    span: Span,
) -> Result<SamplerPower, CalibrateError> {
    let mut rig = Rig::open(config, &[])?;
    let primary = rig.primary(config).ok_or_else(|| {
        CalibrateError::Target(
            "no primary rail to measure it on: set energy.primary to one of the rails".to_owned(),
        )
    })?;
    let rail = rig.rails[primary].clone();
    let (stretches, rails) = alternate(&mut rig, primary, Span(span.0 / (2 * PAIRS)));
    let read = |pace| {
        let mut trace = Trace::of(rails.at(pace)?);
        for window in &rig.windows[primary] {
            trace.push(window);
        }
        Some(trace)
    };
    let traces = read(Pace::Idle).zip(read(Pace::Full));
    let pairs = traces.map_or(Vec::new(), |(idle, full)| {
        powers([&idle, &full], &stretches)
    });
    if pairs.len() < FEWEST_PAIRS {
        return Err(CalibrateError::Target(format!(
            "{}: only {} of {PAIRS} pairs have readings without gaps, and {FEWEST_PAIRS} are \
             needed: stop what else runs or reads the sensor; a slow sensor takes more --seconds",
            rail.name,
            pairs.len()
        )));
    }
    let cost = difference(&pairs).expect("there are pairs");
    let found = SamplerPower {
        date: today(),
        rail: rail.name.clone(),
        power_w: super::rounded(cost.mean, 1e-6),
        power_w_u95: super::rounded(cost.u95.expect("of several pairs"), 1e-6),
    };
    for pace in [Pace::Idle, Pace::Full] {
        print(&rig, &stretches, pace);
    }
    let simulated = if rail.simulated { " (simulated)" } else { "" };
    println!(
        "sampling takes {:.4} ± {:.4} W on {}{simulated}, from {} pairs",
        found.power_w,
        found.power_w_u95,
        rail.name,
        pairs.len()
    );
    if found.power_w.abs() < found.power_w_u95 {
        println!(
            "that drowns in the noise: anything up to {:.4} W fits; more --seconds tell more",
            found.power_w + found.power_w_u95
        );
    }
    let path = file::store_sampler_power(main, &found)?;
    println!(
        "written to {}; a running jouled takes it up when restarted",
        path.display()
    );
    Ok(found)
}

/// What the rail is at each pace, whose modes differ; `None` where it never followed.
#[derive(Default)]
struct Paces {
    idle: Option<RailSpec>,
    full: Option<RailSpec>,
}

impl Paces {
    fn at(&self, pace: Pace) -> Option<&RailSpec> {
        match pace {
            Pace::Idle => self.idle.as_ref(),
            Pace::Full => self.full.as_ref(),
        }
    }

    fn follow(&mut self, pace: Pace, rail: Option<RailSpec>) {
        let known = match pace {
            Pace::Idle => &mut self.idle,
            Pace::Full => &mut self.full,
        };
        *known = rail.or(known.take());
    }
}

/// Goes through the pairs of paces.
fn alternate(rig: &mut Rig, primary: usize, length: Span) -> (Vec<Stretch>, Paces) {
    let mut rails = Paces::default();
    let lag_s = rig.rails[primary].corrected_lag().map(|lag| lag.lag_s);
    let tail = TAIL + Span::from_secs_f64(lag_s.unwrap_or(0.0).max(0.0));
    let mut bar = Bar::new("reading");
    let mut stretches = Vec::new();
    let begin = clock::now();
    let all = Span(2 * PAIRS * length.0) + tail;
    let mut show = |now: MonoNs| bar.show(now.since(begin).as_secs_f64() / all.as_secs_f64());
    for pair in 0..PAIRS {
        let order = match pair % 2 {
            0 => [Pace::Idle, Pace::Full],
            _ => [Pace::Full, Pace::Idle],
        };
        for pace in order {
            let end = clock::now() + length;
            rig.sampler.set_pace(pace);
            rig.collect_until(clock::now() + SETTLE, &mut show);
            rails.follow(pace, rig.sampler.rails_at_pace().swap_remove(primary));
            let (t0, cpu) = (clock::now(), own_cpu_s());
            rig.collect_until(end, &mut show);
            let t1 = clock::now();
            stretches.push(Stretch {
                pace,
                t0,
                t1,
                cpu: (own_cpu_s() - cpu) / t1.since(t0).as_secs_f64(),
            });
        }
    }
    rig.collect_until(clock::now() + tail, show);
    (stretches, rails)
}

/// CPU seconds of this process, all threads.
fn own_cpu_s() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// Mean power at the full and at the idle pace, of each pair that was measured without gaps.
/// Both traces have all windows: `idle` with the errors of the idle pace, `full` with the
/// others.
fn powers([idle, full]: [&Trace; 2], stretches: &[Stretch]) -> Vec<[Estimate; 2]> {
    stretches
        .chunks(2)
        .filter_map(|pair| {
            let power = |pace, trace: &Trace| {
                let stretch = pair.iter().find(|stretch| stretch.pace == pace)?;
                trace.measure(stretch.t0, stretch.t1).power_w().ok()
            };
            Some([power(Pace::Full, full)?, power(Pace::Idle, idle)?])
        })
        .collect()
}

fn difference(pairs: &[[Estimate; 2]]) -> Option<Statistic> {
    let differences: Vec<Estimate> = pairs.iter().map(|[full, idle]| full.minus(*idle)).collect();
    Statistic::of_estimates(&differences)
}

/// What reading at `pace` was like: readings of all rails, and what they cost in CPU time.
fn print(rig: &Rig, stretches: &[Stretch], pace: Pace) {
    let of_pace = || stretches.iter().filter(|stretch| stretch.pace == pace);
    let seconds: f64 = of_pace().map(|s| s.t1.since(s.t0).as_secs_f64()).sum();
    let readings = rig.windows.iter().flatten();
    let readings = readings
        .filter(|window| of_pace().any(|s| (s.t0..s.t1).contains(&window.t1)))
        .count();
    let n = of_pace().count() as f64;
    let name = match pace {
        Pace::Idle => "idle rate",
        Pace::Full => "full rate",
    };
    println!(
        "{name}: {:.1} readings/s, {:.2} % of one CPU",
        readings as f64 / seconds,
        of_pace().map(|s| s.cpu).sum::<f64>() / n * 100.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing::real_rail;
    use crate::sensor::{Quality, Window};
    use crate::units::{Volts, Watts};

    /// Stretches of a second, ABBA, with the power of each.
    fn measured(power: impl Fn(Pace, f64) -> f64) -> Option<Statistic> {
        let mut trace = Trace::of(&real_rail("input"));
        let mut stretches = Vec::new();
        let paces = [Pace::Idle, Pace::Full, Pace::Full, Pace::Idle];
        for (second, pace) in (0u64..12).zip(paces.into_iter().cycle()) {
            for slot in 0..100 {
                let at = |slot: u64| MonoNs(second * 1_000_000_000 + slot * 10_000_000);
                trace.push(&Window {
                    t0: at(slot),
                    t1: at(slot + 1),
                    power: Watts(power(pace, second as f64 + slot as f64 / 100.0)),
                    voltage: Some(Volts(5.0)),
                    current: None,
                    quality: Quality::Good,
                    lost: 0,
                });
            }
            stretches.push(Stretch {
                pace,
                t0: MonoNs(second * 1_000_000_000),
                t1: MonoNs((second + 1) * 1_000_000_000),
                cpu: 0.0,
            });
        }
        difference(&powers([&trace; 2], &stretches))
    }

    #[test]
    fn a_drift_of_the_board_cancels_and_its_offset_too() {
        let cost = |pace| if pace == Pace::Full { 0.04 } else { 0.0 };
        let steady = measured(|pace, _| 3.0 + cost(pace)).unwrap();
        assert!((steady.mean - 0.04).abs() < 1e-9);
        // Half a step of 1 mA at both paces, and 1 % of 40 mW: not the offset's 50 mW.
        assert!((0.001..0.01).contains(&steady.u95.unwrap()), "{steady:?}");
        let drifting = measured(|pace, t| 3.0 + 0.01 * t + cost(pace)).unwrap();
        assert!((drifting.mean - 0.04).abs() < 1e-9, "{drifting:?}");
        assert!(drifting.u95.unwrap() > 0.01);
    }

    #[test]
    fn a_difference_may_be_negative_and_is_not_clipped() {
        let wobble = |t: f64| 0.02 * (7.3 * t.floor()).sin();
        let none =
            measured(|pace, t| 3.0 + wobble(t) - if pace == Pace::Full { 0.001 } else { 0.0 });
        let none = none.unwrap();
        assert!(none.mean.abs() < none.u95.unwrap(), "{none:?}");
        let less = measured(|pace, _| 3.0 - if pace == Pace::Full { 0.2 } else { 0.0 });
        assert!((less.unwrap().mean + 0.2).abs() < 1e-9);
    }

    #[test]
    fn a_pair_with_a_stretch_without_readings_is_left_out() {
        let trace = Trace::of(&real_rail("input"));
        let stretch = |pace| Stretch {
            pace,
            t0: MonoNs(0),
            t1: MonoNs(1_000_000_000),
            cpu: 0.0,
        };
        let pairs = powers([&trace; 2], &[stretch(Pace::Idle), stretch(Pace::Full)]);
        assert!(pairs.is_empty());
        assert_eq!(difference(&pairs), None);
    }
}
