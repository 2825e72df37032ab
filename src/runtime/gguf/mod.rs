//! What a GGUF file says about itself, read from its header alone, and whether it can be
//! loaded here: every tensor within the file, as many blocks as it declares, and enough
//! memory.
//!
//! llama.cpp aborts its process on some damaged files (a `block_count` that lies) and takes
//! half a minute to fail on others, so the daemon looks first. The reader trusts nothing:
//! counts and lengths have caps, arithmetic is checked, and what is not needed is skipped
//! without being stored.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod cursor;
mod memory;
mod read;
mod step;
mod types;

pub use memory::MemoryEstimate;
pub use read::{Header, Tensor};
pub use types::{TensorType, file_type};

use crate::workload::Params;
use std::path::Path;

/// Why a model file can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    #[error("{file}: can't be read: {source}")]
    Io {
        file: String,
        source: std::io::Error,
    },
    #[error("{file}: {fault}")]
    Fault { file: String, fault: Fault },
    #[error(
        "{file}: needs about {needed_mib} MiB ({weights_mib} MiB of weights, {kv_mib} MiB of KV cache, {compute_mib} MiB to compute), {available_mib} MiB are free; reduce n_ctx, choose a smaller kv_type or a smaller model"
    )]
    TooLarge {
        file: String,
        needed_mib: u64,
        weights_mib: u64,
        kv_mib: u64,
        compute_mib: u64,
        available_mib: u64,
    },
}

/// What is wrong with the content of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("is not a GGUF file")]
    NotGguf,
    #[error("is a big-endian GGUF file; convert it to little endian")]
    BigEndian,
    #[error("is GGUF version {0}; this program reads versions 2 and 3, so convert the model again")]
    Version(u32),
    #[error("ends within its header; fetch it again")]
    Truncated,
    #[error("its header claims {claimed} {what}, more than the {most} that are believable")]
    Excessive {
        what: &'static str,
        claimed: u64,
        most: u64,
    },
    #[error("its header is damaged: {0}")]
    Damaged(String),
    #[error("is one part of a split model; merge the parts with llama-gguf-split --merge")]
    Split,
    #[error("does not say its {0}")]
    Missing(String),
    #[error(
        "tensor {name} ends at byte {end} of {file_bytes}: the file is cut short, fetch it again"
    )]
    TensorOutside {
        name: String,
        end: u64,
        file_bytes: u64,
    },
    #[error("tensor {name} has the type {id}, which this version does not know")]
    TensorType { name: String, id: u32 },
    #[error("declares {declared} blocks and has the tensors of {present}")]
    BlockCount { declared: u64, present: u64 },
    #[error(
        "its decoder has {decoder} blocks and its encoder {encoder}; llama.cpp runs no decoder that is deeper than its encoder"
    )]
    DeeperDecoder { decoder: u64, encoder: u64 },
}

/// A model file that may be loaded with certain parameters.
#[derive(Debug, Clone)]
pub struct Preflight {
    pub header: Header,
    pub estimate: MemoryEstimate,
}

/// What an error calls the file. It reaches the client, whom the board's directories are no
/// matter of.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Reads the header of `path` and checks that the model, with the logits of `n_outputs` tokens at
/// a time, fits into `available_bytes` of memory (`None`: not known, not checked).
pub fn preflight(
    path: &Path,
    params: &Params,
    n_outputs: u32,
    available_bytes: Option<u64>,
) -> Result<Preflight, GgufError> {
    let header = Header::open(path)?;
    let estimate = MemoryEstimate::of(&header, params, n_outputs);
    match available_bytes {
        Some(available) if estimate.total_bytes() > available => Err(GgufError::TooLarge {
            file: name(path),
            needed_mib: mib(estimate.total_bytes()),
            weights_mib: mib(estimate.weights_bytes),
            kv_mib: mib(estimate.kv_bytes),
            compute_mib: mib(estimate.compute_bytes),
            available_mib: mib(available),
        }),
        _ => Ok(Preflight { header, estimate }),
    }
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
#[path = "../../../tests/support/tiny_gguf.rs"]
mod tiny_gguf;
#[cfg(test)]
#[path = "../../../tests/support/tiny_t5.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod tiny_t5;

#[cfg(test)]
mod tests;
