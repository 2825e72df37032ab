//! What a trace says about one interval, and the rules that withhold it.

use super::{Estimate, Figure, Reason, Trace};
use crate::units::{Joules, MonoNs, Span, Volts};

/// A token, prefill, decode or load with fewer complete windows is too coarse.
pub const MIN_WINDOWS: u64 = 3;

/// With fewer complete windows a figure stands, but is not resolved.
pub const RESOLVED_WINDOWS: u64 = 10;

/// At most 1 % of an interval is bridged.
pub const MIN_COVERAGE: f64 = 0.99;

/// One interval of one rail.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub t0: MonoNs,
    pub t1: MonoNs,
    /// Energy with bridged parts, before any rule has withheld it.
    pub raw: Estimate,
    /// Share of the interval inside delivered windows.
    pub coverage: f64,
    /// Windows that lie wholly inside.
    pub windows: u64,
    /// Windows with any part inside.
    pub touched: u64,
    /// Conversions known to be lost.
    pub lost: u64,
    pub bridged: Joules,
    pub bridged_time: Span,
    pub saturated: u64,
    pub near_full_scale: u64,
    /// Limits of the error of splitting the windows at `t0` and `t1`, negative where power
    /// falls.
    pub boundary: [Joules; 2],
    /// Limit of the error of readings that are older than they seem.
    pub age: Joules,
    /// Standard uncertainty from the parts of the windows in which the source is blind.
    pub blind_u: Joules,
    /// Standard uncertainty that the correction of the rail's delay leaves: the same error
    /// throughout an attempt.
    pub delay_u: Joules,
    /// Standard uncertainty of the bridged energy.
    pub bridged_u: Joules,
    pub volts: Option<Volts>,
    /// Whether noise above one ADC step averages the quantisation out.
    pub dithered: bool,
}

impl Trace {
    /// Measures from `t0` to `t1`; an interval that ends before it begins is empty.
    pub fn measure(&self, t0: MonoNs, t1: MonoNs) -> Measured {
        let of_load = (t0, t1.max(t0));
        let (t0, t1) = (self.shown(of_load.0), self.shown(of_load.1));
        let touched = self.touched(t0, t1);
        let bridged = self.bridged(t0, t1);
        let span = t1.since(t0);
        let mut measured = Measured {
            t0: of_load.0,
            t1: of_load.1,
            raw: Estimate::default(),
            coverage: match span.0 {
                0 => f64::from(u8::from(!touched.is_empty())),
                ns => (ns - bridged.ns.min(ns)) as f64 / ns as f64,
            },
            windows: self.complete(t0, t1),
            touched: touched.len() as u64,
            lost: self.lost_in(t0, t1),
            bridged: Joules(bridged.joules),
            bridged_time: Span(bridged.ns),
            saturated: self.saturated_in(&touched),
            near_full_scale: self.near_full_scale_in(&touched),
            boundary: [self.boundary_limit(t0), self.boundary_limit(t1)],
            age: self.age_limit(t0, t1),
            blind_u: self.blind_u(t0, t1),
            delay_u: self.delay_u(t0, t1),
            bridged_u: Joules(bridged.variance.sqrt()),
            volts: self.mean_volts(t0, t1).map(Volts),
            dithered: self.dithered(&touched),
        };
        measured.raw = self.budget().estimate(self.joules(t0, t1), &measured);
        measured
    }
}

impl Measured {
    pub fn span(&self) -> Span {
        self.t1.since(self.t0)
    }

    /// The energy of a token, prefill, decode or load. Where more than one rule
    /// withholds it, the reason is the first of `no-data`, `saturated`, `coverage`,
    /// `too-coarse`: what the user must mend comes before what a faster sensor would.
    pub fn energy_j(&self) -> Figure {
        match self.share_j() {
            Ok(_) if self.windows < MIN_WINDOWS => Err(Reason::TooCoarse),
            share => share,
        }
    }

    /// The energy of any other stretch of the timeline, however short. Its uncertainty says
    /// how little a part of one window is worth.
    pub fn share_j(&self) -> Figure {
        if self.touched == 0 {
            Err(Reason::NoData)
        } else if self.saturated > 0 {
            Err(Reason::Saturated)
        } else if self.coverage < MIN_COVERAGE {
            Err(Reason::Coverage)
        } else {
            Ok(self.raw)
        }
    }

    /// Mean power by the rule of [`Self::energy_j`].
    pub fn power_w(&self) -> Figure {
        let seconds = self.span().as_secs_f64();
        self.energy_j().map(|energy| energy.scaled(seconds.recip()))
    }

    pub fn resolved(&self) -> bool {
        self.windows >= RESOLVED_WINDOWS && self.energy_j().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::{sampled, window};
    use super::*;
    use crate::sensor::{Quality, Window};

    const MS: u64 = 1_000_000;

    fn at(trace: &Trace, t0: u64, t1: u64) -> Measured {
        trace.measure(MonoNs(t0), MonoNs(t1))
    }

    fn value(figure: Figure) -> Result<f64, Reason> {
        figure.map(|estimate| (estimate.value * 1e6).round() / 1e6)
    }

    #[test]
    fn fewer_than_three_complete_windows_are_too_coarse() {
        let trace = sampled(&|t| 5.0 * t, 0, 10 * MS, 100);
        assert_eq!(
            at(&trace, 5 * MS, 35 * MS).energy_j(),
            Err(Reason::TooCoarse)
        );
        assert_eq!(value(at(&trace, 5 * MS, 35 * MS).share_j()), Ok(0.15));
        let three = at(&trace, 10 * MS, 40 * MS);
        assert_eq!(value(three.energy_j()), Ok(0.15));
        assert!(!three.resolved());
        assert!(at(&trace, 10 * MS, 110 * MS).resolved());
        assert_eq!(value(at(&trace, 0, 1000 * MS).power_w()), Ok(5.0));
    }

    #[test]
    fn one_percent_may_be_missing() {
        let mut trace = Trace::default();
        for k in (0..300u64).filter(|k| *k != 50 && *k != 150 && *k != 151) {
            trace.push(&Window {
                lost: u32::from(k == 51) + 2 * u32::from(k == 152),
                ..window(k * MS, (k + 1) * MS, 2.0)
            });
        }
        let good = at(&trace, 0, 100 * MS);
        assert_eq!(value(good.energy_j()), Ok(0.2));
        assert_eq!((good.coverage, good.lost), (0.99, 1));
        assert_eq!(at(&trace, 0, 50 * MS).lost, 0);
        assert_eq!(at(&trace, 51 * MS, 100 * MS).lost, 0);
        assert_eq!(
            at(&trace, 100 * MS, 200 * MS).energy_j(),
            Err(Reason::Coverage)
        );
        assert_eq!(at(&trace, 0, 300 * MS).lost, 3);
        assert_eq!(value(at(&trace, 0, 300 * MS).energy_j()), Ok(0.6));
        assert_eq!(
            at(&trace, 290 * MS, 310 * MS).energy_j(),
            Err(Reason::Coverage)
        );
    }

    #[test]
    fn nothing_delivered_is_no_data_and_not_zero() {
        assert_eq!(at(&Trace::default(), 0, MS).energy_j(), Err(Reason::NoData));
        let trace = sampled(&|t| t, 0, MS, 10);
        assert_eq!(at(&trace, 20 * MS, 30 * MS).share_j(), Err(Reason::NoData));
    }

    #[test]
    fn one_saturated_window_withholds_the_figure_before_anything_else() {
        let mut trace = Trace::default();
        for k in 0..20 {
            trace.push(&Window {
                quality: match k {
                    5 => Quality::Saturated,
                    7 => Quality::NearFullScale,
                    _ => Quality::Good,
                },
                ..window(k * MS, (k + 1) * MS, 2.0)
            });
        }
        assert_eq!(at(&trace, 0, 20 * MS).energy_j(), Err(Reason::Saturated));
        assert_eq!(
            at(&trace, 5 * MS + 1, 40 * MS).energy_j(),
            Err(Reason::Saturated)
        );
        let after = at(&trace, 6 * MS, 20 * MS);
        assert!(after.energy_j().is_ok());
        assert_eq!(after.near_full_scale, 1);
    }

    #[test]
    fn an_interval_that_ends_before_it_begins_is_empty() {
        let trace = sampled(&|t| t, 0, MS, 10);
        let empty = at(&trace, 5 * MS, 4 * MS);
        assert_eq!((empty.span(), empty.raw.value), (Span(0), 0.0));
        assert!(empty.energy_j().is_err() && empty.power_w().is_err());
    }
}
