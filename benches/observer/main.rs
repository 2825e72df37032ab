//! `make bench-observer`: what does measuring cost the measured?
//!
//! A worker repeats a short prefill and decode without pause. One daemon a mode samples at its
//! full rate beside it, but only one of them runs at a time: at the end of each repetition it is
//! stopped (SIGSTOP) and the next mode's continued. Modes take turns in an order that rotates,
//! within a second or two, so that the machine's drift hits all alike; each is paired with the
//! repetition of the same round in which no daemon runs. Rounds go on until the mean log-ratio
//! of every mode is known to 0.5 % (95 %), at most 400 of them; it is judged by its interval.
//!
//! Token times reach this process as they reach a daemon, in batches and with the same code, in
//! every mode. Records are made of them after an attempt: what taking them in costs is told
//! apart, as CPU time of this process.
//!
//! `rounds=N` after `--` stops earlier or later, a part of a model's name chooses the model.

#[path = "../support/args.rs"]
mod args;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/ratio.rs"]
mod ratio;
#[path = "../support/rig.rs"]
mod rig;
mod turns;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use ratio::Ratio;
use rig::{Rig, Sampling, Speed};
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use turns::Turns;

const ROUNDS_MIN: usize = 20;
const ROUNDS_MAX: usize = 400;
const HALF_WIDTH: f64 = 0.005;
/// What jouled promises of its default mode.
const MOST_LOSS: f64 = 0.01;

/// One way of measuring; the first one, of which no daemon runs, is the reference.
struct Mode {
    name: &'static str,
    sampling: Option<Sampling<'static>>,
    /// Whether the promise is about it.
    judged: bool,
}

const MODES: [Mode; 4] = [
    Mode {
        name: "off",
        sampling: None,
        judged: false,
    },
    Mode {
        name: "100 Hz",
        sampling: Some(Sampling::RateHz(100.0)),
        judged: false,
    },
    Mode {
        name: "default, 209/s",
        sampling: Some(Sampling::Adc("avg8/12bit")),
        judged: true,
    },
    Mode {
        name: "940/s",
        sampling: Some(Sampling::Adc("12bit/12bit")),
        judged: false,
    },
];

fn main() -> Result<()> {
    // cargo test builds and runs benchmarks too; this one takes many minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let models = PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?)
        .join(".cache/jouled/models");
    let model = args::models();
    let model = *model.first().context("no model has such a name")?;
    ensure!(
        models.join(model).is_file(),
        "{model} is missing: run make test"
    );
    let most_rounds: usize = args::value("rounds=").map_or(Ok(ROUNDS_MAX), |n| n.parse())?;
    let threads = std::thread::available_parallelism()?.get();
    let rigs = MODES
        .iter()
        .map(|mode| {
            let start = |sampling| Rig::start(&models, sampling, "full");
            mode.sampling.map(start).transpose()
        })
        .collect::<Result<Vec<Option<Rig>>>>()?;

    let bar = ProgressBar::new(most_rounds as u64).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} rounds, {elapsed} of at most {duration}, {msg}",
    )?);
    let before = cpu_s();
    let mut turns = Turns::start(&models.join(model), threads, rigs)?;
    let mut rounds: Vec<Vec<Speed>> = Vec::new();
    while rounds.len() < most_rounds {
        rounds.push(turns.round()?);
        bar.inc(1);
        if rounds.len() < ROUNDS_MIN {
            continue;
        }
        let widest = ratios(&rounds)
            .map(|(_, _, ratio)| ratio.half_width)
            .fold(0.0, f64::max);
        bar.set_message(format!("the widest interval is ± {:.2} %", 100.0 * widest));
        if widest <= HALF_WIDTH {
            break;
        }
    }
    let taking_in = (cpu_s() - before) / turns.seconds() / threads as f64;
    bar.finish();
    report(model, threads, &rounds, taking_in);
    Ok(())
}

fn report(model: &str, threads: usize, rounds: &[Vec<Speed>], taking_in: f64) {
    println!("{model}, {}", turns::describe());
    println!(
        "{:<16} {:<8} {:>8} {:>12} {:>7}  {:<17} {:>5}  loss of 1 % or less",
        "mode", "phase", "tok/s", "off", "ratio", "95 % interval", "pairs"
    );
    for (mode, phase, ratio) in ratios(rounds) {
        let verdict = verdict(&ratio);
        let verdict = if mode.judged {
            verdict.to_owned()
        } else {
            format!("({verdict})")
        };
        println!("{:<16} {phase:<8} {ratio}  {verdict}", mode.name);
    }
    println!("reference: lm-Meter reports a loss of 2.6 % in prefill and 1 % in decode");
    println!("tok/s are medians; the ratio is the geometric mean over pairs, mode ÷ off; verdicts");
    println!("in brackets are of modes without a promise");
    println!(
        "taking in token times, in every mode: {:.3} % of the machine's CPU time",
        100.0 * taking_in
    );
    println!("{}", machine::describe(threads));
}

/// The speed of one phase.
type Of = fn(&Speed) -> f64;

/// Each mode but the reference, with the ratio of either phase.
fn ratios(rounds: &[Vec<Speed>]) -> impl Iterator<Item = (&'static Mode, &'static str, Ratio)> {
    let phases: [(&str, Of); 2] = [
        ("prefill", |speed| speed.prefill),
        ("decode", |speed| speed.decode),
    ];
    (1..MODES.len()).flat_map(move |at| {
        let pairs: Vec<(Speed, Speed)> = rounds.iter().map(|round| (round[at], round[0])).collect();
        phases.map(|(name, of)| (&MODES[at], name, Ratio::of(&pairs, of)))
    })
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

/// CPU time of this process, children not counted.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
