//! Two rails over the same run, one inside the other: `outer = offset + slope × inner`.
//!
//! The run is cut into equal stretches, and a line is fitted through the mean powers of both
//! rails by least squares. The slope compares the gains of both, the offset is what the outer
//! rail feeds besides the inner one: the carrier board.
//!
//! What the uncertainties are made of:
//! - scatter around the line, with Student's t. Neighbours resemble one another (the board
//!   warms up), so each variance grows by Bartlett's factor (1 + r) ÷ (1 − r), where r is the
//!   lag-1 autocorrelation of the residuals, for the slope times that of the inner power.
//! - errors of the inner rail's means. They bias a slope low, by at most the share of the
//!   inner power's variance that they can be (Fuller, Measurement Error Models, section 1.2).
//!   The slope stands in the middle of what that allows, half of it is a rectangular limit.
//! - gains: the slope has both, the offset the outer one. Zero offsets: those of both rails
//!   move the line's offset.
//! - quantisation without noise, which no number of stretches averages away: independent at
//!   two levels of power, which are a standard deviation to either side of the mean.

use super::estimate::rectangular;
use super::summary::student_t;
use super::{Estimate, Reason, Trace};
use crate::units::{MonoNs, Span};

/// A shorter stretch says more about when the rails are read than about what they feed.
const SHORTEST: Span = Span::from_millis(500);
/// Windows of the coarser rail, or times the age of its points, in a stretch.
const WINDOWS: f64 = 10.0;
const MOST_STRETCHES: u64 = 200;
/// Fewer leave too little to tell the scatter by.
const LEAST_STRETCHES: usize = 5;
/// A larger share of the inner power's variance may not be its errors'.
const MOST_ERROR_SHARE: f64 = 0.1;
/// A slope below so many of its standard uncertainties is not told.
const LEAST_SLOPE: f64 = 3.0;

/// The line through the stretches of two rails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub slope: f64,
    pub slope_u95: f64,
    pub offset_w: f64,
    pub offset_w_u95: f64,
    /// Standard deviation around the line.
    pub residual_w: f64,
}

/// How two rails compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reconciled {
    /// Stretches that both rails have a power for.
    pub n: u32,
    pub stretch: Span,
    pub line: Result<Line, Reason>,
}

/// One stretch: mean powers of the inner and of the outer rail.
#[derive(Debug, Clone, Copy)]
struct Point {
    x: Estimate,
    y: Estimate,
}

/// Compares `outer` with the rail `inner` inside it, from `t0` to `t1`. A stretch in which
/// either rail has no energy is left out.
///
/// The line is `no-data`, `coverage` or `saturated` where that leaves fewer than 5 stretches,
/// `too-few` where the run is too short for them, and `below-noise` where the inner power
/// moves too little to tell a slope by.
pub fn reconcile(outer: &Trace, inner: &Trace, t0: MonoNs, t1: MonoNs) -> Reconciled {
    let ns = t1.since(t0).0;
    let coarsest = [outer, inner]
        .map(|trace| grain_ns(trace, t0, t1))
        .into_iter()
        .fold(0.0, f64::max);
    let stretch = (WINDOWS * coarsest)
        .ceil()
        .max(SHORTEST.0 as f64)
        .max(ns.div_ceil(MOST_STRETCHES) as f64) as u64;
    let cut = |k: u64| t0 + Span(k * stretch);
    let all: Vec<Result<Point, Reason>> = (0..ns / stretch)
        .map(|k| {
            let power = |trace: &Trace| trace.measure(cut(k), cut(k + 1)).power_w();
            Ok(Point {
                x: power(inner)?,
                y: power(outer)?,
            })
        })
        .collect();
    let points: Vec<Point> = all.iter().filter_map(|point| point.ok()).collect();
    let line = if points.len() >= LEAST_STRETCHES {
        line(&points)
    } else if [outer, inner].iter().any(|trace| trace.windows() == 0) {
        Err(Reason::NoData)
    } else {
        match all.iter().find_map(|point| point.err()) {
            _ if all.len() < LEAST_STRETCHES => Err(Reason::TooFew),
            // Both have delivered something, only not then.
            None | Some(Reason::NoData) => Err(Reason::Coverage),
            Some(why) => Err(why),
        }
    };
    Reconciled {
        n: points.len() as u32,
        stretch: Span(stretch),
        line,
    }
}

/// How finely a rail tells time, in ns: its mean window, or the age of its points.
fn grain_ns(trace: &Trace, t0: MonoNs, t1: MonoNs) -> f64 {
    let whole = trace.measure(t0, t1);
    let covered = whole.span().0 as f64 * whole.coverage;
    let window = covered / (whole.windows.max(1)) as f64;
    window.max(trace.limits.refresh.0 as f64)
}

fn line(points: &[Point]) -> Result<Line, Reason> {
    let n = points.len() as f64;
    let mean = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x_mean, y_mean) = (mean(|p| p.x.value), mean(|p| p.y.value));
    let dx: Vec<f64> = points.iter().map(|p| p.x.value - x_mean).collect();
    let dy: Vec<f64> = points.iter().map(|p| p.y.value - y_mean).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let sxx = dot(&dx, &dx);
    // Of the errors of x: the random ones, a quantisation that differs from level to level,
    // and a lag that moves power from one stretch to the next.
    let x_error = mean(|p| p.x.u_ran().powi(2) + p.x.quantisation.powi(2) + p.x.lag.powi(2));
    let error_share = n * x_error / sxx;
    if !(sxx > 0.0 && error_share < MOST_ERROR_SHARE) {
        return Err(Reason::BelowNoise);
    }
    let lowest = dot(&dx, &dy) / sxx;
    let highest = lowest / (1.0 - error_share);
    let slope = 0.5 * (lowest + highest);
    let u_bias = rectangular(0.5 * (highest - lowest));
    let offset = y_mean - slope * x_mean;

    let residuals: Vec<f64> = dx.iter().zip(&dy).map(|(x, y)| y - lowest * x).collect();
    let variance = dot(&residuals, &residuals) / (n - 2.0);
    let r = autocorrelation(&residuals);
    let k = student_t(points.len() - 2) / 2.0;
    let u_fit = k * (variance / sxx * longer(r * autocorrelation(&dx))).sqrt();
    let u_level = k * (variance / n * longer(r)).sqrt();

    let sd_x = (sxx / n).sqrt();
    let quantum = mean(|p| p.y.quantisation).hypot(slope * mean(|p| p.x.quantisation));
    let u_quantum = quantum / (2f64.sqrt() * sd_x);
    let (gain_x, gain_y) = (
        relative(mean(|p| p.x.scale), x_mean),
        relative(mean(|p| p.y.scale), y_mean),
    );
    let u_turn = u_fit.hypot(u_bias).hypot(u_quantum);
    let u_slope = u_turn.hypot(slope * gain_x).hypot(slope * gain_y);
    if slope.abs() < LEAST_SLOPE * u_slope {
        return Err(Reason::BelowNoise);
    }
    let zero = mean(|p| p.y.offset).hypot(slope * mean(|p| p.x.offset));
    let u_offset = u_level
        .hypot(u_turn * x_mean)
        .hypot(quantum / 2f64.sqrt())
        .hypot(zero)
        .hypot(offset * gain_y);
    Ok(Line {
        slope,
        slope_u95: 2.0 * u_slope,
        offset_w: offset,
        offset_w_u95: 2.0 * u_offset,
        residual_w: variance.sqrt(),
    })
}

fn relative(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// Lag-1 autocorrelation of values with mean 0, never negative: neighbours that differ make
/// no estimate better here.
fn autocorrelation(values: &[f64]) -> f64 {
    let all: f64 = values.iter().map(|value| value * value).sum();
    let next: f64 = values.windows(2).map(|pair| pair[0] * pair[1]).sum();
    if all > 0.0 {
        (next / all).max(0.0)
    } else {
        0.0
    }
}

/// By how much a variance of a mean grows.
fn longer(r: f64) -> f64 {
    (1.0 + r) / (1.0 - r).max(0.01)
}

#[cfg(test)]
mod tests {
    use super::super::signal::{Uniform, square, window};
    use super::*;
    use crate::sensor::ErrorLimits;
    use crate::units::Watts;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    /// The mean of `power` over windows of `width` ns.
    fn rail(
        limits: &ErrorLimits,
        power: impl Fn(f64, f64) -> f64,
        width: u64,
        seconds: u64,
    ) -> Trace {
        let mut trace = Trace::new(limits.clone());
        for k in 0..seconds * S / width {
            let (a, b) = (k * width, (k + 1) * width);
            trace.push(&window(a, b, power(a as f64 * 1e-9, b as f64 * 1e-9)));
        }
        trace
    }

    fn mean_of(integral: impl Fn(f64) -> f64) -> impl Fn(f64, f64) -> f64 {
        move |a, b| (integral(b) - integral(a)) / (b - a)
    }

    fn compared(outer: &Trace, inner: &Trace, seconds: u64) -> Reconciled {
        reconcile(outer, inner, MonoNs(0), MonoNs(seconds * S))
    }

    /// A module of 15 to 40 W as its own rail at 10 Hz sees it, and the board's input at
    /// 200 Hz: 1.02 times that and 3.115 W more.
    #[test]
    fn a_carrier_board_is_found_beside_the_module() {
        let module = square(15.0, 40.0, 7.3, 0.4);
        let inside = mean_of(&module);
        let none = ErrorLimits::default();
        let inner = rail(&none, &inside, S / 10, 60);
        let outer = rail(&none, |a, b| 1.02 * inside(a, b) + 3.115, S / 200, 60);
        let found = compared(&outer, &inner, 60);
        let line = found.line.unwrap();
        assert!((line.slope - 1.02).abs() < 1e-3, "{line:?}");
        assert!((line.offset_w - 3.115).abs() < 0.02, "{line:?}");
        assert!((line.slope - 1.02).abs() <= line.slope_u95 + 1e-9);
        assert!((line.offset_w - 3.115).abs() <= line.offset_w_u95 + 1e-9);
        assert!(line.offset_w_u95 < 0.5 && line.slope_u95 < 0.01, "{line:?}");
        assert_eq!(found.stretch, Span(S));
        assert_eq!(found.n, 60);
    }

    #[test]
    fn a_steady_inner_rail_tells_no_slope() {
        let none = ErrorLimits::default();
        let steady = rail(&none, |_, _| 15.0, S / 100, 30);
        assert_eq!(compared(&steady, &steady, 30).line, Err(Reason::BelowNoise));
        let limits = ErrorLimits {
            power_step: Watts(1.0),
            ..none
        };
        let ripple = mean_of(square(15.0, 15.5, 3.0, 0.5));
        let coarse = rail(&limits, |a, b| ripple(a, b).round(), S / 100, 30);
        assert_eq!(compared(&coarse, &coarse, 30).line, Err(Reason::BelowNoise));
    }

    #[test]
    fn what_can_not_be_compared_says_why() {
        let none = ErrorLimits::default();
        let power = mean_of(square(5.0, 9.0, 3.0, 0.5));
        let whole = rail(&none, &power, S / 100, 30);
        let of = |inner: &Trace| compared(&whole, inner, 30);
        assert_eq!(of(&Trace::default()).line, Err(Reason::NoData));
        let half = rail(&none, &power, S / 100, 2);
        let early = of(&half);
        assert_eq!((early.n, early.line), (4, Err(Reason::Coverage)));
        let slow = rail(&none, &power, S, 30);
        let few = of(&slow);
        assert_eq!((few.stretch, few.n), (Span(10 * S), 3));
        assert_eq!(few.line, Err(Reason::TooFew));
    }

    #[test]
    fn a_long_run_has_a_bounded_number_of_stretches() {
        let none = ErrorLimits::default();
        let power = mean_of(square(5.0, 9.0, 40.0, 0.5));
        let day = rail(&none, &power, S / 10, 1000);
        let found = compared(&day, &day, 1000);
        assert_eq!((found.n, found.stretch), (200, Span(5 * S)));
        let line = found.line.unwrap();
        assert!((line.slope - 1.0).abs() < 1e-9 && line.offset_w.abs() < 1e-9);
    }

    #[test]
    fn a_point_sensors_age_makes_stretches_longer() {
        let limits = ErrorLimits {
            refresh: Span::from_millis(300),
            ..ErrorLimits::default()
        };
        let power = mean_of(square(5.0, 9.0, 11.0, 0.5));
        let fast = rail(&ErrorLimits::default(), &power, S / 100, 60);
        let old = rail(&limits, &power, S / 100, 60);
        assert_eq!(compared(&fast, &old, 60).stretch, Span(3 * S));
    }

    /// Draws both sensors' errors anew in each trial: gains, offsets, steps, noise and lag,
    /// and a carrier board that warms up.
    #[test]
    fn the_expanded_uncertainties_cover_the_truth() {
        let mut random = Uniform(20_260_306);
        let limits = |gain: f64, offset: f64, step: f64, refresh_ms: u64| ErrorLimits {
            scale: vec![("gain", gain)],
            power_offset: Watts(offset),
            power_step: Watts(step),
            refresh: Span::from_millis(refresh_ms),
            ..ErrorLimits::default()
        };
        let (outer_limits, inner_limits) =
            (limits(0.01, 0.05, 0.01, 0), limits(0.02, 0.1, 0.05, 50));
        let trials = 300;
        let (mut slopes, mut offsets, mut told) = (0, 0, 0);
        for _ in 0..trials {
            let (slope, carrier) = (random.within(0.95, 1.1), random.within(0.0, 6.0));
            let module = mean_of(square(
                random.within(2.0, 8.0),
                random.within(10.0, 30.0),
                random.within(3.0, 12.0),
                random.within(0.3, 0.7),
            ));
            let warming = random.within(0.0, 0.2);
            let [g_out, g_in] = [0.01, 0.02].map(|limit| 1.0 + random.within(-limit, limit));
            let [o_out, o_in] = [0.05, 0.1].map(|limit| random.within(-limit, limit));
            let late = random.within(0.0, 0.05);
            let inner = rail(
                &inner_limits,
                |a, b| {
                    let read = module(a - late, b - late) * g_in + o_in;
                    (read / 0.05).round() * 0.05
                },
                S / 20,
                40,
            );
            let outer = rail(
                &outer_limits,
                |a, b| {
                    let truth =
                        slope * module(a, b) + carrier + warming * (1.0 - (-b / 15.0).exp());
                    ((truth * g_out + o_out) / 0.01).round() * 0.01
                },
                S / 100,
                40,
            );
            let line = reconcile(&outer, &inner, MonoNs(S), MonoNs(40 * S)).line;
            let Ok(line) = line else { continue };
            told += 1;
            slopes += u32::from((line.slope - slope).abs() <= line.slope_u95);
            // What the carrier takes in the mean: it is warm for most of the run.
            let mean = carrier
                + warming
                    * (1.0 - 15.0 / 39.0 * ((-1.0f64 / 15.0).exp() - (-40.0f64 / 15.0).exp()));
            offsets += u32::from((line.offset_w - mean).abs() <= line.offset_w_u95);
        }
        assert!(told >= trials * 9 / 10, "{told} of {trials}");
        assert!(slopes >= told * 94 / 100, "{slopes} of {told}");
        assert!(offsets >= told * 94 / 100, "{offsets} of {told}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Of ideal windows the line is exact, whatever it is.
        #[test]
        fn an_exact_line_is_found_exactly(
            slope in 0.5..2.0f64,
            offset in -5.0..20.0f64,
            low in 1.0..5.0f64,
            step in 1.0..30.0f64,
            period in 2.0..20.0f64,
        ) {
            let none = ErrorLimits::default();
            let inside = mean_of(square(low, low + step, period, 0.5));
            let inner = rail(&none, &inside, S / 50, 40);
            let outer = rail(&none, |a, b| slope * inside(a, b) + offset, S / 50, 40);
            let line = compared(&outer, &inner, 40).line.unwrap();
            prop_assert!((line.slope / slope - 1.0).abs() < 1e-3, "{line:?}");
            prop_assert!((line.offset_w - offset).abs() < 0.03 * slope * (low + step), "{line:?}");
        }
    }
}
