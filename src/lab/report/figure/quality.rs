//! How good answers are and what they take: of `perplexity` and `choice` jobs. Twice a standard
//! error over items or tokens stands for u95. All runs of one file have the same items, so that
//! more runs don't make it smaller.

use super::run::OfRun;
use super::{Figure, Of, Unit};
use crate::record::result::{Choice, Perplexity};

macro_rules! of {
    ($block:ident, $field:ident, $u95:expr) => {
        Of::Stated(|result| {
            let block = result.$block.as_ref();
            let missing = || result.reasons.get(stringify!($block)).copied();
            let block = block.ok_or_else(missing)?;
            let missing = || block.reasons.get(stringify!($field)).copied();
            let value = block.$field.ok_or_else(missing)?;
            Ok(OfRun::stated(value, $u95(block)))
        })
    };
}

fn twice(se: Option<f64>) -> Option<f64> {
    se.map(|se| 2.0 * se)
}

/// Of accuracy and of power, each relative to itself.
fn per_watt(per_w: Option<f64>, acc: Option<f64>, se: Option<f64>, of: &Choice) -> Option<f64> {
    let accuracy = twice(se)? / acc.filter(|acc| *acc > 0.0)?;
    let power = of.evaluation.power_w_u95? / of.evaluation.power_w?;
    Some(per_w? * accuracy.hypot(power))
}

pub const QUALITY: [Figure; 10] = [
    Figure {
        name: "perplexity",
        heading: "perplexity",
        unit: Unit::Ratio,
        meaning: "e to the mean negative log-likelihood of a scored token; less is better",
        of: of!(perplexity, perplexity, |of: &Perplexity| twice(
            of.perplexity_se
        )),
    },
    Figure {
        name: "acc",
        heading: "right answers",
        unit: Unit::Ratio,
        meaning: "share of items whose likeliest choice is the right one",
        of: of!(choice, acc, |of: &Choice| twice(of.acc_se)),
    },
    Figure {
        name: "acc_norm",
        heading: "right answers by length",
        unit: Unit::Ratio,
        meaning: "the same by the log-likelihood per character of the choice",
        of: of!(choice, acc_norm, |of: &Choice| twice(of.acc_norm_se)),
    },
    Figure {
        name: "j_per_token_scored",
        heading: "a scored token",
        unit: Unit::Si("J"),
        meaning: "gross energy of the evaluation ÷ scored tokens",
        of: of!(perplexity, j_per_token_scored, |of: &Perplexity| of
            .j_per_token_scored_u95),
    },
    Figure {
        name: "j_per_item",
        heading: "an item",
        unit: Unit::Si("J"),
        meaning: "gross energy of the evaluation ÷ items",
        of: of!(choice, j_per_item, |of: &Choice| of.j_per_item_u95),
    },
    Figure {
        name: "j_per_correct",
        heading: "a right answer",
        unit: Unit::Si("J"),
        meaning: "gross energy of all items ÷ those answered right; ± is the energy's alone",
        of: of!(choice, j_per_correct, |of: &Choice| of.j_per_correct_u95),
    },
    Figure {
        name: "j_per_correct_net",
        heading: "a right answer, net",
        unit: Unit::Si("J"),
        meaning: "the same less idle power",
        of: of!(choice, j_per_correct_net, |of: &Choice| of
            .j_per_correct_net_u95),
    },
    Figure {
        name: "j_per_correct_norm",
        heading: "a right answer by length",
        unit: Unit::Si("J"),
        meaning: "gross energy of all items ÷ those answered right by length",
        of: of!(choice, j_per_correct_norm, |of: &Choice| of
            .j_per_correct_norm_u95),
    },
    Figure {
        name: "acc_per_w",
        heading: "right answers a watt",
        unit: Unit::Rate("1/W"),
        meaning: "share of right answers ÷ mean power of the evaluation, gross",
        of: of!(choice, acc_per_w, |of: &Choice| per_watt(
            of.acc_per_w,
            of.acc,
            of.acc_se,
            of
        )),
    },
    Figure {
        name: "acc_norm_per_w",
        heading: "a watt, by length",
        unit: Unit::Rate("1/W"),
        meaning: "the same by length",
        of: of!(choice, acc_norm_per_w, |of: &Choice| per_watt(
            of.acc_norm_per_w,
            of.acc_norm,
            of.acc_norm_se,
            of
        )),
    },
];
