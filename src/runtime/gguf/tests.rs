use super::tiny_gguf::{self, Damage};
use super::tiny_t5::TinyT5;
use super::*;
use crate::workload::KvType;
use proptest::prelude::*;
use std::sync::LazyLock;

static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| tiny_gguf::bytes(Damage::None));

fn parse(damage: Damage) -> Result<Header, Fault> {
    Header::parse(&tiny_gguf::bytes(damage))
}

#[test]
fn a_sound_file_says_what_it_is() {
    let header = parse(Damage::None).unwrap();
    assert_eq!(header.architecture, "llama");
    assert_eq!(header.quant, "F32");
    assert_eq!(header.block_count, u64::from(tiny_gguf::BLOCKS));
    assert_eq!(header.context_length, Some(32_768));
    assert_eq!((header.head_count, header.key_length), (4, 16));
    assert_eq!(header.head_count_kv, [2, 2]);
    assert!(header.has_chat_template);
    let weight_bytes: u64 = header.tensors.iter().map(|tensor| tensor.bytes).sum();
    assert_eq!(header.params() * 4, weight_bytes);
    // Weights are not looked at: NaN is for the worker to find.
    assert_eq!(parse(Damage::NanWeights), Ok(header));
}

#[test]
fn damage_is_named() {
    assert!(matches!(
        parse(Damage::BlockCount(1000)),
        Err(Fault::BlockCount {
            declared: 1000,
            present: 2
        })
    ));
    assert!(matches!(
        parse(Damage::BlockCount(1)),
        Err(Fault::BlockCount { .. })
    ));
    assert!(matches!(
        parse(Damage::OffsetPastEnd),
        Err(Fault::TensorOutside { .. })
    ));
    assert_eq!(parse(Damage::Truncated(0)), Err(Fault::NotGguf));
    assert_eq!(parse(Damage::Truncated(1_000)), Err(Fault::Truncated));
    assert!(matches!(
        parse(Damage::Truncated(100_000)),
        Err(Fault::TensorOutside { .. })
    ));
}

#[test]
fn encoder_and_decoder_each_have_their_blocks() {
    let parse = |model: TinyT5| Header::parse(&model.bytes());
    let header = parse(TinyT5::default()).unwrap();
    assert_eq!(header.architecture, "t5");
    assert_eq!(
        (header.block_count, header.decoder_block_count),
        (3, Some(2))
    );
    assert!(!header.has_chat_template);
    let lie = TinyT5 {
        declared_decoder_blocks: 1_000,
        ..TinyT5::default()
    };
    let fault = Fault::BlockCount {
        declared: 1_000,
        present: 2,
    };
    assert_eq!(parse(lie), Err(fault));
    let deeper = TinyT5 {
        blocks: 1,
        ..TinyT5::default()
    };
    let fault = Fault::DeeperDecoder {
        decoder: 2,
        encoder: 1,
    };
    assert_eq!(parse(deeper), Err(fault));
    // Blocks of the one are none of the other.
    let lie = TinyT5 {
        damage: Damage::BlockCount(2),
        ..TinyT5::default()
    };
    assert!(matches!(
        parse(lie),
        Err(Fault::BlockCount {
            declared: 2,
            present: 3
        })
    ));
    assert_eq!(self::parse(Damage::None).unwrap().decoder_block_count, None);
}

#[test]
fn other_files_are_told_apart() {
    assert_eq!(Header::parse(b"PK\x03\x04 and so on"), Err(Fault::NotGguf));
    let mut file = tiny_gguf::bytes(Damage::None);
    file[4..8].copy_from_slice(&1u32.to_le_bytes());
    assert_eq!(Header::parse(&file), Err(Fault::Version(1)));
    file[4..8].copy_from_slice(&3u32.to_be_bytes());
    assert_eq!(Header::parse(&file), Err(Fault::BigEndian));
    file[4..8].copy_from_slice(&3u32.to_le_bytes());
    file[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(
        Header::parse(&file),
        Err(Fault::Excessive {
            what: "tensors",
            ..
        })
    ));
}

#[test]
fn an_error_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.gguf");
    tiny_gguf::write(&path, Damage::Truncated(100_000)).unwrap();
    let error = preflight(&path, &Params::default(), 1, None).unwrap_err();
    assert!(error.to_string().contains("cut.gguf"), "{error}");
    assert!(error.to_string().contains("cut short"), "{error}");
    let error = preflight(dir.path(), &Params::default(), 1, None).unwrap_err();
    assert!(matches!(error, GgufError::Io { .. }), "{error}");
}

#[test]
fn what_does_not_fit_into_memory_is_refused_with_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    tiny_gguf::write(&path, Damage::None).unwrap();
    let needed = preflight(&path, &Params::default(), 1, None)
        .unwrap()
        .estimate
        .total_bytes();
    assert!(preflight(&path, &Params::default(), 1, Some(needed)).is_ok());
    let error = preflight(&path, &Params::default(), 1, Some(needed - 1)).unwrap_err();
    assert!(matches!(error, GgufError::TooLarge { .. }), "{error}");
}

#[test]
fn an_encoder_takes_memory_for_its_whole_prompt() {
    let header = Header::parse(&TinyT5::default().bytes()).unwrap();
    let compute = |n_batch| {
        let params = Params {
            n_batch,
            ..Params::default()
        };
        MemoryEstimate::of(&header, &params, 1).compute_bytes
    };
    let table = header.tensors[0].dims[1];
    // Four buffers of scores for 4 heads, activations of 256, a row of logits: 32 bits each.
    let each = 2_048 * 4 * 16 + 256 * 16 + table * 4;
    assert_eq!(compute(512) - compute(256), 256 * each);
}

/// Both where they are computed and where they are kept, of every token of the vocabulary.
#[test]
fn scoring_takes_memory_for_logits() {
    let header = parse(Damage::None).unwrap();
    let table = header
        .tensors
        .iter()
        .find(|t| t.name == "token_embd.weight");
    let vocabulary = table.unwrap().dims[1];
    let compute =
        |n_outputs| MemoryEstimate::of(&header, &Params::default(), n_outputs).compute_bytes;
    assert!(vocabulary > 0);
    assert_eq!(compute(128) - compute(1), vocabulary * 127 * 4 * 2);
}

#[test]
fn the_kv_cache_grows_with_context_and_element_type() {
    let header = parse(Damage::None).unwrap();
    let kv = |n_ctx, kv_type| {
        let params = Params {
            n_ctx,
            kv_type,
            ..Params::default()
        };
        MemoryEstimate::of(&header, &params, 1).kv_bytes
    };
    // 2 blocks, 2 heads, 16 elements each of K and V.
    assert_eq!(kv(2048, KvType::F16), 2048 * 2 * 2 * 32 * 2);
    assert_eq!(kv(2048, KvType::F32), 2 * kv(2048, KvType::F16));
    assert_eq!(kv(2047, KvType::F16), kv(2048, KvType::F16));
    assert!(kv(2048, KvType::Q4_0) < kv(2048, KvType::Q8_0));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Header::parse(&bytes);
        let mut with_magic = b"GGUF\x03\0\0\0".to_vec();
        with_magic.extend(&bytes);
        let _ = Header::parse(&with_magic);
    }

    #[test]
    fn a_mutated_header_never_panics_and_is_never_believed_beyond_the_file(
        changes in proptest::collection::vec((0usize..9_000, any::<u8>()), 1..8),
        length in 0usize..400_000,
    ) {
        let mut file = SOUND.clone();
        for (at, byte) in changes {
            file[at] = byte;
        }
        file.truncate(length.max(24));
        if let Ok(header) = Header::parse(&file) {
            for tensor in &header.tensors {
                prop_assert!(header.data_offset + tensor.offset + tensor.bytes <= file.len() as u64);
            }
            let _ = header.params();
            let _ = MemoryEstimate::of(&header, &Params::default(), 1);
        }
    }

    #[test]
    fn huge_numbers_anywhere_cost_nothing(at in 8usize..9_000, number in (1u64 << 31)..) {
        let mut file = SOUND.clone();
        file[at..at + 8].copy_from_slice(&number.to_le_bytes());
        let _ = Header::parse(&file);
    }
}
