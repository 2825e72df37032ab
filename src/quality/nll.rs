//! Perplexity: the exponential of the mean negative log-likelihood of a token, with the
//! standard error that llama-perplexity prints.

use serde::{Deserialize, Serialize};

/// Negative log-likelihoods of tokens, added up.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Nll {
    pub tokens: u64,
    pub sum: f64,
    pub squares: f64,
}

impl Nll {
    pub fn add(&mut self, ln_p: f64) {
        self.tokens += 1;
        self.sum -= ln_p;
        self.squares += ln_p * ln_p;
    }

    /// In nats a token; `None` without tokens.
    pub fn mean(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.sum / self.tokens as f64)
    }

    /// Standard error of the mean, as though tokens were independent; `None` below two tokens.
    pub fn mean_se(&self) -> Option<f64> {
        let mean = self.mean()?;
        let n = self.tokens as f64;
        let variance = (self.squares / n - mean * mean).max(0.0);
        (self.tokens > 1).then(|| (variance / (n - 1.0)).sqrt())
    }

    /// `None` without tokens, or where it is beyond all numbers.
    pub fn perplexity(&self) -> Option<f64> {
        let perplexity = self.mean()?.exp();
        perplexity.is_finite().then_some(perplexity)
    }

    /// Standard error of the perplexity, to first order.
    pub fn perplexity_se(&self) -> Option<f64> {
        let se = self.perplexity()? * self.mean_se()?;
        se.is_finite().then_some(se)
    }

    /// Whether these can be sums of squares and negative logarithms of as many probabilities.
    pub fn is_plausible(&self) -> bool {
        let finite = self.sum.is_finite() && self.squares.is_finite();
        // Rounding of log-probabilities near 0 may leave a trace above 0.
        finite && self.tokens > 0 && self.sum >= -1e-3 * self.tokens as f64 && self.squares >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(probabilities: &[f64]) -> Nll {
        let mut nll = Nll::default();
        probabilities.iter().for_each(|p| nll.add(p.ln()));
        nll
    }

    #[test]
    fn tokens_of_one_probability_have_its_inverse_and_no_error() {
        let nll = of(&[0.25; 8]);
        assert!((nll.perplexity().unwrap() - 4.0).abs() < 1e-12);
        assert!(nll.perplexity_se().unwrap() < 1e-6);
    }

    #[test]
    fn nothing_is_not_one() {
        let none = Nll::default();
        assert_eq!((none.mean(), none.perplexity()), (None, None));
        assert_eq!(of(&[0.5]).mean_se(), None);
        let mut beyond = Nll::default();
        beyond.add(-1e5);
        assert_eq!(beyond.perplexity(), None);
        assert!(!none.is_plausible() && beyond.is_plausible());
    }

    proptest! {
        /// Beside the textbook's two passes.
        #[test]
        fn the_error_is_the_spread_over_the_root(
            p in proptest::collection::vec(0.001f64..1.0, 2..200)
        ) {
            let nll = of(&p);
            let n = p.len() as f64;
            let mean = p.iter().map(|p| -p.ln()).sum::<f64>() / n;
            let squares = p.iter().map(|p| (-p.ln() - mean).powi(2)).sum::<f64>();
            let sd_of_mean = (squares / (n - 1.0) / n).sqrt();
            prop_assert!((nll.mean_se().unwrap() - sd_of_mean).abs() < 1e-6);
            prop_assert!((nll.perplexity().unwrap() / mean.exp() - 1.0).abs() < 1e-9);
            prop_assert!(nll.is_plausible());
        }
    }
}
