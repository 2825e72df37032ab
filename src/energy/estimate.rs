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
    /// Systematic, different at each power level: quantisation without noise, and the
    /// baseline once it has been subtracted.
    pub level: f64,
    /// Random: quantisation under noise, boundary split, bridged time.
    pub random: f64,
}

impl Estimate {
    /// Standard uncertainty of everything that repeating does not average away.
    pub fn u_sys(&self) -> f64 {
        self.scale.hypot(self.offset).hypot(self.level)
    }

    /// [`Self::u_sys`] as a share of the value; `None` for a value of 0.
    pub fn u_sys_rel(&self) -> Option<f64> {
        (self.value != 0.0).then(|| self.u_sys() / self.value.abs())
    }

    /// Combined standard uncertainty.
    pub fn u(&self) -> f64 {
        self.u_sys().hypot(self.random)
    }

    /// Expanded uncertainty, k = 2.
    pub fn u95(&self) -> f64 {
        2.0 * self.u()
    }

    /// The estimate in another unit or per something counted exactly.
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            value: self.value * factor,
            scale: self.scale * factor,
            offset: self.offset * factor,
            level: self.level * factor.abs(),
            random: self.random * factor.abs(),
        }
    }

    /// `self − other` of the same rail and range: scale and offset are the same errors on
    /// both sides, the level errors of two different powers are independent.
    pub fn minus(self, other: Self) -> Self {
        Self {
            value: self.value - other.value,
            scale: self.scale - other.scale,
            offset: self.offset - other.offset,
            level: self.level.hypot(other.level),
            random: self.random.hypot(other.random),
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
            level: self.level + other.level,
            random: self.random.hypot(other.random),
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
        level: 0.02,
        random: 0.3,
    };

    #[test]
    fn systematics_add_linearly_and_random_parts_in_quadrature() {
        let sum: Estimate = std::iter::repeat_n(E, 100).sum();
        assert!((sum.scale - 10.0).abs() < 1e-9);
        assert!((sum.offset - 20.0).abs() < 1e-9);
        assert!((sum.level - 2.0).abs() < 1e-9);
        assert!((sum.random - 3.0).abs() < 1e-9);
        let mean = sum.scaled(0.01);
        assert!((mean.u_sys() - E.u_sys()).abs() < 1e-9);
        assert!((mean.random - 0.03).abs() < 1e-9);
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
        assert!(net.level > E.level);
    }

    #[test]
    fn the_expanded_uncertainty_is_twice_the_combined_one() {
        let u = (0.1f64.powi(2) + 0.2f64.powi(2) + 0.02f64.powi(2) + 0.3f64.powi(2)).sqrt();
        assert!((E.u95() - 2.0 * u).abs() < 1e-12);
        assert_eq!(Estimate::default().u_sys_rel(), None);
    }
}
