//! `make bench-llama`: is jouled, while it samples power, as fast as llama-bench?
//!
//! The sensor is in its default mode, avg8/12bit, 209 cycles/s. Arguments after `--` choose
//! another mode (`adc=12bit/12bit`, 940 cycles/s; `rate=100`) or models by a part of their name.
//!
//! Each pair is one `bench` job over MQTT and one run of llama-bench with the same sizes and
//! threads, in alternating order, so that drift of the machine hits both. Pairs go on until
//! the mean log-ratio of prefill and of decode is known to 1 % (95 %), at most 100 of them.
//! Between its jobs the daemon is idle: llama-bench runs without the sampler's cost.

#[path = "../support/args.rs"]
mod args;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/ratio.rs"]
mod ratio;
mod reference;
#[path = "../support/rig.rs"]
mod rig;

use anyhow::{Result, ensure};
use ratio::Ratio;
use rig::{Bench, Rig, Sampling, Speed};
use std::process::ExitCode;

const N_PROMPT: u32 = 512;
const N_GEN: u32 = 128;
/// Below this Student's t says more about luck than about speed.
const PAIRS_MIN: usize = 5;
const PAIRS_MAX: usize = 100;
const HALF_WIDTH: f64 = 0.01;
/// What jouled promises.
const TARGET: f64 = 0.97;

fn main() -> Result<ExitCode> {
    let models = reference::models_dir()?;
    for model in args::MODELS {
        let path = models.join(model);
        ensure!(
            path.is_file(),
            "{} is missing: run make bench-llama",
            path.display()
        );
    }
    let llama_bench = reference::LlamaBench::find()?;
    let threads = std::thread::available_parallelism()?.get();
    let adc = args::value("adc=");
    let sampling = match args::value("rate=") {
        Some(hz) => Sampling::RateHz(hz.parse()?),
        None => Sampling::Adc(adc.as_deref().unwrap_or("avg8/12bit")),
    };
    let mut rig = Rig::start(&models, sampling, "slow")?;

    let mut rows = Vec::new();
    for model in args::models() {
        let pairs = measure(&mut rig, &llama_bench, model, threads)?;
        rows.push((model, "prefill", Ratio::of(&pairs, |speed| speed.prefill)));
        rows.push((model, "decode", Ratio::of(&pairs, |speed| speed.decode)));
    }

    println!();
    println!(
        "{:<34} {:<8} {:>8} {:>12} {:>7}  {:<17} {:>5}  ratio of {TARGET} or more",
        "model", "phase", "jouled", "llama-bench", "ratio", "95 % interval", "pairs"
    );
    for (model, phase, ratio) in &rows {
        println!("{model:<34} {phase:<8} {ratio}  {}", verdict(ratio));
    }
    println!("tok/s are medians; the ratio is the geometric mean over pairs, jouled ÷ llama-bench");
    println!();
    println!("{}", machine::describe(threads));
    println!("jouled      {}", rig.describe());
    println!("llama-bench {}", llama_bench.describe());

    let met = rows.iter().all(|(_, _, ratio)| ratio.mean >= TARGET);
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn measure(
    rig: &mut Rig,
    llama_bench: &reference::LlamaBench,
    model: &str,
    threads: usize,
) -> Result<Vec<(Speed, Speed)>> {
    let bench = Bench {
        model,
        n_prompt: N_PROMPT,
        n_gen: N_GEN,
        repetitions: 1,
        tokens: "after",
        threads,
    };
    let mut pairs = Vec::new();
    while pairs.len() < PAIRS_MAX {
        let pair = pairs.len();
        pairs.push(if pair % 2 == 0 {
            let ours = rig.run(bench)?[0];
            (ours, llama_bench.run(model, threads, pair)?)
        } else {
            let theirs = llama_bench.run(model, threads, pair)?;
            (rig.run(bench)?[0], theirs)
        });
        if pairs.len() < PAIRS_MIN {
            continue;
        }
        let prefill = Ratio::of(&pairs, |speed| speed.prefill);
        let decode = Ratio::of(&pairs, |speed| speed.decode);
        eprintln!(
            "{model}: {} pairs, prefill {:.3} ± {:.1} %, decode {:.3} ± {:.1} %",
            pairs.len(),
            prefill.mean,
            100.0 * prefill.half_width,
            decode.mean,
            100.0 * decode.half_width,
        );
        if prefill.half_width.max(decode.half_width) <= HALF_WIDTH {
            break;
        }
    }
    Ok(pairs)
}

/// Judged by the interval: an interval across the target resolves nothing.
fn verdict(ratio: &Ratio) -> &'static str {
    let (low, high) = ratio.interval();
    if low >= TARGET {
        "yes"
    } else if high < TARGET {
        "no"
    } else {
        "not resolved"
    }
}
