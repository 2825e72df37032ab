//! How a text becomes chunks of one context each, as llama-perplexity cuts it: whole chunks
//! only, and of each the second half is scored, so that every scored token has context.

/// Tokens of a chunk that are context alone: their logits are not looked at.
pub fn context(n_ctx: u32) -> u32 {
    n_ctx / 2
}

/// Tokens of a chunk that are scored: those after the context and the first one behind it.
pub fn scored(n_ctx: u32) -> u32 {
    n_ctx.saturating_sub(1 + context(n_ctx))
}

/// Why a text has no chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text has {tokens} tokens, and a perplexity with n_ctx {n_ctx} needs {}; take a longer text or a smaller n_ctx", 2 * n_ctx
)]
pub struct TooShort {
    pub tokens: u64,
    pub n_ctx: u64,
}

/// How many chunks are evaluated of a text of `tokens`, `most` at most.
pub fn count(tokens: usize, n_ctx: u32, most: Option<u32>) -> Result<u32, TooShort> {
    let (tokens, n_ctx) = (tokens as u64, u64::from(n_ctx));
    if n_ctx == 0 || tokens < 2 * n_ctx {
        return Err(TooShort { tokens, n_ctx });
    }
    let all = u32::try_from(tokens / n_ctx).unwrap_or(u32::MAX);
    Ok(most.map_or(all, |most| all.min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_whole_chunks_from_two_on() {
        assert_eq!(count(1024, 512, None), Ok(2));
        assert_eq!(count(1535, 512, None), Ok(2));
        assert_eq!(count(1536, 512, Some(2)), Ok(2));
        assert_eq!(count(1536, 512, Some(9)), Ok(3));
        let short = count(1023, 512, None).unwrap_err().to_string();
        assert!(short.contains("needs 1024;"), "{short}");
        assert!(count(0, 0, None).is_err());
    }

    #[test]
    fn half_of_a_chunk_is_context() {
        assert_eq!((context(512), scored(512)), (256, 255));
        assert_eq!((context(17), scored(17)), (8, 8));
    }
}
