//! Results of `perplexity` and `choice`: scores beside what finding them took.

use super::*;
use crate::quality::Nll;
use crate::record::result::Data;
use crate::runtime::protocol::{ChoiceDone, PerplexityDone};

/// 510 tokens, half of them with the likelihood e⁻², half with e⁻⁴.
fn nll() -> Nll {
    let mut nll = Nll::default();
    for _ in 0..255 {
        nll.add(-2.0);
        nll.add(-4.0);
    }
    nll
}

fn of_data(kind: &str, reps: u32) -> Job {
    job(|job| {
        *job = json!({"id": "quality-1", "kind": kind, "model": "m.gguf", "data": "d.txt",
            "params": {"n_ctx": 512}, "repetitions": reps});
    })
}

pub fn perplexity(reps: u32) -> (Play, Job) {
    let mut play = Play::begin();
    for rep in 1..=reps {
        play.evaluation(rep, |done| {
            done.perplexity = Some(PerplexityDone {
                chunks: 2,
                nll: nll(),
            });
        });
    }
    play.worked();
    play.idle_after();
    (play.end(Ending::Succeeded), of_data("perplexity", reps))
}

/// Of four items.
pub fn choice(correct: u32) -> (Play, Job) {
    let mut play = Play::begin();
    play.evaluation(1, |done| {
        done.choice = Some(ChoiceDone {
            correct,
            correct_norm: 3,
            correct_bytes: 3,
            picked: vec![0, 1, 2, 3],
            picked_norm: vec![0, 1, 2, 0],
        });
    });
    play.worked();
    play.idle_after();
    (play.end(Ending::Succeeded), of_data("choice", 1))
}

pub fn cancelled(kind: &str) -> (Play, Job) {
    let mut play = Play::begin();
    play.evaluation(1, |done| done.stop_reason = StopReason::Cancelled);
    (play.end(Ending::Stopped(Stop::Cancelled)), of_data(kind, 1))
}

fn result_of((play, job): (Play, Job)) -> JobResult {
    let context = Context {
        data: Some(Data {
            sha256: "12".repeat(32),
            size_bytes: 4_096,
        }),
        ..context(job)
    };
    let rails = [play.recorded(real_rail("input"))];
    let made = made(&context, &play, &rails).result;
    made.body
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("it was measured");
    assert!(
        (found / expected - 1.0).abs() < 0.005,
        "{found} for {expected}"
    );
}

#[test]
fn a_perplexity_has_its_error_and_its_joules_a_token() {
    let result = result_of(perplexity(1));
    let found = result.perplexity.expect("it came to its end");
    near(found.perplexity, 3f64.exp());
    near(found.perplexity_se, 3f64.exp() / 509f64.sqrt());
    assert_eq!((found.nll_mean, found.tokens_scored), (Some(3.0), 510));
    assert_eq!((found.chunks, found.n_ctx), (2, 512));
    near(found.evaluation.energy_j, 18.02);
    near(found.evaluation.power_w, 9.01);
    near(found.j_per_token_scored, 18.02 / 510.0);
    // Idle at 3.05 W.
    near(found.j_per_token_scored_net, (18.02 - 6.1) / 510.0);
    let (energy, u95) = (found.evaluation.energy_j, found.evaluation.energy_j_u95);
    let share = u95.zip(energy).map(|(u95, energy)| u95 / energy);
    let same = found.j_per_token_scored_u95.zip(found.j_per_token_scored);
    near(share, same.map(|(u95, j)| u95 / j).expect("measured"));
    assert_eq!(result.choice, None);
    assert!(!result.reasons.contains_key("choice"));
    let prefill = result.reps[0].prefill.as_ref().expect("the evaluation");
    assert_eq!(prefill.tokens, 1_024);
    assert_eq!(reason(&result.reps[0], "decode"), Some(Reason::NotDefined));
}

#[test]
fn repetitions_are_averaged_and_their_spread_is_in_the_uncertainty() {
    let result = result_of(perplexity(3));
    let found = result.perplexity.expect("it came to its end");
    assert_eq!(found.evaluation.repetitions, 3);
    near(found.evaluation.energy_j, 18.04);
    near(found.perplexity, 3f64.exp());
}

#[test]
fn a_choice_has_joules_for_each_right_answer() {
    let result = result_of(choice(2));
    let found = result.choice.expect("it came to its end");
    assert_eq!((found.items, found.correct, found.acc), (4, 2, Some(0.5)));
    near(found.acc_se, (0.25f64 / 3.0).sqrt());
    assert_eq!((found.acc_norm, found.acc_bytes), (Some(0.75), Some(0.75)));
    near(found.j_per_item, 18.02 / 4.0);
    near(found.j_per_correct, 18.02 / 2.0);
    near(found.j_per_correct_norm, 18.02 / 3.0);
    near(found.acc_per_w, 0.5 / 9.01);
    assert_eq!(found.picked, Some(vec![0, 1, 2, 3]));
    assert_eq!(result.perplexity, None);
}

#[test]
fn without_a_right_answer_there_are_no_joules_for_one() {
    let found = result_of(choice(0)).choice.expect("it came to its end");
    assert_eq!((found.acc, found.j_per_correct), (Some(0.0), None));
    assert_eq!(found.reasons["j_per_correct"], Reason::TooFew);
    assert!(found.j_per_item.is_some());
}

#[test]
fn half_an_evaluation_has_no_score() {
    for kind in ["perplexity", "choice"] {
        let result = result_of(cancelled(kind));
        assert_eq!((&result.perplexity, &result.choice), (&None, &None));
        assert_eq!(result.reasons[kind], Reason::NotReached);
    }
}

#[test]
fn results_of_quality() {
    assert_json_snapshot!("perplexity_block", result_of(perplexity(1)).perplexity);
    assert_json_snapshot!("choice_block", result_of(choice(2)).choice);
}
