//! The blocks `perplexity` and `choice` of a result: scores as the worker found them, and what
//! the evaluation took.

use super::context::Context;
use super::figures::{Noted, Repetition};
use super::observed::Observed;
use crate::energy::{self, Figure};
use crate::quality::Share;
use crate::record::Reason;
use crate::record::result::{Choice, Evaluation, Perplexity};
use crate::runtime::protocol::RepDone;
use crate::workload::Kind;

/// What a `perplexity` found, or why there is nothing.
pub fn perplexity(
    context: &Context,
    observed: &Observed,
    reps: &[Repetition],
) -> Result<Perplexity, Reason> {
    if context.job.kind != Kind::Perplexity {
        return Err(Reason::NotDefined);
    }
    // All repetitions evaluate the same tokens with the same weights.
    let mut done = observed.reps.iter();
    let (first, scores) = done
        .find_map(|done| Some((done, done.perplexity?)))
        .ok_or(Reason::NotReached)?;
    let data = context.data.as_ref().ok_or(Reason::NotReached)?;
    let name = context.job.data.as_ref().ok_or(Reason::NotDefined)?;
    let mut noted = Noted::default();
    let cost = Cost::of(observed, reps, |done| done.perplexity.is_some());
    let nll = scores.nll;
    let per_token = cost.per(&mut noted, "j_per_token_scored", nll.tokens);
    Ok(Perplexity {
        data: name.to_string(),
        data_sha256: data.sha256.clone(),
        data_bytes: data.size_bytes,
        n_ctx: context.job.params.n_ctx,
        chunks: scores.chunks,
        tokens_scored: nll.tokens,
        perplexity: noted.value("perplexity", nll.perplexity().ok_or(Reason::NotDefined)),
        perplexity_se: noted.value(
            "perplexity_se",
            nll.perplexity_se().ok_or(Reason::NotDefined),
        ),
        nll_mean: noted.value("nll_mean", nll.mean().ok_or(Reason::TooFew)),
        nll_mean_se: noted.value("nll_mean_se", nll.mean_se().ok_or(Reason::TooFew)),
        evaluation: cost.evaluation(&mut noted, first),
        j_per_token_scored: per_token.gross.0,
        j_per_token_scored_u95: per_token.gross.1,
        j_per_token_scored_net: per_token.net.0,
        j_per_token_scored_net_u95: per_token.net.1,
        reasons: noted.reasons,
    })
}

/// What a `choice` found, or why there is nothing.
pub fn choice(
    context: &Context,
    observed: &Observed,
    reps: &[Repetition],
) -> Result<Choice, Reason> {
    if context.job.kind != Kind::Choice {
        return Err(Reason::NotDefined);
    }
    let mut done = observed.reps.iter();
    let (first, scores) = done
        .find_map(|done| Some((done, done.choice.as_ref()?)))
        .ok_or(Reason::NotReached)?;
    let data = context.data.as_ref().ok_or(Reason::NotReached)?;
    let name = context.job.data.as_ref().ok_or(Reason::NotDefined)?;
    let mut noted = Noted::default();
    let cost = Cost::of(observed, reps, |done| done.choice.is_some());
    let items = u32::try_from(scores.picked.len()).unwrap_or(u32::MAX);
    let mut share = |name: &str, correct| {
        let share = Share { correct, items };
        let value = share.value().ok_or(Reason::TooFew);
        let se = share.se().ok_or(Reason::TooFew);
        (
            noted.value(name, value),
            noted.value(&format!("{name}_se"), se),
        )
    };
    let acc = share("acc", scores.correct);
    let acc_norm = share("acc_norm", scores.correct_norm);
    let acc_bytes = share("acc_bytes", scores.correct_bytes);
    let per_item = cost.per(&mut noted, "j_per_item", u64::from(items));
    let per_correct = cost.per(&mut noted, "j_per_correct", u64::from(scores.correct));
    let per_norm = cost.per_gross(
        &mut noted,
        "j_per_correct_norm",
        u64::from(scores.correct_norm),
    );
    let mut per_watt = |name: &str, acc: Option<f64>| {
        let power = over_reps(&cost.power).map(|power| power.0);
        let per_watt = power.and_then(|watts| match acc {
            Some(acc) if watts > 0.0 => Ok(acc / watts),
            Some(_) => Err(Reason::BelowNoise),
            None => Err(Reason::TooFew),
        });
        noted.value(name, per_watt)
    };
    let acc_per_w = per_watt("acc_per_w", acc.0);
    let acc_norm_per_w = per_watt("acc_norm_per_w", acc_norm.0);
    Ok(Choice {
        data: name.to_string(),
        data_sha256: data.sha256.clone(),
        data_bytes: data.size_bytes,
        items,
        correct: scores.correct,
        acc: acc.0,
        acc_se: acc.1,
        correct_norm: scores.correct_norm,
        acc_norm: acc_norm.0,
        acc_norm_se: acc_norm.1,
        correct_bytes: scores.correct_bytes,
        acc_bytes: acc_bytes.0,
        acc_bytes_se: acc_bytes.1,
        evaluation: cost.evaluation(&mut noted, first),
        j_per_item: per_item.gross.0,
        j_per_item_u95: per_item.gross.1,
        j_per_item_net: per_item.net.0,
        j_per_item_net_u95: per_item.net.1,
        j_per_correct: per_correct.gross.0,
        j_per_correct_u95: per_correct.gross.1,
        j_per_correct_net: per_correct.net.0,
        j_per_correct_net_u95: per_correct.net.1,
        j_per_correct_norm: per_norm.0,
        j_per_correct_norm_u95: per_norm.1,
        acc_per_w,
        acc_norm_per_w,
        picked: Some(scores.picked.clone()),
        picked_norm: Some(scores.picked_norm.clone()),
        reasons: noted.reasons,
    })
}

/// What the evaluations took, one after the other.
struct Cost {
    durations_s: Vec<f64>,
    gross: Vec<Figure>,
    net: Vec<Figure>,
    power: Vec<Figure>,
}

/// A figure and its uncertainty, with and without the idle power.
struct Pair {
    gross: (Option<f64>, Option<f64>),
    net: (Option<f64>, Option<f64>),
}

impl Cost {
    /// Of the repetitions that `count`.
    fn of(observed: &Observed, reps: &[Repetition], count: fn(&RepDone) -> bool) -> Self {
        let counted = observed.reps.iter().zip(reps);
        let mut cost = Self {
            durations_s: Vec::new(),
            gross: Vec::new(),
            net: Vec::new(),
            power: Vec::new(),
        };
        for (_, rep) in counted.filter(|(done, _)| count(done)) {
            let seconds = rep.record.prefill.as_ref().map(|phase| phase.duration_s);
            let energy = rep.evaluation();
            cost.durations_s.extend(seconds);
            cost.gross.push(energy.gross);
            cost.net.push(energy.net);
            cost.power.push(energy.gross.and_then(|energy| {
                let seconds = seconds.ok_or(Reason::TooFew)?;
                Ok(energy.scaled(1.0 / seconds))
            }));
        }
        cost
    }

    fn per(&self, noted: &mut Noted, name: &str, n: u64) -> Pair {
        Pair {
            gross: noted.pair(name, per(over_reps(&self.gross), n)),
            net: noted.pair(&format!("{name}_net"), per(over_reps(&self.net), n)),
        }
    }

    fn per_gross(&self, noted: &mut Noted, name: &str, n: u64) -> (Option<f64>, Option<f64>) {
        noted.pair(name, per(over_reps(&self.gross), n))
    }

    fn evaluation(&self, noted: &mut Noted, first: &RepDone) -> Evaluation {
        let n = self.durations_s.len() as f64;
        let duration = (n > 0.0).then(|| self.durations_s.iter().sum::<f64>() / n);
        let energy = noted.pair("energy_j", over_reps(&self.gross));
        let net = noted.pair("energy_net_j", over_reps(&self.net));
        let power = noted.pair("power_w", over_reps(&self.power));
        Evaluation {
            repetitions: u32::try_from(self.gross.len()).unwrap_or(u32::MAX),
            tokens_evaluated: first.prompt_tokens.into(),
            duration_s: noted.value("duration_s", duration.ok_or(Reason::TooFew)),
            energy_j: energy.0,
            energy_j_u95: energy.1,
            energy_net_j: net.0,
            energy_net_j_u95: net.1,
            power_w: power.0,
            power_w_u95: power.1,
        }
    }
}

/// The mean over the repetitions and its expanded uncertainty; a single one has its own. A mean
/// over some of them would hide why the others have no figure.
fn over_reps(figures: &[Figure]) -> Result<(f64, Option<f64>), Reason> {
    let estimates: Vec<energy::Estimate> = figures.iter().copied().collect::<Result<_, _>>()?;
    if let [only] = estimates[..] {
        return Ok((only.value, Some(only.u95())));
    }
    let statistic = energy::Statistic::of_estimates(&estimates).ok_or(Reason::TooFew)?;
    Ok((statistic.mean, statistic.u95))
}

fn per(figure: Result<(f64, Option<f64>), Reason>, n: u64) -> Result<(f64, Option<f64>), Reason> {
    if n == 0 {
        return Err(Reason::TooFew);
    }
    let each = |value: f64| value / n as f64;
    figure.map(|(value, u95)| (each(value), u95.map(each)))
}
