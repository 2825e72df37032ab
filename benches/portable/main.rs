//! `make bench-portable`: is a package build, which takes the kernels of this CPU's generation
//! when it starts, as fast as a build for this CPU alone?
//!
//! `worker=FILE` is the package's worker. Both have the model loaded. Each pair is one `bench`
//! run of either, in alternating order, so that drift of the machine hits both; while one runs,
//! the other waits for its stdin. Pairs go on until the mean log-ratio of prefill and of decode
//! is known to 1 % (95 %), at most `pairs=N` of them.

#[path = "../support/args.rs"]
mod args;
#[path = "../support/machine.rs"]
mod machine;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use jouled::energy::{Ratio, Statistic};
use jouled::lab::model;
use jouled::runtime::protocol::{Engine, Message, Request, Work};
use jouled::runtime::supervisor::{Worker, WorkerLimits};
use jouled::workload::{BenchSizes, Params, Phase};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const SIZES: BenchSizes = BenchSizes {
    n_prompt: 256,
    n_gen: 64,
    n_depth: 0,
};
/// Below this Student's t says more about luck than about speed.
const PAIRS_MIN: usize = 5;
const PAIRS_MAX: usize = 100;
const HALF_WIDTH: f64 = 0.01;
/// What packages are to reach.
const TARGET: f64 = 0.95;
const PATIENCE: Duration = Duration::from_secs(300);

/// Tokens per second of one run.
#[derive(Debug, Clone, Copy, Default)]
struct Speed {
    prefill: f64,
    decode: f64,
}

struct Loaded {
    worker: Worker,
    engine: Engine,
}

fn main() -> Result<ExitCode> {
    let package = args::value("worker=").context("worker=FILE is missing: make bench-portable")?;
    let own = env!("CARGO_BIN_EXE_jouled-worker");
    let most = args::value("pairs=").map_or(Ok(PAIRS_MAX), |pairs| pairs.parse())?;
    let threads = std::thread::available_parallelism()?.get();
    let directory = model::directory()?;
    fetch_default(&directory)?;

    let mut rows = Vec::new();
    let mut engines = Vec::new();
    for model in args::models() {
        let path = directory.join(model);
        if !path.is_file() {
            eprintln!("{model} is left out: scripts/reference-llama-bench fetches it");
            continue;
        }
        let mut portable = load(&package, &path, threads)?;
        let mut native = load(own, &path, threads)?;
        let pairs = measure(model, &mut portable, &mut native, most)?;
        rows.push((model, "prefill", column(&pairs, |speed| speed.prefill)));
        rows.push((model, "decode", column(&pairs, |speed| speed.decode)));
        engines = vec![("portable", portable.engine), ("native", native.engine)];
    }

    anyhow::ensure!(!rows.is_empty(), "no model was there to measure");
    println!();
    println!(
        "{:<34} {:<8} {:>8} {:>8} {:>7} {:>7}  {:<16} {:>5}  ratio of {TARGET} or more",
        "model", "phase", "portable", "native", "ratio", "median", "95 % interval", "pairs"
    );
    let mut met = true;
    for (model, phase, pairs) in &rows {
        let ratio = Ratio::paired(pairs).context("two pairs or more")?;
        let (low, high) = ratio.interval();
        met &= ratio.ratio() >= TARGET;
        let (theirs, ours): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let ratios: Vec<f64> = pairs.iter().map(|(theirs, ours)| ours / theirs).collect();
        println!(
            "{model:<34} {phase:<8} {:>8.1} {:>8.1} {:>7.3} {:>7.3}  {:<16} {:>5}  {}",
            median(&ours)?,
            median(&theirs)?,
            ratio.ratio(),
            median(&ratios)?,
            format!("{low:.3} to {high:.3}"),
            pairs.len(),
            match () {
                () if low >= TARGET => "yes",
                () if high < TARGET => "no",
                () => "not resolved",
            }
        );
    }
    println!("tok/s are medians; the ratio is the geometric mean over pairs, portable ÷ native");
    println!();
    println!("{}", machine::describe(threads));
    for (name, engine) in engines {
        let variant = engine.cpu_variant.as_deref().unwrap_or("this CPU alone");
        let features = engine.cpu_features.join(" ");
        println!("{name:<11} kernels for {variant}: {features}");
    }
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn fetch_default(directory: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(model::fetch(
        &model::DEFAULT,
        directory,
        &ProgressBar::hidden(),
    ))?;
    Ok(())
}

fn load(command: &str, model: &Path, threads: usize) -> Result<Loaded> {
    let mut worker = Worker::spawn(&[command.to_owned()], &WorkerLimits::default())?;
    worker.send(&Request::Load {
        path: model.display().to_string(),
        n_outputs: 1,
        params: Params {
            threads: Some(threads as u32),
            ..Params::default()
        },
    });
    loop {
        match worker.recv(PATIENCE)? {
            Some(Message::Hello { .. }) => {}
            Some(Message::Load(loaded)) => {
                let engine = loaded.engine;
                return Ok(Loaded { worker, engine });
            }
            other => bail!("{command} did not load {}: {other:?}", model.display()),
        }
    }
}

fn measure(
    model: &str,
    portable: &mut Loaded,
    native: &mut Loaded,
    most: usize,
) -> Result<Vec<(Speed, Speed)>> {
    // The first of either touches its memory for the first time.
    run(native)?;
    run(portable)?;
    let mut pairs = Vec::new();
    while pairs.len() < most {
        pairs.push(if pairs.len() % 2 == 0 {
            let ours = run(portable)?;
            (run(native)?, ours)
        } else {
            let theirs = run(native)?;
            (theirs, run(portable)?)
        });
        if pairs.len() < PAIRS_MIN {
            continue;
        }
        let width = |phase: fn(&Speed) -> f64| {
            Ratio::paired(&column(&pairs, phase)).map_or(f64::INFINITY, |ratio| ratio.half_width())
        };
        let widest = width(|speed| speed.prefill).max(width(|speed| speed.decode));
        if pairs.len() % 10 == 0 {
            eprintln!("{model}: {} pairs, ± {:.1} %", pairs.len(), 100.0 * widest);
        }
        if widest <= HALF_WIDTH {
            break;
        }
    }
    Ok(pairs)
}

fn run(loaded: &mut Loaded) -> Result<Speed> {
    loaded.worker.send(&Request::Run {
        work: Work::Bench(SIZES),
        warmup: 0,
        repetitions: 1,
        text: false,
    });
    let mut speed = Speed::default();
    loop {
        match loaded.worker.recv(PATIENCE)? {
            Some(Message::Phase {
                phase,
                t0_ns,
                t1_ns,
                tokens,
                ..
            }) => {
                let rate = f64::from(tokens) / ((t1_ns.0 - t0_ns.0) as f64 * 1e-9);
                match phase {
                    Phase::Prefill => speed.prefill = rate,
                    Phase::Decode => speed.decode = rate,
                    _ => {}
                }
            }
            Some(Message::Done { .. }) => return Ok(speed),
            Some(Message::Tokens { .. } | Message::Rep(_)) => {}
            other => bail!("a worker stopped: {other:?}"),
        }
    }
}

/// One phase's speeds, the native build's first.
fn column(pairs: &[(Speed, Speed)], phase: impl Fn(&Speed) -> f64) -> Vec<(f64, f64)> {
    let both = pairs.iter();
    both.map(|(theirs, ours)| (phase(theirs), phase(ours)))
        .collect()
}

fn median(values: &[f64]) -> Result<f64> {
    Ok(Statistic::of(values).context("there are pairs")?.median)
}
