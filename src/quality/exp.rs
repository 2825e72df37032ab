//! The sum of exponentials of a row of logits. libm's `expf`, one value after the other, would
//! take a tenth of the evaluation of a small model with a large vocabulary; this is written so
//! that the compiler uses vector registers.

/// Partial sums stay small enough for 32 bits, and in the L1 cache.
const CHUNK: usize = 256;
const LANES: usize = 16;

/// Σ exp(logit − most), where no logit is above `most`.
pub fn sum(logits: &[f32], most: f32) -> f64 {
    let chunks = logits.chunks(CHUNK);
    chunks.map(|chunk| f64::from(sum_of(chunk, most))).sum()
}

fn sum_of(chunk: &[f32], most: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut pieces = chunk.chunks_exact(LANES);
    for piece in &mut pieces {
        for (lane, &logit) in lanes.iter_mut().zip(piece) {
            *lane += exp(logit - most);
        }
    }
    let rest: f32 = pieces.remainder().iter().map(|&x| exp(x - most)).sum();
    lanes.iter().sum::<f32>() + rest
}

/// The largest logit, or -∞. What is no number is passed over: it shows in [`sum`].
pub fn largest(logits: &[f32]) -> f32 {
    let greater = |most: f32, x: f32| if x > most { x } else { most };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut pieces = logits.chunks_exact(LANES);
    for piece in &mut pieces {
        for (lane, &logit) in lanes.iter_mut().zip(piece) {
            *lane = greater(*lane, logit);
        }
    }
    let rest = pieces.remainder().iter();
    let all = lanes.iter().chain(rest).copied();
    all.fold(f32::NEG_INFINITY, greater)
}

/// exp(x) for x ≤ 0 with a relative error of some 1e-7, more below -10, where x itself has no
/// more digits; next to nothing below -86; NaN of NaN. As 2ⁿ·2ᶠ with |f| ≤ ½ and the Taylor
/// series of 2ᶠ, whose next term is 1.2e-7 at most.
fn exp(x: f32) -> f32 {
    /// Added, it leaves no room for a fraction: the sum's low bits are the rounded number.
    const ROUND: f32 = 12_582_912.0;
    const LN_2: f32 = std::f32::consts::LN_2;
    let power = x * std::f32::consts::LOG2_E;
    let power = if power < -125.0 { -125.0 } else { power };
    let rounded = power + ROUND;
    let f = (power - (rounded - ROUND)) * LN_2;
    let series = 1.0 / 720.0;
    let series = series * f + 1.0 / 120.0;
    let series = series * f + 1.0 / 24.0;
    let series = series * f + 1.0 / 6.0;
    let series = series * f + 0.5;
    let series = series * f + 1.0;
    let series = series * f + 1.0;
    // The exponent's bits of 2ⁿ: what ROUND itself holds is shifted out.
    let scale = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    series * scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_logit_counts_one_and_the_smallest_next_to_nothing() {
        assert_eq!(sum(&[3.0], 3.0), 1.0);
        assert!(sum(&[-1e30, f32::MIN, f32::NEG_INFINITY], 0.0) < 1e-36);
        assert!(sum(&[f32::NAN, 0.0], 0.0).is_nan());
    }

    proptest! {
        #[test]
        fn it_is_the_exponential(x in -80f32..=0.0) {
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp(x)) - exact).abs() / exact;
            // The argument itself has 24 bits.
            prop_assert!(relative < 1e-6 + 1e-7 * f64::from(x.abs()), "{relative}");
        }

        #[test]
        fn it_is_the_plain_sum(logits in proptest::collection::vec(-30f32..30.0, 1..2_000)) {
            let most = largest(&logits);
            prop_assert_eq!(most, logits.iter().copied().fold(f32::MIN, f32::max));
            let plain: f64 = logits.iter().map(|&x| f64::from(x - most).exp()).sum();
            prop_assert!((sum(&logits, most) / plain - 1.0).abs() < 2e-6);
        }
    }
}
