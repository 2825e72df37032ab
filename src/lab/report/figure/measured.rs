//! Speed and energy.

use super::{Figure, Of, Unit, in_a_request, phase, why};
use crate::workload::Phase;

pub const SPEED: [Figure; 5] = [
    Figure {
        name: "prefill_tok_s",
        heading: "prefill",
        unit: Unit::Rate("tok/s"),
        meaning: "prompt tokens ÷ time from the first evaluation to the first output token known",
        of: Of::Repetitions,
    },
    Figure {
        name: "decode_tok_s",
        heading: "decode",
        unit: Unit::Rate("tok/s"),
        meaning: "decode tokens ÷ time from the first output token known to the last",
        of: Of::Repetitions,
    },
    Figure {
        name: "ttft_s",
        heading: "time to first token",
        unit: Unit::Si("s"),
        meaning: "request received by the worker → first output token known",
        of: Of::Repetitions,
    },
    Figure {
        name: "tpot_s",
        heading: "time per output token",
        unit: Unit::Si("s"),
        meaning: "1 ÷ the decode rate",
        of: Of::Repetitions,
    },
    Figure {
        name: "output_tok_s",
        heading: "of the whole request",
        unit: Unit::Rate("tok/s"),
        meaning: "output tokens ÷ time of prefill and decode",
        of: Of::Each {
            value: |result, rep| {
                in_a_request(result)?;
                let prefill = phase(rep, Phase::Prefill)?;
                let decode = phase(rep, Phase::Decode)?;
                Ok(f64::from(rep.output_tokens) / (prefill.duration_s + decode.duration_s))
            },
            energy: None,
        },
    },
];

/// What a request is made of.
pub const REQUEST: [Figure; 1] = [Figure {
    name: "prompt_tokens_per_output_token",
    heading: "prompt tokens an output token",
    unit: Unit::Ratio,
    meaning: "prompt tokens of a request ÷ its output tokens",
    of: Of::Each {
        value: |result, rep| {
            in_a_request(result)?;
            let prefill = phase(rep, Phase::Prefill)?;
            Ok(f64::from(prefill.tokens) / f64::from(rep.output_tokens))
        },
        energy: None,
    },
}];

pub const ENERGY: [Figure; 9] = [
    Figure {
        name: "j_per_prompt_token",
        heading: "per prompt token, gross",
        unit: Unit::Si("J"),
        meaning: "prefill energy ÷ prompt tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_prompt_token_net",
        heading: "per prompt token, net",
        unit: Unit::Si("J"),
        meaning: "the same less idle power",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token",
        heading: "per output token, gross",
        unit: Unit::Si("J"),
        meaning: "decode energy ÷ decode tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token_net",
        heading: "per output token, net",
        unit: Unit::Si("J"),
        meaning: "the same less idle power",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token_all_in",
        heading: "per output token, all in",
        unit: Unit::Si("J"),
        meaning: "energy of prefill and decode ÷ output tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_output_token_all_in_net",
        heading: "all in, net",
        unit: Unit::Si("J"),
        meaning: "the same less idle power",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_token_all",
        heading: "per token of both",
        unit: Unit::Si("J"),
        meaning: "energy of prefill and decode ÷ prompt and output tokens",
        of: Of::Repetitions,
    },
    Figure {
        name: "j_per_response",
        heading: "a response",
        unit: Unit::Si("J"),
        meaning: "energy of prefill and decode of one request",
        of: Of::Each {
            value: |_, rep| {
                let all_in = rep.figures.j_per_output_token_all_in;
                let joules = all_in.ok_or_else(|| why(rep, "j_per_output_token_all_in"))?;
                Ok(joules * f64::from(rep.output_tokens))
            },
            energy: Some("j_per_output_token_all_in"),
        },
    },
    Figure {
        name: "idle_power_w",
        heading: "idle power",
        unit: Unit::Si("W"),
        meaning: "mean power before the work, the model loaded and nothing computing",
        of: Of::Attempt("idle.before"),
    },
];
