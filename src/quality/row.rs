//! Log-probabilities out of one row of logits.

use super::exp;

/// The logits that follow on one token, one for each token of the vocabulary.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    logits: &'a [f32],
    /// ln Σ exp(logit).
    log_sum: f64,
}

impl<'a> Row<'a> {
    /// `None` where no probabilities follow: a logit is no number, which only damaged weights
    /// bring about, or there is none.
    pub fn of(logits: &'a [f32]) -> Option<Self> {
        let most = exp::largest(logits);
        if !most.is_finite() {
            return None;
        }
        let log_sum = f64::from(most) + exp::sum(logits, most).ln();
        log_sum.is_finite().then_some(Self { logits, log_sum })
    }

    /// ln p of a token; `None` for one that the vocabulary has not, or without probability.
    pub fn ln_p(&self, token: usize) -> Option<f64> {
        let logit = f64::from(*self.logits.get(token)?);
        let ln_p = logit - self.log_sum;
        ln_p.is_finite().then_some(ln_p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_to_one() {
        let logits: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let row = Row::of(&logits).unwrap();
        let sum: f64 = (0..1000).map(|i| row.ln_p(i).unwrap().exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        let even = Row::of(&[5.0; 4]).unwrap();
        assert!((even.ln_p(3).unwrap() + 4f64.ln()).abs() < 1e-7);
        assert_eq!(even.ln_p(4), None);
    }

    #[test]
    fn what_is_no_number_has_no_probability() {
        assert!(Row::of(&[]).is_none());
        assert!(Row::of(&[f32::NEG_INFINITY; 3]).is_none());
        assert!(Row::of(&[1.0, f32::INFINITY]).is_none());
        assert!(Row::of(&[f32::NAN; 40]).is_none());
        assert!(Row::of(&[1.0, f32::NAN]).is_none());
        let masked = Row::of(&[1.0, f32::NEG_INFINITY]).unwrap();
        assert!(masked.ln_p(0).unwrap().abs() < 1e-7);
        assert_eq!(masked.ln_p(1), None);
    }
}
