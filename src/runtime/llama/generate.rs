//! `generate`: prompt or messages → prefill → one token after another.

use super::Failure;
use super::argmax::argmax;
use super::chat;
use super::ffi::{DecodeError, Engine, Sampler, Token};
use super::stop::StopFlag;
use super::timeline::Timeline;
use crate::clock;
use crate::runtime::protocol::{RepDone, StopReason};
use crate::units::MonoNs;
use crate::workload::job::hex;
use crate::workload::{Message, Params, Phase};
use sha2::{Digest, Sha256};

/// What to generate, the same in every repetition.
#[derive(Debug)]
pub struct Generate {
    pub prompt: Option<String>,
    pub messages: Option<Vec<Message>>,
    pub n_predict: u32,
    pub ignore_eos: bool,
}

/// What a repetition has read and written.
#[derive(Debug)]
pub struct Generated {
    prompt: Vec<Token>,
    output: Vec<Token>,
    pub stop_reason: StopReason,
}

/// How the next token is chosen.
enum Choice {
    Greedy,
    Random(Sampler),
}

impl Generate {
    /// One repetition. `known` is told the index of each output token and the moment at
    /// which its id was known.
    pub fn repetition(
        &self,
        engine: &mut Engine,
        params: &Params,
        stop: &StopFlag,
        timeline: &mut Timeline,
        mut known: impl FnMut(u32, MonoNs),
    ) -> Result<Generated, Failure> {
        let mut prompt = self.tokens(engine)?;
        self.check_fits(prompt.len(), engine)?;
        let mut choice = Choice::of(params);
        let mut output = Vec::with_capacity(self.n_predict as usize);
        engine.clear();
        timeline.end_now(Phase::Prepare, 0);

        let stopped = |timeline: &mut Timeline, prompt, output| {
            timeline.end_now(Phase::Other, 0);
            let stop_reason = stop.requested().unwrap_or(StopReason::Cancelled);
            Generated {
                prompt,
                output,
                stop_reason,
            }
        };
        match read(engine, &mut prompt) {
            Err(DecodeError::Stopped) => return Ok(stopped(timeline, prompt, output)),
            Err(DecodeError::Failed(failure)) => return Err(failure),
            Ok(()) => {}
        }
        let mut token = choice.next(engine)?;
        let mut at = clock::now();
        known(0, at);
        output.push(token);
        timeline.end(Phase::Prefill, at, prompt.len() as u32);

        let ended = loop {
            if !self.ignore_eos && engine.is_eog(token) {
                break Some(StopReason::Eog);
            }
            if output.len() == self.n_predict as usize {
                break Some(StopReason::Length);
            }
            if stop.is_set() {
                break None;
            }
            match engine.decode(&mut [token]) {
                Err(DecodeError::Stopped) => break None,
                Err(DecodeError::Failed(failure)) => return Err(failure),
                Ok(()) => {}
            }
            token = choice.next(engine)?;
            at = clock::now();
            known(output.len() as u32, at);
            output.push(token);
        };
        if output.len() > 1 {
            timeline.end(Phase::Decode, at, output.len() as u32 - 1);
        }
        Ok(match ended {
            Some(stop_reason) => Generated {
                prompt,
                output,
                stop_reason,
            },
            None => stopped(timeline, prompt, output),
        })
    }

    fn tokens(&self, engine: &Engine) -> Result<Vec<Token>, Failure> {
        let tokens = match (&self.prompt, &self.messages) {
            (Some(prompt), _) => engine.tokenise(prompt, true)?,
            (None, Some(messages)) => {
                let template = engine.chat_template().ok_or_else(|| {
                    Failure::new("template", "the model has no chat template; send a prompt")
                })?;
                let bos = engine.bos_text();
                let text = chat::render(&template, messages, &bos, &engine.eos_text())?;
                // The tokenizer adds it where the model wants it: not twice.
                let text = match engine.leading_bos() {
                    Some(_) if !bos.is_empty() => text.strip_prefix(&bos).unwrap_or(&text),
                    _ => &text,
                };
                engine.tokenise(text, true)?
            }
            (None, None) => Vec::new(),
        };
        if tokens.is_empty() {
            return Err(Failure::new("prompt", "the prompt has no tokens"));
        }
        Ok(tokens)
    }

    /// Before anything runs. The last token is never evaluated.
    fn check_fits(&self, prompt: usize, engine: &Engine) -> Result<(), Failure> {
        let n_ctx = engine.n_ctx();
        let n_predict = u64::from(self.n_predict);
        let too_long = |what: String| {
            let text = format!("prompt too long: {what}");
            Err(Failure::new("prompt-too-long", text))
        };
        if engine.decoder_start().is_none() {
            if prompt as u64 + n_predict - 1 > u64::from(n_ctx) {
                return too_long(format!(
                    "its {prompt} tokens and n_predict {n_predict} don't fit into n_ctx {n_ctx}"
                ));
            }
            return Ok(());
        }
        // The prompt is the encoder's; the decoder's start and what follows fill the context.
        let n_batch = engine.n_batch();
        if prompt > n_batch as usize {
            return too_long(format!(
                "an encoder reads it at once, and its {prompt} tokens don't fit into n_batch {n_batch} (at most n_ctx)"
            ));
        }
        if n_predict > u64::from(n_ctx) {
            let text = format!("n_predict {n_predict} doesn't fit into n_ctx {n_ctx}");
            return Err(Failure::new("context", text));
        }
        Ok(())
    }
}

impl Generated {
    pub fn report(&self, rep: u32, engine: &Engine, with_text: bool) -> RepDone {
        RepDone {
            rep,
            prompt_tokens: self.prompt.len() as u32,
            output_tokens: self.output.len() as u32,
            stop_reason: self.stop_reason,
            prompt_sha256: Some(sha256(&self.prompt)),
            output_sha256: Some(sha256(&self.output)),
            text: with_text.then(|| self.text(engine)),
            perplexity: None,
            choice: None,
        }
    }

    /// Characters may be spread over tokens, so the bytes are joined first.
    fn text(&self, engine: &Engine) -> String {
        let bytes: Vec<u8> = self
            .output
            .iter()
            .flat_map(|&token| engine.piece(token, false))
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Choice {
    fn of(params: &Params) -> Choice {
        if params.temperature > 0.0 {
            Choice::Random(Sampler::new(params.temperature as f32, params.seed))
        } else {
            Choice::Greedy
        }
    }

    fn next(&mut self, engine: &mut Engine) -> Result<Token, Failure> {
        engine.synchronise();
        let token = match self {
            Choice::Greedy => engine.logits().and_then(argmax).map(|token| token as Token),
            Choice::Random(sampler) => sampler.sample(engine),
        };
        token.ok_or_else(|| {
            Failure::new(
                "not-finite",
                "the model computes no finite logits: its weights are damaged",
            )
        })
    }
}

/// Evaluates a prompt, so that there are logits for the first output token. An encoder reads it
/// as a whole, and its decoder evaluates the token that it begins with.
fn read(engine: &mut Engine, prompt: &mut [Token]) -> Result<(), DecodeError> {
    match engine.decoder_start() {
        None => prefill(engine, prompt),
        Some(start) => {
            engine.encode(prompt)?;
            engine.decode(&mut [start])
        }
    }
}

/// Evaluates tokens in batches.
pub fn prefill(engine: &mut Engine, tokens: &mut [Token]) -> Result<(), DecodeError> {
    let n_batch = engine.n_batch() as usize;
    tokens
        .chunks_mut(n_batch)
        .try_for_each(|batch| engine.decode(batch))
}

/// Over the ids as 32-bit little endian.
fn sha256(tokens: &[Token]) -> String {
    let mut hash = Sha256::new();
    for token in tokens {
        hash.update(token.to_le_bytes());
    }
    hex(&hash.finalize())
}
