//! How a quantity is spread, and the times between output tokens.

use crate::units::MonoNs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a quantity is spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    pub n: u32,
    pub min: f64,
    pub median: f64,
    pub mean: f64,
    /// Type 7 quantiles.
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    /// Of a sample; `null` for a single value.
    pub sd: Option<f64>,
    /// `null` below five values.
    pub iqr: Option<f64>,
}

impl Distribution {
    /// `None` for no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = sorted.first().zip(sorted.last())?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.len() > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (n - 1.0)).sqrt()
        });
        Some(Self {
            n: values.len() as u32,
            min,
            median: quantile(&sorted, 0.5),
            mean,
            p90: quantile(&sorted, 0.9),
            p99: quantile(&sorted, 0.99),
            max,
            sd,
            iqr: (values.len() >= 5).then(|| quantile(&sorted, 0.75) - quantile(&sorted, 0.25)),
        })
    }
}

/// Type 7 of Hyndman and Fan (1996): linear between order statistics, at (n − 1)·p.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = (sorted.len() - 1) as f64 * p;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

/// Seconds that each decode token took, from when each element became known; decode begins at
/// element 0. Tokens that became known together each took an equal part of their step, so
/// that the mean is decode's time per token whatever the steps were.
pub fn token_times_s(known: &[MonoNs]) -> Vec<f64> {
    let mut times = Vec::with_capacity(known.len().saturating_sub(1));
    let Some((&start, tokens)) = known.split_first() else {
        return times;
    };
    let mut before = start;
    for step in tokens.chunk_by(|a, b| a == b) {
        let each = step[0].since(before).as_secs_f64() / step.len() as f64;
        times.extend(std::iter::repeat_n(each, step.len()));
        before = step[0];
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_values_are_not_spread_and_one_has_no_deviation() {
        assert_eq!(Distribution::of(&[]), None);
        let one = Distribution::of(&[2.0]).unwrap();
        assert_eq!((one.n, one.min, one.median, one.p99), (1, 2.0, 2.0, 2.0));
        assert_eq!((one.sd, one.iqr), (None, None));
    }

    #[test]
    fn quantiles_are_of_type_7() {
        let values: Vec<f64> = (1..=11).rev().map(f64::from).collect();
        let spread = Distribution::of(&values).unwrap();
        // R: quantile(1:11, c(.5, .9, .99)) is 6, 10 and 10.9; IQR(1:11) is 5.
        assert_eq!((spread.median, spread.p90), (6.0, 10.0));
        assert!((spread.p99 - 10.9).abs() < 1e-12);
        assert_eq!(spread.iqr, Some(5.0));
        assert_eq!((spread.min, spread.max), (1.0, 11.0));
        assert!((spread.sd.unwrap() - 11f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_step_is_divided_evenly_among_its_tokens() {
        let ms = |ms: u64| MonoNs(5_000_000_000 + ms * 1_000_000);
        let known = [ms(0), ms(10), ms(40), ms(40), ms(40), ms(45)];
        let times = token_times_s(&known);
        let expected = [0.010, 0.010, 0.010, 0.010, 0.005];
        assert!(
            times
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-12)
        );
        assert_eq!(times.len(), expected.len());
        // Known with the token that ended prefill, and so in no time of decode.
        assert_eq!(token_times_s(&[ms(3), ms(3), ms(4)]), [0.0, 0.001]);
        assert_eq!(token_times_s(&[ms(3)]), [0.0; 0]);
        assert_eq!(token_times_s(&[]), [0.0; 0]);
    }

    proptest! {
        #[test]
        fn the_mean_is_the_time_per_token(
            gaps in prop::collection::vec(0_u64..50_000_000, 1..300),
        ) {
            let mut at = MonoNs(1_000);
            let mut known = vec![at];
            for gap in gaps {
                // Every second one or so becomes known with the one before.
                at = MonoNs(at.0 + gap.saturating_sub(25_000_000));
                known.push(at);
            }
            let times = token_times_s(&known);
            prop_assert_eq!(times.len(), known.len() - 1);
            let spread = Distribution::of(&times).unwrap();
            let per_token = at.since(known[0]).as_secs_f64() / times.len() as f64;
            prop_assert!((spread.mean - per_token).abs() <= 1e-12 + 1e-9 * per_token);
            let ordered = [spread.min, spread.median, spread.p90, spread.p99, spread.max];
            prop_assert!(ordered.is_sorted());
        }
    }
}
