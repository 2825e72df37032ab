//! Quantities with their unit in the type. At the wire and in files the unit is in the
//! name instead (`energy_j`, `t0_ns`, `power_w`).

use serde::{Deserialize, Serialize};
use std::ops::{Add, Div, Mul, Neg, Sub};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }
        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
                Self(parts.map(|part| part.0).sum())
            }
        }
    };
}

quantity!(
    /// Energy in joules.
    Joules
);
quantity!(
    /// Power in watts.
    Watts
);
quantity!(
    /// Potential difference in volts.
    Volts
);
quantity!(
    /// Current in amperes.
    Amps
);
quantity!(
    /// Resistance in ohms.
    Ohms
);

impl Mul<Amps> for Volts {
    type Output = Watts;
    fn mul(self, current: Amps) -> Watts {
        Watts(self.0 * current.0)
    }
}

impl Div<Ohms> for Volts {
    type Output = Amps;
    fn div(self, resistance: Ohms) -> Amps {
        Amps(self.0 / resistance.0)
    }
}

impl Mul<Span> for Watts {
    type Output = Joules;
    fn mul(self, span: Span) -> Joules {
        Joules(self.0 * span.as_secs_f64())
    }
}

impl Div<Span> for Joules {
    type Output = Watts;
    fn div(self, span: Span) -> Watts {
        Watts(self.0 / span.as_secs_f64())
    }
}

/// A moment on this host's CLOCK_MONOTONIC, in nanoseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MonoNs(pub u64);

/// A length of time in nanoseconds, never negative.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(pub u64);

impl MonoNs {
    /// The time from `earlier` to `self`; zero when `earlier` is not earlier.
    pub fn since(self, earlier: MonoNs) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for MonoNs {
    type Output = MonoNs;
    /// The clock ends in 584 years. Times that a file invents may lie beyond: they are its
    /// end.
    fn add(self, span: Span) -> MonoNs {
        MonoNs(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for MonoNs {
    type Output = MonoNs;
    fn sub(self, span: Span) -> MonoNs {
        MonoNs(self.0.saturating_sub(span.0))
    }
}

impl Span {
    pub const fn from_micros(us: u64) -> Span {
        Span(us * 1_000)
    }

    pub const fn from_millis(ms: u64) -> Span {
        Span(ms * 1_000_000)
    }

    /// Rounds to nanoseconds; a negative or non-finite length becomes zero.
    pub fn from_secs_f64(seconds: f64) -> Span {
        Span((seconds * 1e9).round().max(0.0) as u64)
    }

    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 * 1e-9
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ohms_law_and_energy() {
        let current = Volts(0.04) / Ohms(0.01);
        let power = Volts(5.0) * current;
        assert_eq!(power, Watts(20.0));
        assert_eq!(power * Span::from_millis(500), Joules(10.0));
        assert_eq!(Joules(10.0) / Span::from_millis(500), power);
    }

    #[test]
    fn a_span_is_never_negative() {
        assert_eq!(MonoNs(5).since(MonoNs(9)), Span(0));
        assert_eq!(Span::from_secs_f64(-1.0), Span(0));
        assert_eq!(Span::from_secs_f64(f64::NAN), Span(0));
    }
}
