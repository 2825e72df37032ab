//! A worker that repeats the same work, and the daemons that take turns beside it.

use super::rig::{Rig, Speed};
use anyhow::{Context, Result, bail};
use jouled::clock;
use jouled::runtime::protocol::{Message, Request, Work};
use jouled::runtime::spawn::WorkerLimits;
use jouled::runtime::supervisor::Worker;
use jouled::units::MonoNs;
use jouled::workload::{BenchSizes, Params, Phase};
use std::path::Path;
use std::time::Duration;

/// Short, so that all modes' turns are close together.
const SIZES: BenchSizes = BenchSizes {
    n_prompt: 64,
    n_gen: 32,
    n_depth: 0,
};
const N_CTX: u32 = 128;
/// More than are ever asked for.
const REPETITIONS: u32 = 1_000_000;
const SILENCE: Duration = Duration::from_secs(120);

pub fn describe() -> String {
    format!("pp{}, tg{}", SIZES.n_prompt, SIZES.n_gen)
}

pub struct Turns {
    worker: Worker,
    /// By mode; `None`: nothing runs.
    rigs: Vec<Option<Rig>>,
    /// The mode of the repetition under way.
    now: usize,
    rounds: usize,
    since: MonoNs,
}

impl Turns {
    /// Loads the model and begins to repeat, with no daemon running.
    pub fn start(model: &Path, threads: usize, rigs: Vec<Option<Rig>>) -> Result<Self> {
        for rig in rigs.iter().flatten() {
            rig.stop()?;
        }
        let beside = Path::new(env!("CARGO_BIN_EXE_jouled")).with_file_name("jouled-worker");
        let command = [beside.display().to_string()];
        let mut worker = Worker::spawn(&command, &WorkerLimits::default())?;
        worker.send(&Request::Load {
            path: model.display().to_string(),
            n_outputs: 1,
            params: Params {
                threads: Some(u32::try_from(threads)?),
                n_ctx: N_CTX,
                n_batch: SIZES.n_prompt,
                ..Params::default()
            },
        });
        worker.send(&Request::Run {
            work: Work::Bench(SIZES),
            warmup: 3,
            repetitions: REPETITIONS,
            text: false,
        });
        let mut turns = Self {
            worker,
            rigs,
            now: 0,
            rounds: 0,
            since: clock::now(),
        };
        // The first one warms up what the warm-up left cold.
        turns.repetition()?;
        turns.since = clock::now();
        Ok(turns)
    }

    /// Seconds since the first round began.
    pub fn seconds(&self) -> f64 {
        clock::now().since(self.since).as_secs_f64()
    }

    /// The speed of one repetition in each mode, by mode.
    pub fn round(&mut self) -> Result<Vec<Speed>> {
        let modes = self.rigs.len();
        let mut speeds = vec![None; modes];
        for turn in 0..modes {
            // Each mode comes equally often at each place, forwards and backwards.
            let at = match self.rounds % 2 {
                0 => (self.rounds / 2 + turn) % modes,
                _ => (self.rounds / 2 + modes - 1 - turn) % modes,
            };
            self.switch_to(at)?;
            speeds[at] = Some(self.repetition()?);
        }
        self.rounds += 1;
        let speeds = speeds.into_iter().collect::<Option<Vec<Speed>>>();
        speeds.context("a mode had no turn")
    }

    /// The worker has just begun its next repetition, of which a little runs in the mode before.
    fn switch_to(&mut self, mode: usize) -> Result<()> {
        if let Some(rig) = &self.rigs[self.now] {
            rig.stop()?;
        }
        if let Some(rig) = &self.rigs[mode] {
            rig.go_on()?;
        }
        self.now = mode;
        Ok(())
    }

    /// Waits for the end of the repetition under way.
    fn repetition(&mut self) -> Result<Speed> {
        let (mut prefill, mut decode) = (None, None);
        loop {
            let message = self.worker.recv(SILENCE)?;
            match message.context("the worker says nothing any more")? {
                Message::Phase {
                    phase,
                    t0_ns,
                    t1_ns,
                    tokens,
                    ..
                } => {
                    let tok_s = f64::from(tokens) / t1_ns.since(t0_ns).as_secs_f64();
                    match phase {
                        Phase::Prefill => prefill = Some(tok_s),
                        Phase::Decode => decode = Some(tok_s),
                        _ => {}
                    }
                }
                Message::Rep(_) => {
                    return Ok(Speed {
                        prefill: prefill.context("a repetition had no prefill")?,
                        decode: decode.context("a repetition had no decode")?,
                    });
                }
                Message::Error { message, .. } => bail!("the worker failed: {message}"),
                Message::Done { .. } => bail!("the worker ended its run"),
                Message::Hello { .. } | Message::Load(_) | Message::Tokens { .. } => {}
            }
        }
    }
}
