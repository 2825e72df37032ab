//! Logits of more than the last token: what scoring a given text needs.

use super::{DecodeError, Engine, Token, decoded, too_large};
use llama_cpp_sys_2 as sys;

impl Engine {
    /// Of how many tokens of a batch logits can be kept.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs as usize
    }

    /// Evaluates tokens after those in the context; no logits are kept.
    pub fn read(&mut self, tokens: &mut [Token]) -> Result<(), DecodeError> {
        self.evaluate_for(tokens, 0)
    }

    /// Evaluates tokens after those in the context; the logits of each are kept.
    pub fn score(&mut self, tokens: &mut [Token]) -> Result<(), DecodeError> {
        if tokens.len() > self.n_outputs() {
            return Err(too_large(tokens.len()));
        }
        self.evaluate_for(tokens, 1)
    }

    fn evaluate_for(&mut self, tokens: &mut [Token], output: i8) -> Result<(), DecodeError> {
        // llama.cpp aborts on an empty or too large batch.
        if tokens.is_empty() || tokens.len() > self.n_batch as usize {
            return Err(too_large(tokens.len()));
        }
        let mut outputs = vec![output; tokens.len()];
        // SAFETY: the batch borrows both vectors for this call only, and their length is the
        // batch's.
        let status = unsafe {
            let mut batch = sys::llama_batch_get_one(tokens.as_mut_ptr(), tokens.len() as i32);
            batch.logits = outputs.as_mut_ptr();
            sys::llama_decode(self.context.as_ptr(), batch)
        };
        decoded(status)
    }

    /// The logits of token `index` of the last batch; `None` where none were kept.
    pub fn logits_of(&mut self, index: usize) -> Option<&[f32]> {
        let index = i32::try_from(index).ok()?;
        // SAFETY: the row has n_vocab elements, and stays until the next evaluation, which
        // needs `&mut self`; of an index that has none, llama.cpp returns null.
        unsafe {
            let row = sys::llama_get_logits_ith(self.context.as_ptr(), index);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, self.n_vocab))
        }
    }

    /// Forgets every token from position `kept` on. `false`: it can't be done, and what is left
    /// in the context must not be used. States of recurrent blocks can't go back, and a sliding
    /// window may have lost what lay before it.
    pub fn rewind(&mut self, kept: usize) -> bool {
        let Ok(kept) = i32::try_from(kept) else {
            return false;
        };
        // SAFETY: the context is alive, and its memory with it.
        unsafe {
            let memory = sys::llama_get_memory(self.context.as_ptr());
            sys::llama_memory_seq_rm(memory, 0, kept, -1)
                && sys::llama_memory_seq_pos_min(memory, 0) == 0
        }
    }
}
