//! The last minute of one rail, in bins of a quarter of a second.

use crate::units::{MonoNs, Span, Watts};
use std::collections::VecDeque;

const BIN: Span = Span::from_millis(250);
/// One minute.
const BINS: u64 = 240;
/// A source's window may be minutes old; what lies so far back is not shown.
const OLDEST: u64 = 2 * BINS;

/// Power over the last minute. A bin without a reading is empty, not zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    bins: VecDeque<Bin>,
    /// Number of the first bin, counted from time zero.
    first: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Bin {
    covered_s: f64,
    energy_j: f64,
}

impl History {
    /// Spreads the mean power from `t0` to `t1` over the bins between. Readings come in their
    /// order.
    pub fn add(&mut self, t0: MonoNs, t1: MonoNs, power: Watts) {
        if t1 <= t0 {
            return;
        }
        let last = (t1.0 - 1) / BIN.0;
        let first = (t0.0 / BIN.0).max(last.saturating_sub(OLDEST));
        for number in first..=last {
            let begin = t0.0.max(number * BIN.0);
            let end = t1.0.min((number + 1) * BIN.0);
            let seconds = Span(end.saturating_sub(begin)).as_secs_f64();
            if let Some(bin) = self.bin(number) {
                bin.covered_s += seconds;
                bin.energy_j += power.0 * seconds;
            }
        }
        while self.bins.len() as u64 > BINS + 4 {
            self.bins.pop_front();
            self.first += 1;
        }
    }

    /// The bin of this number; `None` for one that is no longer kept.
    fn bin(&mut self, number: u64) -> Option<&mut Bin> {
        if self.bins.is_empty() {
            self.first = number;
        }
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        while self.bins.len() <= index {
            self.bins.push_back(Bin::default());
        }
        self.bins.get_mut(index)
    }

    /// Mean power in each of at most `width` equal stretches of the last minute, the newest
    /// last. Stretches are counted from time zero, so that they don't change as time goes on.
    pub fn columns(&self, now: MonoNs, width: usize) -> Vec<Option<f64>> {
        if width == 0 {
            return Vec::new();
        }
        let bins = BINS.div_ceil(width as u64);
        let newest = (now.0 / BIN.0).saturating_sub(1) / bins;
        let count = BINS.div_ceil(bins).min(width as u64);
        (0..count)
            .map(|column| {
                let stretch = (newest + 1 + column).checked_sub(count)?;
                self.mean(stretch * bins, bins)
            })
            .collect()
    }

    fn mean(&self, first: u64, bins: u64) -> Option<f64> {
        let mut sum = Bin::default();
        for number in first..first + bins {
            let index = number.checked_sub(self.first);
            let bin = index.and_then(|index| self.bins.get(usize::try_from(index).ok()?));
            if let Some(bin) = bin {
                sum.covered_s += bin.covered_s;
                sum.energy_j += bin.energy_j;
            }
        }
        (sum.covered_s > 0.0).then(|| sum.energy_j / sum.covered_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    #[test]
    fn a_minute_fills_sixty_columns_and_gaps_stay_empty() {
        let mut history = History::default();
        for second in (100..160).filter(|second| *second != 130) {
            history.add(
                at(second * 1000),
                at((second + 1) * 1000),
                Watts(second as f64),
            );
        }
        let columns = history.columns(at(160_250), 60);
        assert_eq!(columns.len(), 60);
        assert_eq!(columns[0], Some(101.0));
        assert_eq!(columns[1], Some(102.0));
        assert_eq!(columns[29], None);
        assert_eq!(columns[58], Some(159.0));
        assert_eq!(columns[59], None);
        assert_eq!(history.columns(at(160_000), 60)[59], Some(159.0));
    }

    #[test]
    fn there_are_no_more_columns_than_bins() {
        let history = History::default();
        assert_eq!(history.columns(at(1_000_000), 500).len(), 240);
        assert_eq!(history.columns(at(1_000_000), 0).len(), 0);
        assert_eq!(history.columns(at(0), 7).len(), 7);
    }

    proptest! {
        #[test]
        fn a_constant_stays_one_at_any_width(
            width in 1..300usize,
            start in 0..1_000_000u64,
            lengths in prop::collection::vec(1..2_000u64, 1..200),
        ) {
            let mut history = History::default();
            let mut t = start;
            for length in lengths {
                history.add(at(t), at(t + length), Watts(3.0));
                t += length;
            }
            for mean in history.columns(at(t), width).into_iter().flatten() {
                prop_assert!((mean - 3.0).abs() < 1e-9);
            }
        }
    }
}
