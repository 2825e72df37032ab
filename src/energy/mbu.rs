//! Model bandwidth utilisation: how much of the memory's peak bandwidth decode needs.
//! Decode of one sequence is bound by memory, so that it says how near an engine comes to
//! what the board allows.

/// What the steps of a decode read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeReads {
    /// What each step reads whatever came before, in bytes: weights, and what an encoder has
    /// made of the prompt.
    pub step_bytes: u64,
    /// Bytes of the KV cache for each token of context.
    pub kv_token_bytes: u64,
    /// Tokens of context before the first step.
    pub before: u32,
    /// Steps of one token each.
    pub steps: u32,
}

impl DecodeReads {
    /// Tokens that a step attends to, its own included: `before` + 1 at the first,
    /// `before` + `steps` at the last.
    fn mean_context(&self) -> f64 {
        f64::from(self.before) + (f64::from(self.steps) + 1.0) / 2.0
    }

    /// Bytes that a step reads on average.
    pub fn mean_step_bytes(&self) -> f64 {
        self.step_bytes as f64 + self.kv_token_bytes as f64 * self.mean_context()
    }

    /// Share of the peak bandwidth at `tok_s` steps a second.
    pub fn mbu(&self, tok_s: f64, peak_bytes_s: f64) -> f64 {
        self.mean_step_bytes() * tok_s / peak_bytes_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The peak of a Raspberry Pi 5.
    const PI_5: f64 = 17.1e9;

    /// SmolLM2-135M Q4_1 at 100 tokens a second, by hand: 30 blocks of 3 KV heads with 64
    /// elements of K and of V in 16 bits are 23,040 bytes a token. After a prompt of 14, 127
    /// steps attend to 15 … 141 tokens, 78 on average: 1,797,120 bytes. With 96,576,768 bytes
    /// of weights that is 98,373,888 bytes a step, 9.84 GB/s.
    #[test]
    fn smollm2_by_hand() {
        let reads = DecodeReads {
            step_bytes: 96_576_768,
            kv_token_bytes: 30 * 3 * (64 + 64) * 2,
            before: 14,
            steps: 127,
        };
        assert_eq!(reads.mean_context(), 78.0);
        assert_eq!(reads.mean_step_bytes(), 98_373_888.0);
        let mbu = reads.mbu(100.0, PI_5);
        assert!((mbu - 0.575_285_894_7).abs() < 1e-9, "{mbu}");
    }

    /// Gemma 3 270M Q4_K_M at 40 tokens a second: 18 blocks of one head with 256 elements of
    /// K and of V in 16 bits are 18,432 bytes a token, and 39 tokens of them 718,848 bytes.
    #[test]
    fn gemma_by_hand() {
        let reads = DecodeReads {
            step_bytes: 246_587_904,
            kv_token_bytes: 18 * (256 + 256) * 2,
            before: 7,
            steps: 63,
        };
        assert_eq!(reads.mean_step_bytes(), 247_306_752.0);
        let mbu = reads.mbu(40.0, PI_5);
        assert!((mbu - 0.578_495_326_3).abs() < 1e-9, "{mbu}");
    }

    #[test]
    fn the_mean_is_that_of_the_steps_one_by_one() {
        let reads = DecodeReads {
            step_bytes: 1_000,
            kv_token_bytes: 10,
            before: 7,
            steps: 4,
        };
        let each = (1..=4).map(|step| 1_000.0 + 10.0 * f64::from(7 + step));
        assert_eq!(reads.mean_step_bytes(), each.sum::<f64>() / 4.0);
    }
}
