//! `bench`: llama-bench's meaning of prompt processing and generation. Fixed random ids,
//! no sampling, no end of generation.

use super::Failure;
use super::ffi::{DecodeError, Engine, Token};
use super::generate::prefill;
use super::stop::StopFlag;
use super::timeline::Timeline;
use crate::clock;
use crate::runtime::protocol::{RepDone, StopReason};
use crate::units::MonoNs;
use crate::workload::{BenchSizes, Phase};

/// The ids of every repetition, drawn before anything is measured.
#[derive(Debug)]
pub struct Bench {
    depth: Vec<Token>,
    prompt: Vec<Token>,
    generated: Vec<Token>,
}

/// What a repetition has evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Benched {
    prompt: u32,
    generated: u32,
    pub stop_reason: StopReason,
}

impl Bench {
    pub fn new(sizes: &BenchSizes, engine: &Engine, seed: u32) -> Result<Bench, Failure> {
        let longest = u64::from(sizes.n_depth) + u64::from(sizes.n_prompt.max(sizes.n_gen));
        if longest > u64::from(engine.n_ctx()) {
            return Err(Failure::new(
                "context",
                format!(
                    "n_depth + n_prompt and n_depth + n_gen must fit into n_ctx: {longest} tokens don't fit into {}",
                    engine.n_ctx()
                ),
            ));
        }
        let mut random = u64::from(seed);
        // Like llama-bench, a sequence starts with the model's own first token.
        let mut draw = |count: u32| {
            let mut tokens: Vec<Token> = (0..count)
                .map(|_| (next_random(&mut random) % engine.n_vocab() as u64) as Token)
                .collect();
            if let (Some(first), Some(bos)) = (tokens.first_mut(), engine.leading_bos()) {
                *first = bos;
            }
            tokens
        };
        Ok(Bench {
            depth: draw(sizes.n_depth),
            prompt: draw(sizes.n_prompt),
            generated: draw(sizes.n_gen),
        })
    }

    /// Like llama-bench: the prompt once, and one generated token.
    pub fn warm_up(&mut self, engine: &mut Engine) -> Result<(), DecodeError> {
        engine.clear();
        prefill(engine, &mut self.prompt)?;
        if let Some(first) = self.generated.first_mut() {
            // The prompt alone may fill the context.
            engine.clear();
            engine.decode(std::slice::from_mut(first))?;
        }
        engine.synchronise();
        Ok(())
    }

    /// One repetition. `known` is told the number of each generated token, from 1, and the
    /// moment at which it was done; before them 0 and the moment at which decode begins.
    pub fn repetition(
        &mut self,
        engine: &mut Engine,
        stop: &StopFlag,
        timeline: &mut Timeline,
        mut known: impl FnMut(u32, MonoNs),
    ) -> Result<Benched, Failure> {
        let mut done = Benched {
            prompt: 0,
            generated: 0,
            stop_reason: StopReason::Length,
        };
        match self.both_parts(engine, timeline, &mut done, &mut known) {
            Ok(()) => {}
            Err(DecodeError::Failed(failure)) => return Err(failure),
            Err(DecodeError::Stopped) => {
                timeline.end_now(Phase::Other, 0);
                done.stop_reason = stop.requested().unwrap_or(StopReason::Cancelled);
            }
        }
        Ok(done)
    }

    fn both_parts(
        &mut self,
        engine: &mut Engine,
        timeline: &mut Timeline,
        done: &mut Benched,
        known: &mut impl FnMut(u32, MonoNs),
    ) -> Result<(), DecodeError> {
        engine.clear();
        timeline.end_now(Phase::Prepare, 0);
        if !self.prompt.is_empty() {
            self.fill(engine, timeline)?;
            prefill(engine, &mut self.prompt)?;
            engine.synchronise();
            done.prompt = self.prompt.len() as u32;
            timeline.end_now(Phase::Prefill, done.prompt);
        }
        if !self.generated.is_empty() {
            if done.prompt > 0 {
                engine.clear();
                timeline.end_now(Phase::Other, 0);
            }
            self.fill(engine, timeline)?;
            known(0, timeline.cursor());
            let decoded = self.decode(engine, known);
            if let Some((count, at)) = decoded.0 {
                done.generated = count;
                timeline.end(Phase::Decode, at, count);
            }
            decoded.1?;
        }
        Ok(())
    }

    fn fill(&mut self, engine: &mut Engine, timeline: &mut Timeline) -> Result<(), DecodeError> {
        if !self.depth.is_empty() {
            prefill(engine, &mut self.depth)?;
            engine.synchronise();
            timeline.end_now(Phase::Depth, self.depth.len() as u32);
        }
        Ok(())
    }

    /// Number and time of the last token that was done, and how it went on.
    fn decode(
        &mut self,
        engine: &mut Engine,
        known: &mut impl FnMut(u32, MonoNs),
    ) -> (Option<(u32, MonoNs)>, Result<(), DecodeError>) {
        let mut last = None;
        for (index, token) in self.generated.iter_mut().enumerate() {
            if let Err(error) = engine.decode(std::slice::from_mut(token)) {
                return (last, Err(error));
            }
            engine.synchronise();
            let number = index as u32 + 1;
            let at = clock::now();
            known(number, at);
            last = Some((number, at));
        }
        (last, Ok(()))
    }
}

impl Benched {
    pub fn report(&self, rep: u32) -> RepDone {
        RepDone {
            rep,
            prompt_tokens: self.prompt,
            output_tokens: self.generated,
            stop_reason: self.stop_reason,
            prompt_sha256: None,
            output_sha256: None,
            text: None,
            perplexity: None,
            choice: None,
        }
    }
}

/// Vigna's SplitMix64.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
