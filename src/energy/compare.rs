//! Whether one figure is lower than another: the ratio of two samples with its 95 % interval.
//!
//! The ratio is one of geometric means: a mean of logarithms, for which twice and half are
//! equally far from one. Interleaved pairs have Student's t on their log-ratios, so that what
//! drifts over both cancels; other samples have Welch's. What both share is not divided by n:
//! gains and offsets of different sensors stand in full, the gain of one and the same sensor
//! is in both sides and cancels.

use super::summary::{student_t, student_t_among};
use serde::{Deserialize, Serialize};

/// `b ÷ a` with what is not known about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Natural logarithm of the ratio.
    log: f64,
    /// Half of its 95 % interval from scatter alone, and the degrees of freedom behind it.
    scatter: f64,
    degrees: usize,
    /// Its systematic standard uncertainty.
    systematic: f64,
}

/// Which side is lower, as far as the interval tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    ALower,
    BLower,
    NotResolved,
}

/// Systematic standard uncertainties of one side, as shares of its figure.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shared {
    /// Gain: shunt, amplifier, time base.
    pub scale: f64,
    /// Zero offset.
    pub offset: f64,
    /// What differs from figure to figure even on one sensor.
    pub other: f64,
}

/// Whether both sides were measured by the same sensor with the same calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sensors {
    Same,
    Different,
}

impl Shared {
    /// Systematic standard uncertainty of the logarithm of a ratio of both sides.
    pub fn of_ratio(a: Self, b: Self, sensors: Sensors) -> f64 {
        let other = a.other.hypot(b.other);
        match sensors {
            Sensors::Same => other.hypot(a.offset - b.offset),
            Sensors::Different => {
                let each = |side: Self| side.scale.hypot(side.offset);
                other.hypot(each(a)).hypot(each(b))
            }
        }
    }
}

impl Ratio {
    /// Of interleaved pairs `(a, b)`. `None` of fewer than two, or where a value is not
    /// positive.
    pub fn paired(pairs: &[(f64, f64)]) -> Option<Self> {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let differences: Vec<f64> = logs(&a)?
            .iter()
            .zip(logs(&b)?)
            .map(|(a, b)| b - a)
            .collect();
        let (mean, variance) = spread(&differences)?;
        Some(Self {
            log: mean,
            scatter: student_t(pairs.len() - 1) * variance.sqrt(),
            degrees: pairs.len() - 1,
            systematic: 0.0,
        })
    }

    /// Of two samples that have nothing to do with one another. `None` where either has
    /// fewer than two values, or one that is not positive.
    pub fn independent(a: &[f64], b: &[f64]) -> Option<Self> {
        let (a_mean, a_variance) = spread(&logs(a)?)?;
        let (b_mean, b_variance) = spread(&logs(b)?)?;
        let variance = a_variance + b_variance;
        // Welch and Satterthwaite, rounded down.
        let parts =
            a_variance.powi(2) / (a.len() - 1) as f64 + b_variance.powi(2) / (b.len() - 1) as f64;
        let degrees = if parts > 0.0 {
            variance.powi(2) / parts
        } else {
            (a.len() + b.len() - 2) as f64
        };
        let degrees = (degrees as usize).max(1);
        Some(Self {
            log: b_mean - a_mean,
            scatter: student_t(degrees) * variance.sqrt(),
            degrees,
            systematic: 0.0,
        })
    }

    /// The same with a systematic standard uncertainty of its logarithm.
    pub fn with_systematic(self, systematic: f64) -> Self {
        Self { systematic, ..self }
    }

    /// The same where it is one of several comparisons, any of which may look clear by chance:
    /// its interval is so wide that all of them hold in 95 of 100 (Bonferroni).
    pub fn among(self, comparisons: usize) -> Self {
        let wider = student_t_among(self.degrees, comparisons) / student_t(self.degrees);
        Self {
            scatter: self.scatter * wider,
            ..self
        }
    }

    pub fn ratio(&self) -> f64 {
        self.log.exp()
    }

    /// Half of the 95 % interval of the logarithm: 0.01 is about 1 %.
    pub fn half_width(&self) -> f64 {
        self.scatter.hypot(2.0 * self.systematic)
    }

    /// The 95 % interval of the ratio.
    pub fn interval(&self) -> (f64, f64) {
        let half = self.half_width();
        ((self.log - half).exp(), (self.log + half).exp())
    }

    /// No side is lower while the interval holds 1: the effect is smaller than the noise.
    pub fn verdict(&self) -> Verdict {
        match self.interval() {
            (_, high) if high < 1.0 => Verdict::BLower,
            (low, _) if low > 1.0 => Verdict::ALower,
            _ => Verdict::NotResolved,
        }
    }
}

fn logs(values: &[f64]) -> Option<Vec<f64>> {
    let log = |value: &f64| (*value > 0.0).then(|| value.ln());
    values.iter().map(log).collect()
}

/// Mean and the variance of the mean.
fn spread(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, squares / (n - 1.0) / n))
}

#[cfg(test)]
mod tests {
    use super::super::signal::Uniform;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clear_effect_is_ranked_and_one_in_the_noise_is_not() {
        let a = [1.00, 1.01, 0.99, 1.00];
        let lower = [0.90, 0.91, 0.89, 0.90];
        let near = [1.00, 0.98, 1.01, 1.00];
        let of = |b: &[f64]| Ratio::independent(&a, b).unwrap();
        assert_eq!(of(&lower).verdict(), Verdict::BLower);
        assert!((of(&lower).ratio() - 0.9).abs() < 1e-3);
        assert_eq!(of(&near).verdict(), Verdict::NotResolved);
        let back = Ratio::independent(&lower, &a).unwrap();
        assert_eq!(back.verdict(), Verdict::ALower);
        assert!((back.ratio() * of(&lower).ratio() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn pairs_cancel_what_drifts_over_both() {
        let pairs: Vec<(f64, f64)> = (0..6)
            .map(|k| {
                let clock = 1.0 + 0.1 * f64::from(k);
                (clock, 0.98 * clock * if k % 2 == 0 { 1.001 } else { 0.999 })
            })
            .collect();
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        assert_eq!(Ratio::paired(&pairs).unwrap().verdict(), Verdict::BLower);
        let apart = Ratio::independent(&a, &b).unwrap();
        assert_eq!(apart.verdict(), Verdict::NotResolved);
    }

    #[test]
    fn the_gain_of_one_sensor_cancels_and_that_of_two_does_not() {
        let side = Shared {
            scale: 0.01,
            offset: 0.004,
            other: 0.0,
        };
        assert_eq!(Shared::of_ratio(side, side, Sensors::Same), 0.0);
        let two = Shared::of_ratio(side, side, Sensors::Different);
        assert!((two - 0.01f64.hypot(0.004) * 2f64.sqrt()).abs() < 1e-12);
        // A zero offset weighs less on the larger figure.
        let larger = Shared {
            offset: 0.001,
            ..side
        };
        assert!((Shared::of_ratio(side, larger, Sensors::Same) - 0.003).abs() < 1e-12);
        let (a, b) = ([1.0, 1.001, 0.999], [0.98, 0.981, 0.979]);
        let ratio = Ratio::independent(&a, &b).unwrap();
        assert_eq!(ratio.verdict(), Verdict::BLower);
        let apart = ratio.with_systematic(two);
        assert_eq!(apart.verdict(), Verdict::NotResolved);
        assert_eq!(apart.ratio(), ratio.ratio());
    }

    #[test]
    fn one_of_several_comparisons_has_to_be_clearer() {
        let pairs = [(1.0, 0.97), (1.0, 0.98), (1.0, 0.99), (1.0, 0.975)];
        let alone = Ratio::paired(&pairs).unwrap();
        assert_eq!(alone.verdict(), Verdict::BLower);
        assert!((alone.among(1).half_width() - alone.half_width()).abs() < 1e-6);
        assert_eq!(alone.among(20).verdict(), Verdict::NotResolved);
        assert_eq!(alone.among(20).ratio(), alone.ratio());
    }

    #[test]
    fn one_value_has_no_spread_and_nothing_below_zero_has_a_ratio() {
        assert_eq!(Ratio::independent(&[1.0], &[2.0, 2.1]), None);
        assert_eq!(Ratio::paired(&[(1.0, 2.0)]), None);
        assert_eq!(Ratio::independent(&[1.0, -1.0], &[2.0, 2.1]), None);
        let exact = Ratio::independent(&[1.0, 1.0], &[2.0, 2.0]).unwrap();
        assert_eq!((exact.ratio(), exact.verdict()), (2.0, Verdict::ALower));
    }

    /// How often the interval holds the ratio that both samples were drawn with.
    #[test]
    fn the_interval_holds_the_truth_in_95_of_100() {
        let mut random = Uniform(8);
        let mut normal = |mean: f64, sd: f64| {
            // Irwin and Hall: twelve uniforms are nearly normal.
            let sum: f64 = (0..12).map(|_| random.next()).sum();
            mean * (1.0 + sd * (sum - 6.0))
        };
        let trials = 2000;
        let (mut apart, mut paired) = (0, 0);
        for _ in 0..trials {
            let a: Vec<f64> = (0..5).map(|_| normal(2.0, 0.02)).collect();
            let b: Vec<f64> = (0..7).map(|_| normal(2.2, 0.05)).collect();
            let holds = |ratio: Ratio| {
                let (low, high) = ratio.interval();
                u32::from(low <= 1.1 && 1.1 <= high)
            };
            apart += holds(Ratio::independent(&a, &b).unwrap());
            let pairs: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
            paired += holds(Ratio::paired(&pairs).unwrap());
        }
        assert!(apart >= trials * 94 / 100, "{apart} of {trials}");
        assert!(paired >= trials * 94 / 100, "{paired} of {trials}");
    }

    proptest! {
        #[test]
        fn the_other_way_round_is_the_reciprocal(
            a in prop::collection::vec(0.1..10.0f64, 2..8),
            b in prop::collection::vec(0.1..10.0f64, 2..8),
            systematic in 0.0..0.1f64,
        ) {
            let there = Ratio::independent(&a, &b).unwrap().with_systematic(systematic);
            let back = Ratio::independent(&b, &a).unwrap().with_systematic(systematic);
            let (low, high) = there.interval();
            prop_assert!((back.interval().0 * high - 1.0).abs() < 1e-9);
            prop_assert!(low <= there.ratio() && there.ratio() <= high);
            let swapped = match there.verdict() {
                Verdict::ALower => Verdict::BLower,
                Verdict::BLower => Verdict::ALower,
                Verdict::NotResolved => Verdict::NotResolved,
            };
            prop_assert_eq!(back.verdict(), swapped);
        }
    }
}
