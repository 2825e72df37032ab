//! Speed and energy of the tokens of a job that publishes them while it runs.

use crate::record::Reason;
use crate::record::job::{Token, Tokens};
use std::collections::VecDeque;

/// The speed shown is that of so many tokens.
const SPEED_OVER: usize = 64;
/// Of uncertainties that are published as standard uncertainties.
const COVERAGE_FACTOR: f64 = 2.0;

/// The newest repetition of an attempt, as far as its tokens have come.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LiveTokens {
    pub attempt: u32,
    pub rep: u32,
    /// The newest of them.
    newest: VecDeque<(u32, f64)>,
    energy_j: f64,
    /// Tokens whose energy is in `energy_j`.
    counted: u32,
    /// Sum of the squared random uncertainties.
    u_ran2: f64,
    u_sys_rel: Option<f64>,
}

/// Energy per token with its expanded uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerToken {
    pub energy_j: f64,
    pub u95: Option<f64>,
}

impl LiveTokens {
    pub fn add(&mut self, record: &Tokens) {
        if (record.attempt, record.rep) < (self.attempt, self.rep) {
            return;
        }
        if (record.attempt, record.rep) > (self.attempt, self.rep) {
            *self = Self {
                attempt: record.attempt,
                rep: record.rep,
                ..Self::default()
            };
        }
        if record.u_sys_rel.is_some() {
            self.u_sys_rel = record.u_sys_rel;
        }
        for token in &record.tokens {
            self.token(token);
        }
    }

    fn token(&mut self, token: &Token) {
        // One that comes twice counts once.
        if self.newest.back().is_some_and(|(last, _)| token.i <= *last) {
            return;
        }
        self.newest.push_back((token.i, token.t_s));
        if self.newest.len() > SPEED_OVER {
            self.newest.pop_front();
        }
        match (token.energy_j, token.reason) {
            (Some(energy_j), _) => {
                self.energy_j += energy_j;
                self.counted += 1;
                self.u_ran2 += token.u_ran_j.unwrap_or(0.0).powi(2);
            }
            // The last token of its step has the energy of all.
            (None, Some(Reason::SharedStep)) => self.counted += 1,
            (None, _) => {}
        }
    }

    /// How many tokens the repetition has so far.
    pub fn count(&self) -> u32 {
        self.newest.back().map_or(0, |(i, _)| i + 1)
    }

    /// Tokens a second, of the newest of them.
    pub fn tok_s(&self) -> Option<f64> {
        let (first, last) = (self.newest.front()?, self.newest.back()?);
        let seconds = last.1 - first.1;
        (seconds > 0.0).then(|| f64::from(last.0 - first.0) / seconds)
    }

    /// Mean of the tokens that have an energy. Random parts are of independent windows, and
    /// the systematic part is one for all.
    pub fn per_token(&self) -> Option<PerToken> {
        if self.counted == 0 || self.energy_j == 0.0 {
            return None;
        }
        let n = f64::from(self.counted);
        let u95 = self.u_sys_rel.map(|systematic| {
            let systematic = systematic * self.energy_j;
            COVERAGE_FACTOR * (self.u_ran2 + systematic.powi(2)).sqrt() / n
        });
        Some(PerToken {
            energy_j: self.energy_j / n,
            u95,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rep: u32, first: u32, count: u32) -> Tokens {
        let tokens = (first..first + count).map(|i| Token {
            i,
            t_s: 0.3 + f64::from(i) * 0.05,
            energy_j: (i > 0).then_some(0.2),
            energy_j_u95: None,
            u_ran_j: (i > 0).then_some(0.03),
            power_w: None,
            step_n: None,
            reason: (i == 0).then_some(Reason::InPrefill),
        });
        Tokens {
            id: "a".to_owned(),
            attempt: 1,
            rep,
            seq: u64::from(first),
            simulated: false,
            resolved: true,
            u_sys_rel: Some(0.01),
            reason: None,
            tokens: tokens.collect(),
        }
    }

    #[test]
    fn speed_and_energy_follow_the_tokens() {
        let mut live = LiveTokens::default();
        assert_eq!((live.tok_s(), live.per_token()), (None, None));
        live.add(&batch(1, 0, 1));
        assert_eq!((live.tok_s(), live.per_token()), (None, None));
        live.add(&batch(1, 1, 9));
        live.add(&batch(1, 1, 9));
        assert_eq!(live.count(), 10);
        assert!((live.tok_s().unwrap() - 20.0).abs() < 1e-9);
        let mean = live.per_token().unwrap();
        assert!((mean.energy_j - 0.2).abs() < 1e-12);
        // 9 tokens: random 0.09 J in all, systematic 1 % of 1.8 J.
        let expected = 2.0 * (0.09_f64.powi(2) + 0.018_f64.powi(2)).sqrt() / 9.0;
        assert!((mean.u95.unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn a_repetition_begins_anew_and_an_old_one_does_not_come_back() {
        let mut live = LiveTokens::default();
        live.add(&batch(2, 0, 5));
        live.add(&batch(1, 5, 5));
        assert_eq!((live.rep, live.count()), (2, 5));
        live.add(&batch(3, 0, 1));
        assert_eq!((live.rep, live.count()), (3, 1));
    }

    #[test]
    fn tokens_of_one_step_share_its_energy() {
        let mut live = LiveTokens::default();
        let mut record = batch(1, 1, 4);
        for token in &mut record.tokens[..3] {
            token.energy_j = None;
            token.reason = Some(Reason::SharedStep);
        }
        live.add(&record);
        assert!((live.per_token().unwrap().energy_j - 0.05).abs() < 1e-12);
    }
}
