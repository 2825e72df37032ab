//! A value with its standard uncertainty, kept in parts that combine differently.
//!
//! The parts follow the GUM (JCGM 100:2008): a rectangular limit `a` is a standard
//! uncertainty `a/√3`, independent parts combine in quadrature, fully correlated ones
//! linearly and with their sign. `u95` is the expanded uncertainty with k = 2.

use super::Reason;
use std::iter::Sum;
use std::ops::Add;

/// An estimate, or why there is none.
pub type Figure = Result<Estimate, Reason>;

/// The standard uncertainty of a rectangular distribution with this half-width.
pub fn rectangular(limit: f64) -> f64 {
    limit / 3f64.sqrt()
}

/// A value and the standard uncertainties of its parts, all in the value's unit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    pub value: f64,
    /// Systematic, proportional to the value: shunt, gain, bus gain, time base. Signed, so
    /// that a difference keeps the share that belongs to it.
    pub scale: f64,
    /// Systematic, a constant power: zero offset. Signed, so that it cancels in a difference
    /// of equal lengths.
    pub offset: f64,
    /// Systematic, different at each power level: quantisation without noise.
    pub quantisation: f64,
    /// Systematic, of a net energy: quantisation and chance in the idle power.
    pub baseline: f64,
    /// Systematic, of a net energy: how far idle power had moved from before to after.
    pub drift: f64,
    /// Systematic: what the correction by an uncertain delay leaves. Its sign follows the
    /// steps of the power, which are not kept, so it only ever adds up.
    pub lag: f64,
    /// Random: quantisation under noise.
    pub noise: f64,
    /// Random: the split of the windows at both ends.
    pub boundary: f64,
    /// Random: readings that are older than they seem.
    pub age: f64,
    /// Random: changes of power while the source doesn't look.
    pub duty: f64,
    /// Random: time that no window covers.
    pub bridged: f64,
}

impl Estimate {
    /// Nothing, known exactly.
    pub const ZERO: Self = Self {
        value: 0.0,
        scale: 0.0,
        offset: 0.0,
        quantisation: 0.0,
        baseline: 0.0,
        drift: 0.0,
        lag: 0.0,
        noise: 0.0,
        boundary: 0.0,
        age: 0.0,
        duty: 0.0,
        bridged: 0.0,
    };

    /// Standard uncertainty of everything that repeating does not average away.
    pub fn u_sys(&self) -> f64 {
        let level = self.quantisation.hypot(self.baseline).hypot(self.drift);
        let all = self.scale.hypot(self.offset).hypot(level);
        all.hypot(self.lag)
    }

    /// [`Self::u_sys`] as a share of the value; `None` for a value of 0.
    pub fn u_sys_rel(&self) -> Option<f64> {
        (self.value != 0.0).then(|| self.u_sys() / self.value.abs())
    }

    /// Standard uncertainty of what repeating averages away.
    pub fn u_ran(&self) -> f64 {
        let ends = self.boundary.hypot(self.age);
        let between = self.duty.hypot(self.bridged);
        self.noise.hypot(ends).hypot(between)
    }

    /// Combined standard uncertainty.
    pub fn u(&self) -> f64 {
        self.u_sys().hypot(self.u_ran())
    }

    /// Expanded uncertainty, k = 2.
    pub fn u95(&self) -> f64 {
        2.0 * self.u()
    }

    /// The estimate in another unit or per something counted exactly.
    pub fn scaled(self, factor: f64) -> Self {
        let size = factor.abs();
        Self {
            value: self.value * factor,
            scale: self.scale * factor,
            offset: self.offset * factor,
            ..self.unsigned(|part| part * size)
        }
    }

    /// `self − other` of the same rail and range: scale and offset are the same errors on
    /// both sides. So is the lag, but it may be to the loss of either. All others are
    /// independent.
    pub fn minus(self, other: Self) -> Self {
        Self {
            value: self.value - other.value,
            scale: self.scale - other.scale,
            offset: self.offset - other.offset,
            quantisation: self.quantisation.hypot(other.quantisation),
            baseline: self.baseline.hypot(other.baseline),
            drift: self.drift.hypot(other.drift),
            lag: self.lag + other.lag,
            ..self.random_with(other)
        }
    }

    fn unsigned(self, of: impl Fn(f64) -> f64) -> Self {
        Self {
            quantisation: of(self.quantisation),
            baseline: of(self.baseline),
            drift: of(self.drift),
            lag: of(self.lag),
            noise: of(self.noise),
            boundary: of(self.boundary),
            age: of(self.age),
            duty: of(self.duty),
            bridged: of(self.bridged),
            ..self
        }
    }

    /// The random parts of both, independent of one another.
    fn random_with(self, other: Self) -> Self {
        Self {
            noise: self.noise.hypot(other.noise),
            boundary: self.boundary.hypot(other.boundary),
            age: self.age.hypot(other.age),
            duty: self.duty.hypot(other.duty),
            bridged: self.bridged.hypot(other.bridged),
            ..self
        }
    }
}

/// A sum on one rail, or over rails: systematics linearly, random parts in quadrature. Where
/// the parts share a boundary its error counts twice here and not at all in truth, so measure
/// the whole interval instead when it can be had.
impl Add for Estimate {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            value: self.value + other.value,
            scale: self.scale + other.scale,
            offset: self.offset + other.offset,
            quantisation: self.quantisation + other.quantisation,
            baseline: self.baseline + other.baseline,
            drift: self.drift + other.drift,
            lag: self.lag + other.lag,
            ..self.random_with(other)
        }
    }
}

impl Sum for Estimate {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: Estimate = Estimate {
        value: 10.0,
        scale: 0.1,
        offset: 0.2,
        quantisation: 0.02,
        boundary: 0.3,
        ..Estimate::ZERO
    };

    #[test]
    fn systematics_add_linearly_and_random_parts_in_quadrature() {
        let sum: Estimate = std::iter::repeat_n(E, 100).sum();
        assert!((sum.scale - 10.0).abs() < 1e-9);
        assert!((sum.offset - 20.0).abs() < 1e-9);
        assert!((sum.quantisation - 2.0).abs() < 1e-9);
        assert!((sum.u_ran() - 3.0).abs() < 1e-9);
        let mean = sum.scaled(0.01);
        assert!((mean.u_sys() - E.u_sys()).abs() < 1e-9);
        assert!((mean.u_ran() - 0.03).abs() < 1e-9);
    }

    #[test]
    fn a_difference_keeps_the_scale_of_what_is_left_and_drops_the_offset() {
        let net = E.minus(Estimate {
            value: 4.0,
            scale: 0.04,
            ..E
        });
        assert!((net.scale / net.value - 0.01).abs() < 1e-12);
        assert_eq!(net.offset, 0.0);
        assert!(net.quantisation > E.quantisation);
    }

    /// A delay that is known too short is so in every repetition.
    #[test]
    fn the_lag_is_the_same_error_in_each_part_of_a_sum_and_cancels_in_no_difference() {
        let e = Estimate {
            value: 10.0,
            lag: 0.1,
            ..Estimate::ZERO
        };
        let mean = std::iter::repeat_n(e, 100).sum::<Estimate>().scaled(0.01);
        assert!((mean.lag - 0.1).abs() < 1e-12);
        assert_eq!((mean.u_sys(), mean.u_ran()), (mean.lag, 0.0));
        assert!((e.minus(e).lag - 0.2).abs() < 1e-12);
        assert!((e.scaled(-2.0).lag - 0.2).abs() < 1e-12);
    }

    #[test]
    fn the_expanded_uncertainty_is_twice_the_combined_one() {
        let u = (0.1f64.powi(2) + 0.2f64.powi(2) + 0.02f64.powi(2) + 0.3f64.powi(2)).sqrt();
        assert!((E.u95() - 2.0 * u).abs() < 1e-12);
        assert_eq!(Estimate::default().u_sys_rel(), None);
    }
}
