//! The ratio of two speeds from interleaved pairs: the mean of log-ratios with Student's t.

use super::Speed;
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
        let logs: Vec<f64> = pairs
            .iter()
            .map(|(ours, theirs)| (phase(ours) / phase(theirs)).ln())
            .collect();
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Self {
            ours_median: median(pairs.iter().map(|(ours, _)| phase(ours)).collect()),
            theirs_median: median(pairs.iter().map(|(_, theirs)| phase(theirs)).collect()),
            mean: mean.exp(),
            half_width: t_95(n - 1.0) * (variance / n).sqrt(),
            pairs: logs.len(),
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

/// Student's two-sided 95 % factor for `nu` degrees of freedom, by the expansion in 1/nu of
/// Abramowitz and Stegun 26.7.5; from four degrees on it is right to 0.3 %.
fn t_95(nu: f64) -> f64 {
    let z: f64 = 1.959_964;
    let g1 = (z.powi(3) + z) / 4.0;
    let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + g1 / nu + g2 / nu.powi(2) + g3 / nu.powi(3)
}
