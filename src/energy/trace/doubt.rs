//! How far off a trace's energies may be: what the windows themselves tell about it.

use super::{Slot, Trace, later, range, seconds};
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
    ///
    /// Where the delay is known and corrected for, its scatter is left. It is another at each
    /// step of the power, also between `t0` and `t1`, and a step of ΔP that shows δ later than
    /// it should costs ΔP·δ. The limit is that of a rectangular distribution as wide.
    pub(in crate::energy) fn age_limit(&self, t0: MonoNs, t1: MonoNs) -> Joules {
        if let Some(delay) = self.limits.delay {
            let reach = delay.reach();
            let near = self.touched(t0 - reach, later(t1, reach));
            let through = |end: u32| match end.checked_sub(1) {
                Some(last) => self.steps[last as usize],
                None => 0.0,
            };
            let first = (near.start + 1).min(near.end);
            let squares = (through(near.end) - through(first)).max(0.0);
            // Two windows share a step that comes within one of them: at least half of its
            // square is left.
            return Joules((3.0 * 2.0 * squares).sqrt() * delay.scatter_s);
        }
        let refresh = self.limits.refresh;
        if refresh.0 == 0 {
            return Joules(0.0);
        }
        let near = |t: MonoNs| self.near(t, later(t, refresh));
        Joules(range(near(t0).iter().chain(near(t1))) * refresh.as_secs_f64())
    }

    /// Standard uncertainty of the energy from `t0` to `t1` that the correction by an
    /// uncertain delay leaves: one error of time at both ends.
    pub(in crate::energy) fn delay_u(&self, t0: MonoNs, t1: MonoNs) -> Joules {
        let Some(delay) = self.limits.delay else {
            return Joules(0.0);
        };
        let reach = delay.reach();
        let near = |t: MonoNs| self.near(t - reach, later(t, reach));
        Joules(range(near(t0).iter().chain(near(t1))) * delay.u_s)
    }

    /// The windows that have any part inside `[t0, t1]`, and where the trace ends before, its
    /// last one: it is what is known of the power there.
    fn near(&self, t0: MonoNs, t1: MonoNs) -> &[Slot] {
        let touched = self.touched(t0, t1);
        let start = (touched.start as usize).min(self.slots.len().saturating_sub(1));
        &self.slots[start..touched.end as usize]
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
