//! How long the jobs are: short at first, the whole request in the end.

use super::goal::Goal;
use super::measured::Measured;
use super::space::Stage;
use crate::energy::{MIN_WINDOWS, RESOLVED_WINDOWS};
use serde::{Deserialize, Serialize};

/// Tokens of a repetition of a `bench` job, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    pub n_prompt: u32,
    pub n_gen: u32,
    /// Of context before either.
    pub n_depth: u32,
    pub repetitions: u32,
}

/// How fast a candidate was; `None` of a phase that its jobs lack.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Speeds {
    pub prefill_tok_s: Option<f64>,
    pub decode_tok_s: Option<f64>,
}

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// From 1.
    Rung(Stage, u32),
    Check,
}

/// What the first job told of the defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    prefill_tok_s: f64,
    decode_tok_s: f64,
    /// `None` where no energy is needed.
    window_s: Option<f64>,
    /// Of a job, beside its work: the way to the board and back, loading, idling.
    besides_s: f64,
    /// Jobs took so many times as long as was estimated.
    stretch: f64,
}

/// Of each rung, from the first on: rounds, and seconds of decoding by the least.
pub const RUNGS: [(u32, f64); 3] = [(3, 1.0), (4, 2.0), (6, 4.0)];
const CHECK_SECONDS: f64 = 4.0;

/// Windows in the shorter phase: twice what a resolved figure has.
const WINDOWS: f64 = 2.0 * RESOLVED_WINDOWS as f64;
const LEAST_TOKENS: u32 = 8;
const MOST_REPETITIONS: u32 = 8;

impl Speeds {
    pub fn of(measured: &Measured) -> Self {
        Self {
            prefill_tok_s: measured.prefill_tok_s,
            decode_tok_s: measured.decode_tok_s,
        }
    }
}

/// The first job, which nothing is known before.
pub fn first(goal: &Goal) -> Sizes {
    Sizes {
        n_prompt: goal.n_prompt,
        n_gen: goal.n_gen.min(32),
        n_depth: 0,
        repetitions: 1,
    }
}

impl Pace {
    /// From the first job; `None` where it lacks a speed.
    pub fn of(goal: &Goal, first: &Measured, took_s: f64) -> Option<Self> {
        let prefill_tok_s = first.prefill_tok_s?;
        let warmup_s = f64::from(goal.n_prompt) / prefill_tok_s;
        Some(Self {
            prefill_tok_s,
            decode_tok_s: first.decode_tok_s?,
            window_s: first.window_s.filter(|_| goal.objective.needs_energy()),
            besides_s: (took_s - first.work_s - warmup_s).max(first.load_s),
            stretch: 1.0,
        })
    }

    /// The sizes of a job; `seconds` scales them, `n_ctx` limits them.
    pub fn sizes(&self, goal: &Goal, purpose: Purpose, seconds: f64, n_ctx: u32) -> Sizes {
        let (share, target_s, part_prefill, part_decode) = match purpose {
            Purpose::Check => (1.0, CHECK_SECONDS, goal.needs_prefill(), true),
            Purpose::Rung(stage, rung) => {
                let rung = (rung.max(1) as usize).min(RUNGS.len());
                let behind = (RUNGS.len() - rung) as i32;
                let share = match stage.needs_the_whole_prompt() {
                    true => 1.0,
                    false => 0.5_f64.powi(behind),
                };
                let target_s = RUNGS[rung - 1].1;
                (share, target_s, goal.needs_prefill(), goal.needs_decode())
            }
        };
        let target_s = target_s * seconds;
        let seen_s = self.window_s.map_or(0.0, |window_s| WINDOWS * window_s);
        let whole = |tokens: f64| (tokens.ceil() as u32).clamp(1, n_ctx);
        let n_prompt = match part_prefill {
            false => 0,
            true => {
                let wanted = (share * f64::from(goal.n_prompt)).ceil() as u32;
                let wanted = wanted.max(goal.n_prompt.min(4 * LEAST_TOKENS));
                wanted.max(whole(seen_s * self.prefill_tok_s)).min(n_ctx)
            }
        };
        let n_gen = match (part_decode, purpose) {
            (false, _) => 0,
            (true, Purpose::Check) => goal.n_gen.max(whole(seen_s * self.decode_tok_s)),
            (true, _) => whole(target_s * self.decode_tok_s)
                .clamp(LEAST_TOKENS.min(goal.n_gen), goal.n_gen)
                .max(whole(seen_s * self.decode_tok_s)),
        };
        let n_gen = n_gen.min(n_ctx);
        // `bench` fills the depth before the prompt too, whose figures would be those of another
        // request: only jobs without a prompt can decode where a request does.
        let n_depth = match (n_prompt, purpose) {
            (0, Purpose::Check | Purpose::Rung(Stage::Attention, _)) => {
                goal.n_prompt.min(n_ctx - n_gen)
            }
            _ => 0,
        };
        let once_s = match n_gen {
            0 => f64::from(n_prompt) / self.prefill_tok_s,
            n => f64::from(n) / self.decode_tok_s,
        };
        let repetitions = (target_s / once_s).ceil() as u32;
        Sizes {
            n_prompt,
            n_gen,
            n_depth,
            repetitions: repetitions.clamp(1, MOST_REPETITIONS),
        }
    }

    /// The sizes for a candidate so fast that a phase would be over before the sensor resolves
    /// it: as many windows of its own. They last no longer than those of the defaults.
    pub fn lengthened(&self, sizes: Sizes, speeds: &Speeds, n_ctx: u32) -> Sizes {
        let phase = |tokens: u32, tok_s: Option<f64>| {
            let (Some(window_s), Some(tok_s)) = (self.window_s, tok_s) else {
                return tokens;
            };
            let windows = f64::from(tokens) / tok_s / window_s;
            match tokens > 0 && windows < RESOLVED_WINDOWS as f64 {
                true => {
                    tokens.max((WINDOWS * window_s * tok_s).ceil().min(f64::from(n_ctx)) as u32)
                }
                false => tokens,
            }
        };
        Sizes {
            n_prompt: phase(sizes.n_prompt, speeds.prefill_tok_s),
            n_gen: phase(sizes.n_gen, speeds.decode_tok_s),
            ..sizes
        }
    }

    /// Whether a phase that fills the context has too few windows for any figure.
    pub fn is_beyond_the_sensor(&self, sizes: &Sizes, speeds: &Speeds, n_ctx: u32) -> bool {
        let phases = [
            (sizes.n_prompt, speeds.prefill_tok_s),
            (sizes.n_gen, speeds.decode_tok_s),
        ];
        phases.into_iter().any(|(tokens, tok_s)| {
            let (Some(window_s), Some(tok_s)) = (self.window_s, tok_s) else {
                return false;
            };
            tokens > 0 && f64::from(n_ctx) / tok_s / window_s < MIN_WINDOWS as f64
        })
    }

    /// Seconds that a job is likely to take; the warm-up takes the prompt once more.
    pub fn estimate_s(&self, sizes: &Sizes) -> f64 {
        let repetitions = f64::from(sizes.repetitions);
        let prefill = (repetitions + 1.0) * f64::from(sizes.n_prompt) / self.prefill_tok_s;
        let depth = repetitions * f64::from(sizes.n_depth) / self.prefill_tok_s;
        let decode = repetitions * f64::from(sizes.n_gen) / self.decode_tok_s;
        self.stretch * (self.besides_s + prefill + depth + decode)
    }

    /// Learns from a job; a slow one more than it has to fear of the next.
    pub fn learn(&mut self, sizes: &Sizes, took_s: f64) {
        let ratio = took_s / (self.estimate_s(sizes) / self.stretch).max(1e-3);
        self.stretch += 0.1 * (ratio.clamp(0.2, 5.0) - self.stretch);
    }
}

#[cfg(test)]
mod tests {
    use super::super::goal::{Bounds, Objective};
    use super::*;

    fn goal(objective: Objective) -> Goal {
        Goal {
            objective,
            bounds: Bounds::default(),
            n_prompt: 512,
            n_gen: 128,
        }
    }

    fn pace(objective: Objective, prefill: f64, decode: f64, window_s: f64) -> Pace {
        let first = Measured {
            prefill_tok_s: Some(prefill),
            decode_tok_s: Some(decode),
            window_s: Some(window_s),
            work_s: 2.0,
            load_s: 0.5,
            ..Measured::default()
        };
        Pace::of(&goal(objective), &first, 3.0 + 512.0 / prefill).unwrap()
    }

    fn of(pace: &Pace, objective: Objective, purpose: Purpose) -> (u32, u32, u32) {
        let sizes = pace.sizes(&goal(objective), purpose, 1.0, 2048);
        (sizes.n_prompt, sizes.n_gen, sizes.repetitions)
    }

    #[test]
    fn jobs_grow_from_rung_to_rung() {
        let pace = pace(Objective::Energy, 60.0, 20.0, 0.005);
        let of = |purpose| of(&pace, Objective::Energy, purpose);
        assert_eq!(of(Purpose::Rung(Stage::Threads, 1)), (128, 20, 1));
        assert_eq!(of(Purpose::Rung(Stage::Threads, 2)), (256, 40, 1));
        assert_eq!(of(Purpose::Rung(Stage::Threads, 3)), (512, 80, 1));
        assert_eq!(of(Purpose::Rung(Stage::Batch, 1)), (512, 20, 1));
        assert_eq!(of(Purpose::Check), (512, 128, 1));
    }

    #[test]
    fn a_phase_is_long_enough_for_the_sensor() {
        // Ten readings a second of a fast model: 2 s of each phase.
        let pace = pace(Objective::Energy, 400.0, 100.0, 0.1);
        let (n_prompt, n_gen, _) = of(&pace, Objective::Energy, Purpose::Rung(Stage::Threads, 1));
        assert_eq!((n_prompt, n_gen), (800, 200));
        // Speeds need no sensor.
        let pace = self::pace(Objective::Decode, 400.0, 100.0, 0.1);
        let decode = of(&pace, Objective::Decode, Purpose::Rung(Stage::Threads, 1));
        assert_eq!(decode, (0, 100, 1));
        let prefill = of(&pace, Objective::Prefill, Purpose::Rung(Stage::Threads, 3));
        assert_eq!(prefill, (512, 0, 4));
        assert_eq!(of(&pace, Objective::Prefill, Purpose::Check), (512, 128, 4));
    }

    #[test]
    fn decode_alone_is_measured_behind_the_prompt() {
        let pace = pace(Objective::Decode, 64.0, 16.0, 0.005);
        let of = |goal: &Goal, purpose, n_ctx| {
            let sizes = pace.sizes(goal, purpose, 1.0, n_ctx);
            (sizes.n_prompt, sizes.n_gen, sizes.n_depth)
        };
        let attention = Purpose::Rung(Stage::Attention, 1);
        let mut decode = goal(Objective::Decode);
        assert_eq!(of(&decode, attention, 2048), (0, 16, 512));
        assert_eq!(of(&decode, Purpose::Check, 2048), (0, 128, 512));
        assert_eq!(of(&decode, Purpose::Check, 512), (0, 128, 384));
        let threads = Purpose::Rung(Stage::Threads, 1);
        assert_eq!(of(&decode, threads, 2048), (0, 16, 0));
        // Its prefill would be that of a later part of a prompt.
        decode.bounds.ttft_s = Some(1.0);
        assert_eq!(of(&decode, Purpose::Check, 2048), (512, 128, 0));
        let deep = pace.sizes(&goal(Objective::Decode), attention, 1.0, 2048);
        // A second besides, eight of the depth, one of decoding.
        assert!((pace.estimate_s(&deep) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_faster_candidate_has_longer_jobs_of_its_own() {
        let pace = pace(Objective::Energy, 40.0, 5.0, 0.1);
        let purpose = Purpose::Rung(Stage::Accelerator, 1);
        let sizes = pace.sizes(&goal(Objective::Energy), purpose, 1.0, 2048);
        assert_eq!((sizes.n_prompt, sizes.n_gen), (128, 10));
        let of = |prefill: f64, decode: f64| Speeds {
            prefill_tok_s: Some(prefill),
            decode_tok_s: Some(decode),
        };
        let longer = |speeds: &Speeds, n_ctx| {
            let sizes = pace.lengthened(sizes, speeds, n_ctx);
            (sizes.n_prompt, sizes.n_gen)
        };
        assert_eq!(longer(&of(1000.0, 30.0), 2048), (2000, 60));
        // What is resolved stays, and a context has its end.
        assert_eq!(longer(&of(100.0, 8.0), 2048), (128, 10));
        assert_eq!(longer(&of(4000.0, 8.0), 2048), (2048, 10));
        assert_eq!(longer(&Speeds::default(), 2048), (128, 10));
        let beyond = |speeds: &Speeds| pace.is_beyond_the_sensor(&sizes, speeds, 2048);
        assert!(!beyond(&of(6000.0, 8.0)) && beyond(&of(7000.0, 8.0)));
        // Speeds need no sensor.
        let speed = self::pace(Objective::Prefill, 40.0, 5.0, 0.1);
        assert_eq!(speed.lengthened(sizes, &of(1000.0, 30.0), 2048), sizes);
    }

    #[test]
    fn estimates_follow_what_jobs_took() {
        let mut pace = pace(Objective::Energy, 64.0, 16.0, 0.005);
        let sizes = Sizes {
            n_prompt: 128,
            n_gen: 16,
            n_depth: 0,
            repetitions: 1,
        };
        // A second besides, twice two of the prompt, one of decoding.
        assert!((pace.estimate_s(&sizes) - 6.0).abs() < 1e-9);
        for _ in 0..50 {
            pace.learn(&sizes, 9.0);
        }
        assert!((pace.estimate_s(&sizes) - 9.0).abs() < 0.1);
    }
}
