//! One rail's power over an attempt, as a cumulative energy, so that any interval costs two
//! binary searches.
//!
//! Energy at a time is a function of that time alone, in whole femtojoules: an interval is a
//! difference of two such integers, and intervals that share boundaries add up exactly,
//! whatever came before them. Window means are held constant over their window (a straddled
//! window is split in proportion); a gap has the mean power of the windows beside it; before
//! the first and after the last window their power goes on. What is not inside a window is
//! counted as bridged.
//!
//! Times are the load's. A rail of points whose delay was measured shows at `t + lag` what
//! the load did at `t`; windows are kept as they were measured.
//!
//! A trace is made of its windows alone: [`Trace::iter_windows`] gives them back as they are
//! kept, and pushing those into an empty trace makes an equal one, bit for bit.
//!
//! 64 bytes a window, 8 more with a delay, and 56 more for each gap. The caller bounds the
//! growth.

mod doubt;

use super::Budget;
use super::gap::{Bridged, Gaps};
use crate::sensor::{ErrorLimits, Lag, Quality, RailSpec, Window};
use crate::units::{Joules, MonoNs, Span, Volts, Watts};

/// Above any power that is measured here: keeps the cumulative energy far from overflow.
const MAX_POWER: Watts = Watts(1e9);

/// Windows before a gap whose powers tell how much the bridged one may be off.
const GAP_NEIGHBOURS: usize = 4;

#[derive(Debug, Clone, PartialEq)]
struct Slot {
    t0: MonoNs,
    t1: MonoNs,
    power: f64,
    /// Integral of the voltage up to `t0`, in V·s.
    volt_seconds: f64,
    /// Squares of the change of power from each window to the next, over the latter's
    /// length, summed up to this window, in J².
    swings: f64,
    volts: f32,
    /// Windows up to this one that differ from the one before by more than an ADC step.
    unsteady: u32,
}

/// The windows of one rail.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trace {
    pub(super) limits: ErrorLimits,
    slots: Vec<Slot>,
    /// Energy up to each slot's `t0`, in femtojoules. Apart from the slots, since an `i128`
    /// would pad them.
    energy: Vec<i128>,
    /// With a delay: the squares of all steps from window to window up to each slot, in W².
    steps: Vec<f64>,
    gaps: Gaps,
    /// Slots with which windows began to tell their voltage, and ceased to, in turn.
    told: Vec<u32>,
    /// Slots by index, each list in order.
    saturated: Vec<u32>,
    near_full_scale: Vec<u32>,
    /// (slot, lost conversions up to it).
    lost: Vec<(u32, u64)>,
}

impl Trace {
    /// An empty trace of a rail with these error limits.
    pub fn new(limits: ErrorLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// An empty trace of this rail, whose delay is corrected for where that may be.
    pub fn of(rail: &RailSpec) -> Self {
        Self::new(ErrorLimits {
            delay: rail.corrected_lag().map(Lag::delay),
            ..rail.limits.clone()
        })
    }

    fn delay_s(&self) -> f64 {
        self.limits.delay.map_or(0.0, |delay| delay.mean_s)
    }

    /// When the rail shows what the load does at `t`.
    pub(super) fn shown(&self, t: MonoNs) -> MonoNs {
        shifted(t, self.delay_s())
    }

    /// When the load did what the rail shows at `t`.
    fn caused(&self, t: MonoNs) -> MonoNs {
        shifted(t, -self.delay_s())
    }

    /// Appends a window. What overlaps the trace is cut off; a window with nothing left, of
    /// no length, without a finite power, or that says itself that it delivered nothing is
    /// rejected and leaves a gap.
    pub fn push(&mut self, window: &Window) {
        let delivered = !matches!(window.quality, Quality::Stale | Quality::Failed);
        let t0 = self
            .measured_until()
            .map_or(window.t0, |end| end.max(window.t0));
        let plausible = window.power.0.abs() <= MAX_POWER.0;
        if t0 >= window.t1 || !delivered || !plausible || self.slots.len() >= u32::MAX as usize {
            return;
        }
        let index = self.slots.len() as u32;
        let power = window.power.0;
        // Rounded before anything is made of it: what is computed follows from what is kept.
        let told = window.voltage.map(|v| v.0 as f32).filter(|v| v.is_finite());
        if told.is_some() != self.is_told(index) {
            self.told.push(index);
        }
        let before = self.slots.last();
        let volts = told.unwrap_or(before.map_or(0.0, |slot| slot.volts));
        let step = self.limits.current_step.0 * f64::from(volts.abs()) + self.limits.power_step.0;
        let unsteady = before.is_some_and(|slot| (power - slot.power).abs() > step);
        let slot = Slot {
            t0,
            t1: window.t1,
            power,
            volt_seconds: before.map_or(0.0, |slot| {
                slot.volt_seconds
                    + f64::from(slot.volts) * seconds(slot.t0, slot.t1)
                    + f64::from(volts) * seconds(slot.t1, t0)
            }),
            swings: before.map_or(0.0, |slot| {
                slot.swings + ((power - slot.power) * seconds(t0, window.t1)).powi(2)
            }),
            volts,
            unsteady: before.map_or(0, |slot| slot.unsteady) + u32::from(unsteady),
        };
        let energy = self.bridge_to(&slot);
        match window.quality {
            Quality::Saturated => self.saturated.push(index),
            Quality::NearFullScale => self.near_full_scale.push(index),
            _ => {}
        }
        if window.lost > 0 {
            let sum = self.lost.last().map_or(0, |&(_, sum)| sum);
            self.lost.push((index, sum + u64::from(window.lost)));
        }
        if self.limits.delay.is_some() {
            let step = self.slots.last().map_or(0.0, |before| power - before.power);
            let before = self.steps.last().copied().unwrap_or(0.0);
            self.steps.push(before + step * step);
        }
        self.energy.push(energy);
        self.slots.push(slot);
    }

    /// Energy up to the start of `next`, with the gap before it recorded.
    fn bridge_to(&mut self, next: &Slot) -> i128 {
        let Some(last) = self.slots.last() else {
            return 0;
        };
        let end = self.energy[self.slots.len() - 1] + femtojoules(last.power, last.t0, last.t1);
        if last.t1 == next.t0 {
            return end;
        }
        let power = 0.5 * (last.power + next.power);
        let near = self.slots.len().saturating_sub(GAP_NEIGHBOURS);
        let limit = range(self.slots[near..].iter().chain([next]));
        self.gaps.push(last.t1, next.t0, power, limit);
        end + femtojoules(power, last.t1, next.t0)
    }

    pub fn limits(&self) -> &ErrorLimits {
        &self.limits
    }

    /// The rail's uncertainty budget.
    pub fn budget(&self) -> Budget<'_> {
        Budget::new(&self.limits)
    }

    /// Delivered windows.
    pub fn windows(&self) -> u64 {
        self.slots.len() as u64
    }

    /// From when on the load is known.
    pub fn start(&self) -> Option<MonoNs> {
        self.slots.first().map(|slot| self.caused(slot.t0))
    }

    /// Until when the load is known.
    pub fn end(&self) -> Option<MonoNs> {
        self.slots.last().map(|slot| self.caused(slot.t1))
    }

    /// When the last window ended, whatever the delay.
    pub fn measured_until(&self) -> Option<MonoNs> {
        self.slots.last().map(|slot| slot.t1)
    }

    /// The windows in order, as they were measured: start, end, mean power.
    pub fn iter(&self) -> impl Iterator<Item = (MonoNs, MonoNs, Watts)> + '_ {
        self.slots
            .iter()
            .map(|slot| (slot.t0, slot.t1, Watts(slot.power)))
    }

    /// The windows in order with all that is kept of them, which is not their current.
    pub fn iter_windows(&self) -> impl Iterator<Item = Window> + '_ {
        let mut lost = self.lost.iter().scan(0, |before, &(index, sum)| {
            let here = sum - std::mem::replace(before, sum);
            Some((index, here))
        });
        let mut next_lost = lost.next();
        (0u32..).zip(&self.slots).map(move |(index, slot)| Window {
            t0: slot.t0,
            t1: slot.t1,
            power: Watts(slot.power),
            voltage: self.is_told(index).then(|| Volts(slot.volts.into())),
            current: None,
            quality: if self.saturated.binary_search(&index).is_ok() {
                Quality::Saturated
            } else if self.near_full_scale.binary_search(&index).is_ok() {
                Quality::NearFullScale
            } else {
                Quality::Good
            },
            lost: match next_lost {
                Some((at, count)) if at == index => {
                    next_lost = lost.next();
                    // A window's own count, as it was pushed.
                    count as u32
                }
                _ => 0,
            },
        })
    }

    /// Whether the window at `index` told its voltage; for the one to come, whether the last
    /// did.
    fn is_told(&self, index: u32) -> bool {
        self.told.partition_point(|&change| change <= index) % 2 == 1
    }

    /// Whether no window to come can change what is measured up to `t`: the window after it
    /// is there, and after all that a point may tell about it.
    pub fn has_settled(&self, t: MonoNs) -> bool {
        let last = self.slots.last();
        let age = match self.limits.delay {
            Some(delay) => delay.reach(),
            None => self.limits.refresh,
        };
        last.is_some_and(|last| {
            let beyond = last.t0.since(self.shown(t));
            beyond > Span(0) && beyond >= age
        })
    }

    /// Energy from `t0` to `t1`, bridged parts included, whatever is known about it.
    pub(super) fn joules(&self, t0: MonoNs, t1: MonoNs) -> Joules {
        Joules((self.energy_at(t1) - self.energy_at(t0)) as f64 * 1e-15)
    }

    fn energy_at(&self, t: MonoNs) -> i128 {
        let after = self.slots.partition_point(|slot| slot.t0 <= t);
        let Some(index) = after.checked_sub(1) else {
            return self
                .slots
                .first()
                .map_or(0, |first| -femtojoules(first.power, t, first.t0));
        };
        let slot = &self.slots[index];
        let within = self.energy[index] + femtojoules(slot.power, slot.t0, t.min(slot.t1));
        if t <= slot.t1 {
            return within;
        }
        let power = match self.slots.get(after) {
            Some(next) => 0.5 * (slot.power + next.power),
            None => slot.power,
        };
        within + femtojoules(power, slot.t1, t)
    }

    /// Time inside `[t0, t1]` but in no window. Outside the trace the power is anybody's
    /// guess: the limit is as large as the power itself.
    pub(super) fn bridged(&self, t0: MonoNs, t1: MonoNs) -> Bridged {
        let (Some(first), Some(last)) = (self.slots.first(), self.slots.last()) else {
            return Bridged::stretch(t1.since(t0).0, 0.0, 0.0);
        };
        let outside = |ns, slot: &Slot| Bridged::stretch(ns, slot.power, slot.power.abs());
        let before = outside(t1.min(first.t0).since(t0).0, first);
        let after = outside(t1.since(t0.max(last.t1)).0, last);
        before.plus(self.gaps.between(t0, t1)).plus(after)
    }

    /// The part of `[t0, t1]` from the start of its first complete window to the end of its
    /// last: no window is split there. `None` without one.
    pub(super) fn whole_windows(&self, t0: MonoNs, t1: MonoNs) -> Option<(MonoNs, MonoNs)> {
        let (t0, t1) = (self.shown(t0), self.shown(t1));
        let first = self.slots.partition_point(|slot| slot.t0 < t0);
        let end = self.slots.partition_point(|slot| slot.t1 <= t1);
        (first < end).then(|| {
            let (first, last) = (&self.slots[first], &self.slots[end - 1]);
            (self.caused(first.t0), self.caused(last.t1))
        })
    }

    /// Mean voltage from `t0` to `t1`; `None` where no window up to `t1` told it. A window
    /// that doesn't tell has the voltage of the one before.
    pub(super) fn mean_volts(&self, t0: MonoNs, t1: MonoNs) -> Option<f64> {
        let from = self.volts_from()?;
        let t0 = t0.max(from);
        if t1 <= t0 {
            return (t1 > from).then(|| self.volts_near(t1));
        }
        Some((self.volt_seconds_at(t1) - self.volt_seconds_at(t0)) / seconds(t0, t1))
    }

    /// When the voltage was first known.
    fn volts_from(&self) -> Option<MonoNs> {
        let first = *self.told.first()?;
        Some(self.slots[first as usize].t0)
    }

    /// Lowest voltage of the windows with any part in `[t0, t1]`; `None` where no window up to
    /// the last of them told it.
    pub fn min_volts(&self, t0: MonoNs, t1: MonoNs) -> Option<Volts> {
        let from = self.volts_from()?;
        let touched = self.touched(self.shown(t0), self.shown(t1));
        let slots = &self.slots[touched.start as usize..touched.end as usize];
        let told = slots.iter().filter(|slot| slot.t0 >= from);
        let volts = told.map(|slot| f64::from(slot.volts));
        volts.reduce(f64::min).map(Volts)
    }

    fn volts_near(&self, t: MonoNs) -> f64 {
        let after = self.slots.partition_point(|slot| slot.t0 <= t);
        f64::from(self.slots[after.saturating_sub(1)].volts)
    }

    fn volt_seconds_at(&self, t: MonoNs) -> f64 {
        let after = self.slots.partition_point(|slot| slot.t0 <= t);
        let Some(index) = after.checked_sub(1) else {
            return 0.0;
        };
        let slot = &self.slots[index];
        let tail = self.slots.get(after).unwrap_or(slot).volts;
        slot.volt_seconds
            + f64::from(slot.volts) * seconds(slot.t0, t.min(slot.t1))
            + f64::from(tail) * seconds(slot.t1, t)
    }

    /// Windows that lie wholly inside `[t0, t1]`.
    pub(super) fn complete(&self, t0: MonoNs, t1: MonoNs) -> u64 {
        let first = self.slots.partition_point(|slot| slot.t0 < t0);
        let end = self.slots.partition_point(|slot| slot.t1 <= t1);
        end.saturating_sub(first) as u64
    }

    /// Slots that have any part inside `[t0, t1]`, as a range of indices.
    pub(super) fn touched(&self, t0: MonoNs, t1: MonoNs) -> std::ops::Range<u32> {
        let first = self.slots.partition_point(|slot| slot.t1 <= t0) as u32;
        let end = self.slots.partition_point(|slot| slot.t0 < t1) as u32;
        first..end.max(first)
    }

    pub(super) fn saturated_in(&self, touched: &std::ops::Range<u32>) -> u64 {
        count(&self.saturated, touched)
    }

    pub(super) fn near_full_scale_in(&self, touched: &std::ops::Range<u32>) -> u64 {
        count(&self.near_full_scale, touched)
    }

    /// Conversions known to be lost between windows, where any of that time is in `[t0, t1]`.
    pub(super) fn lost_in(&self, t0: MonoNs, t1: MonoNs) -> u64 {
        let first = self.slots.partition_point(|slot| slot.t0 <= t0) as u32;
        let last = self.slots.partition_point(|slot| slot.t1 < t1) as u32;
        let through = |end: u32| {
            let after = self.lost.partition_point(|&(index, _)| index < end);
            after.checked_sub(1).map_or(0, |at| self.lost[at].1)
        };
        through(last.saturating_add(1)).saturating_sub(through(first))
    }
}

fn shifted(t: MonoNs, seconds: f64) -> MonoNs {
    if seconds < 0.0 {
        t - Span::from_secs_f64(-seconds)
    } else {
        later(t, Span::from_secs_f64(seconds))
    }
}

/// No later than the clock can tell, whatever the raw data say.
fn later(t: MonoNs, span: Span) -> MonoNs {
    MonoNs(t.0.saturating_add(span.0))
}

fn seconds(t0: MonoNs, t1: MonoNs) -> f64 {
    t1.since(t0).as_secs_f64()
}

/// Watts times nanoseconds are nanojoules, a million femtojoules.
fn femtojoules(watts: f64, t0: MonoNs, t1: MonoNs) -> i128 {
    (watts * 1e6 * t1.since(t0).0 as f64).round() as i128
}

fn range<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> f64 {
    let (low, high) = slots
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), slot| {
            (low.min(slot.power), high.max(slot.power))
        });
    (high - low).max(0.0)
}

fn count(sorted: &[u32], touched: &std::ops::Range<u32>) -> u64 {
    let first = sorted.partition_point(|&index| index < touched.start);
    let end = sorted.partition_point(|&index| index < touched.end);
    end.saturating_sub(first) as u64
}

#[cfg(test)]
mod tests;
