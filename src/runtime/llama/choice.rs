//! `choice`: the log-likelihood of each choice after its context, as lm-evaluation-harness
//! computes it. The context of an item is evaluated once; its choices go back to its end, or
//! read it again where the model's memory can't go back.

use super::Failure;
use super::evaluation::{Evaluation, Scores, check_model, content, not_finite};
use super::ffi::{DecodeError, Engine, Token};
use super::generate::prefill;
use crate::quality::items::{self, Item};
use crate::quality::{Picks, Row};
use crate::runtime::protocol::ChoiceDone;

#[derive(Debug)]
pub struct Choices {
    questions: Vec<Question>,
}

/// An item as tokens.
#[derive(Debug)]
struct Question {
    item: Item,
    context: Vec<Token>,
    /// Of each choice.
    continuations: Vec<Vec<Token>>,
}

impl Choices {
    pub fn new(
        engine: &Engine,
        data: &str,
        data_sha256: &str,
        n_items: Option<u32>,
    ) -> Result<Self, Failure> {
        check_model(engine)?;
        let content = content(data, data_sha256)?;
        let mut items = items::parse(&content.bytes)
            .map_err(|error| Failure::new("data", format!("the data {error}")))?;
        items.truncate(n_items.map_or(usize::MAX, |n| n as usize));
        let questions = items.into_iter().enumerate();
        let questions = questions.map(|(index, item)| Question::new(engine, item, index + 1));
        Ok(Self {
            questions: questions.collect::<Result<_, _>>()?,
        })
    }
}

impl Question {
    /// `number` is the item's, from 1.
    fn new(engine: &Engine, item: Item, number: usize) -> Result<Self, Failure> {
        let failed = |code, what: String| Failure::new(code, format!("item {number}: {what}"));
        let (before, texts) = item.texts();
        let context = engine.tokenise(before, true)?;
        if context.is_empty() {
            return Err(failed("data", "its context has no tokens".to_owned()));
        }
        let mut continuations = Vec::with_capacity(item.choices.len());
        for (choice, text) in texts.enumerate() {
            let mut whole = engine.tokenise(&format!("{before}{text}"), true)?;
            // A tokeniser may join the context's last token to what follows; the harness cuts
            // there all the same.
            let continuation = whole.split_off(context.len().min(whole.len()));
            if continuation.is_empty() {
                let what = format!("choices[{choice}] adds no token to its context");
                return Err(failed("data", what));
            }
            // The last token is never evaluated.
            let needed = context.len() + continuation.len() - 1;
            if needed > engine.n_ctx() as usize {
                let n_ctx = engine.n_ctx();
                let what = format!(
                    "its context and choices[{choice}] are {needed} tokens, which don't fit into n_ctx {n_ctx}"
                );
                return Err(failed("prompt-too-long", what));
            }
            continuations.push(continuation);
        }
        Ok(Self {
            item,
            context,
            continuations,
        })
    }

    /// The log-likelihood of each choice.
    fn score(&mut self, engine: &mut Engine, evaluated: &mut u32) -> Result<Vec<f64>, DecodeError> {
        self.read_context(engine, evaluated)?;
        engine.synchronise();
        let after = engine.logits().and_then(Row::of).ok_or_else(not_finite)?;
        let firsts = self.continuations.iter();
        let firsts = firsts.map(|tokens| after.ln_p(tokens[0] as usize));
        let mut ln_p: Vec<f64> = firsts.collect::<Option<_>>().ok_or_else(not_finite)?;
        let mut at_context = true;
        for (choice, ln_p) in ln_p.iter_mut().enumerate() {
            // What follows on a choice's last token is not asked.
            let length = self.continuations[choice].len() - 1;
            if length == 0 {
                continue;
            }
            if !at_context && !engine.rewind(self.context.len()) {
                self.read_context(engine, evaluated)?;
            }
            at_context = false;
            let tokens = &mut self.continuations[choice];
            let mut next = 1;
            for start in (0..length).step_by(engine.n_outputs()) {
                let end = length.min(start + engine.n_outputs());
                engine.score(&mut tokens[start..end])?;
                engine.synchronise();
                *evaluated += (end - start) as u32;
                for index in 0..end - start {
                    let row = engine.logits_of(index).and_then(Row::of);
                    let token = tokens[next] as usize;
                    *ln_p += row.and_then(|row| row.ln_p(token)).ok_or_else(not_finite)?;
                    next += 1;
                }
            }
        }
        Ok(ln_p)
    }

    fn read_context(
        &mut self,
        engine: &mut Engine,
        evaluated: &mut u32,
    ) -> Result<(), DecodeError> {
        engine.clear();
        prefill(engine, &mut self.context)?;
        *evaluated += self.context.len() as u32;
        Ok(())
    }
}

impl Evaluation for Choices {
    fn warm_up(&mut self, engine: &mut Engine) -> Result<(), DecodeError> {
        match self.questions.first_mut() {
            Some(question) => question.score(engine, &mut 0).map(|_| ()),
            None => Ok(()),
        }
    }

    fn evaluate(
        &mut self,
        engine: &mut Engine,
        evaluated: &mut u32,
    ) -> Result<Scores, DecodeError> {
        let mut done = ChoiceDone {
            correct: 0,
            correct_norm: 0,
            correct_bytes: 0,
            picked: Vec::with_capacity(self.questions.len()),
            picked_norm: Vec::with_capacity(self.questions.len()),
        };
        for question in &mut self.questions {
            let ln_p = question.score(engine, evaluated)?;
            let picks = Picks::of(&ln_p, &question.item.choices);
            let right = |pick: usize| u32::from(pick == question.item.gold);
            done.correct += right(picks.plain);
            done.correct_norm += right(picks.by_characters);
            done.correct_bytes += right(picks.by_bytes);
            // An item has 64 choices at most.
            done.picked.push(picks.plain as u8);
            done.picked_norm.push(picks.by_characters as u8);
        }
        Ok(Scores::Choice(done))
    }
}
