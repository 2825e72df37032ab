//! How far the energies of phases and tokens are off when the truth is known in closed form,
//! and whether they lie inside their stated uncertainty.

use super::cases::{Case, Phases};
use super::rig::Rig;
use jouled::energy::{Estimate, Trace, attribute};
use jouled::sensor::ina2xx::CycleMode;
use jouled::sensor::{ErrorLimits, Quality, Window};
use jouled::units::{Amps, MonoNs, Volts, Watts};

/// The longer phases have so many windows per unit of ΔP/P, and at most 0.1 % of error.
const LONG: f64 = 500.0;
const LONG_ERROR: f64 = 1e-3;
/// Half of all tokens are off by less.
const TOKEN_ERROR: f64 = 0.01;
/// Share of all errors inside their expanded uncertainty.
pub const INSIDE: f64 = 0.95;
/// Windows of a token.
const TOKEN_WINDOWS: (f64, f64) = (10.0, 30.0);
/// Of a shorter phase, at least.
const SHORT_WINDOWS: f64 = 10.0;
/// Fewer would not make a phase of the lot's kind.
const FEWEST: usize = 20;
/// How many times its standard uncertainty a sum of blind moments may be off.
const BLIND_FACTOR: f64 = 3.5;
/// Share of a cycle by which the phase of a swing must move to be another.
const OTHER_PHASE: f64 = 0.5;
/// One figure: its true error beside what it states.
#[derive(Debug, Clone, Copy)]
pub struct Error {
    pub joules: f64,
    pub u95: f64,
    pub truth: f64,
    /// What the demand allows, in joules.
    pub allowed: f64,
}

impl Error {
    fn of(estimate: Estimate, truth: f64, allowed: f64) -> Self {
        Self {
            joules: (estimate.value - truth).abs(),
            u95: estimate.u95(),
            truth,
            allowed,
        }
    }

    /// A rounding error of the closed form is none of the sensor's.
    fn rounding(&self) -> f64 {
        1e-9 * self.truth
    }

    fn is_inside(&self) -> bool {
        self.joules <= self.u95 + self.rounding()
    }

    fn is_allowed(&self) -> bool {
        self.joules <= self.allowed + self.rounding()
    }
}

/// Errors of one kind.
#[derive(Debug, Clone, Default)]
pub struct Lot(pub Vec<Error>);

impl Lot {
    fn quantile(&self, share: f64, of: impl Fn(&Error) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let at = (share * (values.len() - 1) as f64).round() as usize;
        values[at]
    }

    pub fn largest_percent(&self) -> f64 {
        self.quantile(1.0, |e| 100.0 * e.joules / e.truth)
    }

    pub fn median_percent(&self) -> f64 {
        self.quantile(0.5, |e| 100.0 * e.joules / e.truth)
    }

    pub fn median_u95_percent(&self) -> f64 {
        self.quantile(0.5, |e| 100.0 * e.u95 / e.truth)
    }

    /// Mean of the errors relative to their truths.
    pub fn mean_rel(lots: &[&Lot]) -> f64 {
        let errors: Vec<&Error> = lots.iter().flat_map(|lot| &lot.0).collect();
        let sum: f64 = errors.iter().map(|error| error.joules / error.truth).sum();
        sum / errors.len() as f64
    }

    pub fn inside(&self) -> usize {
        self.0.iter().filter(|error| error.is_inside()).count()
    }

    /// The largest share of its allowance that an error takes.
    pub fn worst(&self) -> f64 {
        self.quantile(1.0, |e| e.joules / (e.allowed + e.rounding()))
    }
}

/// What one case showed.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub swing_rel: f64,
    pub long: Lot,
    pub short: Lot,
    pub tokens: Lot,
    /// Demands that are not met, in words.
    pub failures: Vec<String>,
}

impl Row {
    pub fn inside(&self) -> (usize, usize) {
        let lots = [&self.long, &self.short, &self.tokens];
        let inside = lots.iter().map(|lot| lot.inside()).sum();
        (inside, lots.iter().map(|lot| lot.0.len()).sum())
    }
}

/// A sensor without errors of its own: what is left is that windows have a length.
pub fn ideal(case: &Case, width: f64, seconds: f64, each: usize, seed: u64) -> Row {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut trace = Trace::new(ErrorLimits::default());
    let origin = random.f64() * width;
    let ns = |t: f64| MonoNs((t * 1e9).round() as u64);
    for k in 0..(seconds / width) as u32 {
        let (t0, t1) = (
            ns(origin + f64::from(k) * width),
            ns(origin + f64::from(k + 1) * width),
        );
        let joules = between(case, t0, t1);
        trace.push(&Window {
            t0,
            t1,
            power: Watts(joules / t1.since(t0).as_secs_f64()),
            voltage: Some(Volts(5.0)),
            current: None,
            quality: Quality::Good,
            lost: 0,
        });
    }
    let on_top = OnTop {
        half_step_w: 0.0,
        half_bus_step_rel: 0.0,
        blind_j: 0.0,
        width,
    };
    judged(case, &trace, width, on_top, each, random)
}

/// The chip's registers read by the driver. The unit has no gain and no offset to be off by,
/// and the stated uncertainty has none for them.
pub fn real(case: &Case, rig: &Rig, seconds: f64, each: usize, seed: u64) -> Row {
    let mut random = fastrand::Rng::with_seed(seed);
    let limits = ErrorLimits {
        scale: Vec::new(),
        current_offset: Amps(0.0),
        ..rig.limits()
    };
    let width = rig.mode().cycle().as_secs_f64() * rig.unit.clock_ratio;
    let on_top = OnTop {
        half_step_w: 0.5 * limits.current_step.0 * rig.bus.0,
        half_bus_step_rel: 0.5 * limits.voltage_step.0 / rig.bus.0,
        blind_j: limits.blind_share * case.swing_w * width,
        width,
    };
    let mut trace = Trace::new(limits);
    for window in rig.record(case.power.clone(), seconds, &mut random) {
        trace.push(&window);
    }
    judged(case, &trace, width, on_top, each, random)
}

/// What the real converter's error has on top of the windows' length.
#[derive(Debug, Clone, Copy)]
struct OnTop {
    half_step_w: f64,
    half_bus_step_rel: f64,
    /// Of one swing, at most.
    blind_j: f64,
    width: f64,
}

impl OnTop {
    fn joules(self, case: &Case, seconds: f64) -> f64 {
        let swings = case.swings_hz * seconds + 2.0;
        let blind_u = self.blind_j * (swings * self.alike(case).min(swings) / 3.0).sqrt();
        let half_steps_w = self.half_step_w + self.half_bus_step_rel * case.mean_w;
        half_steps_w * seconds + BLIND_FACTOR * blind_u
    }

    /// Swings in a row that meet the chip in the same part of its cycle: a load that repeats
    /// nearly in step with the cycles has errors that add up.
    fn alike(self, case: &Case) -> f64 {
        let cycles = 2.0 / case.swings_hz / self.width;
        let moved = (cycles - cycles.round()).abs();
        (2.0 * OTHER_PHASE / moved).max(1.0)
    }
}

fn between(case: &Case, t0: MonoNs, t1: MonoNs) -> f64 {
    let at = |t: MonoNs| case.power.joules(t.0 as f64 * 1e-9);
    at(t1) - at(t0)
}

fn judged(
    case: &Case,
    trace: &Trace,
    width: f64,
    on_top: OnTop,
    each: usize,
    mut random: fastrand::Rng,
) -> Row {
    // The tracker of the real chip needs some cycles to settle.
    let from = trace.start().expect("windows").0 as f64 * 1e-9 + 60.0 * width;
    let to = trace.end().expect("windows").0 as f64 * 1e-9 - 2.0 * width;
    let long_from = (LONG * case.swing_rel()).max(SHORT_WINDOWS);
    let mut row = Row {
        name: case.name.clone(),
        swing_rel: case.swing_rel(),
        long: Lot::default(),
        short: Lot::default(),
        tokens: Lot::default(),
        failures: Vec::new(),
    };
    let mut phase = |t0: f64, length: f64| {
        let (t0, t1) = (ns(t0), ns(t0 + length));
        let truth = between(case, t0, t1);
        let is_long = length / width >= long_from;
        let windows = if is_long {
            LONG_ERROR * truth
        } else {
            0.5 * case.swing_w * width
        };
        let allowed = windows + on_top.joules(case, length);
        let figure = trace.measure(t0, t1).energy_j().expect("healthy windows");
        let lot = if is_long {
            &mut row.long
        } else {
            &mut row.short
        };
        lot.0.push(Error::of(figure, truth, allowed));
    };
    match case.phases {
        Phases::OnHigh => {
            let square = case.square.as_ref().expect("a square has high parts");
            let mut t = from + square.period;
            while t + square.period < to {
                let (start, length) = square.period_at(t);
                phase(start, length);
                t += square.period;
            }
        }
        Phases::Anywhere => {
            for k in 0..2 * each {
                let windows = if k < each {
                    long_from * (1.0 + 2.0 * random.f64())
                } else {
                    SHORT_WINDOWS + (long_from - SHORT_WINDOWS) * random.f64()
                };
                let length = (windows * width).min(to - from);
                phase(from + (to - from - length) * random.f64(), length);
            }
        }
    }
    if case.swing_rel() <= 1.0 && matches!(case.phases, Phases::Anywhere) {
        row.tokens = tokens(case, trace, width, on_top, (from, to), each, &mut random);
    }
    row.failures = failures(case, &row, on_top);
    row
}

fn ns(t: f64) -> MonoNs {
    MonoNs((t * 1e9).round() as u64)
}

fn tokens(
    case: &Case,
    trace: &Trace,
    width: f64,
    on_top: OnTop,
    (from, to): (f64, f64),
    each: usize,
    random: &mut fastrand::Rng,
) -> Lot {
    let start = from + width * random.f64();
    let mut times = vec![];
    let mut t = start;
    while times.len() < 4 * each {
        let (least, most) = TOKEN_WINDOWS;
        t += match case.token_s {
            Some(period) => period * (0.98 + 0.04 * random.f64()),
            None => width * (least + (most - least) * random.f64()),
        };
        if t >= to {
            break;
        }
        times.push(ns(t));
    }
    let mut t0 = ns(start);
    attribute(trace, 1, &times, t0)
        .tokens
        .iter()
        .map(|token| {
            let truth = between(case, t0, token.t);
            let seconds = token.t.since(t0).as_secs_f64();
            t0 = token.t;
            let allowed = TOKEN_ERROR * truth + on_top.joules(case, seconds);
            Error::of(token.energy_j.expect("ten windows"), truth, allowed)
        })
        .collect::<Vec<_>>()
        .into()
}

impl From<Vec<Error>> for Lot {
    fn from(errors: Vec<Error>) -> Self {
        Self(errors)
    }
}

fn failures(case: &Case, row: &Row, on_top: OnTop) -> Vec<String> {
    let mut failures = Vec::new();
    for (lot, what) in [(&row.long, "longer"), (&row.short, "shorter")] {
        let over = lot.0.iter().filter(|error| !error.is_allowed()).count();
        if over > 0 {
            let (of, worst) = (lot.0.len(), lot.worst());
            failures.push(format!(
                "{}: {over} of {of} {what} phases over the limit, up to {worst:.2} times",
                case.name
            ));
        }
    }
    if row.tokens.0.len() >= FEWEST {
        let seconds = row.tokens.quantile(0.5, |error| error.truth) / case.mean_w;
        let on_top = 100.0 * on_top.joules(case, seconds) / (case.mean_w * seconds);
        let (median, allowed) = (row.tokens.median_percent(), 100.0 * TOKEN_ERROR + on_top);
        if median > allowed {
            failures.push(format!(
                "{}: the median token is off by {median:.2} %, {allowed:.2} % are allowed",
                case.name
            ));
        }
    }
    failures
}
