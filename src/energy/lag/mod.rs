//! The delay between a load and a rail that shows it, from steps of the load whose times are
//! known. Pure; times in seconds from the first step.
//!
//! Method: the rail's windows are modelled as `power = a + b × load`, the load (0 or 1) taken
//! as its mean over each window moved earlier by a delay. The delay with the largest
//! correlation over the whole series is the neighbourhood; irregular steps leave one peak. In
//! it each step has the delay of its own least squares. The result is their mean, its
//! uncertainty the standard error of that mean (a type A evaluation, JCGM 100:2008, 4.2.3)
//! times Student's t, since a reading comes at any phase of a step; larger where a step's
//! delay resembles that of the step before (4.2.7).

mod steps;

pub use steps::LoadSteps;

use super::estimate::rectangular;
use super::summary::student_t;
use crate::sensor::{PLAUSIBLE_LAG_S, Quality, Window};

/// METROLOGY: a delay from fewer steps is not stated.
pub const LEAST_STEPS: usize = 20;
/// What the times of steps and windows can't tell apart.
const RESOLUTION_S: f64 = 1e-5;
/// Coarse delays in the shortest stretch between two steps.
const DELAYS_A_STRETCH: f64 = 8.0;
/// A step's size over the standard uncertainty of the difference between the stretches
/// beside it.
const CLEAR: f64 = 4.0;
/// Share of a step's surroundings inside windows; a step with less is left out.
const LEAST_COVERAGE: f64 = 0.8;
/// Delays that are tried for one step, before the best is refined.
const MOST_DELAYS: f64 = 60.0;

/// Of so few steps a larger correlation can't be told from a trend.
const MOST_ALIKE: f64 = 0.8;

/// The delay of one rail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadDelay {
    /// Positive: the rail shows the load later than it was.
    pub lag_s: f64,
    pub lag_s_u95: f64,
    /// Standard deviation of single steps' delays.
    pub scatter_s: f64,
    pub steps: u32,
    /// What the rail took more while the load was on.
    pub step_w: f64,
}

/// The delay can't be told. The text says what to change.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Untold {
    #[error(
        "only {0} steps were measured without gaps, and {LEAST_STEPS} are needed: use more steps"
    )]
    TooFewSteps(usize),
    #[error(
        "one reading spans {window_s:.2} s, more than half of the shortest step ({stretch_s:.2} \
         s): use --step-s {wanted_s:.1}"
    )]
    TooCoarse {
        window_s: f64,
        stretch_s: f64,
        wanted_s: f64,
    },
    #[error(
        "it doesn't follow the load: {step_w:.3} W more under load, in noise of {noise_w:.3} W; \
         use a rail that feeds the CPU, and leave the machine alone meanwhile"
    )]
    BelowNoise { step_w: f64, noise_w: f64 },
    #[error(
        "{lag_s:.2} ± {lag_s_u95:.2} s, single steps ± {scatter_s:.2} s, is no delay that can be \
         meant (-1 to 5 s, each ± at most 5 s): leave the machine alone meanwhile, or use a \
         longer --step-s"
    )]
    Implausible {
        lag_s: f64,
        lag_s_u95: f64,
        scatter_s: f64,
    },
}

/// A window with its times in seconds from the first step.
#[derive(Debug, Clone, Copy)]
struct Piece {
    t0: f64,
    t1: f64,
    power: f64,
}

impl Piece {
    fn length(&self) -> f64 {
        self.t1 - self.t0
    }

    fn middle(&self) -> f64 {
        0.5 * (self.t0 + self.t1)
    }
}

/// The delay with which `windows`, in order, show `load`.
pub fn delay(load: &LoadSteps, windows: &[Window]) -> Result<LoadDelay, Untold> {
    let (Some(origin), Some(stretch_s)) = (load.first(), load.shortest()) else {
        return Err(Untold::TooFewSteps(load.len()));
    };
    if load.len() < LEAST_STEPS {
        return Err(Untold::TooFewSteps(load.len()));
    }
    let after = |t: crate::units::MonoNs| (t.0 as f64 - origin.0 as f64) * 1e-9;
    let pieces: Vec<Piece> = windows
        .iter()
        .filter(|window| window.quality <= Quality::NearFullScale && window.t1 > window.t0)
        .map(|window| Piece {
            t0: after(window.t0),
            t1: after(window.t1),
            power: window.power.0,
        })
        .collect();
    let window_s = median(pieces.iter().map(Piece::length)).ok_or(Untold::TooFewSteps(0))?;
    if window_s > 0.5 * stretch_s {
        return Err(Untold::TooCoarse {
            window_s,
            stretch_s,
            // The shortest of the random stretches is half of their mean.
            wanted_s: 5.0 * window_s,
        });
    }
    let step = stretch_s / DELAYS_A_STRETCH;
    let coarse = coarser(&pieces, step);
    let (low, high) = (*PLAUSIBLE_LAG_S.start(), *PLAUSIBLE_LAG_S.end());
    let peak = minimised(low, high, step, step / 50.0, |lag| {
        -Fit::of(load, &coarse, lag).correlation()
    });
    let fit = Fit::of(load, &pieces, peak);
    let in_stretch = (stretch_s / window_s).max(1.0);
    let noise_w = fit.residual_w() * (2.0 / in_stretch).sqrt();
    if fit.step_w() < CLEAR * noise_w || fit.step_w() <= 0.0 {
        return Err(Untold::BelowNoise {
            step_w: fit.step_w(),
            noise_w,
        });
    }
    let delays: Vec<f64> = load
        .surroundings()
        .filter_map(|around| one(load, &pieces, around, peak, fit.step_w(), window_s))
        .collect();
    if delays.len() < LEAST_STEPS {
        return Err(Untold::TooFewSteps(delays.len()));
    }
    let n = delays.len() as f64;
    let lag_s = delays.iter().sum::<f64>() / n;
    let squares: f64 = delays.iter().map(|delay| (delay - lag_s).powi(2)).sum();
    let scatter_s = (squares / (n - 1.0)).sqrt();
    let chance = student_t(delays.len() - 1) * scatter_s / n.sqrt() * alike(&delays, lag_s).sqrt();
    let known = rectangular(RESOLUTION_S).hypot(load.timing_u_s());
    let lag_s_u95 = chance.hypot(2.0 * known);
    // A step's own best delay may lie beyond those that are tried for the whole series.
    let spreads = [lag_s_u95, scatter_s];
    if !PLAUSIBLE_LAG_S.contains(&lag_s) || !spreads.iter().all(|s| (0.0..=high).contains(s)) {
        return Err(Untold::Implausible {
            lag_s,
            lag_s_u95,
            scatter_s,
        });
    }
    Ok(LoadDelay {
        lag_s,
        lag_s_u95,
        scatter_s,
        steps: delays.len() as u32,
        step_w: fit.step_w(),
    })
}

/// By how much the variance of the mean is larger than that of independent values, where each
/// resembles the one before (a series of first order): readings and the renewal of what they
/// read go in and out of phase slowly.
fn alike(delays: &[f64], mean: f64) -> f64 {
    let squares: f64 = delays.iter().map(|delay| (delay - mean).powi(2)).sum();
    let pairs = delays.windows(2);
    let products: f64 = pairs.map(|p| (p[0] - mean) * (p[1] - mean)).sum();
    if squares <= 0.0 {
        return 1.0;
    }
    let correlation = (products / squares).clamp(0.0, MOST_ALIKE);
    (1.0 + correlation) / (1.0 - correlation)
}

/// The delay of the step inside `around` alone, near `peak`: level from the windows around
/// it, height from the whole series. `None` where windows are missing.
fn one(
    load: &LoadSteps,
    pieces: &[Piece],
    around: (f64, f64, f64),
    peak: f64,
    step_w: f64,
    window_s: f64,
) -> Option<f64> {
    let (begin, at, end) = around;
    let first = pieces.partition_point(|piece| piece.middle() < begin + peak);
    let last = pieces.partition_point(|piece| piece.middle() < end + peak);
    let near = &pieces[first..last.max(first)];
    let covered: f64 = near.iter().map(Piece::length).sum();
    if covered < LEAST_COVERAGE * (end - begin) || near.len() < 2 {
        return None;
    }
    let reach = 0.9 * (at - begin).min(end - at);
    let step = (window_s / 2.0).max(2.0 * reach / MOST_DELAYS);
    let misfit = |lag: f64| Fit::of(load, near, lag).misfit(step_w);
    let fine = RESOLUTION_S / 4.0;
    Some(minimised(peak - reach, peak + reach, step, fine, misfit))
}

/// Weighted sums of squares of load `x` and power `y` around their means; the weight of a
/// window is its length.
#[derive(Debug, Clone, Copy, Default)]
struct Fit {
    weight: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Fit {
    fn of(load: &LoadSteps, pieces: &[Piece], lag: f64) -> Fit {
        let level = pieces.first().map_or(0.0, |piece| piece.power);
        let (mut weight, mut x, mut y) = (0.0, 0.0, 0.0);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        let mut until = (f64::NAN, 0.0);
        for piece in pieces {
            // Most windows begin where the one before ended.
            let begin = match until {
                (t, busy) if t == piece.t0 => busy,
                _ => load.busy_s(piece.t0 - lag),
            };
            let end = load.busy_s(piece.t1 - lag);
            until = (piece.t1, end);
            let (w, power) = (piece.length(), piece.power - level);
            let on = (end - begin) / w;
            weight += w;
            x += w * on;
            y += w * power;
            xx += w * on * on;
            xy += w * on * power;
            yy += w * power * power;
        }
        Fit {
            weight,
            xx: xx - x * x / weight,
            xy: xy - x * y / weight,
            yy: yy - y * y / weight,
        }
    }

    /// -1 to 1; 0 where nothing varies.
    fn correlation(&self) -> f64 {
        let both = (self.xx * self.yy).sqrt();
        if both > 0.0 { self.xy / both } else { 0.0 }
    }

    fn step_w(&self) -> f64 {
        if self.xx > 0.0 {
            self.xy / self.xx
        } else {
            0.0
        }
    }

    /// Standard deviation of the powers around the line.
    fn residual_w(&self) -> f64 {
        (self.misfit(self.step_w()) / self.weight).sqrt()
    }

    /// Sum of squares around a line of the slope `b` through the means.
    fn misfit(&self, b: f64) -> f64 {
        (self.yy - 2.0 * b * self.xy + b * b * self.xx).max(0.0)
    }
}

/// Where `cost` is least between `low` and `high`: the best on a grid of `step`, refined by
/// golden section (Kiefer 1953) between its neighbours until that is known to `fine`.
fn minimised(low: f64, high: f64, step: f64, fine: f64, cost: impl Fn(f64) -> f64) -> f64 {
    let points = ((high - low) / step).ceil() as usize;
    let at = |k: usize| low + k as f64 * step;
    let best = (0..=points)
        .map(|k| (k, cost(at(k))))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(k, _)| k);
    let (mut a, mut b) = (at(best) - step, at(best) + step);
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut c, mut d) = (b - ratio * (b - a), a + ratio * (b - a));
    let (mut at_c, mut at_d) = (cost(c), cost(d));
    while b - a > fine {
        if at_c < at_d {
            (b, d, at_d) = (d, c, at_c);
            c = b - ratio * (b - a);
            at_c = cost(c);
        } else {
            (a, c, at_c) = (c, d, at_d);
            d = a + ratio * (b - a);
            at_d = cost(d);
        }
    }
    0.5 * (a + b)
}

/// Contiguous pieces put together until they are `length` long: enough to find the peak.
fn coarser(pieces: &[Piece], length: f64) -> Vec<Piece> {
    let mut coarse: Vec<Piece> = Vec::new();
    for piece in pieces {
        match coarse.last_mut() {
            Some(last) if last.t1 == piece.t0 && last.length() < length => {
                let energy = last.power * last.length() + piece.power * piece.length();
                last.t1 = piece.t1;
                last.power = energy / last.length();
            }
            _ => coarse.push(*piece),
        }
    }
    coarse
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests;
