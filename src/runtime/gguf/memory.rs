//! How much memory a model will take, from its header: an estimate from above, to refuse
//! what would drive the board into swap or the out-of-memory killer.

use super::Header;
use crate::workload::{FlashAttn, KvType, Params};

/// Bytes that loading and running a model takes, estimated from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// The file, mapped or read.
    pub weights_bytes: u64,
    pub kv_bytes: u64,
    /// Activations, scores and the runtime itself.
    pub compute_bytes: u64,
}

/// The runtime, its threads' stacks and the tokenizer's tables.
const BASE_BYTES: u64 = 64 << 20;
/// llama.cpp rounds a context up to this many tokens.
const CONTEXT_STEP: u64 = 256;
const TOKEN_TABLE: &str = "token_embd.weight";
/// Tokens evaluated at once; the worker uses llama.cpp's default.
const N_UBATCH: u64 = 512;

impl MemoryEstimate {
    /// Of a model with these parameters that keeps the logits of `n_outputs` tokens at a time.
    pub fn of(header: &Header, params: &Params, n_outputs: u32) -> Self {
        let n_ctx = u64::from(params.n_ctx).next_multiple_of(CONTEXT_STEP);
        // Per token and block, elements of K and of V. Sliding windows need less.
        let kv_elements = n_ctx.saturating_mul(header.kv_elements_per_token());
        let kv_bytes = kv_elements.saturating_mul(kv_bytes_per_32(params.kv_type)) / 32;
        let batch = match header.decoder_block_count {
            None => u64::from(params.n_batch).min(N_UBATCH),
            // An encoder reads the prompt at once.
            Some(_) => u64::from(params.n_batch),
        };
        let widest = header
            .feed_forward_length
            .max(header.embedding_length.saturating_mul(4));
        let activations = batch.saturating_mul(widest).saturating_mul(4 * 4);
        let scores = match (header.decoder_block_count, params.flash_attn) {
            (Some(_), _) => encoder_decoder_bytes(header, n_ctx, batch),
            (None, FlashAttn::Off) => n_ctx
                .saturating_mul(batch)
                .saturating_mul(header.head_count)
                .saturating_mul(4),
            (None, FlashAttn::Auto | FlashAttn::On) => 0,
        };
        // They are kept, and computed in a place of their own.
        let logits = logits_bytes(header, u64::from(n_outputs)).saturating_mul(2);
        Self {
            weights_bytes: header.file_bytes,
            kv_bytes,
            compute_bytes: BASE_BYTES
                .saturating_add(activations)
                .saturating_add(scores)
                .saturating_add(logits),
        }
    }

    pub fn total_bytes(&self) -> u64 {
        self.weights_bytes
            .saturating_add(self.kv_bytes)
            .saturating_add(self.compute_bytes)
    }
}

/// What a model with an encoder and a decoder takes besides: its relative positions keep it from
/// flash attention, and llama.cpp reserves an encoder's output for the longest context and, once
/// it encodes, room for logits of each token of the prompt.
fn encoder_decoder_bytes(header: &Header, n_ctx: u64, batch: u64) -> u64 {
    let encoded = header.context_length.unwrap_or(0).max(batch);
    // Scores, their bias, its copy in another order, and both together: 32-bit floats.
    let scores = n_ctx
        .max(encoded)
        .saturating_mul(batch)
        .saturating_mul(header.head_count)
        .saturating_mul(4 * 4);
    // The encoder's output, K and V of it, and copies in 16 bits.
    let width = header.key_length.saturating_add(header.value_length);
    let cross = header
        .head_count
        .saturating_mul(width)
        .saturating_add(header.embedding_length)
        .saturating_mul(encoded)
        .saturating_mul(4 * 2);
    scores
        .saturating_add(cross)
        .saturating_add(logits_bytes(header, batch))
}

/// One for each token of the vocabulary: 32-bit floats.
fn logits_bytes(header: &Header, tokens: u64) -> u64 {
    let table = header.tensors.iter().find(|t| t.name == TOKEN_TABLE);
    let vocabulary = table.and_then(|table| table.dims.get(1)).unwrap_or(&0);
    vocabulary.saturating_mul(tokens).saturating_mul(4)
}

/// Bytes of 32 elements.
pub(super) fn kv_bytes_per_32(kv_type: KvType) -> u64 {
    match kv_type {
        KvType::F32 => 128,
        KvType::F16 | KvType::Bf16 => 64,
        KvType::Q8_0 => 34,
        KvType::Q4_0 => 18,
    }
}
