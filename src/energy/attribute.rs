//! Energy of each output token of a repetition.
//!
//! A token's interval ends when the token is known and begins when the one before was, so
//! the tokens of a decode phase tile it and their energies add up to its energy. Token 0 of a
//! `generate` ends prefill; `bench` counts from 1, and its first token begins with decode.

use super::{Figure, Reason, Trace};
use crate::units::MonoNs;
use std::ops::Range;

/// One output token.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEnergy {
    pub i: u32,
    /// When it was known.
    pub t: MonoNs,
    pub energy_j: Figure,
    /// Mean since the token before; `None` when the energy is withheld.
    pub power_w: Option<f64>,
    /// Tokens that became known together, whose energy this one carries or would carry.
    pub step_n: u32,
}

/// The tokens of one repetition.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenEnergies {
    pub tokens: Vec<TokenEnergy>,
    /// Whether every step of decode has at least 10 complete windows.
    pub resolved: bool,
}

/// Attributes decode to its tokens. `times` are those of the output tokens from number
/// `first` on (0 for `generate`, 1 for `bench`); `decode_t0` is the end of prefill, or the
/// start of `bench`'s decode. Tokens add up to `trace.measure(decode_t0, last token)`, so a
/// decode phase is best ended at its last token. A time before the one before it is taken as
/// equal to it.
pub fn attribute(trace: &Trace, first: u32, times: &[MonoNs], decode_t0: MonoNs) -> TokenEnergies {
    attribute_part(trace, first, times, 0..times.len(), decode_t0)
}

/// The tokens of `part` alone, with the figures that they have among all `times`, also where
/// a step reaches beyond the part; for that the times beyond it must be in order.
pub fn attribute_part(
    trace: &Trace,
    first: u32,
    times: &[MonoNs],
    part: Range<usize>,
    decode_t0: MonoNs,
) -> TokenEnergies {
    let mut tokens = Vec::with_capacity(part.len());
    let mut steps = 0;
    let mut resolved = 0;
    let (before, rest) = times.split_at(part.start);
    let mut at = match rest.first() {
        Some(first) => before.partition_point(|before| before < first),
        None => part.start,
    };
    // Token 0's own time never moves the start of decode.
    let mut t0 = match before[..at].last() {
        Some(last) if first > 0 || *last > times[0] => decode_t0.max(*last),
        _ => decode_t0,
    };
    while at < part.end {
        let t = times[at].max(t0);
        let shown = at.max(part.start);
        let within = times[shown..part.end].iter();
        let mut end = shown + within.take_while(|&&next| next <= t).count();
        if end == part.end {
            end += times[end..].partition_point(|next| *next <= t);
        }
        let step_n = end - at;
        let in_prefill = t == decode_t0 || (first == 0 && at == 0);
        let (energy_j, power_w) = if in_prefill {
            (Err(Reason::InPrefill), None)
        } else {
            let measured = trace.measure(t0, t);
            steps += 1;
            resolved += usize::from(measured.resolved());
            let power = measured.power_w().ok().map(|power| power.value);
            (measured.energy_j(), power)
        };
        let step = times[..end.min(part.end)].iter().enumerate();
        for (k, &t) in step.skip(shown) {
            let last = k + 1 == end;
            tokens.push(TokenEnergy {
                i: first.saturating_add(k as u32),
                t,
                energy_j: match energy_j {
                    Err(Reason::InPrefill) => energy_j,
                    _ if last => energy_j,
                    _ => Err(Reason::SharedStep),
                },
                power_w: power_w.filter(|_| last),
                step_n: step_n as u32,
            });
        }
        at = end;
        if !in_prefill {
            t0 = t;
        }
    }
    TokenEnergies {
        tokens,
        resolved: steps > 0 && resolved == steps,
    }
}

#[cfg(test)]
mod tests {
    use super::super::signal::{Uniform, sampled, sine, window};
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn at(ms: &[u64]) -> Vec<MonoNs> {
        ms.iter().map(|ms| MonoNs(ms * MS)).collect()
    }

    fn value(token: &TokenEnergy) -> Result<f64, Reason> {
        token
            .energy_j
            .map(|energy| (energy.value * 1e6).round() / 1e6)
    }

    #[test]
    fn generate_leaves_token_0_in_prefill() {
        let trace = sampled(&|t| 4.0 * t, 0, MS, 1000);
        let tokens = attribute(&trace, 0, &at(&[100, 120, 150]), MonoNs(100 * MS));
        let values: Vec<_> = tokens.tokens.iter().map(value).collect();
        assert_eq!(values, [Err(Reason::InPrefill), Ok(0.08), Ok(0.12)]);
        assert_eq!(tokens.tokens[0].power_w, None);
        assert!((tokens.tokens[2].power_w.unwrap() - 4.0).abs() < 1e-9);
        assert!(tokens.resolved);
    }

    #[test]
    fn bench_counts_from_1_and_starts_with_decode() {
        let trace = sampled(&|t| 4.0 * t, 0, MS, 1000);
        let tokens = attribute(&trace, 1, &at(&[120, 125]), MonoNs(100 * MS));
        let numbered: Vec<_> = tokens.tokens.iter().map(|t| (t.i, value(t))).collect();
        assert_eq!(numbered, [(1, Ok(0.08)), (2, Ok(0.02))]);
        assert!(!tokens.resolved, "5 windows are not 10");
    }

    #[test]
    fn a_shared_step_puts_its_energy_on_the_last() {
        let trace = sampled(&|t| 4.0 * t, 0, MS, 1000);
        let times = at(&[100, 100, 120, 120, 120, 140]);
        let tokens = attribute(&trace, 0, &times, MonoNs(100 * MS)).tokens;
        let values: Vec<_> = tokens.iter().map(|t| (value(t), t.step_n)).collect();
        let shared = Err(Reason::SharedStep);
        assert_eq!(
            values,
            [
                (Err(Reason::InPrefill), 2),
                (Err(Reason::InPrefill), 2),
                (shared, 3),
                (shared, 3),
                (Ok(0.08), 3),
                (Ok(0.08), 1)
            ]
        );
    }

    #[test]
    fn coarse_tokens_are_null_while_their_decode_stands() {
        let trace = sampled(&|t| 4.0 * t, 0, 50 * MS, 100);
        let times: Vec<_> = (1..=10).map(|k| MonoNs(k * 100 * MS)).collect();
        let tokens = attribute(&trace, 1, &times, MonoNs(0));
        assert!(
            tokens
                .tokens
                .iter()
                .all(|t| t.energy_j == Err(Reason::TooCoarse))
        );
        assert!(!tokens.resolved);
        assert!(trace.measure(MonoNs(0), times[9]).energy_j().is_ok());
    }

    #[test]
    fn tokens_add_up_to_decode() {
        let trace = sampled(&sine(5.0, 3.0, 0.04), 1 << 60, MS, 10_000);
        let mut random = Uniform(1);
        let t0 = MonoNs((1 << 60) + 12_345_678);
        let mut t = t0;
        let times: Vec<_> = (0..500)
            .map(|_| {
                t = MonoNs(t.0 + random.within(6e6, 19e6) as u64);
                t
            })
            .collect();
        let tokens = attribute(&trace, 1, &times, t0).tokens;
        let sum: f64 = tokens.iter().map(|t| t.energy_j.unwrap().value).sum();
        let decode = trace.measure(t0, t).raw;
        assert!((sum - decode.value).abs() <= 1e-9 * decode.value);
        // A token's own boundaries weigh more on it than decode's on decode.
        let token = tokens[10].energy_j.unwrap();
        assert!(token.u_ran() / token.value > 10.0 * decode.u_ran() / decode.value);
    }

    proptest! {
        /// Long enough tokens on any windows, with lost ones among them.
        #[test]
        fn tokens_add_up_to_decode_whatever_the_windows(
            windows in prop::collection::vec((1u64..3 * MS, -1.0..30.0f64), 900..1000),
            lost in prop::collection::vec(0usize..900, 0..2),
            lengths in prop::collection::vec(200 * MS..400 * MS, 1..5),
            t0 in 0u64..100 * MS,
        ) {
            let mut trace = Trace::default();
            let mut t = 0;
            for (k, &(width, watts)) in windows.iter().enumerate() {
                if !lost.contains(&k) {
                    trace.push(&window(t, t + width, watts));
                }
                t += width;
            }
            let mut known = t0;
            let times: Vec<_> = lengths
                .iter()
                .map(|length| {
                    known += length;
                    MonoNs(known)
                })
                .collect();
            let tokens = attribute(&trace, 1, &times, MonoNs(t0)).tokens;
            let energies: Result<Vec<f64>, Reason> =
                tokens.iter().map(|token| token.energy_j.map(|e| e.value)).collect();
            if let Ok(energies) = energies {
                let decode = trace.measure(MonoNs(t0), MonoNs(known)).raw.value;
                let sum: f64 = energies.iter().sum();
                prop_assert!((sum - decode).abs() <= 1e-12 * (1.0 + decode.abs()));
            } else {
                let withheld = |token: &TokenEnergy| token.energy_j.is_err();
                prop_assert!(tokens.iter().any(withheld));
            }
        }
    }

    proptest! {
        #[test]
        fn parts_have_the_figures_of_the_whole(
            lengths in prop::collection::vec(0_u64..4, 1..60),
            cuts in prop::collection::vec(0_usize..60, 0..6),
            first in 0_u32..2,
        ) {
            let trace = sampled(&sine(5.0, 3.0, 0.04), 0, MS, 1000);
            let t0 = MonoNs(100 * MS);
            let mut t = t0;
            let times: Vec<_> = lengths
                .iter()
                .map(|length| {
                    t = MonoNs(t.0 + length * 4 * MS);
                    t
                })
                .collect();
            let whole = attribute(&trace, first, &times, t0);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (times.len() + 1)).collect();
            cuts.extend([0, times.len()]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).flat_map(|cut| {
                attribute_part(&trace, first, &times, cut[0]..cut[1], t0).tokens
            });
            prop_assert_eq!(parts.collect::<Vec<_>>(), whole.tokens);
        }
    }

    #[test]
    fn disordered_times_do_no_harm() {
        let trace = sampled(&|t| 4.0 * t, 0, MS, 1000);
        let tokens = attribute(&trace, 0, &at(&[90, 300, 200, 400]), MonoNs(100 * MS)).tokens;
        assert_eq!(tokens.len(), 4);
        assert_eq!(value(&tokens[1]), Err(Reason::SharedStep));
        assert_eq!(value(&tokens[2]), Ok(0.8));
        assert!(attribute(&trace, 0, &[], MonoNs(0)).tokens.is_empty());
    }
}
