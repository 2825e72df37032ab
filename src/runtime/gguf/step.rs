//! What one decode step reads from memory, from the header: the numerator of the model's
//! bandwidth utilisation (`mbu`). It counts what the computation needs, once; what an engine
//! reads twice, or finds in a cache, is not known here.

use super::memory::kv_bytes_per_32;
use super::read::{ENCODER, Header, Tensor, block};
use crate::workload::KvType;

/// Tables of which a step reads the row of its token, whatever their number of rows.
const TABLES: [&str; 4] = [
    "token_embd.weight",
    "per_layer_token_embd.weight",
    "position_embd.weight",
    "token_types.weight",
];

/// In files of encoder-decoder models; nobody evaluates it.
const UNUSED: &str = ".cross_attn_rel_b.";

/// Of an element that an encoder leaves, a 32-bit float.
const ENCODED_BYTES: u64 = 4;

impl Header {
    /// Bytes of the tensors that a step of one token reads: every tensor but an encoder's and the
    /// blocks that only draft, one row of each table, and of the experts' tensors the share that a token
    /// uses. A model without an output matrix multiplies by its token table, and so reads
    /// the whole of it. `None` where the header does not say how many experts are used.
    pub fn step_bytes(&self) -> Option<u64> {
        let tied = !self.tensors.iter().any(|t| t.name == "output.weight");
        self.tensors
            .iter()
            .filter(|tensor| self.is_evaluated(tensor))
            .map(|tensor| match tensor.name.as_str() {
                "token_embd.weight" if tied => Some(tensor.bytes),
                name if TABLES.contains(&name) => Some(row_bytes(tensor)),
                name if name.contains("_exps.") => self.used_bytes(tensor),
                _ => Some(tensor.bytes),
            })
            .try_fold(0, |sum, bytes| Some(sum + bytes?))
    }

    /// Bytes that a token of context adds to the KV cache, and that each later step reads,
    /// as though every block attended to all tokens: sliding windows read less. The fixed
    /// states of recurrent blocks are not in it. Of an encoder-decoder model, a token of the
    /// decoder's.
    pub fn kv_token_bytes(&self, kv_type: KvType) -> u64 {
        let heads = self
            .head_count_kv
            .iter()
            .take(self.evaluated_blocks() as usize);
        let heads = heads.fold(0, |sum: u64, heads| sum.saturating_add(*heads));
        let elements = heads.saturating_mul(self.key_length + self.value_length);
        elements.saturating_mul(kv_bytes_per_32(kv_type)) / 32
    }

    /// Bytes that the encoder leaves for each token of its prompt, and that each step of the
    /// decoder reads; `None` for a model that is not both.
    pub fn encoder_token_bytes(&self) -> Option<u64> {
        self.decoder_block_count?;
        Some(self.embedding_length.saturating_mul(ENCODED_BYTES))
    }

    /// Blocks of a step.
    fn evaluated_blocks(&self) -> u64 {
        let blocks = self.decoder_block_count.unwrap_or(self.block_count);
        blocks.saturating_sub(self.draft_blocks)
    }

    fn is_evaluated(&self, tensor: &Tensor) -> bool {
        let name = &tensor.name;
        !name.starts_with(ENCODER)
            && !name.contains(UNUSED)
            && block(name).is_none_or(|block| block < self.evaluated_blocks())
    }

    /// Of a tensor with a part for each expert.
    fn used_bytes(&self, tensor: &Tensor) -> Option<u64> {
        let count = self.expert_count.filter(|count| *count > 0)?;
        if tensor.dims.last() != Some(&count) {
            return Some(tensor.bytes);
        }
        let used = self.expert_used_count?.min(count);
        let bytes = u128::from(tensor.bytes) * u128::from(used) / u128::from(count);
        u64::try_from(bytes).ok()
    }
}

fn row_bytes(tensor: &Tensor) -> u64 {
    let rows: u64 = tensor.dims.iter().skip(1).product();
    tensor.bytes / rows.max(1)
}

#[cfg(test)]
mod tests {
    use super::super::TensorType;
    use super::super::tiny_gguf::{self, Damage};
    use super::super::tiny_t5::TinyT5;
    use super::*;

    fn tiny() -> Header {
        Header::parse(&tiny_gguf::bytes(Damage::None)).unwrap()
    }

    /// Of 16-bit elements.
    fn tensor(name: &str, dims: &[u64]) -> Tensor {
        let kind = TensorType::of(1).unwrap();
        Tensor {
            name: name.to_owned(),
            dims: dims.to_vec(),
            kind,
            offset: 0,
            bytes: kind.size(dims).unwrap(),
        }
    }

    #[test]
    fn an_untied_embedding_is_one_row_and_a_tied_one_is_the_output_matrix() {
        let untied = tiny();
        let all: u64 = untied.tensors.iter().map(|tensor| tensor.bytes).sum();
        let table = &untied.tensors[0];
        assert_eq!(table.name, "token_embd.weight");
        // 64 elements of 4 bytes.
        assert_eq!(untied.step_bytes(), Some(all - table.bytes + 256));

        let mut tied = untied.clone();
        tied.tensors.retain(|tensor| tensor.name != "output.weight");
        let all: u64 = tied.tensors.iter().map(|tensor| tensor.bytes).sum();
        assert_eq!(tied.step_bytes(), Some(all));
    }

    #[test]
    fn a_quantised_matrix_is_read_as_it_is_stored() {
        let header = Header::parse(&tiny_gguf::quantised_bytes()).unwrap();
        assert_eq!(header.quant, "Q4_0");
        // Per block K, V (64 × 32), Q and the output (64 × 64), three of 64 × 128; then the
        // output matrix of 262 rows and one row of the table. 18 bytes for 32 elements.
        let elements = 2 * (2 * 2_048 + 2 * 4_096 + 3 * 8_192) + 64 * 262 + 64;
        let norms = 4 * 64 * (2 * 2 + 1);
        assert_eq!(header.step_bytes(), Some(elements / 32 * 18 + norms));
    }

    #[test]
    fn of_experts_those_count_that_a_token_uses() {
        let mut header = tiny();
        let dense = header.step_bytes().unwrap();
        header.tensors.extend([
            tensor("blk.0.ffn_up_exps.weight", &[64, 128, 8]),
            tensor("blk.0.ffn_up_exps.bias", &[128, 8]),
            tensor("blk.0.ffn_norm_exps.weight", &[64]),
            tensor("blk.0.ffn_up_shexp.weight", &[64, 16]),
        ]);
        assert_eq!(header.step_bytes(), None);
        header.expert_count = Some(8);
        assert_eq!(header.step_bytes(), None);
        header.expert_used_count = Some(2);
        let whole = 2 * 64 + 2 * 64 * 16;
        let used = (2 * 64 * 128 * 8 + 2 * 128 * 8) / 4;
        assert_eq!(header.step_bytes(), Some(dense + whole + used));
        header.expert_used_count = Some(800);
        assert_eq!(header.step_bytes(), Some(dense + whole + 4 * used));
    }

    #[test]
    fn blocks_that_only_draft_are_not_read() {
        let mut header = tiny();
        let whole = header.step_bytes().unwrap();
        header.draft_blocks = 1;
        let second = header.tensors.iter().filter(|t| block(&t.name) == Some(1));
        let second: u64 = second.map(|tensor| tensor.bytes).sum();
        assert_eq!(header.step_bytes(), Some(whole - second));
        assert_eq!(header.kv_token_bytes(KvType::F16), 2 * 32 * 2);
        header.draft_blocks = u64::MAX;
        assert!(header.step_bytes().is_some());
        assert_eq!(header.kv_token_bytes(KvType::F16), 0);
    }

    #[test]
    fn of_two_halves_only_the_decoder_takes_part_in_a_step() {
        let header = Header::parse(&TinyT5::default().bytes()).unwrap();
        // Each of two blocks: two attentions of four matrices and three of the gated network,
        // all 64 × 128. One bias of relative positions, three norms a block and one at the end,
        // a row of the table; the output matrix is as large as the table.
        let matrices = 2 * (8 * 64 * 128 + 3 * 64 * 128);
        let small = 4 * 32 + 2 * 3 * 64 + 64 + 64;
        let table = &header.tensors[0];
        assert_eq!(table.name, "token_embd.weight");
        assert_eq!(
            header.step_bytes(),
            Some((matrices + small) * 4 + table.bytes)
        );
        // Two blocks, four heads, 32 elements each of K and V.
        assert_eq!(header.kv_token_bytes(KvType::F16), 2 * 4 * 64 * 2);
        assert_eq!(header.encoder_token_bytes(), Some(64 * 4));
        assert_eq!(tiny().encoder_token_bytes(), None);

        let mut unused = header.clone();
        let cross = tensor("dec.blk.0.cross_attn_rel_b.weight", &[4, 32]);
        unused.tensors.push(cross);
        assert_eq!(unused.step_bytes(), header.step_bytes());
    }

    #[test]
    fn a_token_of_context_has_a_key_and_a_value_in_each_block() {
        // 2 blocks, 2 heads, 16 elements each of K and V.
        let header = tiny();
        assert_eq!(header.kv_token_bytes(KvType::F16), 2 * 2 * 32 * 2);
        assert_eq!(header.kv_token_bytes(KvType::F32), 2 * 2 * 32 * 4);
        assert_eq!(header.kv_token_bytes(KvType::Q8_0), 2 * 2 * 34);
    }
}
