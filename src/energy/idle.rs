//! Idle before and after the work: when it has settled, its power, and the baseline that net
//! energy subtracts.

use super::estimate::rectangular;
use super::{Estimate, Figure, Reason, Trace};
use crate::units::{MonoNs, Span};

/// An idle phase that has not settled by then ends unsettled.
pub const GIVE_UP: Span = Span(120_000_000_000);

/// A rail that has delivered nothing for so long has failed: no idle phase waits for it.
const SILENCE: Span = Span(10_000_000_000);

/// The slope may move the power by this share of its mean ...
const MAX_DRIFT: f64 = 0.02;
/// ... in this time.
const DRIFT_HORIZON: Span = Span(60_000_000_000);

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
fn trailing(t0: MonoNs, now: MonoNs, minimum: Span) -> MonoNs {
    let half = Span(now.since(t0).0 / 2);
    (now - minimum.max(half)).max(t0)
}

/// Judges an idle phase that began at `t0` and lasts at least `minimum`. Cheap enough to ask
/// a few times a second. The trace may lag behind `now` by a window.
pub fn settling(trace: &Trace, t0: MonoNs, now: MonoNs, minimum: Span) -> Settling {
    if now.since(t0) < minimum {
        return Settling::Waiting;
    }
    let end = trace.end().map_or(t0, |end| end.min(now));
    if drift(trace, trailing(t0, end, minimum), end).is_some_and(|drift| drift < MAX_DRIFT) {
        Settling::Settled
    } else if now.since(end.max(t0)) >= SILENCE || now.since(t0) >= minimum.max(GIVE_UP) {
        Settling::GivenUp
    } else {
        Settling::Waiting
    }
}

/// Slope of the power by least squares, over [`DRIFT_HORIZON`], as a share of the mean.
/// `None` where the interval has no energy.
fn drift(trace: &Trace, t0: MonoNs, t1: MonoNs) -> Option<f64> {
    let measured = trace.measure(t0, t1);
    let mean = measured.power_w().ok()?.value.abs();
    let ns = u128::from(measured.span().0);
    let part = |k: u64| Span((ns * u128::from(k) / u128::from(FIT_POINTS)) as u64);
    let cut = |k: u64| trace.shown(t0 + part(k));
    let n = FIT_POINTS as f64;
    // For equally spaced points the normal equations reduce to one sum.
    let moment: f64 = (0..FIT_POINTS)
        .map(|k| {
            let energy = trace.joules(cut(k), cut(k + 1));
            (k as f64 - (n - 1.0) / 2.0) * energy.0
        })
        .sum();
    let part_s = measured.span().as_secs_f64() / n;
    let slope_w_per_s = 12.0 * moment / (n * (n * n - 1.0)) / (part_s * part_s);
    Some(slope_w_per_s.abs() * DRIFT_HORIZON.as_secs_f64() / mean).filter(|d| d.is_finite())
}

/// The power of one idle phase.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdleLevel {
    /// The stretch that the power is the mean of; it ends with the phase.
    pub t0: MonoNs,
    pub t1: MonoNs,
    pub power_w: Figure,
}

impl IdleLevel {
    /// The level of the idle phase from `t0` to `t1`, over the stretch that [`settling`]
    /// judged: longer phases are those that had to settle first. Only complete windows count,
    /// since those at its ends are half work, and fewer than 3 give no level. The phase's
    /// energy in the timeline is that of all of it.
    pub fn measure(trace: &Trace, t0: MonoNs, t1: MonoNs, minimum: Span) -> Self {
        let t0 = trailing(t0, t1, minimum);
        let (t0, t1) = trace.whole_windows(t0, t1).unwrap_or((t0, t1));
        Self {
            t0,
            t1,
            power_w: trace.measure(t0, t1).power_w(),
        }
    }

    fn middle(&self) -> f64 {
        0.5 * (self.t0.0 as f64 + self.t1.0 as f64)
    }
}

/// The power that the board would have drawn idle, linear in time from the middle of one
/// idle phase to the middle of the other, constant beyond them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Baseline {
    before: (f64, Estimate),
    after: (f64, Estimate),
}

impl Baseline {
    /// `None` without any idle phase that has a power. With one alone the baseline is
    /// constant, and nothing is known about its drift.
    pub fn new(before: Option<&IdleLevel>, after: Option<&IdleLevel>) -> Option<Self> {
        let point = |level: &IdleLevel| Some((level.middle(), level.power_w.ok()?));
        let before = before.and_then(point);
        let after = after.and_then(point);
        Some(Self {
            before: before.or(after)?,
            after: after.or(before)?,
        })
    }

    /// Energy of the baseline from `t0` to `t1`. Every interval subtracts the same baseline,
    /// so what is random in it and its drift don't average out.
    pub fn energy_j(&self, t0: MonoNs, t1: MonoNs) -> Estimate {
        let (from, to) = (self.before.0, self.after.0);
        let middle = 0.5 * (t0.0 as f64 + t1.0 as f64);
        let share = if to > from {
            ((middle - from) / (to - from)).clamp(0.0, 1.0)
        } else {
            0.5
        };
        let (before, after) = (self.before.1, self.after.1);
        let power = before.scaled(1.0 - share) + after.scaled(share);
        let drift = rectangular(0.5 * (after.value - before.value).abs());
        Estimate {
            value: power.value,
            scale: power.scale,
            offset: power.offset,
            baseline: power.quantisation.hypot(power.u_ran()),
            drift,
            ..Estimate::ZERO
        }
        .scaled(t1.since(t0).as_secs_f64())
    }
}

/// `gross` less the baseline; withheld below three of its standard uncertainties.
pub(super) fn net(gross: Figure, baseline: Option<&Baseline>, t0: MonoNs, t1: MonoNs) -> Figure {
    let gross = gross?;
    let baseline = baseline.ok_or(Reason::NoBaseline)?;
    let net = gross.minus(baseline.energy_j(t0, t1));
    if net.value < 3.0 * net.u() {
        return Err(Reason::BelowNoise);
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::super::signal::{Integral, sampled};
    use super::*;

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
        let drift = drift(&trace, MonoNs(0), MonoNs(20 * S)).unwrap();
        assert!((drift - 0.060 / 2.99).abs() < 1e-5, "{drift}");
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
    fn the_level_is_that_of_the_stretch_that_settled() {
        let trace = at_20_hz(
            &|t| {
                if t < 50.0 {
                    9.0 * t
                } else {
                    450.0 + 3.0 * (t - 50.0)
                }
            },
            100,
        );
        let level = IdleLevel::measure(&trace, MonoNs(0), MonoNs(100 * S), Span(10 * S));
        assert_eq!(level.t0, MonoNs(50 * S));
        assert!((level.power_w.unwrap().value - 3.0).abs() < 1e-9);
    }

    #[test]
    fn work_beside_an_idle_phase_is_not_in_its_level() {
        // 9 W until 10 s and from 20 s on, in the middle of a window of 50 ms.
        let power = |t: f64| 3.0 * t + 6.0 * (t.min(10.02) + (t - 20.02).max(0.0));
        let trace = at_20_hz(&power, 30);
        let (t0, t1) = (MonoNs(10_020_000_000), MonoNs(20_020_000_000));
        let level = IdleLevel::measure(&trace, t0, t1, Span(10 * S));
        assert!((level.power_w.unwrap().value - 3.0).abs() < 1e-9);
        assert_eq!((level.t0.0, level.t1.0), (10_050_000_000, 20_000_000_000));
        let phase = trace.measure(t0, t1).power_w().unwrap();
        assert!(phase.value - 3.0 > 0.01);
    }

    fn level(t0: u64, t1: u64, watts: f64) -> IdleLevel {
        IdleLevel {
            t0: MonoNs(t0 * S),
            t1: MonoNs(t1 * S),
            power_w: Ok(Estimate {
                value: watts,
                scale: 0.01 * watts,
                offset: 0.05,
                ..Estimate::default()
            }),
        }
    }

    #[test]
    fn the_baseline_is_linear_between_the_middles_with_half_the_drift_as_limit() {
        let baseline = Baseline::new(Some(&level(0, 10, 3.0)), Some(&level(95, 115, 3.5)));
        let baseline = baseline.unwrap();
        let e = baseline.energy_j(MonoNs(50 * S), MonoNs(60 * S));
        assert!((e.value - 32.5).abs() < 1e-9);
        assert!((e.scale - 0.325).abs() < 1e-9);
        assert!((e.drift - 2.5 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(e.u_ran(), 0.0);
        assert!((baseline.energy_j(MonoNs(0), MonoNs(2 * S)).value - 6.0).abs() < 1e-9);
    }

    #[test]
    fn one_idle_phase_makes_a_constant_baseline_and_none_makes_none() {
        let one = Baseline::new(None, Some(&level(90, 100, 3.0))).unwrap();
        let e = one.energy_j(MonoNs(10 * S), MonoNs(20 * S));
        assert!((e.value - 30.0).abs() < 1e-9);
        assert_eq!(e.drift, 0.0);
        let coarse = IdleLevel {
            power_w: Err(Reason::TooCoarse),
            ..level(0, 1, 0.0)
        };
        assert_eq!(Baseline::new(Some(&coarse), None), None);
        let gross = Ok(Estimate::default());
        assert_eq!(
            net(gross, None, MonoNs(0), MonoNs(1)),
            Err(Reason::NoBaseline)
        );
    }

    #[test]
    fn net_drops_the_offset_and_is_withheld_in_the_noise() {
        let baseline = Baseline::new(Some(&level(0, 10, 3.0)), Some(&level(90, 100, 3.0)));
        let gross = |joules: f64| {
            Ok(Estimate {
                value: joules,
                scale: 0.01 * joules,
                offset: 0.5,
                boundary: 0.1,
                ..Estimate::default()
            })
        };
        let of = |joules| {
            net(
                gross(joules),
                baseline.as_ref(),
                MonoNs(20 * S),
                MonoNs(30 * S),
            )
        };
        let clear = of(60.0).unwrap();
        assert!((clear.value - 30.0).abs() < 1e-9);
        assert!((clear.scale - 0.3).abs() < 1e-9);
        assert!(clear.offset.abs() < 1e-9);
        assert_eq!(of(30.2), Err(Reason::BelowNoise));
        assert_eq!(of(29.0), Err(Reason::BelowNoise));
        let missing = net(
            Err(Reason::Coverage),
            baseline.as_ref(),
            MonoNs(0),
            MonoNs(1),
        );
        assert_eq!(missing, Err(Reason::Coverage));
    }
}
