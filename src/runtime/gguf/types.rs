//! ggml's tensor types and llama.cpp's file types, as of the llama.cpp revision that
//! Cargo.toml pins (ggml.h, ggml-common.h, llama.h).

/// How the elements of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorType {
    pub id: u32,
    pub name: &'static str,
    /// Elements of one block.
    pub block: u64,
    /// Bytes of one block.
    pub bytes: u64,
}

const fn t(id: u32, name: &'static str, block: u64, bytes: u64) -> TensorType {
    TensorType {
        id,
        name,
        block,
        bytes,
    }
}

/// Sorted by id; the gaps are types that llama.cpp has given up.
const TYPES: [TensorType; 35] = [
    t(0, "F32", 1, 4),
    t(1, "F16", 1, 2),
    t(2, "Q4_0", 32, 18),
    t(3, "Q4_1", 32, 20),
    t(6, "Q5_0", 32, 22),
    t(7, "Q5_1", 32, 24),
    t(8, "Q8_0", 32, 34),
    t(9, "Q8_1", 32, 36),
    t(10, "Q2_K", 256, 84),
    t(11, "Q3_K", 256, 110),
    t(12, "Q4_K", 256, 144),
    t(13, "Q5_K", 256, 176),
    t(14, "Q6_K", 256, 210),
    t(15, "Q8_K", 256, 292),
    t(16, "IQ2_XXS", 256, 66),
    t(17, "IQ2_XS", 256, 74),
    t(18, "IQ3_XXS", 256, 98),
    t(19, "IQ1_S", 256, 50),
    t(20, "IQ4_NL", 32, 18),
    t(21, "IQ3_S", 256, 110),
    t(22, "IQ2_S", 256, 82),
    t(23, "IQ4_XS", 256, 136),
    t(24, "I8", 1, 1),
    t(25, "I16", 1, 2),
    t(26, "I32", 1, 4),
    t(27, "I64", 1, 8),
    t(28, "F64", 1, 8),
    t(29, "IQ1_M", 256, 56),
    t(30, "BF16", 1, 2),
    t(34, "TQ1_0", 256, 54),
    t(35, "TQ2_0", 256, 66),
    t(39, "MXFP4", 32, 17),
    t(40, "NVFP4", 64, 36),
    t(41, "Q1_0", 128, 18),
    t(42, "Q2_0", 64, 18),
];

impl TensorType {
    pub fn of(id: u32) -> Option<TensorType> {
        TYPES.iter().find(|kind| kind.id == id).copied()
    }

    /// Bytes of a tensor of these dimensions; `None` if a row is no whole number of blocks
    /// or the product overflows.
    pub fn size(self, dims: &[u64]) -> Option<u64> {
        let (&row, outer) = dims.split_first()?;
        if row % self.block != 0 {
            return None;
        }
        let row_bytes = (row / self.block).checked_mul(self.bytes)?;
        outer
            .iter()
            .try_fold(row_bytes, |bytes, &dim| bytes.checked_mul(dim))
    }
}

/// The usual name of a `general.file_type`.
pub fn file_type(id: u64) -> Option<&'static str> {
    Some(match id {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_whole_blocks() {
        let q4_0 = TensorType::of(2).unwrap();
        assert_eq!(q4_0.size(&[576, 10]), Some(18 * 18 * 10));
        assert_eq!(q4_0.size(&[33]), None);
        assert_eq!(q4_0.size(&[u64::MAX / 32 * 32, u64::MAX]), None);
        assert_eq!(TensorType::of(4), None);
    }

    #[test]
    fn ids_are_sorted_and_unique() {
        assert!(TYPES.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}
