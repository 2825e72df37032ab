//! Greedy sampling: the index of the largest logit. llama.cpp's greedy sampler takes up to
//! 3 % of decode for this (it first builds a table of candidates).

/// Large enough to amortise the scalar bookkeeping, small enough to stay in the L1 cache.
const CHUNK: usize = 1024;
/// Independent maxima, so that the compiler uses vector registers.
const LANES: usize = 16;

/// The first index of the largest logit; `None` if none is a number above -∞, which only
/// damaged weights do.
pub fn argmax(logits: &[f32]) -> Option<usize> {
    let mut best = f32::NEG_INFINITY;
    let mut best_chunk = None;
    for (index, chunk) in logits.chunks(CHUNK).enumerate() {
        let most = maximum(chunk);
        if most > best {
            best = most;
            best_chunk = Some(index);
        }
    }
    let start = best_chunk? * CHUNK;
    let within = logits[start..].iter().position(|&logit| logit == best)?;
    Some(start + within)
}

/// NaN never compares greater, so it is passed over.
fn maximum(chunk: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut pieces = chunk.chunks_exact(LANES);
    for piece in &mut pieces {
        for (lane, &logit) in lanes.iter_mut().zip(piece) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    let rest = pieces.remainder().iter();
    lanes.iter().chain(rest).fold(
        f32::NEG_INFINITY,
        |most, &x| if x > most { x } else { most },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_finite_has_no_maximum() {
        assert_eq!(argmax(&[]), None);
        assert_eq!(argmax(&[f32::NAN; 40]), None);
        assert_eq!(argmax(&[f32::NAN, -1.0, f32::NAN]), Some(1));
    }

    proptest! {
        #[test]
        fn it_is_the_plain_maximum(
            logits in proptest::collection::vec(
                prop_oneof![8 => -50f32..50.0, 1 => Just(f32::NAN), 1 => Just(3.0f32)], 1..3_000)
        ) {
            let mut plain = None;
            let mut most = f32::NEG_INFINITY;
            for (index, &logit) in logits.iter().enumerate() {
                if logit > most {
                    most = logit;
                    plain = Some(index);
                }
            }
            prop_assert_eq!(argmax(&logits), plain);
        }
    }
}
