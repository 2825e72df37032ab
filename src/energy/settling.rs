//! When an idle phase has settled: its power neither moves nor jumps about.

use super::Trace;
use crate::units::{MonoNs, Span};

/// An idle phase that has not settled by then ends unsettled.
pub const GIVE_UP: Span = Span(120_000_000_000);

/// A rail that has delivered nothing for so long has failed: no idle phase waits for it.
const SILENCE: Span = Span(10_000_000_000);

/// The slope may move the power by this share of its mean ...
const MAX_DRIFT: f64 = 0.02;
/// ... in this time.
const DRIFT_HORIZON: Span = Span(60_000_000_000);

/// The mean is known to this share at least: a slope through mere noise says nothing. What is
/// left of it is in the idle power's uncertainty.
const MAX_SPREAD: f64 = 0.1;

/// Equal parts of the judged stretch whose mean powers the line is fitted to, so that a
/// judgement costs the same whatever the sensor's rate is.
const FIT_POINTS: u64 = 64;

/// Whether an idle phase may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    Waiting,
    Settled,
    GivenUp,
}

/// The stretch that settles the matter and gives the idle power: the last `minimum`, or half
/// of the time since the phase began, whichever is longer.
pub(super) fn trailing(t0: MonoNs, now: MonoNs, minimum: Span) -> MonoNs {
    let half = Span(now.since(t0).0 / 2);
    (now - minimum.max(half)).max(t0)
}

/// Judges an idle phase that began at `t0` and lasts at least `minimum`. Cheap enough to ask
/// a few times a second. The trace may lag behind `now` by a window, and by the delay that a
/// late rail is corrected for: what counts is how much of the phase it covers.
pub fn settling(trace: &Trace, t0: MonoNs, now: MonoNs, minimum: Span) -> Settling {
    if now.since(t0) < minimum {
        return Settling::Waiting;
    }
    let end = trace.end().map_or(t0, |end| end.min(now));
    let is_long = end.since(t0) >= minimum;
    let fit = || Line::fit(trace, trailing(t0, end, minimum), end);
    if is_long && fit().is_some_and(|line| line.is_settled()) {
        Settling::Settled
    } else if now.since(end.max(t0)) >= SILENCE || now.since(t0) >= minimum.max(GIVE_UP) {
        Settling::GivenUp
    } else {
        Settling::Waiting
    }
}

/// Power over a stretch as a straight line by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    mean_w: f64,
    slope_w_per_s: f64,
    /// Standard error of the mean, from the scatter around the line by batch means.
    pub spread_w: f64,
}

impl Line {
    /// `None` where the interval has no energy.
    pub fn fit(trace: &Trace, t0: MonoNs, t1: MonoNs) -> Option<Self> {
        let measured = trace.measure(t0, t1);
        let mean_w = measured.power_w().ok()?.value;
        let ns = u128::from(measured.span().0);
        let part = |k: u64| Span((ns * u128::from(k) / u128::from(FIT_POINTS)) as u64);
        let cut = |k: u64| trace.shown(t0 + part(k));
        let n = FIT_POINTS as f64;
        let part_s = measured.span().as_secs_f64() / n;
        let powers: Vec<f64> = (0..FIT_POINTS)
            .map(|k| trace.joules(cut(k), cut(k + 1)).0 / part_s)
            .collect();
        let place = |k: usize| k as f64 - (n - 1.0) / 2.0;
        // For equally spaced points the normal equations reduce to one sum.
        let moment: f64 = powers.iter().enumerate().map(|(k, p)| place(k) * p).sum();
        let slope = 12.0 * moment / (n * (n * n - 1.0));
        let residuals = powers
            .iter()
            .enumerate()
            .map(|(k, p)| p - mean_w - slope * place(k));
        let scatter = residuals.map(|residual| residual * residual).sum::<f64>() / n;
        // Parts shorter than a window are no batches of their own.
        let batches = measured.windows.min(FIT_POINTS) as f64;
        let line = Self {
            mean_w,
            slope_w_per_s: slope / part_s,
            spread_w: (scatter / (batches - 2.0).max(1.0)).sqrt(),
        };
        (line.slope_w_per_s.is_finite() && line.spread_w.is_finite()).then_some(line)
    }

    fn is_settled(&self) -> bool {
        let drift = self.slope_w_per_s.abs() * DRIFT_HORIZON.as_secs_f64();
        drift < MAX_DRIFT * self.mean_w.abs() && self.spread_w < MAX_SPREAD * self.mean_w.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::{Integral, Uniform, sampled, window};
    use super::*;
    use crate::measure::testing::late_rail;
    use crate::sensor::{Lag, RailSpec};

    const S: u64 = 1_000_000_000;

    fn at_20_hz(integral: Integral, seconds: u64) -> Trace {
        sampled(integral, 0, S / 20, 20 * seconds)
    }

    fn judged(trace: &Trace, seconds: u64) -> Settling {
        settling(trace, MonoNs(0), MonoNs(seconds * S), Span(10 * S))
    }

    #[test]
    fn steady_power_settles_at_the_minimum() {
        let trace = at_20_hz(&|t| 3.0 * t, 30);
        assert_eq!(judged(&trace, 9), Settling::Waiting);
        assert_eq!(judged(&trace, 10), Settling::Settled);
    }

    #[test]
    fn the_drift_is_that_of_the_fitted_line() {
        // 3 W falling by 1 mW/s: 60 mW a minute of a mean of 2.99 W at 10 s.
        let trace = at_20_hz(&|t| 3.0 * t - 0.0005 * t * t, 20);
        let line = Line::fit(&trace, MonoNs(0), MonoNs(20 * S)).unwrap();
        assert!((line.slope_w_per_s + 0.001).abs() < 1e-7, "{line:?}");
        assert!(
            (line.mean_w - 2.99).abs() < 1e-9 && line.spread_w < 1e-6,
            "{line:?}"
        );
    }

    #[test]
    fn cooling_settles_late_and_a_steady_slope_is_given_up() {
        // 2 W above 3 W, decaying with 10 s.
        let cooling = at_20_hz(&|t| 3.0 * t + 20.0 * (1.0 - (-t / 10.0).exp()), 200);
        assert_eq!(judged(&cooling, 20), Settling::Waiting);
        let settled = (10..120).find(|s| judged(&cooling, *s) == Settling::Settled);
        assert!((40..100).contains(&settled.unwrap()), "{settled:?}");
        let rising = at_20_hz(&|t| 3.0 * t + 0.005 * t * t, 200);
        assert_eq!(judged(&rising, 119), Settling::Waiting);
        assert_eq!(judged(&rising, 120), Settling::GivenUp);
    }

    #[test]
    fn a_rail_that_has_gone_silent_is_not_waited_for() {
        let gone = at_20_hz(&|t| 3.0 * t + 0.005 * t * t, 20);
        assert_eq!(judged(&gone, 29), Settling::Waiting);
        assert_eq!(judged(&gone, 30), Settling::GivenUp);
        assert_eq!(judged(&Trace::default(), 9), Settling::Waiting);
        assert_eq!(judged(&Trace::default(), 10), Settling::GivenUp);
    }

    #[test]
    fn a_late_rail_settles_once_it_covers_the_minimum() {
        // It shows the load 2 s late, as it was measured.
        let mut trace = Trace::of(&RailSpec {
            lag: Some(Lag {
                lag_s: 2.0,
                ..late_rail("input").lag.expect("it is late")
            }),
            ..late_rail("input")
        });
        let mut read_until = |seconds: u64| {
            let from = trace.measured_until().map_or(0, |end| end.0);
            for t0 in (from..seconds * S).step_by(S as usize / 20) {
                trace.push(&window(t0, t0 + S / 20, 3.0));
            }
            judged(&trace, seconds)
        };
        assert_eq!(read_until(10), Settling::Waiting);
        assert_eq!(read_until(11), Settling::Waiting);
        assert_eq!(read_until(12), Settling::Settled);
    }

    #[test]
    fn the_spread_is_the_standard_error_of_the_mean() {
        let mut random = Uniform(99);
        let mut trace = Trace::default();
        let mut means = Vec::new();
        let width = S / 64;
        for k in 0..64 * 400 {
            trace.push(&window(
                k * width,
                (k + 1) * width,
                3.0 + random.within(-0.6, 0.6),
            ));
        }
        let mut stated = 0.0;
        for k in 0..400 {
            let (t0, t1) = (MonoNs(k * S), MonoNs((k + 1) * S));
            let line = Line::fit(&trace, t0, t1).unwrap();
            means.push(line.mean_w - 3.0);
            stated += line.spread_w.powi(2) / 400.0;
        }
        let observed = means.iter().map(|error| error * error).sum::<f64>() / 400.0;
        assert!((0.85..1.15).contains(&(stated / observed).sqrt()));
    }

    #[test]
    fn power_that_jumps_about_has_not_settled() {
        // Bursts of 30 W for a tenth of each 5 s above 1 W, symmetric around 5 s.
        let burst = |t: f64| (t / 5.0).floor() * 15.0 + ((t % 5.0) - 2.25).clamp(0.0, 0.5) * 30.0;
        let trace = at_20_hz(&|t| t + burst(t), 10);
        let line = Line::fit(&trace, MonoNs(0), MonoNs(10 * S)).unwrap();
        assert!(line.slope_w_per_s.abs() < 1e-3, "{line:?}");
        assert_eq!(judged(&trace, 10), Settling::Waiting);
    }
}
