//! `perplexity`: the meaning of llama-perplexity. A text is cut into chunks of one context
//! each; a chunk begins with the model's beginning-of-sequence token, if it wants one, and the
//! tokens of its second half are scored.

use super::Failure;
use super::evaluation::{Evaluation, Scores, check_model, content, not_finite};
use super::ffi::{DecodeError, Engine, Token};
use crate::quality::{Nll, Row, chunks};
use crate::runtime::protocol::PerplexityDone;

#[derive(Debug)]
pub struct Perplexity {
    /// Of whole chunks.
    tokens: Vec<Token>,
    n_ctx: usize,
    bos: Option<Token>,
    /// One chunk as it is evaluated.
    chunk: Vec<Token>,
}

impl Perplexity {
    pub fn new(
        engine: &Engine,
        data: &str,
        data_sha256: &str,
        n_ctx: u32,
        n_chunks: Option<u32>,
    ) -> Result<Self, Failure> {
        check_model(engine)?;
        if n_ctx > engine.n_ctx() || chunks::scored(n_ctx) == 0 {
            let text = format!(
                "chunks of {n_ctx} tokens don't fit into a context of {}",
                engine.n_ctx()
            );
            return Err(Failure::new("context", text));
        }
        let content = content(data, data_sha256)?;
        let text = content.text().map_err(|error| {
            let text = format!("the data is no text in UTF-8: {error}");
            Failure::new("data", text)
        })?;
        let mut tokens = engine.tokenise_plain(text)?;
        let count = chunks::count(tokens.len(), n_ctx, n_chunks)
            .map_err(|error| Failure::new("data", error.to_string()))?;
        let n_ctx = n_ctx as usize;
        tokens.truncate(count as usize * n_ctx);
        Ok(Self {
            tokens,
            n_ctx,
            bos: engine.leading_bos(),
            chunk: Vec::with_capacity(n_ctx),
        })
    }

    /// Evaluates the chunk that begins at token `start`.
    fn chunk(
        &mut self,
        engine: &mut Engine,
        start: usize,
        nll: &mut Nll,
        evaluated: &mut u32,
    ) -> Result<(), DecodeError> {
        let text = &self.tokens[start..start + self.n_ctx];
        self.chunk.clear();
        self.chunk.extend_from_slice(text);
        if let Some(bos) = self.bos {
            self.chunk[0] = bos;
        }
        let context = chunks::context(self.n_ctx as u32) as usize;
        let (before, scored) = self.chunk.split_at_mut(context);
        engine.clear();
        for batch in before.chunks_mut(engine.n_batch() as usize) {
            engine.read(batch)?;
            *evaluated += batch.len() as u32;
        }
        let mut next = context + 1;
        for batch in scored.chunks_mut(engine.n_outputs()) {
            engine.score(batch)?;
            engine.synchronise();
            *evaluated += batch.len() as u32;
            for index in 0..batch.len() {
                // What follows on the chunk's last token is not in it.
                let Some(&token) = text.get(next) else { break };
                let row = engine.logits_of(index).and_then(Row::of);
                let ln_p = row.and_then(|row| row.ln_p(token as usize));
                nll.add(ln_p.ok_or_else(not_finite)?);
                next += 1;
            }
        }
        Ok(())
    }
}

impl Evaluation for Perplexity {
    fn warm_up(&mut self, engine: &mut Engine) -> Result<(), DecodeError> {
        self.chunk(engine, 0, &mut Nll::default(), &mut 0)
    }

    fn evaluate(
        &mut self,
        engine: &mut Engine,
        evaluated: &mut u32,
    ) -> Result<Scores, DecodeError> {
        let mut nll = Nll::default();
        let chunks = self.tokens.len() / self.n_ctx;
        for chunk in 0..chunks {
            self.chunk(engine, chunk * self.n_ctx, &mut nll, evaluated)?;
        }
        Ok(Scores::Perplexity(PerplexityDone {
            chunks: chunks as u32,
            nll,
        }))
    }
}
