//! Writes a tiny encoder-decoder model that llama.cpp loads, with the parts of a Flan-T5: an
//! encoder and a decoder of different depths, relative positions, heads that are wider together
//! than the embedding, a gated feed-forward network, and a Unigram tokenizer. Its weights are
//! random. And two models that only encode.

use super::tiny_gguf::{ALIGNMENT, Damage, Tensor, array, assemble, entry, string, text, u32_of};
use std::io;
use std::path::Path;

pub const EMBEDDING: u64 = 64;
const FEED_FORWARD: u64 = 128;
const HEADS: u64 = 4;
const HEAD: u64 = 32;
/// Letters that the tokenizer makes of one.
pub const MANY: usize = 40;

/// Of relative positions, as in every T5.
const BUCKETS: u64 = 32;
const CONTEXT: u32 = 512;

/// What is unlike the usual one.
#[derive(Debug, Clone, Copy)]
pub struct TinyT5 {
    pub blocks: u32,
    pub decoder_blocks: u32,
    /// How many the file says that the decoder has.
    pub declared_decoder_blocks: u32,
    /// What the decoder begins with; the usual one is the padding.
    pub start_token: Option<u32>,
    /// T5 as it was first: ReLU without a gate, and the token table as output matrix.
    pub first: bool,
    pub damage: Damage,
}

impl Default for TinyT5 {
    fn default() -> Self {
        Self {
            blocks: 3,
            decoder_blocks: 2,
            declared_decoder_blocks: 2,
            start_token: Some(0),
            first: false,
            damage: Damage::None,
        }
    }
}

impl TinyT5 {
    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.bytes())
    }

    /// The same ones each time.
    pub fn bytes(&self) -> Vec<u8> {
        let blocks = match self.damage {
            Damage::BlockCount(lie) => lie,
            _ => self.blocks,
        };
        let mut metadata = shape("t5", blocks);
        let declared = self.declared_decoder_blocks;
        metadata.push(u32_of("t5.decoder_block_count", declared));
        let start = self.start_token;
        metadata.extend(start.map(|id| u32_of("t5.decoder_start_token_id", id)));
        metadata.extend(unigram());

        let mut tensors = if self.first {
            // Small, or each token would be followed by itself.
            vec![table("token_embd.weight", 0.2)]
        } else {
            vec![table("token_embd.weight", 1.0), table("output.weight", 1.0)]
        };
        tensors.extend(encoder(self.blocks, self.first));
        tensors.push(norm("dec.output_norm.weight".to_owned()));
        for block in 0..self.decoder_blocks {
            let name = |part: &str| format!("dec.blk.{block}.{part}.weight");
            tensors.extend(attention(&name, "attn", block == 0));
            tensors.extend(attention(&name, "cross_attn", false));
            tensors.extend(feed_forward(&name, self.first));
        }
        assemble(&metadata, &tensors, self.damage)
    }
}

/// The encoder of such a model alone, as image generators use it.
pub fn text_encoder_bytes() -> Vec<u8> {
    let mut metadata = shape("t5encoder", 2);
    metadata.extend(unigram());
    let mut tensors = vec![table("token_embd.weight", 1.0)];
    tensors.extend(encoder(2, false));
    assemble(&metadata, &tensors, Damage::None)
}

/// A BERT of one block, as embedding models are.
pub fn bert_bytes() -> Vec<u8> {
    const WIDTH: u64 = 32;
    let words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "\u{2581}sky",
        "\u{2581}blue",
    ];
    let metadata = [
        text("general.architecture", "bert"),
        text("general.name", "tiny random bert"),
        u32_of("general.alignment", ALIGNMENT as u32),
        u32_of("bert.context_length", 64),
        u32_of("bert.embedding_length", WIDTH as u32),
        u32_of("bert.feed_forward_length", WIDTH as u32),
        u32_of("bert.block_count", 1),
        u32_of("bert.attention.head_count", 2),
        float("bert.attention.layer_norm_epsilon", 1e-12),
        entry("bert.attention.causal", 7, &[0]),
        u32_of("bert.pooling_type", 1),
        text("tokenizer.ggml.model", "bert"),
        u32_of("tokenizer.ggml.token_type_count", 2),
        array(
            "tokenizer.ggml.tokens",
            8,
            words.iter().map(|word| string(word)),
        ),
        u32_of("tokenizer.ggml.unknown_token_id", 1),
        u32_of("tokenizer.ggml.cls_token_id", 2),
        u32_of("tokenizer.ggml.seperator_token_id", 3),
    ];
    let square = [WIDTH, WIDTH];
    let mut tensors = vec![
        Tensor::float("token_embd.weight", &[WIDTH, words.len() as u64]),
        Tensor::float("token_types.weight", &[WIDTH, 2]),
        Tensor::float("position_embd.weight", &[WIDTH, 64]),
        Tensor::float("token_embd_norm.weight", &[WIDTH]),
        Tensor::float("token_embd_norm.bias", &[WIDTH]),
    ];
    for matrix in [
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_output",
        "ffn_up",
        "ffn_down",
    ] {
        tensors.push(Tensor::float(format!("blk.0.{matrix}.weight"), &square));
        tensors.push(Tensor::float(format!("blk.0.{matrix}.bias"), &[WIDTH]));
    }
    for norm in ["attn_output_norm", "layer_output_norm"] {
        tensors.push(Tensor::float(format!("blk.0.{norm}.weight"), &[WIDTH]));
        tensors.push(Tensor::float(format!("blk.0.{norm}.bias"), &[WIDTH]));
    }
    assemble(&metadata, &tensors, Damage::None)
}

fn encoder(blocks: u32, first: bool) -> Vec<Tensor> {
    let mut tensors = vec![norm("enc.output_norm.weight".to_owned())];
    for block in 0..blocks {
        let name = |part: &str| format!("enc.blk.{block}.{part}.weight");
        tensors.extend(attention(&name, "attn", block == 0));
        tensors.extend(feed_forward(&name, first));
    }
    tensors
}

/// The first block has the bias of relative positions for all of them.
fn attention(name: &impl Fn(&str) -> String, prefix: &str, bias: bool) -> Vec<Tensor> {
    let part = |part: &str| name(&format!("{prefix}_{part}"));
    let mut tensors = vec![norm(part("norm"))];
    if bias {
        let mut bias = Tensor::float(part("rel_b"), &[HEADS, BUCKETS]);
        bias.spread = 3.0;
        tensors.push(bias);
    }
    let inside = HEADS * HEAD;
    tensors.extend(["q", "k", "v"].map(|to| Tensor::float(part(to), &[EMBEDDING, inside])));
    tensors.push(Tensor::float(part("o"), &[inside, EMBEDDING]));
    tensors
}

fn feed_forward(name: &impl Fn(&str) -> String, first: bool) -> Vec<Tensor> {
    let mut tensors = vec![norm(name("ffn_norm"))];
    if !first {
        tensors.push(Tensor::float(name("ffn_gate"), &[EMBEDDING, FEED_FORWARD]));
    }
    tensors.push(Tensor::float(name("ffn_up"), &[EMBEDDING, FEED_FORWARD]));
    tensors.push(Tensor::float(name("ffn_down"), &[FEED_FORWARD, EMBEDDING]));
    tensors
}

fn norm(name: String) -> Tensor {
    let mut norm = Tensor::float(name, &[EMBEDDING]);
    norm.spread = 0.3;
    norm
}

fn table(name: &str, spread: f32) -> Tensor {
    let mut table = Tensor::float(name, &[EMBEDDING, pieces().len() as u64]);
    table.spread = spread;
    table
}

fn shape(architecture: &str, blocks: u32) -> Vec<Vec<u8>> {
    let key = |name: &str| format!("{architecture}.{name}");
    vec![
        text("general.architecture", architecture),
        text("general.name", "tiny random t5"),
        u32_of("general.file_type", 0),
        u32_of("general.alignment", ALIGNMENT as u32),
        u32_of(&key("context_length"), CONTEXT),
        u32_of(&key("embedding_length"), EMBEDDING as u32),
        u32_of(&key("feed_forward_length"), FEED_FORWARD as u32),
        u32_of(&key("block_count"), blocks),
        u32_of(&key("attention.head_count"), HEADS as u32),
        u32_of(&key("attention.key_length"), HEAD as u32),
        u32_of(&key("attention.value_length"), HEAD as u32),
        float(&key("attention.layer_norm_epsilon"), 1e-6),
        float(&key("attention.layer_norm_rms_epsilon"), 1e-6),
        u32_of(&key("attention.relative_buckets_count"), BUCKETS as u32),
    ]
}

fn float(key: &str, value: f32) -> Vec<u8> {
    entry(key, 6, &value.to_le_bytes())
}

/// A piece, its logarithmic probability, and its type: 1 normal, 2 unknown, 3 control, 4 defined
/// by users.
fn pieces() -> Vec<(String, f32, i32)> {
    let special = [("<pad>", 3), ("</s>", 3), ("<unk>", 2)];
    let mut pieces: Vec<_> = special
        .map(|(text, kind)| (text.to_owned(), 0.0, kind))
        .into();
    let common = "\u{2581} \u{2581}the \u{2581}is \u{2581}to \u{2581}a he in er an is ing ans late \u{2581}tr \
                  \u{2581}sky \u{2581}blue \u{2581}house \u{2581}why \u{2581}w on der ful";
    let letters = ('a'..='z').chain(".,:?'".chars()).map(String::from);
    let all = common.split(' ').map(str::to_owned).chain(letters);
    // Each somewhat rarer than the one before, so that no two ways to cut a text are alike.
    pieces.extend(
        all.zip(1..)
            .map(|(text, rank)| (text, -2.0 - 0.11 * rank as f32, 1)),
    );
    pieces.extend((0..4).map(|number| (format!("<extra_id_{number}>"), -1000.0, 4)));
    pieces
}

fn unigram() -> Vec<Vec<u8>> {
    let pieces = pieces();
    vec![
        text("tokenizer.ggml.model", "t5"),
        text("tokenizer.ggml.pre", "default"),
        array(
            "tokenizer.ggml.tokens",
            8,
            pieces.iter().map(|(text, ..)| string(text)),
        ),
        array(
            "tokenizer.ggml.scores",
            6,
            pieces
                .iter()
                .map(|(_, score, _)| score.to_le_bytes().to_vec()),
        ),
        array(
            "tokenizer.ggml.token_type",
            5,
            pieces.iter().map(|(.., kind)| kind.to_le_bytes().to_vec()),
        ),
        array(
            "tokenizer.ggml.precompiled_charsmap",
            0,
            charsmap().into_iter().map(|byte| vec![byte]),
        ),
        entry("tokenizer.ggml.add_space_prefix", 7, &[1]),
        entry("tokenizer.ggml.remove_extra_whitespaces", 7, &[1]),
        u32_of("tokenizer.ggml.padding_token_id", 0),
        u32_of("tokenizer.ggml.eos_token_id", 1),
        u32_of("tokenizer.ggml.unknown_token_id", 2),
        entry("tokenizer.ggml.add_bos_token", 7, &[0]),
        entry("tokenizer.ggml.add_eos_token", 7, &[1]),
    ]
}

/// SentencePiece's way to say that Z is written as forty z: a trie of 32-bit units, packed as
/// Darts does it, and the texts that its leaves lead to.
fn charsmap() -> Vec<u8> {
    const LEAF: u32 = 1 << 8;
    const VALUE: u32 = 1 << 31;
    let z = u32::from(b'Z');
    // Labels of unused units fit none of their places.
    let mut trie: [u32; 256] = std::array::from_fn(|place| place as u32 ^ 1);
    // A unit's offset and a letter, one XOR the other, lead from its place to the next; a leaf is
    // there without a letter. Its value is where the text begins.
    trie[0] = (z ^ 1) << 10;
    trie[1] = z | LEAF | (1 ^ 2) << 10;
    trie[2] = VALUE;
    let mut map = (4 * trie.len() as u32).to_le_bytes().to_vec();
    map.extend(trie.into_iter().flat_map(u32::to_le_bytes));
    map.extend(format!("{}\0", "z".repeat(MANY)).into_bytes());
    map
}
