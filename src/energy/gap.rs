//! Time between the windows of a trace: bridged at the mean power of the windows beside it.

use crate::units::MonoNs;

/// One gap and the sums over all gaps before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gap {
    pub t0: MonoNs,
    pub t1: MonoNs,
    /// Mean power of the two windows beside it.
    pub power: f64,
    /// How far off that may be: the range of the powers around it.
    pub limit: f64,
    ns_before: u64,
    joules_before: f64,
    /// Sum of squared standard uncertainties, in J².
    variance_before: f64,
}

/// Bridged time of an interval and what is known about it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bridged {
    pub ns: u64,
    pub joules: f64,
    pub variance: f64,
}

impl Bridged {
    /// `ns` at `power` ± `limit` watts, rectangular.
    pub fn stretch(ns: u64, power: f64, limit: f64) -> Self {
        let seconds = ns as f64 * 1e-9;
        Self {
            ns,
            joules: power * seconds,
            variance: (limit * seconds).powi(2) / 3.0,
        }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            ns: self.ns + other.ns,
            joules: self.joules + other.joules,
            variance: self.variance + other.variance,
        }
    }
}

/// The gaps of a trace in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Gaps(Vec<Gap>);

impl Gaps {
    pub fn push(&mut self, t0: MonoNs, t1: MonoNs, power: f64, limit: f64) {
        let before = self.0.last().map_or_else(Bridged::default, Gap::through);
        self.0.push(Gap {
            t0,
            t1,
            power,
            limit,
            ns_before: before.ns,
            joules_before: before.joules,
            variance_before: before.variance,
        });
    }

    /// What lies inside `[t0, t1]`.
    pub fn between(&self, t0: MonoNs, t1: MonoNs) -> Bridged {
        let first = self.0.partition_point(|gap| gap.t1 <= t0);
        let end = self.0.partition_point(|gap| gap.t0 < t1);
        if first >= end {
            return Bridged::default();
        }
        let head = self.0[first].inside(t0, t1);
        if end - first == 1 {
            return head;
        }
        let tail = self.0[end - 1].inside(t0, t1);
        let (from, to) = (self.0[first].through(), self.0[end - 1].before());
        let middle = Bridged {
            ns: to.ns - from.ns,
            joules: to.joules - from.joules,
            variance: (to.variance - from.variance).max(0.0),
        };
        head.plus(middle).plus(tail)
    }
}

impl Gap {
    fn before(&self) -> Bridged {
        Bridged {
            ns: self.ns_before,
            joules: self.joules_before,
            variance: self.variance_before,
        }
    }

    fn through(&self) -> Bridged {
        self.before().plus(self.inside(self.t0, self.t1))
    }

    fn inside(&self, t0: MonoNs, t1: MonoNs) -> Bridged {
        let ns = t1.min(self.t1).since(t0.max(self.t0)).0;
        Bridged::stretch(ns, self.power, self.limit)
    }
}
