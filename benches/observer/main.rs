//! `make bench-observer`: what does measuring cost the measured?
//!
//! One daemon a mode, all on this machine, take turns: each round runs the same `bench` job
//! on each of them, in an order that rotates from round to round, and each mode is paired with
//! the daemon without any sensor of the same round. Rounds go on until the mean log-ratio of
//! every mode is known to 0.5 % (95 %), at most 400 of them; it is judged by its interval.
//!
//! `rounds=N` after `--` stops earlier, a part of a model's name chooses the model.

#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/ratio.rs"]
mod ratio;
#[path = "../support/rig.rs"]
mod rig;

use anyhow::{Context, Result, ensure};
use ratio::Ratio;
use rig::{Bench, Rig, Sampling, Speed};
use std::path::PathBuf;

const MODELS: [&str; 2] = [
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "gemma-3-270m-Q4_K_M.gguf",
];
const N_PROMPT: u32 = 256;
const N_GEN: u32 = 64;
/// One job's repetitions are one value: loading costs as much as one of them.
const REPETITIONS: u32 = 3;
const ROUNDS_MIN: usize = 5;
const ROUNDS_MAX: usize = 400;
const HALF_WIDTH: f64 = 0.005;
/// What jouled promises of its default mode.
const MOST_LOSS: f64 = 0.01;

/// One way of measuring.
struct Mode {
    name: &'static str,
    sampling: Option<Sampling<'static>>,
    tokens: &'static str,
    /// Whether the promise is about it.
    judged: bool,
}

const fn mode(name: &'static str, sampling: Sampling<'static>, tokens: &'static str) -> Mode {
    Mode {
        name,
        sampling: Some(sampling),
        tokens,
        judged: false,
    }
}

const DEFAULT: Sampling<'static> = Sampling::Adc("avg8/12bit");

/// The first one is the reference.
const MODES: [Mode; 5] = [
    Mode {
        name: "off",
        sampling: None,
        tokens: "none",
        judged: false,
    },
    mode("100 Hz", Sampling::RateHz(100.0), "none"),
    mode("default, 209/s", DEFAULT, "none"),
    Mode {
        judged: true,
        ..mode("default, tokens after", DEFAULT, "after")
    },
    mode("940/s, tokens after", Sampling::Adc("12bit/12bit"), "after"),
];

fn main() -> Result<()> {
    // cargo test builds and runs benchmarks too; this one takes many minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let models = PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?)
        .join(".cache/jouled/models");
    let model = chosen_model();
    ensure!(
        models.join(model).is_file(),
        "{model} is missing: run make test"
    );
    let rounds = argument("rounds=").map_or(Ok(ROUNDS_MAX), |n| n.parse())?;
    let threads = std::thread::available_parallelism()?.get();
    let mut rigs = MODES
        .iter()
        .map(|mode| Rig::start(&models, mode.sampling))
        .collect::<Result<Vec<Rig>>>()?;

    let mut measured: Vec<Vec<Speed>> = MODES.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..MODES.len() {
            // Each mode comes equally often at each place, forwards and backwards.
            let at = match round % 2 {
                0 => (round / 2 + turn) % MODES.len(),
                _ => (round / 2 + MODES.len() - 1 - turn) % MODES.len(),
            };
            let speeds = rigs[at].run(Bench {
                model,
                n_prompt: N_PROMPT,
                n_gen: N_GEN,
                repetitions: REPETITIONS,
                tokens: MODES[at].tokens,
                threads,
            })?;
            measured[at].push(mean(&speeds));
        }
        if round + 1 >= ROUNDS_MIN {
            let widest = rows(&measured)
                .flat_map(|(_, ratios)| ratios.map(|(_, ratio)| ratio.half_width))
                .fold(0.0, f64::max);
            eprintln!(
                "{} rounds, the widest interval is ± {:.2} %",
                round + 1,
                100.0 * widest
            );
            if widest <= HALF_WIDTH {
                break;
            }
        }
    }
    report(model, threads, &measured, &rigs);
    Ok(())
}

fn report(model: &str, threads: usize, measured: &[Vec<Speed>], rigs: &[Rig]) {
    println!("{model}, pp{N_PROMPT}, tg{N_GEN}");
    println!(
        "{:<22} {:<8} {:>8} {:>8} {:>7}  {:<17} {:>6}  loss of 1 % or less",
        "mode", "phase", "tok/s", "off", "ratio", "95 % interval", "rounds"
    );
    for (mode, ratios) in rows(measured) {
        for (phase, ratio) in ratios {
            let verdict = verdict(&ratio);
            let verdict = if mode.judged {
                verdict.to_owned()
            } else {
                format!("({verdict})")
            };
            println!("{:<22} {phase:<8} {ratio}  {verdict}", mode.name);
        }
    }
    println!("reference: lm-Meter reports a loss of 2.6 % in prefill and 1 % in decode");
    println!(
        "the ratio is the geometric mean over rounds, mode ÷ off; verdicts in brackets are of"
    );
    println!("modes without a promise");
    println!();
    println!("{}", machine::describe(threads));
    for (mode, rig) in MODES.iter().zip(rigs) {
        println!("{:<22} {}", mode.name, rig.describe());
    }
}

/// Each mode but the reference with its ratios.
fn rows(
    measured: &[Vec<Speed>],
) -> impl Iterator<Item = (&'static Mode, [(&'static str, Ratio); 2])> {
    MODES.iter().zip(measured).skip(1).map(|(mode, speeds)| {
        let pairs: Vec<_> = speeds.iter().copied().zip(measured[0].clone()).collect();
        let prefill = Ratio::of(&pairs, |speed| speed.prefill);
        let decode = Ratio::of(&pairs, |speed| speed.decode);
        (mode, [("prefill", prefill), ("decode", decode)])
    })
}

fn mean(speeds: &[Speed]) -> Speed {
    let of = |phase: fn(&Speed) -> f64| {
        speeds.iter().map(phase).sum::<f64>() / speeds.len().max(1) as f64
    };
    Speed {
        prefill: of(|speed| speed.prefill),
        decode: of(|speed| speed.decode),
    }
}

/// Judged by the interval: an interval across the limit resolves nothing.
fn verdict(ratio: &Ratio) -> &'static str {
    let (low, high) = ratio.interval();
    if low >= 1.0 - MOST_LOSS {
        "yes"
    } else if high < 1.0 - MOST_LOSS {
        "no"
    } else {
        "not resolved"
    }
}

fn argument(prefix: &str) -> Option<String> {
    std::env::args().find_map(|argument| Some(argument.strip_prefix(prefix)?.to_owned()))
}

fn chosen_model() -> &'static str {
    let named = |model: &&str| {
        std::env::args()
            .skip(1)
            .filter(|part| !part.starts_with('-') && !part.contains('='))
            .any(|part| model.contains(&part))
    };
    MODELS.into_iter().find(named).unwrap_or(MODELS[0])
}
