//! How far off a trace's energies may be: what the windows themselves tell about it.

use super::{Trace, range, seconds};
use crate::units::{Joules, MonoNs};

impl Trace {
    /// How far off the proportional split at `t` may be: a step between the windows on both
    /// sides, anywhere in the straddled window, moves at most ΔP·w/4 across `t`. Negative
    /// where power falls.
    pub(in crate::energy) fn boundary_limit(&self, t: MonoNs) -> Joules {
        let after = self.slots.partition_point(|slot| slot.t0 < t);
        let Some(index) = after.checked_sub(1).filter(|&i| t < self.slots[i].t1) else {
            return Joules(0.0);
        };
        let near = &self.slots[index.saturating_sub(1)..(index + 2).min(self.slots.len())];
        let slot = &self.slots[index];
        let falls = near[near.len() - 1].power < near[0].power;
        let step = match near {
            [alone] => alone.power.abs(),
            _ => range(near),
        };
        Joules(if falls { -step } else { step } * seconds(slot.t0, slot.t1) / 4.0)
    }

    /// Standard uncertainty of the energy from `t0` to `t1` because the source is blind for a
    /// share b of each window of length w, at its end. A power step ΔP anywhere in a window is
    /// then off by 0 to b·ΔP·w, b²·ΔP²·w²/3 in square. It shows as one difference of
    /// neighbouring means or as two, with (2 + b)/3·ΔP² as their mean sum of squares. Slow
    /// changes add up instead: all of them come b·w/2 late.
    pub(in crate::energy) fn blind_u(&self, t0: MonoNs, t1: MonoNs) -> Joules {
        let blind = self.limits.blind_share;
        let touched = self.touched(t0, t1);
        let (start, end) = (touched.start as usize, touched.end as usize);
        let inside = &self.slots[start..end];
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
            return Joules(0.0);
        };
        let before = start.checked_sub(1).map_or(0.0, |at| self.slots[at].swings);
        let swings = self.slots.get(end).unwrap_or(last).swings - before;
        let late = 0.5 * (last.power - first.power) * seconds(last.t0, last.t1);
        Joules(blind * (swings.max(0.0) / (2.0 + blind)).sqrt().hypot(late))
    }

    /// How far off the energy from `t0` to `t1` may be because a point tells what was up to
    /// `refresh` before it was read: so much of what the rail took before `t0` counts, and
    /// as much before `t1` is missing. Where power is the same at both ends that is nothing.
    pub(in crate::energy) fn age_limit(&self, t0: MonoNs, t1: MonoNs) -> Joules {
        let refresh = self.limits.refresh;
        if refresh.0 == 0 {
            return Joules(0.0);
        }
        let near = |t: MonoNs| {
            let touched = self.touched(t, t + refresh);
            // Where the trace ends at `t`, its last window is what is known of the power there.
            let start = (touched.start as usize).min(self.slots.len().saturating_sub(1));
            &self.slots[start..touched.end as usize]
        };
        Joules(range(near(t0).iter().chain(near(t1))) * refresh.as_secs_f64())
    }

    /// Whether the noise exceeds one ADC step: for normal noise with a standard deviation of
    /// one step, half of the differences between neighbours are larger than that step. The
    /// share of them is not moved by a few steps of the load, as their mean square would be.
    pub(in crate::energy) fn dithered(&self, touched: &std::ops::Range<u32>) -> bool {
        if touched.len() < 2 {
            return false;
        }
        let (first, last) = (touched.start as usize, touched.end as usize - 1);
        let unsteady = self.slots[last].unsteady - self.slots[first].unsteady;
        2 * u64::from(unsteady) > (last - first) as u64
    }
}
