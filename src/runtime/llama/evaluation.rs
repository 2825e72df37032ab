//! `perplexity` and `choice`: given text is evaluated and scored, nothing is sampled. One
//! repetition is one phase, `prefill`.

use super::Failure;
use super::ffi::{DecodeError, Engine};
use super::stop::StopFlag;
use super::timeline::Timeline;
use crate::runtime::data::Content;
use crate::runtime::protocol::{ChoiceDone, PerplexityDone, RepDone, StopReason};
use crate::workload::Phase;
use std::path::Path;

/// A text or items, as tokens before anything is measured.
pub trait Evaluation {
    /// A part of the work that is enough to have touched every weight and buffer.
    fn warm_up(&mut self, engine: &mut Engine) -> Result<(), DecodeError>;

    /// All of it. `evaluated` counts the tokens.
    fn evaluate(&mut self, engine: &mut Engine, evaluated: &mut u32)
    -> Result<Scores, DecodeError>;
}

/// What an evaluation that came to its end has found.
#[derive(Debug, Clone, PartialEq)]
pub enum Scores {
    Perplexity(PerplexityDone),
    Choice(ChoiceDone),
}

/// One repetition, and what the daemon is told of it.
pub fn repetition(
    evaluation: &mut dyn Evaluation,
    engine: &mut Engine,
    stop: &StopFlag,
    timeline: &mut Timeline,
    rep: u32,
) -> Result<RepDone, Failure> {
    engine.clear();
    timeline.end_now(Phase::Prepare, 0);
    let mut done = RepDone {
        rep,
        prompt_tokens: 0,
        output_tokens: 0,
        stop_reason: StopReason::Length,
        prompt_sha256: None,
        output_sha256: None,
        text: None,
        perplexity: None,
        choice: None,
    };
    match evaluation.evaluate(engine, &mut done.prompt_tokens) {
        Ok(scores) => {
            timeline.end_now(Phase::Prefill, done.prompt_tokens);
            match scores {
                Scores::Perplexity(scores) => done.perplexity = Some(scores),
                Scores::Choice(scores) => done.choice = Some(scores),
            }
        }
        // Half of a text has no perplexity.
        Err(DecodeError::Stopped) => {
            timeline.end_now(Phase::Other, 0);
            done.stop_reason = stop.requested().unwrap_or(StopReason::Cancelled);
        }
        Err(DecodeError::Failed(failure)) => return Err(failure),
    }
    Ok(done)
}

/// The data that a job names, if it is what the daemon has looked at.
pub fn content(path: &str, sha256: &str) -> Result<Content, Failure> {
    let failed = |what: String| {
        let name = Path::new(path).file_name().unwrap_or_default();
        let text = format!("data \"{}\" {what}", name.to_string_lossy());
        Failure::new("data", text)
    };
    let content = Content::read(Path::new(path)).map_err(|error| failed(error.to_string()))?;
    match content.sha256 == sha256 {
        true => Ok(content),
        false => Err(failed("was changed while the job began".to_owned())),
    }
}

/// Models for which likelihoods of a given text mean something else.
pub fn check_model(engine: &Engine) -> Result<(), Failure> {
    match engine.adds_eos() {
        true => Err(Failure::new(
            "model",
            "the model wants an end-of-sequence token behind each text, so that a text has no likelihood that could be compared with other models'",
        )),
        false => Ok(()),
    }
}

pub fn not_finite() -> DecodeError {
    DecodeError::Failed(Failure::new(
        "not-finite",
        "the model computes no finite logits: its weights are damaged",
    ))
}
