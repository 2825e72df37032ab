//! The ratio of two speeds from interleaved pairs, with the medians beside it.

use super::rig::Speed;
use jouled::energy::{self, Statistic};
use std::fmt;

pub struct Ratio {
    ours_median: f64,
    theirs_median: f64,
    /// Geometric mean of ours ÷ theirs.
    pub mean: f64,
    /// Half of the 95 % interval of the mean log-ratio: 0.01 is about 1 %.
    pub half_width: f64,
    interval: (f64, f64),
    pairs: usize,
}

impl Ratio {
    /// Of two pairs or more.
    pub fn of(pairs: &[(Speed, Speed)], phase: impl Fn(&Speed) -> f64) -> Self {
        let speeds: Vec<(f64, f64)> = pairs
            .iter()
            .map(|(ours, theirs)| (phase(theirs), phase(ours)))
            .collect();
        let (theirs, ours): (Vec<f64>, Vec<f64>) = speeds.iter().copied().unzip();
        let median = |values: &[f64]| Statistic::of(values).expect("there are pairs").median;
        let ratio = energy::Ratio::paired(&speeds).expect("there are two pairs or more");
        Self {
            ours_median: median(&ours),
            theirs_median: median(&theirs),
            mean: ratio.ratio(),
            half_width: ratio.half_width(),
            interval: ratio.interval(),
            pairs: pairs.len(),
        }
    }

    pub fn interval(&self) -> (f64, f64) {
        self.interval
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        write!(
            f,
            "{:>8.1} {:>12.1} {:>7.3}  {:<17} {:>5}",
            self.ours_median,
            self.theirs_median,
            self.mean,
            format!("{low:.3} to {high:.3}"),
            self.pairs,
        )
    }
}
