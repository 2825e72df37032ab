//! Idle before and after the work: its power, and the baseline that net energy subtracts.

use super::estimate::rectangular;
use super::settling::{Line, trailing};
use super::{Estimate, Figure, Reason, Trace};
use crate::units::{MonoNs, Span};

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
    ///
    /// The level stands for idle at other times, so how idle power itself fluctuates is part
    /// of its noise.
    pub fn measure(trace: &Trace, t0: MonoNs, t1: MonoNs, minimum: Span) -> Self {
        let t0 = trailing(t0, t1, minimum);
        let (t0, t1) = trace.whole_windows(t0, t1).unwrap_or((t0, t1));
        Self {
            t0,
            t1,
            power_w: trace.measure(t0, t1).power_w().map(|power| {
                let spread = Line::fit(trace, t0, t1).map_or(0.0, |line| line.spread_w);
                Estimate {
                    noise: power.noise.hypot(spread),
                    ..power
                }
            }),
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
            lag: power.lag,
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
