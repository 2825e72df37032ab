//! Which models the worker runs: those that write one token after another, with or without an
//! encoder that reads the prompt first. llama.cpp loads many others, and then aborts or computes
//! nothing of use.

/// The one architecture whose encoder llama.cpp connects with its decoder. Other models that
/// have an encoder are drafts for another model, and need that one beside them.
const ENCODER_DECODER: &str = "t5";

/// What llama.cpp says about a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits<'a> {
    pub architecture: &'a str,
    pub has_encoder: bool,
    pub has_decoder: bool,
    /// Of the file; embedding models say `false`.
    pub causal: Option<bool>,
    pub is_diffusion: bool,
}

/// How a model comes from a prompt to its first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes on with the prompt.
    Decoder,
    /// Its encoder reads the prompt, its decoder begins with a token of its own.
    EncoderDecoder,
}

/// Why a model is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    #[error(
        "this is an embedding model: it only encodes, and writes no tokens; choose a model that generates"
    )]
    Encoder,
    #[error(
        "this is a diffusion model, which does not write one token after another; choose one that does"
    )]
    Diffusion,
    #[error("this is a draft model, which only works beside another one; choose that one")]
    Draft,
    /// Without flash attention, llama.cpp needs the values transposed, which it does with numbers
    /// and not with blocks of them.
    #[error(
        "kv_type q8_0 and q4_0 need flash attention, which llama.cpp lacks for the relative positions of this model; use f16, bf16 or f32"
    )]
    QuantisedCache,
    #[error(
        "it does not say which token its decoder begins with (decoder_start_token_id); convert it again"
    )]
    NoStart,
}

impl Kind {
    pub fn of(traits: &Traits) -> Result<Kind, NotRun> {
        if traits.is_diffusion {
            return Err(NotRun::Diffusion);
        }
        match (traits.has_encoder, traits.has_decoder) {
            (_, false) => Err(NotRun::Encoder),
            (true, true) if traits.architecture == ENCODER_DECODER => Ok(Kind::EncoderDecoder),
            (true, true) => Err(NotRun::Draft),
            // llama.cpp counts BERT and its like among the models with a decoder.
            (false, true) if traits.causal == Some(false) => Err(NotRun::Encoder),
            (false, true) => Ok(Kind::Decoder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: Traits = Traits {
        architecture: "llama",
        has_encoder: false,
        has_decoder: true,
        causal: None,
        is_diffusion: false,
    };

    #[test]
    fn what_generates_is_run() {
        assert_eq!(Kind::of(&LLAMA), Ok(Kind::Decoder));
        let said = Traits {
            causal: Some(true),
            ..LLAMA
        };
        assert_eq!(Kind::of(&said), Ok(Kind::Decoder));
        let t5 = Traits {
            architecture: "t5",
            has_encoder: true,
            ..LLAMA
        };
        assert_eq!(Kind::of(&t5), Ok(Kind::EncoderDecoder));
    }

    #[test]
    fn the_others_are_told_apart() {
        let bert = Traits {
            architecture: "bert",
            causal: Some(false),
            ..LLAMA
        };
        assert_eq!(Kind::of(&bert), Err(NotRun::Encoder));
        let t5_encoder = Traits {
            architecture: "t5encoder",
            has_encoder: true,
            has_decoder: false,
            ..LLAMA
        };
        assert_eq!(Kind::of(&t5_encoder), Err(NotRun::Encoder));
        let eagle3 = Traits {
            architecture: "eagle3",
            has_encoder: true,
            ..LLAMA
        };
        assert_eq!(Kind::of(&eagle3), Err(NotRun::Draft));
        let llada = Traits {
            architecture: "llada",
            causal: Some(false),
            is_diffusion: true,
            ..LLAMA
        };
        assert_eq!(Kind::of(&llada), Err(NotRun::Diffusion));
    }
}
