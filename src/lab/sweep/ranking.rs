//! What a study's figures may say: how far the baseline's runs lie apart on each board, and
//! which points differ by more than that. The figures are positive; ratios are compared.

use crate::energy::student_t;

/// The baseline's runs on a board, in the order in which they ran.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    pub runs: usize,
    pub mean: f64,
    /// Largest less smallest, as a share of the mean.
    pub spread: f64,
    /// The last run over the first, less 1.
    pub drift: f64,
    /// Standard deviation of the logarithm.
    sd: f64,
}

impl Drift {
    /// `None` of fewer than two runs: one run has no spread.
    pub fn of(values: &[f64]) -> Option<Self> {
        let (first, last) = (values.first()?, values.last()?);
        let sd = scatter(values)?;
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let largest = values.iter().copied().fold(f64::MIN, f64::max);
        let smallest = values.iter().copied().fold(f64::MAX, f64::min);
        Some(Self {
            runs: values.len(),
            mean,
            spread: (largest - smallest) / mean,
            drift: last / first - 1.0,
            sd,
        })
    }

    /// By how much the logarithms of two figures of `a` and `b` runs have to differ.
    fn noise(&self, own: Option<f64>, a: usize, b: usize) -> f64 {
        let sd = self.sd.max(own.unwrap_or(0.0));
        student_t(self.runs - 1) * sd * (1.0 / a as f64 + 1.0 / b as f64).sqrt()
    }
}

/// Standard deviation of the logarithms; `None` of fewer than two values, or of one that is not
/// positive.
fn scatter(values: &[f64]) -> Option<f64> {
    if values.len() < 2
        || values
            .iter()
            .any(|value| !(*value > 0.0 && value.is_finite()))
    {
        return None;
    }
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    Some((squares / (logs.len() - 1) as f64).sqrt())
}

/// Which of a board's points is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

/// Ranks from 1: one more than the number of points that are better by more than the noise. A
/// point without a value has none.
pub fn ranks(points: &[Vec<f64>], drift: &Drift, better: Better) -> Vec<Option<usize>> {
    let of = |values: &Vec<f64>| {
        let good =
            !values.is_empty() && values.iter().all(|value| *value > 0.0 && value.is_finite());
        let log = || values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64;
        good.then(|| (log(), scatter(values), values.len()))
    };
    let known: Vec<_> = points.iter().map(of).collect();
    let rank = |(log, sd, n): &(f64, Option<f64>, usize)| {
        let clearly_better = |(other, other_sd, m): &&(f64, Option<f64>, usize)| {
            let own = sd.unwrap_or(0.0).max(other_sd.unwrap_or(0.0));
            let ahead = match better {
                Better::Lower => log - other,
                Better::Higher => other - log,
            };
            ahead > drift.noise(Some(own), *n, *m)
        };
        1 + known.iter().flatten().filter(clearly_better).count()
    };
    known.iter().map(|known| known.as_ref().map(rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn drift_is_what_the_baseline_shows() {
        let drift = Drift::of(&[1.00, 1.02, 1.04]).unwrap();
        assert!((drift.spread - 0.04 / 1.02).abs() < 1e-12);
        assert!((drift.drift - 0.04).abs() < 1e-12);
        assert_eq!(Drift::of(&[1.0]), None);
        assert_eq!(Drift::of(&[1.0, 0.0]), None);
    }

    #[test]
    fn what_lies_within_the_noise_has_the_same_rank() {
        // sd 1 % of three runs: t is 4.3, so that two single runs need 6.1 % between them.
        let drift = Drift::of(&[0.99, 1.00, 1.01]).unwrap();
        let points = [vec![1.00], vec![1.05], vec![1.07], vec![], vec![1.20]];
        assert_eq!(
            ranks(&points, &drift, Better::Lower),
            [Some(1), Some(1), Some(2), None, Some(4)]
        );
        assert_eq!(
            ranks(&points, &drift, Better::Higher),
            [Some(3), Some(2), Some(2), None, Some(1)]
        );
    }

    #[test]
    fn a_point_that_scatters_more_than_the_baseline_is_told_apart_less() {
        let drift = Drift::of(&[0.999, 1.000, 1.001]).unwrap();
        let steady = [vec![1.0, 1.001], vec![1.05, 1.051]];
        assert_eq!(ranks(&steady, &drift, Better::Lower), [Some(1), Some(2)]);
        let wild = [vec![0.9, 1.1], vec![1.05, 1.051]];
        assert_eq!(ranks(&wild, &drift, Better::Lower), [Some(1), Some(1)]);
    }

    proptest! {
        /// The best is always among the first, and a longer way behind is never a better rank
        /// among points that scatter alike.
        #[test]
        fn ranks_follow_the_figures(values in proptest::collection::vec(0.1_f64..10.0, 1..12), sd in 0.001_f64..0.2) {
            let drift = Drift::of(&[1.0 - sd, 1.0, 1.0 + sd]).unwrap();
            let points: Vec<Vec<f64>> = values.iter().map(|value| vec![*value]).collect();
            let ranks = ranks(&points, &drift, Better::Lower);
            let mut both: Vec<(f64, usize)> =
                values.iter().copied().zip(ranks.iter().flatten().copied()).collect();
            both.sort_by(|a, b| a.0.total_cmp(&b.0));
            prop_assert_eq!(both[0].1, 1);
            prop_assert!(both.is_sorted_by_key(|(_, rank)| *rank));
        }
    }
}
