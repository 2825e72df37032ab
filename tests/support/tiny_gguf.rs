//! Writes a tiny model that llama.cpp loads: random weights, a byte tokenizer and a chat
//! template. It says nothing sensible, but tokenises, decodes and samples like a real one.

use std::io;
use std::path::Path;

/// What is wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    None,
    /// Only so many bytes of it.
    Truncated(usize),
    /// `block_count` says this. 1000 makes llama.cpp abort.
    BlockCount(u32),
    /// The last tensor begins far behind the end of the file.
    OffsetPastEnd,
    /// All weights are NaN. llama.cpp loads and runs them silently.
    NanWeights,
}

pub const BLOCKS: u32 = 2;
const EMBEDDING: u64 = 64;
const FEED_FORWARD: u64 = 128;
const HEADS: u32 = 4;
const KV_HEADS: u32 = 2;
pub(super) const ALIGNMENT: usize = 32;

/// Rendered like ChatML; a message of the role "forbidden" is refused.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}\
{% if message['role'] == 'forbidden' %}{{ raise_exception('this role is forbidden') }}{% endif %}\
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Writes the model to `path`.
pub fn write(path: &Path, damage: Damage) -> io::Result<()> {
    std::fs::write(path, bytes(damage))
}

/// The model as bytes, the same ones each time.
pub fn bytes(damage: Damage) -> Vec<u8> {
    file(damage, Kind::F32)
}

/// A sound model whose matrices are Q4_0, which llama.cpp rearranges for some CPUs.
pub fn quantised_bytes() -> Vec<u8> {
    file(Damage::None, Kind::Q4_0)
}

/// How the elements of the matrices are stored. Vectors are 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    Q4_0,
}

fn file(damage: Damage, matrices: Kind) -> Vec<u8> {
    let vocabulary = vocabulary();
    let tensors = tensors(vocabulary.len() as u64, matrices);
    assemble(&metadata(&vocabulary, damage, matrices), &tensors, damage)
}

/// A file of these entries and tensors, whose weights are drawn in their order.
pub(super) fn assemble(metadata: &[Vec<u8>], tensors: &[Tensor], damage: Damage) -> Vec<u8> {
    let mut file = header(metadata, tensors, damage);
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    let mut random = SplitMix(0x6a6f_756c_6564);
    for tensor in tensors {
        match tensor.kind {
            Kind::F32 => {
                for _ in 0..tensor.elements() {
                    let weight = match damage {
                        Damage::NanWeights => f32::NAN,
                        _ if tensor.spread == 0.0 => tensor.mean,
                        _ => tensor.mean + random.symmetric() * tensor.spread,
                    };
                    file.extend(weight.to_le_bytes());
                }
            }
            Kind::Q4_0 => {
                for _ in 0..tensor.elements() / Q4_0_BLOCK {
                    // 0.025 as a half, times -8 to 7.
                    file.extend(0x2666u16.to_le_bytes());
                    for _ in 0..Q4_0_BLOCK / 2 {
                        file.push(random.byte());
                    }
                }
            }
        }
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
    }
    if let Damage::Truncated(bytes) = damage {
        file.truncate(bytes);
    }
    file
}

impl Kind {
    /// Of the tensor's type, and of a file that is mostly of it.
    fn id(self) -> u32 {
        match self {
            Kind::F32 => 0,
            Kind::Q4_0 => 2,
        }
    }
}

pub(super) struct Tensor {
    name: String,
    dims: Vec<u64>,
    kind: Kind,
    /// Of 32-bit weights: between their mean and as much above and below it.
    pub mean: f32,
    pub spread: f32,
}

/// Elements of a block: a 16-bit scale and four bits each.
const Q4_0_BLOCK: u64 = 32;

impl Tensor {
    fn new(name: impl Into<String>, dims: &[u64], matrices: Kind) -> Self {
        // One dimension is a norm's.
        let norm = dims.len() == 1;
        Self {
            name: name.into(),
            dims: dims.to_vec(),
            kind: if norm { Kind::F32 } else { matrices },
            mean: if norm { 1.0 } else { 0.0 },
            spread: if norm { 0.0 } else { 0.2 },
        }
    }

    pub fn float(name: impl Into<String>, dims: &[u64]) -> Self {
        Self::new(name, dims, Kind::F32)
    }

    fn bytes(&self) -> u64 {
        match self.kind {
            Kind::F32 => self.elements() * 4,
            Kind::Q4_0 => self.elements() / Q4_0_BLOCK * (2 + Q4_0_BLOCK / 2),
        }
    }

    fn elements(&self) -> u64 {
        self.dims.iter().product()
    }
}

fn tensors(vocabulary: u64, matrices: Kind) -> Vec<Tensor> {
    let head = EMBEDDING / u64::from(HEADS);
    let kv = head * u64::from(KV_HEADS);
    let mut tensors = vec![
        Tensor::new("token_embd.weight", &[EMBEDDING, vocabulary], matrices),
        Tensor::new("output_norm.weight", &[EMBEDDING], matrices),
        Tensor::new("output.weight", &[EMBEDDING, vocabulary], matrices),
    ];
    for block in 0..BLOCKS {
        let shapes: [(&str, &[u64]); 9] = [
            ("attn_norm", &[EMBEDDING]),
            ("attn_q", &[EMBEDDING, EMBEDDING]),
            ("attn_k", &[EMBEDDING, kv]),
            ("attn_v", &[EMBEDDING, kv]),
            ("attn_output", &[EMBEDDING, EMBEDDING]),
            ("ffn_norm", &[EMBEDDING]),
            ("ffn_gate", &[EMBEDDING, FEED_FORWARD]),
            ("ffn_up", &[EMBEDDING, FEED_FORWARD]),
            ("ffn_down", &[FEED_FORWARD, EMBEDDING]),
        ];
        let named = |(name, dims): (&str, &[u64])| {
            Tensor::new(format!("blk.{block}.{name}.weight"), dims, matrices)
        };
        tensors.extend(shapes.map(named));
    }
    tensors
}

/// A token and its type: 2 unknown, 3 control, 6 byte, 1 normal.
fn vocabulary() -> Vec<(String, i32)> {
    let mut tokens = vec![
        ("<unk>".to_owned(), 2),
        ("<s>".to_owned(), 3),
        ("</s>".to_owned(), 3),
    ];
    tokens.extend((0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), 6)));
    tokens.push(("<|im_start|>".to_owned(), 3));
    tokens.push(("<|im_end|>".to_owned(), 3));
    tokens.push(("\u{2581}".to_owned(), 1));
    tokens
}

fn metadata(vocabulary: &[(String, i32)], damage: Damage, matrices: Kind) -> Vec<Vec<u8>> {
    let blocks = match damage {
        Damage::BlockCount(lie) => lie,
        _ => BLOCKS,
    };
    vec![
        text("general.architecture", "llama"),
        text("general.name", "tiny random llama"),
        u32_of("general.file_type", matrices.id()),
        u32_of("general.alignment", ALIGNMENT as u32),
        u32_of("llama.vocab_size", vocabulary.len() as u32),
        u32_of("llama.context_length", 32_768),
        u32_of("llama.embedding_length", EMBEDDING as u32),
        u32_of("llama.block_count", blocks),
        u32_of("llama.feed_forward_length", FEED_FORWARD as u32),
        u32_of("llama.attention.head_count", HEADS),
        u32_of("llama.attention.head_count_kv", KV_HEADS),
        u32_of("llama.rope.dimension_count", EMBEDDING as u32 / HEADS),
        entry(
            "llama.attention.layer_norm_rms_epsilon",
            6,
            &1e-5f32.to_le_bytes(),
        ),
        text("tokenizer.ggml.model", "llama"),
        array(
            "tokenizer.ggml.tokens",
            8,
            vocabulary.iter().map(|(token, _)| string(token)),
        ),
        array(
            "tokenizer.ggml.scores",
            6,
            vocabulary.iter().map(|_| 0f32.to_le_bytes().to_vec()),
        ),
        array(
            "tokenizer.ggml.token_type",
            5,
            vocabulary
                .iter()
                .map(|(_, kind)| kind.to_le_bytes().to_vec()),
        ),
        u32_of("tokenizer.ggml.unknown_token_id", 0),
        u32_of("tokenizer.ggml.bos_token_id", 1),
        u32_of("tokenizer.ggml.eos_token_id", 2),
        entry("tokenizer.ggml.add_bos_token", 7, &[1]),
        entry("tokenizer.ggml.add_space_prefix", 7, &[0]),
        text("tokenizer.chat_template", CHAT_TEMPLATE),
    ]
}

fn header(metadata: &[Vec<u8>], tensors: &[Tensor], damage: Damage) -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((metadata.len() as u64).to_le_bytes());
    file.extend(metadata.concat());
    let mut offset = 0u64;
    for (index, tensor) in tensors.iter().enumerate() {
        let is_last = index + 1 == tensors.len();
        let claimed = if is_last && damage == Damage::OffsetPastEnd {
            1 << 40
        } else {
            offset
        };
        file.extend(string(&tensor.name));
        file.extend((tensor.dims.len() as u32).to_le_bytes());
        file.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
        file.extend(tensor.kind.id().to_le_bytes());
        file.extend(claimed.to_le_bytes());
        offset += tensor.bytes().next_multiple_of(ALIGNMENT as u64);
    }
    file
}

pub(super) fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

pub(super) fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = string(key);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(value);
    bytes
}

pub(super) fn text(key: &str, value: &str) -> Vec<u8> {
    entry(key, 8, &string(value))
}

pub(super) fn u32_of(key: &str, value: u32) -> Vec<u8> {
    entry(key, 4, &value.to_le_bytes())
}

pub(super) fn array(
    key: &str,
    element: u32,
    values: impl ExactSizeIterator<Item = Vec<u8>>,
) -> Vec<u8> {
    let mut body = element.to_le_bytes().to_vec();
    body.extend((values.len() as u64).to_le_bytes());
    body.extend(values.flatten());
    entry(key, 9, &body)
}

/// Vigna's SplitMix64: enough randomness for weights, the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    /// -1 to 1.
    fn symmetric(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
