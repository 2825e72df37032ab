//! What goes wrong with jobs on invented boards: neighbours, failures, sensors that are too slow,
//! bounds that are not kept. It is told apart, and told.

use super::candidate::Candidate;
use super::fate::Fate;
use super::measured::Measured;
use super::order::{Outcome, Part};
use super::report::{Report, Verdict};
use super::space::{Axis, Space};
use super::study::tests::study;
use super::synthetic::{Invented, planted};
use super::tuner::Tuner;
use crate::record::Reason;

fn three_threads() -> Candidate {
    Candidate {
        threads: Some(3),
        ..Candidate::default()
    }
}

/// What the stages saw within the bound, the check may not: the reason is told, not only that
/// no gain is.
#[test]
fn a_choice_that_exceeds_a_bound_in_the_check_is_told_as_that() {
    let mut study = study();
    study.rules.space = Space::usual(4).only(&[Axis::Threads]);
    study.rules.goal.bounds.tpot_s = Some(0.06);
    let checked = |slower: f64, ripple: f64| {
        let mut board = Invented::new(4, 1.0);
        (board.heat, board.noise, board.contended) = (0.0, 0.0, 0.0);
        let mut tuner = Tuner::new(study.rules.clone());
        while let Some(order) = tuner.next() {
            let (mut outcome, took_s) = board.run(&order);
            if let (Outcome::Measured(measured), Part::Check) = (&mut outcome, order.part)
                && !order.candidate.is_default()
            {
                let side = if order.place.round % 2 == 0 {
                    1.0
                } else {
                    -1.0
                };
                measured.decode_tok_s = Some(1.0 / (slower * (1.0 + side * ripple)));
            }
            tuner.take(outcome, took_s).unwrap();
        }
        Report::of(&study, &tuner)
    };
    let shown = checked(0.07, 0.01);
    assert_eq!(shown.verdict, Verdict::ExceedsBounds);
    assert_eq!(
        (shown.label.as_str(), shown.not_confirmed.as_deref()),
        ("defaults", Some("threads 3"))
    );
    let beyond = shown.beyond.unwrap();
    assert!(beyond.is_shown() && (beyond.value_s - 0.07).abs() < 1e-3);
    let text = render(&shown);
    assert!(
        text.contains("does not keep a bound that they keep: TPOT 70"),
        "{text}"
    );
    assert!(
        text.contains("where 60.0 ms is allowed; it costs 0.88"),
        "{text}"
    );

    let held = checked(0.0605, 0.1);
    assert_eq!(held.verdict, Verdict::ExceedsBounds);
    assert!(!held.beyond.unwrap().is_shown());
    let text = render(&held);
    assert!(
        text.contains("is allowed (within the 95 % interval)"),
        "{text}"
    );
}

fn render(report: &Report) -> String {
    let text = super::text::render(report, 120);
    let text = console::strip_ansi_codes(&text).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn defaults_beyond_a_bound_are_told_where_nothing_else_was_tried() {
    let mut study = study();
    study.rules.goal.bounds.ttft_s = Some(1.0);
    let mut seldom = study.clone();
    seldom.rules.budget_s = Some(10.0);
    study.rules.space = Space::default();
    for study in [study, seldom] {
        let tuner = Invented::new(1, 1.0).tune(&study);
        assert_eq!(tuner.counts().run, 1);
        let report = Report::of(&study, &tuner);
        assert_eq!(report.verdict, Verdict::BoundsNotMet);
        let text = render(&report);
        let why = "the defaults do not keep the bounds, and nothing else was tried: TTFT 5.";
        assert!(text.contains(why), "{text}");
        assert!(text.contains("where 1.00 s is allowed"), "{text}");
        assert!(text.contains("the defaults, to paste into a job"), "{text}");
    }
}

#[test]
fn a_job_that_never_counts_leaves_its_place_empty() {
    let mut board = Invented::new(5, 1.0);
    board.contended = 1.0;
    let study = study();
    let tuner = board.tune(&study);
    assert!(tuner.chosen().is_default());
    let report = Report::of(&study, &tuner);
    assert_eq!(report.verdict, Verdict::NoGainShown);
    assert!(report.jobs.left_out > 0 && report.jobs.repeated >= report.jobs.left_out);
    assert!(
        report.candidates.iter().any(
            |entry| matches!(&entry.fate, Fate::TooFew { why: Some(why) } if why == "contended")
        )
    );
    assert!(!report.warnings.is_empty());
}

/// tegrastats' ten readings a second, and a prompt that the accelerator has done in one of them.
#[test]
fn an_accelerator_is_not_lost_on_a_slow_sensor() {
    let mut study = study();
    study.rules.space = Space::usual(4).only(&[Axis::GpuLayers, Axis::Threads]);
    let accelerated = |times: f64, seed: u64| {
        let mut board = Invented::new(seed, 1.0);
        (board.window_s, board.accelerator) = (0.1, Some(times));
        board.tune(&study)
    };
    for seed in 0..20 {
        let tuner = accelerated(20.0, seed);
        let report = Report::of(&study, &tuner);
        assert_eq!(
            tuner.chosen().gpu_layers,
            Some(999),
            "{:?}",
            tuner.entries()
        );
        assert_eq!(report.verdict, Verdict::Gain);
        // Its place and those of the threads beside it: one job at most was too short.
        let spoilt = tuner.entries().len() as u32 + 1;
        let contended = report.jobs.run / 8;
        assert!(
            report.jobs.repeated <= spoilt + contended,
            "{:?}",
            report.jobs
        );
        let (defaults, chosen) = (report.defaults.unwrap(), report.chosen.unwrap());
        assert!((defaults.n_prompt, defaults.n_gen) == (512, 128));
        assert!(chosen.n_prompt > 512, "{}", chosen.n_prompt);
        let differ = |warning: &String| warning.contains("2048 and 128 tokens");
        assert!(report.warnings.iter().any(differ), "{:?}", report.warnings);
    }
    // Where no context is long enough, it goes at once and the reason is said.
    let tuner = accelerated(200.0, 1);
    assert!(tuner.chosen().gpu_layers.is_none());
    let entry = &tuner.entries()[0];
    assert_eq!(entry.fate, Fate::TooFast { n_ctx: 2048 });
    assert!(super::text::fate(entry).contains("--n-ctx"));
}

#[test]
fn a_board_without_energy_says_so_after_three_tries() {
    let mut tuner = Tuner::new(study().rules);
    let no_energy = Outcome::Measured(Box::new(Measured {
        prefill_tok_s: Some(100.0),
        decode_tok_s: Some(20.0),
        reason: Some(Reason::Coverage),
        window_s: Some(0.005),
        ..Measured::default()
    }));
    for repeated in 0..2 {
        let order = tuner.next().unwrap();
        assert_eq!((order.part, order.place.repeated), (Part::First, repeated));
        tuner.take(no_energy.clone(), 1.0).unwrap();
    }
    let error = tuner.take(no_energy, 1.0).unwrap_err().to_string();
    assert!(error.contains("(coverage)"), "{error}");
    let reason = "n_ctx is too small".to_owned();
    let failed = Outcome::Failed { reason };
    let mut tuner = Tuner::new(study().rules);
    tuner.take(failed.clone(), 1.0).unwrap();
    let order = tuner.next().unwrap();
    assert_eq!((order.part, order.place.repeated), (Part::First, 1));
    let error = tuner.take(failed, 1.0).unwrap_err();
    assert!(error.to_string().contains("n_ctx is too small"));
}

/// A neighbour, then a worker that was killed, then a good run: nobody is given up for that.
#[test]
fn a_run_that_was_contended_is_no_failure() {
    let study = study();
    for arm in [Candidate::default(), three_threads()] {
        let mut board = Invented::new(9, 1.0);
        board.contended = 0.0;
        let mut tuner = Tuner::new(study.rules.clone());
        while let Some(order) = tuner.next() {
            let (outcome, took_s) = board.run(&order);
            let troubled = order.part != Part::First && order.candidate == arm;
            let outcome = match (outcome, order.place.repeated) {
                (Outcome::Measured(measured), 0) if troubled => Outcome::LeftOut {
                    why: "contended".to_owned(),
                    measured,
                },
                (_, 1) if troubled => Outcome::Failed {
                    reason: "the worker was killed by SIGKILL".to_owned(),
                },
                (outcome, _) => outcome,
            };
            tuner.take(outcome, took_s).unwrap();
        }
        assert_eq!(*tuner.chosen(), planted());
        assert_eq!(tuner.counts().left_out, 0);
    }
}
