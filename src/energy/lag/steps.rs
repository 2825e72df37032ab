//! A load that is off, on, off …, by the times at which it changed.

use crate::energy::estimate::rectangular;
use crate::units::{MonoNs, Span};

/// The changes of a load, in order: the first switches it on.
#[derive(Debug, Clone, Default)]
pub struct LoadSteps {
    origin: Option<MonoNs>,
    /// Seconds from the first.
    pub(super) at: Vec<f64>,
    /// Seconds that the load was on before each.
    busy_before: Vec<f64>,
    /// Sum over the steps of how far from it a part of the load may have changed, in seconds.
    within: f64,
}

impl LoadSteps {
    /// The load changed at `at` in the mean; its parts don't do it at once, but each no
    /// further from it than `within`.
    pub fn push(&mut self, at: MonoNs, within: Span) {
        let origin = *self.origin.get_or_insert(at);
        let at = at.since(origin).as_secs_f64();
        let busy = self.busy_s(at);
        self.at.push(at);
        self.busy_before.push(busy);
        self.within += within.as_secs_f64();
    }

    pub fn len(&self) -> usize {
        self.at.len()
    }

    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// When it changed first: zero of all times in seconds.
    pub(super) fn first(&self) -> Option<MonoNs> {
        self.origin
    }

    /// The shortest stretch between two steps, in seconds.
    pub(super) fn shortest(&self) -> Option<f64> {
        let lengths = self.at.windows(2).map(|pair| pair[1] - pair[0]);
        lengths.min_by(f64::total_cmp).filter(|s| *s > 0.0)
    }

    /// Standard uncertainty of the steps' times: each is the mean of its parts' times, and
    /// parts that take unequal power move the load's own centre anywhere between them.
    pub(super) fn timing_u_s(&self) -> f64 {
        rectangular(self.within / self.at.len().max(1) as f64)
    }

    /// Seconds of load before `t`.
    pub(super) fn busy_s(&self, t: f64) -> f64 {
        let after = self.at.partition_point(|at| *at <= t);
        self.busy_after(after, t)
    }

    /// `after`: how many steps come before `t`.
    fn busy_after(&self, after: usize, t: f64) -> f64 {
        let Some(last) = after.checked_sub(1) else {
            return 0.0;
        };
        let is_on = last % 2 == 0;
        self.busy_before[last] + if is_on { t - self.at[last] } else { 0.0 }
    }

    /// Each step between the middles of the stretches beside it: (begin, step, end). Before
    /// the first and after the last the load is as long as in the stretch beside it.
    pub(super) fn surroundings(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        (0..self.at.len()).map(|k| {
            let at = self.at[k];
            let before = k.checked_sub(1).map(|before| at - self.at[before]);
            let after = self.at.get(k + 1).map(|next| next - at);
            let half = |own: Option<f64>, other: Option<f64>| 0.5 * own.or(other).unwrap_or(0.0);
            (at - half(before, after), at, at + half(after, before))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_on_between_odd_and_even_steps() {
        let mut load = LoadSteps::default();
        for ms in [1_000, 1_400, 2_400, 3_000] {
            load.push(MonoNs(ms * 1_000_000), Span::from_millis(1));
        }
        assert_eq!(load.len(), 4);
        for (t, busy) in [(-1.0, 0.0), (0.2, 0.2), (0.9, 0.4), (1.9, 0.9), (9.0, 1.0)] {
            assert!((load.busy_s(t) - busy).abs() < 1e-12, "{t}");
        }
        assert!((load.shortest().unwrap() - 0.4).abs() < 1e-12);
        assert!((load.timing_u_s() - 0.001 / 3f64.sqrt()).abs() < 1e-12);
        let around: Vec<(f64, f64, f64)> = load.surroundings().collect();
        assert_eq!(around[0].0, -0.2);
        assert!((around[1].2 - 0.9).abs() < 1e-12);
        assert!((around[3].2 - 2.3).abs() < 1e-12);
    }
}
