//! Statistics over repetitions.

use super::{Distribution, Estimate};

/// A figure over n repetitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistic {
    pub n: u32,
    pub median: f64,
    pub mean: f64,
    /// Sample standard deviation; `None` for a single value.
    pub sd: Option<f64>,
    /// Interquartile range by type 7 quantiles; `None` below five values.
    pub iqr: Option<f64>,
    /// Half-width of the 95 % interval of the mean; `None` for a single value.
    pub u95: Option<f64>,
    /// The systematic standard uncertainty in it; `None` for figures without one.
    pub u_sys: Option<f64>,
}

impl Statistic {
    /// Statistics of figures without a systematic part, such as speeds. `None` for no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        Self::with_systematic(values, 0.0)
    }

    /// Statistics of energies: their spread, which the random parts are in already, and the
    /// systematic part, which n does not divide.
    pub fn of_estimates(estimates: &[Estimate]) -> Option<Self> {
        let values: Vec<f64> = estimates.iter().map(|estimate| estimate.value).collect();
        let sum: Estimate = estimates.iter().copied().sum();
        Self::with_systematic(&values, sum.u_sys() / estimates.len().max(1) as f64)
    }

    fn with_systematic(values: &[f64], u_sys: f64) -> Option<Self> {
        let spread = Distribution::of(values)?;
        let n = values.len() as f64;
        let random = |sd: f64| student_t(values.len() - 1) * sd / n.sqrt();
        Some(Self {
            n: spread.n,
            median: spread.median,
            mean: spread.mean,
            sd: spread.sd,
            iqr: spread.iqr,
            u95: spread.sd.map(|sd| random(sd).hypot(2.0 * u_sys)),
            u_sys: (u_sys > 0.0).then_some(u_sys),
        })
    }
}

/// The 97.5 % quantile of Student's t. Up to 10 degrees of freedom the usual table, beyond
/// that the expansion 26.7.5 of Abramowitz and Stegun, which is then good to 1e-4.
pub fn student_t(degrees: usize) -> f64 {
    const TABLE: [f64; 10] = [
        12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    ];
    const Z: f64 = 1.959_963_985;
    if let Some(&t) = degrees.checked_sub(1).and_then(|at| TABLE.get(at)) {
        return t;
    }
    let v = degrees as f64;
    let z2 = Z * Z;
    let g1 = Z * (z2 + 1.0) / 4.0;
    let g2 = Z * ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    let g3 = Z * (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    let g4 = Z * ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0;
    Z + (g1 + (g2 + (g3 + g4 / v) / v) / v) / v
}

/// The quantile of Student's t for the intervals of several comparisons that hold all together
/// in 95 of 100: 1 − 0.025 ÷ `comparisons`. By bisection of the closed forms 26.7.3 and 26.7.4 of
/// Abramowitz and Stegun.
pub fn student_t_among(degrees: usize, comparisons: usize) -> f64 {
    let wanted = 1.0 - 0.05 / comparisons.max(1) as f64;
    let (mut low, mut high) = (0.0, 1e6);
    // Twice as near with each step: beyond what a double holds.
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        match within(middle, degrees.max(1)) < wanted {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// The probability that Student's t is between `-t` and `t`.
fn within(t: f64, degrees: usize) -> f64 {
    let theta = (t / (degrees as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let odd = degrees % 2;
    let (mut term, mut sum) = (if odd == 1 { cos } else { 1.0 }, 0.0);
    let mut power = odd;
    while power + 2 <= degrees {
        sum += term;
        let next = power + 2;
        term *= cos * cos * (next - 1) as f64 / next as f64;
        power = next;
    }
    match odd {
        1 => 2.0 / std::f64::consts::PI * (theta + sin * sum),
        _ => sin * sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_values_have_no_statistic_and_one_has_no_spread() {
        assert_eq!(Statistic::of(&[]), None);
        let one = Statistic::of(&[2.0]).unwrap();
        assert_eq!((one.n, one.median, one.mean), (1, 2.0, 2.0));
        assert_eq!((one.sd, one.iqr, one.u95), (None, None, None));
    }

    #[test]
    fn order_statistics_are_of_type_7() {
        let s = Statistic::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((s.median, s.iqr), (2.5, None));
        let s = Statistic::of(&[10.0, 1.0, 3.0, 2.0, 4.0, 5.0]).unwrap();
        // R: quantile(c(1,2,3,4,5,10), c(.25,.75)) is 2.25 and 4.75.
        assert_eq!(s.iqr, Some(2.5));
    }

    #[test]
    fn students_t_matches_the_table() {
        for (degrees, t) in [
            (1, 12.7062),
            (2, 4.3027),
            (10, 2.2281),
            (11, 2.2010),
            (15, 2.1314),
            (30, 2.0423),
            (120, 1.9799),
            (1_000_000, 1.9600),
        ] {
            assert!((student_t(degrees) - t).abs() < 1e-4, "{degrees}");
        }
    }

    #[test]
    fn one_comparison_is_the_usual_quantile_and_more_are_wider() {
        for degrees in [1, 2, 3, 4, 5, 8, 9, 10, 15, 30] {
            let (closed, usual) = (student_t_among(degrees, 1), student_t(degrees));
            assert!((closed / usual - 1.0).abs() < 2e-5, "{degrees}: {closed}");
        }
        // The table's quantiles of 0.995 and 0.9975.
        assert!((student_t_among(5, 5) - 4.0321).abs() < 1e-4);
        assert!((student_t_among(10, 10) - 3.5814).abs() < 1e-4);
    }

    #[test]
    fn repetitions_divide_the_spread_but_not_the_systematic_part() {
        let of = |n: usize| {
            let reps: Vec<Estimate> = (0..n)
                .map(|k| Estimate {
                    value: 1.0 + if k % 2 == 0 { 0.01 } else { -0.01 },
                    scale: 0.02,
                    ..Estimate::default()
                })
                .collect();
            Statistic::of_estimates(&reps).unwrap().u95.unwrap()
        };
        assert!(of(2) > 0.1);
        assert!((of(10_000) - 0.04).abs() < 1e-4);
    }
}
