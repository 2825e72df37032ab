//! Whole tunings on invented boards with noise, heat and neighbours: the planted optimum is
//! found, what is equal is called equal, and the budget is kept.

use super::candidate::Candidate;
use super::fate::Fate;
use super::measured::{EngineFacts, Measured, TokenEnergy};
use super::order::{Order, Outcome, Part};
use super::report::{Report, Verdict};
use super::space::{Axis, Space, Stage};
use super::study::Study;
use super::study::tests::study;
use super::tuner::Tuner;
use crate::energy::MIN_WINDOWS;
use crate::record::Reason;
use crate::workload::{FlashAttn, KvType};
use fastrand::Rng;
use proptest::prelude::*;

/// A board of four CPUs.
pub(super) struct Invented {
    random: Rng,
    /// Relative standard deviation of a job.
    pub(super) noise: f64,
    /// Amplitude of a slow drift that all jobs share.
    pub(super) heat: f64,
    /// Share of jobs that a neighbour spoils.
    pub(super) contended: f64,
    /// How much each setting is worth; 0 makes all equal.
    effect: f64,
    jobs: u32,
    /// A candidate that never runs.
    broken: Option<Candidate>,
    /// How much faster a prompt is on the accelerator, where there is one. Output is three
    /// times as fast, at half the energy.
    pub(super) accelerator: Option<f64>,
    /// Of the sensor.
    pub(super) window_s: f64,
}

impl Invented {
    pub(super) fn new(seed: u64, effect: f64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            noise: 0.01,
            heat: 0.04,
            contended: 0.05,
            effect,
            jobs: 0,
            broken: None,
            accelerator: None,
            window_s: 0.005,
        }
    }

    /// Irwin and Hall: twelve uniforms are nearly normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0
    }

    /// Factors of (prefill's, decode's) energy. Three threads with a rounded cache are best.
    fn factors(&self, candidate: &Candidate) -> (f64, f64) {
        let threads: f64 = match candidate.threads {
            Some(1) => 0.5,
            Some(2) => 0.1,
            Some(3) => -0.12,
            _ => 0.0,
        };
        let batch = match (candidate.n_batch, candidate.repack) {
            (_, Some(false)) => 0.5,
            (Some(128), _) => 0.3,
            (Some(_), _) => 0.2,
            (None, _) => 0.0,
        };
        let flash = match candidate.flash_attn {
            Some(FlashAttn::Off) => 0.08,
            _ => 0.0,
        };
        let cache = match candidate.kv_type {
            Some(KvType::Q8_0) => -0.08,
            _ => 0.0,
        };
        let factor = |effects: &[f64]| {
            let of = |effect: &f64| 1.0 + self.effect * effect;
            effects.iter().map(of).product()
        };
        (factor(&[threads, batch]), factor(&[threads, flash, cache]))
    }

    pub(super) fn run(&mut self, order: &Order) -> (Outcome, f64) {
        self.jobs += 1;
        let sizes = order.sizes;
        let offloaded = self
            .accelerator
            .filter(|_| order.candidate.gpu_layers.is_some());
        let (prefill_tok_s, decode_tok_s) = match offloaded {
            Some(times) => (100.0 * times, 60.0),
            None => (100.0, 20.0),
        };
        let took_s = 2.0
            + f64::from(sizes.repetitions) * f64::from(sizes.n_gen) / decode_tok_s
            + f64::from(sizes.repetitions) * f64::from(sizes.n_depth) / prefill_tok_s
            + f64::from(sizes.repetitions + 1) * f64::from(sizes.n_prompt) / prefill_tok_s;
        if self.broken.as_ref() == Some(&order.candidate) {
            let reason = "the worker was killed by SIGABRT".to_owned();
            return (Outcome::Failed { reason }, 1.0);
        }
        let (prefill, decode) = self.factors(&order.candidate);
        let heat = 1.0 + self.heat * (f64::from(self.jobs) / 25.0).sin();
        let spoilt = self.random.f64() < self.contended;
        let noise = heat * (1.0 + self.noise * self.normal()) * if spoilt { 1.5 } else { 1.0 };
        let (prefill_tok_s, decode_tok_s) = (
            prefill_tok_s / prefill / noise,
            decode_tok_s / decode / noise,
        );
        let share = if offloaded.is_some() { 0.5 } else { 1.0 };
        let energy = |tokens: u32, tok_s: f64, value_j: f64| {
            let windows = f64::from(tokens) / tok_s / self.window_s;
            (windows >= MIN_WINDOWS as f64).then_some(TokenEnergy {
                value_j: value_j * share * noise,
                scale: 0.01,
                ..TokenEnergy::default()
            })
        };
        let has = |tokens: u32| tokens > 0;
        let prompt_token = energy(sizes.n_prompt, prefill_tok_s, 0.05 * prefill);
        let output_token = energy(sizes.n_gen, decode_tok_s, 0.25 * decode);
        let measured = Box::new(Measured {
            prefill_tok_s: has(sizes.n_prompt).then_some(prefill_tok_s),
            decode_tok_s: has(sizes.n_gen).then_some(decode_tok_s),
            reason: (prompt_token.is_none() || output_token.is_none()).then_some(Reason::TooCoarse),
            prompt_token,
            output_token,
            window_s: Some(self.window_s),
            simulated: true,
            engine: EngineFacts {
                threads: order.candidate.threads.unwrap_or(4),
                flash_attn: Some(order.candidate.flash_attn != Some(FlashAttn::Off)),
                layers_offloaded: if offloaded.is_some() { 25 } else { 0 },
            },
            work_s: took_s - 2.0,
            ..Measured::default()
        });
        let outcome = match spoilt {
            true => Outcome::LeftOut {
                why: "contended".to_owned(),
                measured,
            },
            false => Outcome::Measured(measured),
        };
        (outcome, took_s)
    }

    pub(super) fn tune(&mut self, study: &Study) -> Tuner {
        let mut tuner = Tuner::new(study.rules.clone());
        let mut ids = std::collections::BTreeSet::new();
        while let Some(order) = tuner.next() {
            assert!(ids.insert(study.id(&order)), "{} twice", study.id(&order));
            assert!(ids.len() < 2_000, "it goes on and on");
            let (outcome, took_s) = self.run(&order);
            tuner.take(outcome, took_s).unwrap();
        }
        tuner
    }
}

pub(super) fn planted() -> Candidate {
    Candidate {
        threads: Some(3),
        kv_type: Some(KvType::Q8_0),
        ..Candidate::default()
    }
}

#[test]
fn the_planted_optimum_is_found() {
    let (study, runs) = (study(), 200);
    let mut found = 0;
    for seed in 0..runs {
        let tuner = Invented::new(seed, 1.0).tune(&study);
        let report = Report::of(&study, &tuner);
        let gained = report.verdict == Verdict::Gain;
        found += u64::from(gained && *tuner.chosen() == planted());
    }
    println!("the planted optimum was found in {found} of {runs}");
    assert!(100 * found >= 95 * runs, "{found} of {runs}");
}

#[test]
fn the_gain_is_within_its_uncertainty() {
    let (study, runs) = (study(), 200);
    let (prefill, decode) = Invented::new(0, 1.0).factors(&planted());
    let energy = |prefill: f64, decode: f64| 512.0 * 0.05 * prefill + 128.0 * 0.25 * decode;
    let truth = energy(prefill, decode) / energy(1.0, 1.0);
    let mut held = 0;
    for seed in 0..runs {
        let tuner = Invented::new(1_000 + seed, 1.0).tune(&study);
        let checked = tuner.checked().expect("it was checked");
        let right = *tuner.chosen() != planted() || (checked.low..checked.high).contains(&truth);
        held += u64::from(right);
    }
    println!("the gain was within its interval in {held} of {runs}");
    assert!(100 * held >= 92 * runs, "{held} of {runs}");
}

#[test]
fn where_all_is_equal_the_defaults_stay() {
    let (study, runs) = (study(), 200);
    let (mut stayed, mut chosen) = (0, 0);
    for seed in 0..runs {
        let tuner = Invented::new(seed, 0.0).tune(&study);
        let report = Report::of(&study, &tuner);
        stayed += u64::from(report.verdict == Verdict::NoGainShown);
        chosen += u64::from(tuner.chosen().is_default());
        let ties = tuner
            .entries()
            .iter()
            .filter(|entry| entry.fate == Fate::Tied);
        assert!(report.label == "defaults" || report.verdict == Verdict::Gain);
        assert!(ties.count() > 0 || !tuner.chosen().is_default());
    }
    println!("the defaults stayed in {stayed} of {runs}, before the check in {chosen}");
    assert!(100 * stayed >= 98 * runs, "{stayed} of {runs}");
    // Before the check, in all three stages together.
    assert!(100 * chosen >= 85 * runs, "{chosen} of {runs}");
}

#[test]
fn a_planted_loss_of_the_defaults_is_not_needed_for_speed() {
    let mut study = study();
    study.rules.goal.objective = super::goal::Objective::Decode;
    study.rules.space = Space::usual(4).only(&[Axis::Threads]);
    let mut found = 0;
    for seed in 0..40 {
        let tuner = Invented::new(seed, 1.0).tune(&study);
        found += u32::from(tuner.chosen().threads == Some(3));
    }
    assert!(found >= 38, "{found} of 40");
}

#[test]
fn what_does_nothing_or_fails_is_said() {
    let study = study();
    let mut board = Invented::new(7, 1.0);
    board.broken = Some(Candidate {
        threads: Some(1),
        ..Candidate::default()
    });
    let tuner = board.tune(&study);
    let fate = |stage, label: &str| {
        let entry = tuner
            .entries()
            .iter()
            .find(|entry| entry.stage == stage && entry.label == label);
        entry.unwrap_or_else(|| panic!("no {label}")).fate.clone()
    };
    assert!(matches!(
        fate(Stage::Accelerator, "gpu_layers 999"),
        Fate::NoEffect { .. }
    ));
    assert!(matches!(
        fate(Stage::Threads, "threads 1"),
        Fate::Failed { reason } if reason.contains("SIGABRT")
    ));
    assert!(matches!(
        fate(Stage::Batch, "threads 3, repack off"),
        Fate::Worse { .. }
    ));
    assert_eq!(fate(Stage::Threads, "threads 3"), Fate::Taken);
}

#[test]
fn every_candidate_has_one_fate() {
    let study = study();
    for seed in 0..20 {
        let tuner = Invented::new(seed, 1.0).tune(&study);
        let mut seen = std::collections::BTreeSet::new();
        for entry in tuner.entries() {
            assert!(seen.insert((entry.stage, entry.label.clone())), "{entry:?}");
        }
        let threads = seen.iter().filter(|(stage, _)| *stage == Stage::Threads);
        assert_eq!(threads.count(), 3);
    }
}

#[test]
fn bounds_are_kept_at_a_price() {
    let mut study = study();
    study.rules.space = Space::usual(4).only(&[Axis::Threads, Axis::KvType]);
    // 0.05 s with the defaults, 0.044 s with three threads, 0.046 s with the rounded cache.
    study.rules.goal.bounds.tpot_s = Some(0.042);
    let steady = |study: &Study| {
        let mut board = Invented::new(3, 1.0);
        board.heat = 0.0;
        board.tune(study)
    };
    let tuner = steady(&study);
    let report = Report::of(&study, &tuner);
    assert_eq!(*tuner.chosen(), planted());
    assert_eq!(report.verdict, Verdict::Gain);
    study.rules.goal.bounds.tpot_s = Some(0.02);
    let tuner = steady(&study);
    let report = Report::of(&study, &tuner);
    assert_eq!(report.verdict, Verdict::BoundsNotMet);
    assert_eq!(*tuner.chosen(), planted(), "the nearest");
}

#[test]
fn the_same_outcomes_lead_to_the_same_jobs() {
    let study = study();
    let mut board = Invented::new(11, 1.0);
    let mut first = Tuner::new(study.rules.clone());
    let mut past = Vec::new();
    while let Some(order) = first.next() {
        let (outcome, took_s) = board.run(&order);
        first.take(outcome.clone(), took_s).unwrap();
        past.push((order, outcome, took_s));
    }
    let mut again = Tuner::new(study.rules.clone());
    for (order, outcome, took_s) in past {
        assert_eq!(again.next(), Some(order));
        again.take(outcome, took_s).unwrap();
    }
    assert_eq!(again.next(), None);
    assert_eq!(again.chosen(), first.chosen());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the budget: it ends, the check has its rounds, and it took little longer.
    #[test]
    fn the_budget_is_kept(seed in 0_u64..1_000, minutes in 1.0..120.0_f64, noise in 0.0..0.1_f64) {
        let mut study = study();
        study.rules.budget_s = Some(60.0 * minutes);
        let mut board = Invented::new(seed, 1.0);
        board.noise = noise;
        let mut tuner = Tuner::new(study.rules.clone());
        let mut checks = 0;
        while let Some(order) = tuner.next() {
            checks += u32::from(order.part == Part::Check);
            let (outcome, took_s) = board.run(&order);
            tuner.take(outcome, took_s).unwrap();
        }
        prop_assert!(checks == 0 || checks >= 6);
        prop_assert_eq!(checks > 0, !tuner.chosen().is_default());
        // Repeated jobs are not planned; the least check is run whatever is left.
        prop_assert!(tuner.spent_s() < 1.35 * 60.0 * minutes + 240.0, "{}", tuner.spent_s());
        let everything = tuner.entries().len();
        prop_assert!(minutes > 60.0 || tuner.is_out_of_time() || everything > 0);
    }
}
