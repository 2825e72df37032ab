//! The figures of one repetition: energy per token, gross and net, and what follows from it.

use super::idle::net;
use super::{Baseline, Estimate, Figure, Measured, Reason, Trace};
use crate::units::MonoNs;

/// A figure with and without the idle baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GrossNet {
    pub gross: Figure,
    pub net: Figure,
}

impl GrossNet {
    fn missing(reason: Reason) -> Self {
        Self {
            gross: Err(reason),
            net: Err(reason),
        }
    }

    fn of(measured: &Measured, baseline: Option<&Baseline>) -> Self {
        let gross = measured.energy_j();
        Self {
            gross,
            net: net(gross, baseline, measured.t0, measured.t1),
        }
    }

    /// Per something that there are `n` of.
    fn per(self, n: u64) -> Self {
        if n == 0 {
            return Self::missing(Reason::TooFew);
        }
        let each = |figure: Figure| figure.map(|estimate| estimate.scaled(1.0 / n as f64));
        Self {
            gross: each(self.gross),
            net: each(self.net),
        }
    }
}

/// Prefill or decode of one repetition.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseEnergy {
    /// Prompt tokens of prefill, decode tokens of decode.
    pub tokens: u32,
    pub measured: Measured,
    pub energy_j: GrossNet,
}

impl PhaseEnergy {
    pub fn measure(
        trace: &Trace,
        baseline: Option<&Baseline>,
        tokens: u32,
        t0: MonoNs,
        t1: MonoNs,
    ) -> Self {
        let measured = trace.measure(t0, t1);
        Self {
            tokens,
            energy_j: GrossNet::of(&measured, baseline),
            measured,
        }
    }

    pub fn duration_s(&self) -> f64 {
        self.measured.span().as_secs_f64()
    }

    /// `None` for a phase without length.
    pub fn tok_s(&self) -> Option<f64> {
        let duration = self.duration_s();
        (duration > 0.0).then(|| f64::from(self.tokens) / duration)
    }
}

/// What a repetition was, with its phases measured on one rail.
#[derive(Debug, Clone, PartialEq)]
pub enum RepEnergy {
    /// One request: prefill and decode belong together.
    Generate {
        prefill: PhaseEnergy,
        decode: PhaseEnergy,
        output_tokens: u32,
        /// Both phases as one interval, so that the boundary between them cancels.
        both: Box<GrossNet>,
    },
    /// Prefill and decode apart, each from its own context; either may be left out.
    Bench {
        prefill: Option<PhaseEnergy>,
        decode: Option<PhaseEnergy>,
    },
}

impl RepEnergy {
    /// A `generate` repetition. `decode` begins where `prefill` ends.
    pub fn generate(
        trace: &Trace,
        baseline: Option<&Baseline>,
        prefill: PhaseEnergy,
        decode: PhaseEnergy,
        output_tokens: u32,
    ) -> Self {
        let both = trace.measure(prefill.measured.t0, decode.measured.t1);
        Self::Generate {
            prefill,
            decode,
            output_tokens,
            both: Box::new(GrossNet::of(&both, baseline)),
        }
    }

    pub fn prefill(&self) -> Option<&PhaseEnergy> {
        match self {
            Self::Generate { prefill, .. } => Some(prefill),
            Self::Bench { prefill, .. } => prefill.as_ref(),
        }
    }

    pub fn decode(&self) -> Option<&PhaseEnergy> {
        match self {
            Self::Generate { decode, .. } => Some(decode),
            Self::Bench { decode, .. } => decode.as_ref(),
        }
    }

    /// The repetition's systematic standard uncertainty relative to decode's energy.
    pub fn u_sys_rel(&self) -> Option<f64> {
        self.decode()?.energy_j.gross.ok()?.u_sys_rel()
    }
}

/// Energy per token and what follows from it; `mbu` needs the model's sizes and is not here.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    pub j_per_prompt_token: GrossNet,
    pub j_per_output_token: GrossNet,
    pub j_per_output_token_all_in: GrossNet,
    pub j_per_token_all: GrossNet,
    pub tpot_s: Result<f64, Reason>,
    pub tok_per_j: Result<f64, Reason>,
    pub mwh_per_token: Result<f64, Reason>,
    pub edp: Result<f64, Reason>,
    pub s_t: Result<f64, Reason>,
}

impl Figures {
    /// What combines prefill and decode is not defined for `bench`, where they are not parts
    /// of one request; what divides by no tokens is `too-few`.
    pub fn new(rep: &RepEnergy) -> Self {
        let per_token = |phase: Option<&PhaseEnergy>| {
            phase.map_or(GrossNet::missing(Reason::NotDefined), |phase| {
                phase.energy_j.per(u64::from(phase.tokens))
            })
        };
        let decode = rep.decode();
        let j_per_output_token = per_token(decode);
        let tok_s = match decode {
            None => Err(Reason::NotDefined),
            Some(phase) => phase
                .tok_s()
                .filter(|&speed| speed > 0.0)
                .ok_or(Reason::TooFew),
        };
        let j = j_per_output_token.gross.map(|estimate| estimate.value);
        let (all_in, all, edp) = match rep {
            RepEnergy::Generate {
                prefill,
                decode,
                output_tokens,
                both,
            } => {
                let out = u64::from(*output_tokens);
                let seconds = decode.measured.t1.since(prefill.measured.t0).as_secs_f64();
                (
                    both.per(out),
                    both.per(u64::from(prefill.tokens) + out),
                    both.gross.map(|energy| energy.value * seconds),
                )
            }
            RepEnergy::Bench { .. } => (
                GrossNet::missing(Reason::NotDefined),
                GrossNet::missing(Reason::NotDefined),
                Err(Reason::NotDefined),
            ),
        };
        Self {
            j_per_prompt_token: per_token(rep.prefill()),
            j_per_output_token,
            j_per_output_token_all_in: all_in,
            j_per_token_all: all,
            tpot_s: tok_s.map(f64::recip),
            tok_per_j: reciprocal(j_per_output_token.gross),
            mwh_per_token: j.map(|j| j / 3.6),
            edp,
            s_t: j.and_then(|j| Ok(j / tok_s?)),
        }
    }
}

/// Tokens per joule mean nothing for an energy that isn't clearly above zero.
fn reciprocal(per_token: Figure) -> Result<f64, Reason> {
    let Estimate { value, .. } = per_token?;
    if value > 0.0 {
        Ok(value.recip())
    } else {
        Err(Reason::BelowNoise)
    }
}

#[cfg(test)]
mod tests {
    use super::super::IdleLevel;
    use super::super::signal::sampled;
    use super::*;
    use crate::units::Span;

    const S: u64 = 1_000_000_000;

    /// Idle at 3 W for 10 s, prefill at 9 W for 1 s, decode at 8 W for 4 s, idle again.
    fn power(t: f64) -> f64 {
        3.0 * t + 6.0 * (t - 10.0).clamp(0.0, 1.0) + 5.0 * (t - 11.0).clamp(0.0, 4.0)
    }

    fn traced(width: u64) -> (Trace, Option<Baseline>) {
        let trace = sampled(&power, 0, width, 25 * S / width);
        let idle = |t0, t1| IdleLevel::measure(&trace, MonoNs(t0 * S), MonoNs(t1 * S), Span(S));
        let baseline = Baseline::new(Some(&idle(0, 10)), Some(&idle(15, 25)));
        (trace, baseline)
    }

    fn phases(trace: &Trace, baseline: Option<&Baseline>, out: u32) -> [PhaseEnergy; 2] {
        let at = |tokens, t0: u64, t1: u64| {
            PhaseEnergy::measure(trace, baseline, tokens, MonoNs(t0 * S), MonoNs(t1 * S))
        };
        [at(20, 10, 11), at(out - 1, 11, 15)]
    }

    fn close(figure: Figure, expected: f64) {
        let value = figure.unwrap().value;
        assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    }

    #[test]
    fn generate_has_every_figure() {
        let (trace, baseline) = traced(5_000_000);
        let [prefill, decode] = phases(&trace, baseline.as_ref(), 41);
        let rep = RepEnergy::generate(&trace, baseline.as_ref(), prefill, decode, 41);
        let f = Figures::new(&rep);
        close(f.j_per_prompt_token.gross, 9.0 / 20.0);
        close(f.j_per_prompt_token.net, 6.0 / 20.0);
        close(f.j_per_output_token.gross, 32.0 / 40.0);
        close(f.j_per_output_token.net, 20.0 / 40.0);
        close(f.j_per_output_token_all_in.gross, 41.0 / 41.0);
        close(f.j_per_output_token_all_in.net, 26.0 / 41.0);
        close(f.j_per_token_all.gross, 41.0 / 61.0);
        close(f.j_per_token_all.net, 26.0 / 61.0);
        let plain = |value: Result<f64, Reason>, expected: f64| {
            assert!((value.unwrap() - expected).abs() < 1e-6);
        };
        plain(f.tpot_s, 0.1);
        plain(f.tok_per_j, 1.25);
        plain(f.mwh_per_token, 0.8 / 3.6);
        plain(f.edp, 41.0 * 5.0);
        plain(f.s_t, 0.08);
        assert_eq!(rep.u_sys_rel(), Some(0.0));
    }

    #[test]
    fn a_request_of_one_token_has_no_decode_tokens_to_divide_by() {
        let (trace, baseline) = traced(5_000_000);
        let [prefill, decode] = phases(&trace, baseline.as_ref(), 1);
        let rep = RepEnergy::generate(&trace, baseline.as_ref(), prefill, decode, 1);
        let f = Figures::new(&rep);
        assert_eq!(f.j_per_output_token, GrossNet::missing(Reason::TooFew));
        assert_eq!(f.tpot_s, Err(Reason::TooFew));
        assert_eq!(f.s_t, Err(Reason::TooFew));
        assert!(f.j_per_output_token_all_in.gross.is_ok());
    }

    #[test]
    fn bench_lacks_what_needs_one_request() {
        let (trace, baseline) = traced(5_000_000);
        let [_, decode] = phases(&trace, baseline.as_ref(), 41);
        let rep = RepEnergy::Bench {
            prefill: None,
            decode: Some(decode),
        };
        let f = Figures::new(&rep);
        let undefined = GrossNet::missing(Reason::NotDefined);
        assert_eq!(f.j_per_prompt_token, undefined);
        assert_eq!(f.j_per_output_token_all_in, undefined);
        assert_eq!(f.j_per_token_all, undefined);
        assert_eq!(f.edp, Err(Reason::NotDefined));
        close(f.j_per_output_token.gross, 0.8);
    }

    #[test]
    fn a_coarse_prefill_does_not_take_the_request_with_it() {
        let (trace, baseline) = traced(S / 2);
        let [prefill, decode] = phases(&trace, baseline.as_ref(), 41);
        let rep = RepEnergy::generate(&trace, baseline.as_ref(), prefill, decode, 41);
        let f = Figures::new(&rep);
        assert_eq!(f.j_per_prompt_token, GrossNet::missing(Reason::TooCoarse));
        close(f.j_per_output_token_all_in.gross, 1.0);
    }

    #[test]
    fn without_a_baseline_gross_stands_alone() {
        let (trace, _) = traced(5_000_000);
        let [prefill, _] = phases(&trace, None, 41);
        assert!(prefill.energy_j.gross.is_ok());
        assert_eq!(prefill.energy_j.net, Err(Reason::NoBaseline));
    }
}
