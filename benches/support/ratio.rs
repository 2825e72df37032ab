//! The ratio of two speeds from interleaved pairs: the mean of log-ratios with Student's t.

use super::rig::Speed;
use jouled::energy::Statistic;
use std::fmt;

pub struct Ratio {
    ours_median: f64,
    theirs_median: f64,
    /// Geometric mean of ours ÷ theirs.
    pub mean: f64,
    /// Half of the 95 % interval of the mean log-ratio: 0.01 is about 1 %.
    pub half_width: f64,
    pairs: usize,
}

impl Ratio {
    /// Of two pairs or more.
    pub fn of(pairs: &[(Speed, Speed)], phase: impl Fn(&Speed) -> f64) -> Self {
        let ours: Vec<f64> = pairs.iter().map(|(ours, _)| phase(ours)).collect();
        let theirs: Vec<f64> = pairs.iter().map(|(_, theirs)| phase(theirs)).collect();
        let logs: Vec<f64> = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| (ours / theirs).ln())
            .collect();
        let of = |values| Statistic::of(values).expect("there are pairs");
        let log = of(&logs);
        Self {
            ours_median: of(&ours).median,
            theirs_median: of(&theirs).median,
            mean: log.mean.exp(),
            half_width: log.u95.expect("there are two pairs or more"),
            pairs: pairs.len(),
        }
    }

    pub fn interval(&self) -> (f64, f64) {
        let factor = self.half_width.exp();
        (self.mean / factor, self.mean * factor)
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
