//! What sets energy against speed, and how near an engine comes to what the memory allows.

use super::{Figure, Of, Unit, phase, why};
use crate::workload::Phase;

macro_rules! of_repetition {
    ($field:ident) => {
        |_, rep| {
            rep.figures
                .$field
                .ok_or_else(|| why(rep, stringify!($field)))
        }
    };
}

/// As uncertain as the energies that they are made of; times add nothing to it.
pub const TRADE_OFF: [Figure; 5] = [
    Figure {
        name: "tok_per_j",
        heading: "output tokens a joule",
        unit: Unit::Rate("tok/J"),
        meaning: "1 ÷ decode energy a token, gross",
        of: Of::Each {
            value: of_repetition!(tok_per_j),
            energy: Some("j_per_output_token"),
        },
    },
    Figure {
        name: "s_t",
        heading: "S_t",
        unit: Unit::Si("J·s/token²"),
        meaning: "decode energy a token, gross, ÷ decode rate: the energy-delay product of a token; \
                  less is better",
        of: Of::Each {
            value: of_repetition!(s_t),
            energy: Some("j_per_output_token"),
        },
    },
    Figure {
        name: "decode_power_w",
        heading: "power in decode",
        unit: Unit::Si("W"),
        meaning: "decode energy, gross, ÷ its time; S_t where its t is read as a time",
        of: Of::Each {
            value: |_, rep| {
                let decode = phase(rep, Phase::Decode)?;
                let reason = || decode.reasons.get("energy_j").copied();
                Ok(decode.energy_j.ok_or_else(reason)? / decode.duration_s)
            },
            energy: Some("j_per_output_token"),
        },
    },
    Figure {
        name: "edp",
        heading: "energy-delay product",
        unit: Unit::Si("J·s"),
        meaning: "energy of prefill and decode of one request × their time",
        of: Of::Each {
            value: of_repetition!(edp),
            energy: Some("j_per_output_token_all_in"),
        },
    },
    Figure {
        name: "mbu",
        heading: "memory bandwidth used",
        unit: Unit::Ratio,
        meaning: "bytes that decode reads a second ÷ the memory's peak",
        of: Of::Each {
            value: of_repetition!(mbu),
            energy: None,
        },
    },
];
