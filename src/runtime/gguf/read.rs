//! The header of a GGUF file: metadata, tensor table, and the checks between them.

use super::cursor::{Cursor, RawTensor, Stop, Value, capped};
use super::types::{TensorType, file_type};
use super::{Fault, GgufError};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What the header says.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    pub file_bytes: u64,
    /// Byte at which the tensor data begins.
    pub data_offset: u64,
    pub architecture: String,
    /// Quantisation such as `Q4_K_M`: the declared file type, else the type of most bytes.
    pub quant: String,
    pub context_length: Option<u64>,
    /// Of an encoder-decoder model, those of its encoder.
    pub block_count: u64,
    /// Those of its decoder; `None` for a model that is not both.
    pub decoder_block_count: Option<u64>,
    pub embedding_length: u64,
    pub feed_forward_length: u64,
    pub head_count: u64,
    /// Of each block.
    pub head_count_kv: Vec<u64>,
    /// Elements of one head's key and value.
    pub key_length: u64,
    pub value_length: u64,
    /// Experts of a block, and how many of them each token uses; `None` without experts.
    pub expert_count: Option<u64>,
    pub expert_used_count: Option<u64>,
    /// Blocks at the end that only draft further tokens.
    pub draft_blocks: u64,
    pub has_chat_template: bool,
    pub tensors: Vec<Tensor>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub kind: TensorType,
    /// From `data_offset`.
    pub offset: u64,
    pub bytes: u64,
}

/// How names of tensors begin in a file that has an encoder.
pub(super) const ENCODER: &str = "enc.";
const DECODER: &str = "dec.";

/// No model known to us has half of it.
pub(super) const MOST_BLOCKS: u64 = 1_024;
const MOST_ALIGNMENT: u64 = 1 << 20;
/// Of anything that enters a product.
const MOST_LENGTH: u64 = 1 << 32;

impl Header {
    pub fn open(path: &Path) -> Result<Header, GgufError> {
        let file = super::name(path);
        let io = |source| GgufError::Io {
            file: file.clone(),
            source,
        };
        let mut opened = File::open(path).map_err(io)?;
        if !opened.metadata().map_err(io)?.is_file() {
            return Err(io(std::io::Error::other("it is not a regular file")));
        }
        Self::read(&mut opened).map_err(|stop| match stop {
            Stop::Io(source) => io(source),
            Stop::Fault(fault) => GgufError::Fault {
                file: file.clone(),
                fault,
            },
        })
    }

    /// Reads a header from memory.
    pub fn parse(bytes: &[u8]) -> Result<Header, Fault> {
        Self::read(&mut std::io::Cursor::new(bytes)).map_err(|stop| match stop {
            Stop::Fault(fault) => fault,
            Stop::Io(error) => Fault::Damaged(error.to_string()),
        })
    }

    /// Number of weights.
    pub fn params(&self) -> u64 {
        // No overflow within a tensor: its bytes were found to fit into the file.
        let elements = |tensor: &Tensor| tensor.dims.iter().product::<u64>();
        self.tensors
            .iter()
            .map(elements)
            .fold(0, u64::saturating_add)
    }

    /// Elements that one token adds to the KV cache, over all blocks.
    pub fn kv_elements_per_token(&self) -> u64 {
        let per_head = self.key_length + self.value_length;
        let heads: u64 = self.head_count_kv.iter().sum();
        heads.saturating_mul(per_head)
    }

    fn read(source: &mut (impl Read + Seek)) -> Result<Header, Stop> {
        let file_bytes = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let mut cursor = Cursor::new(source, file_bytes);
        let (metadata_count, tensor_count) = cursor.preamble()?;
        let mut metadata = Metadata::default();
        for _ in 0..metadata_count {
            let key = cursor.key()?;
            let value = cursor.value()?;
            if wanted(&key) {
                metadata.0.insert(key, value);
            }
        }
        let mut raw = Vec::new();
        for _ in 0..tensor_count {
            raw.push(cursor.tensor()?);
        }
        build(&metadata, raw, cursor.at(), file_bytes).map_err(Stop::Fault)
    }
}

/// Whether anyone asks for this key: what is not wanted is not kept.
fn wanted(key: &str) -> bool {
    const WHOLE: [&str; 5] = [
        "general.architecture",
        "general.alignment",
        "general.file_type",
        "split.count",
        "tokenizer.chat_template",
    ];
    const OF_ARCHITECTURE: [&str; 12] = [
        ".block_count",
        ".decoder_block_count",
        ".context_length",
        ".embedding_length",
        ".feed_forward_length",
        ".attention.head_count",
        ".attention.head_count_kv",
        ".attention.key_length",
        ".attention.value_length",
        ".expert_count",
        ".expert_used_count",
        ".nextn_predict_layers",
    ];
    WHOLE.contains(&key) || OF_ARCHITECTURE.iter().any(|end| key.ends_with(end))
}

#[derive(Default)]
struct Metadata(HashMap<String, Value>);

impl Metadata {
    fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.0.get(key) {
            Some(Value::Unsigned(number)) => Some(*number),
            _ => None,
        }
    }

    fn length(&self, key: &str) -> Result<Option<u64>, Fault> {
        self.number(key)
            .map(|number| capped("as a length", number, MOST_LENGTH))
            .transpose()
    }

    /// The largest of a value that may be given for each block.
    fn largest(&self, key: &str) -> Result<Option<u64>, Fault> {
        match self.0.get(key) {
            Some(Value::Unsigneds(numbers)) => numbers
                .iter()
                .max()
                .map(|&number| capped("as a length", number, MOST_LENGTH))
                .transpose(),
            _ => self.length(key),
        }
    }
}

fn build(
    metadata: &Metadata,
    raw: Vec<RawTensor>,
    header_end: u64,
    file_bytes: u64,
) -> Result<Header, Fault> {
    if metadata
        .number("split.count")
        .is_some_and(|parts| parts > 1)
    {
        return Err(Fault::Split);
    }
    let missing = |key: &str| Fault::Missing(key.to_owned());
    let architecture = metadata
        .text("general.architecture")
        .ok_or_else(|| missing("general.architecture"))?
        .to_owned();
    let key = |name: &str| format!("{architecture}.{name}");

    let alignment = metadata.number("general.alignment").unwrap_or(32);
    if !alignment.is_power_of_two() || alignment > MOST_ALIGNMENT {
        return Err(Fault::Damaged(format!("an alignment of {alignment}")));
    }
    let data_offset = header_end.next_multiple_of(alignment);
    let tensors = raw
        .into_iter()
        .map(|tensor| place(tensor, data_offset, alignment, file_bytes))
        .collect::<Result<Vec<_>, _>>()?;
    if tensors.is_empty() {
        return Err(missing("tensors"));
    }

    let block_count = metadata
        .number(&key("block_count"))
        .ok_or_else(|| missing(&key("block_count")))?;
    let names = tensors.iter().map(|tensor| tensor.name.as_str());
    let (decoders, others): (Vec<&str>, Vec<&str>) =
        names.partition(|name| name.starts_with(DECODER));
    check_blocks(&others, block_count)?;
    // A decoder that stands alone is not called one in its tensors' names.
    let decoder_block_count = (!decoders.is_empty()).then(|| {
        let declared = metadata.number(&key("decoder_block_count"));
        declared.unwrap_or(block_count)
    });
    if let Some(declared) = decoder_block_count {
        check_blocks(&decoders, declared)?;
        // Its cache has a block for each of the encoder's.
        if declared > block_count {
            return Err(Fault::DeeperDecoder {
                decoder: declared,
                encoder: block_count,
            });
        }
    }

    let embedding_length = metadata
        .length(&key("embedding_length"))?
        .ok_or_else(|| missing(&key("embedding_length")))?;
    let head_count = metadata.largest(&key("attention.head_count"))?.unwrap_or(0);
    let head_length = embedding_length.checked_div(head_count).unwrap_or(0);
    Ok(Header {
        file_bytes,
        data_offset,
        quant: quant(metadata, &tensors),
        context_length: metadata.number(&key("context_length")),
        block_count,
        decoder_block_count,
        embedding_length,
        feed_forward_length: metadata.largest(&key("feed_forward_length"))?.unwrap_or(0),
        head_count,
        head_count_kv: heads_of_blocks(
            metadata,
            &key("attention.head_count_kv"),
            head_count,
            block_count,
        )?,
        key_length: metadata
            .length(&key("attention.key_length"))?
            .unwrap_or(head_length),
        value_length: metadata
            .length(&key("attention.value_length"))?
            .unwrap_or(head_length),
        expert_count: metadata.length(&key("expert_count"))?,
        expert_used_count: metadata.length(&key("expert_used_count"))?,
        draft_blocks: metadata.number(&key("nextn_predict_layers")).unwrap_or(0),
        has_chat_template: metadata.0.contains_key("tokenizer.chat_template"),
        architecture,
        tensors,
    })
}

fn place(
    raw: RawTensor,
    data_offset: u64,
    alignment: u64,
    file_bytes: u64,
) -> Result<Tensor, Fault> {
    let RawTensor {
        name,
        dims,
        type_id,
        offset,
    } = raw;
    let damaged = |what: &str| Fault::Damaged(format!("tensor {name} {what}"));
    if offset % alignment != 0 {
        return Err(damaged("is not aligned"));
    }
    let kind = TensorType::of(type_id).ok_or_else(|| Fault::TensorType {
        name: name.clone(),
        id: type_id,
    })?;
    if dims.contains(&0) {
        return Err(damaged("has no elements"));
    }
    let bytes = kind
        .size(&dims)
        .ok_or_else(|| damaged("has impossible dimensions"))?;
    let end = data_offset
        .checked_add(offset)
        .and_then(|start| start.checked_add(bytes))
        .ok_or_else(|| damaged("has an impossible offset"))?;
    if end > file_bytes {
        return Err(Fault::TensorOutside {
            name,
            end,
            file_bytes,
        });
    }
    Ok(Tensor {
        name,
        dims,
        kind,
        offset,
        bytes,
    })
}

/// llama.cpp aborts when it is told of blocks that have no tensors.
fn check_blocks(tensors: &[&str], declared: u64) -> Result<(), Fault> {
    let declared = capped("blocks", declared, MOST_BLOCKS)?;
    let present: BTreeSet<u64> = tensors.iter().filter_map(|name| block(name)).collect();
    let contiguous = present.iter().copied().eq(0..declared);
    if !contiguous {
        return Err(Fault::BlockCount {
            declared,
            present: present.len() as u64,
        });
    }
    Ok(())
}

/// The `N` of `blk.N.`; encoders and decoders of one file each count from 0.
pub(super) fn block(tensor: &str) -> Option<u64> {
    let name = tensor
        .strip_prefix(ENCODER)
        .or_else(|| tensor.strip_prefix(DECODER))
        .unwrap_or(tensor);
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

fn heads_of_blocks(
    metadata: &Metadata,
    key: &str,
    head_count: u64,
    block_count: u64,
) -> Result<Vec<u64>, Fault> {
    let heads = match metadata.0.get(key) {
        Some(Value::Unsigneds(heads)) => heads.clone(),
        Some(Value::Unsigned(heads)) => vec![*heads; block_count as usize],
        _ => vec![head_count; block_count as usize],
    };
    heads
        .into_iter()
        .map(|count| capped("as a head count", count, MOST_LENGTH))
        .collect()
}

fn quant(metadata: &Metadata, tensors: &[Tensor]) -> String {
    let declared = metadata.number("general.file_type").and_then(file_type);
    if let Some(name) = declared {
        return name.to_owned();
    }
    let mut bytes = HashMap::<&str, u64>::new();
    for tensor in tensors {
        *bytes.entry(tensor.kind.name).or_default() += tensor.bytes;
    }
    bytes
        .into_iter()
        .max_by_key(|&(name, bytes)| (bytes, name))
        .map_or_else(String::new, |(name, _)| name.to_owned())
}
