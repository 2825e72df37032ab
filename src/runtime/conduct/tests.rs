//! Messages of workers, well-behaved and not.

use super::*;
use crate::runtime::protocol::{HardwareCounts, RepDone, StopReason};
use proptest::prelude::*;

const NOW: MonoNs = MonoNs(1_000);

fn greeted() -> Conduct {
    let mut conduct = Conduct::new(MonoNs(100));
    conduct
        .check(&mut hello(VERSION), NOW)
        .expect("a hello comes first");
    conduct.asked(&run(2));
    conduct
}

fn run(repetitions: u32) -> Request {
    Request::Run {
        work: Work::Generate {
            prompt: None,
            messages: None,
            n_predict: 4,
            ignore_eos: true,
        },
        warmup: 0,
        repetitions,
        text: false,
    }
}

fn rep(rep: u32, text: Option<&str>) -> Message {
    Message::Rep(RepDone {
        rep,
        prompt_tokens: 1,
        output_tokens: 1,
        stop_reason: StopReason::Length,
        prompt_sha256: None,
        output_sha256: None,
        text: text.map(str::to_owned),
        perplexity: None,
        choice: None,
    })
}

fn hello(protocol: u32) -> Message {
    Message::Hello {
        protocol,
        pid: 1,
        name: "x".to_owned(),
        revision: "y".to_owned(),
    }
}

fn phase(phase: Phase, t0: u64, t1: u64) -> Message {
    Message::Phase {
        phase,
        rep: Some(1),
        t0_ns: MonoNs(t0),
        t1_ns: MonoNs(t1),
        tokens: 0,
        counters: Default::default(),
    }
}

fn tokens(rep: u32, first: u32, times: &[u64]) -> Message {
    Message::Tokens {
        rep,
        t0_ns: MonoNs(100),
        first,
        t_ns: times.iter().copied().map(MonoNs).collect(),
    }
}

#[test]
fn a_well_behaved_worker_passes() {
    let mut conduct = greeted();
    for mut message in [
        tokens(1, 0, &[200, 210]),
        tokens(1, 2, &[210]),
        phase(Phase::Prefill, 150, 200),
        phase(Phase::Decode, 200, 210),
        tokens(2, 0, &[300]),
    ] {
        assert_eq!(conduct.check(&mut message, NOW), Ok(()));
    }
}

#[test]
fn what_can_not_be_is_refused() {
    let refused = |messages: &[Message]| {
        let mut conduct = greeted();
        messages
            .iter()
            .any(|message| conduct.check(&mut message.clone(), NOW).is_err())
    };
    assert!(refused(&[hello(VERSION)]));
    assert!(refused(&[phase(Phase::Load, 200, 300)]));
    assert!(refused(&[phase(Phase::Decode, 300, 200)]));
    assert!(refused(&[phase(Phase::Decode, 50, 200)]));
    assert!(refused(&[phase(Phase::Decode, 200, 1_001)]));
    assert!(refused(&[
        phase(Phase::Prefill, 150, 200),
        phase(Phase::Decode, 201, 210)
    ]));
    assert!(refused(&[tokens(1, 2, &[200])]));
    assert!(refused(&[tokens(1, 0, &[200]), tokens(1, 2, &[210])]));
    assert!(refused(&[tokens(1, 0, &[200, 199])]));
    assert!(refused(&[tokens(2, 0, &[200]), tokens(1, 0, &[210])]));
    // More than was asked for.
    assert!(refused(&[tokens(3, 0, &[200])]));
    assert!(refused(&[tokens(1, 0, &[200; 5])]));
    assert!(!refused(&[tokens(1, 0, &[200; 4])]));
    assert!(refused(&[rep(0, None)]));
    assert!(refused(&[rep(3, None)]));
    assert!(refused(&[rep(1, None), rep(1, None)]));
    assert!(!refused(&[rep(1, None), rep(2, None)]));
    assert!(
        Conduct::new(MonoNs(0))
            .check(&mut hello(VERSION + 1), NOW)
            .is_err()
    );
    assert!(
        Conduct::new(MonoNs(0))
            .check(&mut tokens(1, 0, &[1]), NOW)
            .is_err()
    );
}

#[test]
fn counters_with_more_time_than_there_is_are_dropped_and_nothing_else() {
    let counted = |running_ns| {
        let mut message = phase(Phase::Prefill, 150, 200);
        if let Message::Phase { counters, .. } = &mut message {
            counters.major_faults = Some(3);
            counters.hardware = Some(HardwareCounts {
                enabled_ns: Some(50),
                running_ns,
                ..HardwareCounts::default()
            });
        }
        greeted().check(&mut message, NOW).expect("it is no breach");
        let Message::Phase { counters, .. } = message else {
            unreachable!("it stays a phase")
        };
        assert_eq!(counters.major_faults, Some(3));
        counters.hardware.is_some()
    };
    assert!(counted(Some(50)));
    assert!(counted(None));
    assert!(!counted(Some(51)));
}

#[test]
fn phases_without_end_and_runs_that_nobody_asked_for_are_refused() {
    let mut conduct = greeted();
    let accepted = (0..1_000)
        .take_while(|_| {
            conduct
                .check(&mut phase(Phase::Other, 150, 150), NOW)
                .is_ok()
        })
        .count();
    assert_eq!(accepted, 48);
    let mut unasked = Conduct::new(MonoNs(0));
    unasked.check(&mut hello(VERSION), NOW).unwrap();
    for mut message in [
        phase(Phase::Other, 150, 150),
        tokens(1, 0, &[200]),
        rep(1, None),
    ] {
        assert!(unasked.check(&mut message, NOW).is_err(), "{message:?}");
    }
}

#[test]
fn a_text_that_nobody_asked_for_is_dropped() {
    let mut message = rep(1, Some("secret"));
    greeted().check(&mut message, NOW).expect("it is no breach");
    assert_eq!(message, rep(1, None));
}

proptest! {
    #[test]
    fn accepted_token_times_never_go_backwards(
        batches in proptest::collection::vec(
            (1u32..3, 0u32..4, proptest::collection::vec(0u64..2_000, 0..4)), 0..12)
    ) {
        let mut conduct = greeted();
        let mut accepted = Vec::new();
        for (rep, first, times) in batches {
            if conduct.check(&mut tokens(rep, first, &times), NOW).is_err() {
                break;
            }
            accepted.extend(times);
        }
        prop_assert!(accepted.is_sorted());
        prop_assert!(accepted.iter().all(|t| (100..=1_000).contains(t)));
    }
}

mod scores {
    use super::*;
    use crate::quality::Nll;
    use crate::runtime::protocol::{ChoiceDone, PerplexityDone};

    fn asked(work: Work) -> Conduct {
        let mut conduct = Conduct::new(MonoNs(100));
        conduct.check(&mut hello(VERSION), NOW).expect("a hello");
        conduct.asked(&Request::Run {
            work,
            warmup: 0,
            repetitions: 3,
            text: false,
        });
        conduct
    }

    fn perplexity() -> Work {
        Work::Perplexity {
            data: "d".to_owned(),
            data_sha256: String::new(),
            n_ctx: 512,
            n_chunks: None,
        }
    }

    fn choice() -> Work {
        Work::Choice {
            data: "d".to_owned(),
            data_sha256: String::new(),
            n_items: Some(2),
        }
    }

    fn done(number: u32, change: impl FnOnce(&mut RepDone)) -> Message {
        let Message::Rep(mut done) = rep(number, None) else {
            unreachable!("it is one")
        };
        change(&mut done);
        Message::Rep(done)
    }

    fn nll(tokens: u64, sum: f64, squares: f64) -> impl FnOnce(&mut RepDone) {
        move |done| {
            done.perplexity = Some(PerplexityDone {
                chunks: 1,
                nll: Nll {
                    tokens,
                    sum,
                    squares,
                },
            });
        }
    }

    fn picks(correct: u32, picked: &[u8]) -> ChoiceDone {
        ChoiceDone {
            correct,
            correct_norm: 0,
            correct_bytes: 0,
            picked: picked.to_vec(),
            picked_norm: picked.to_vec(),
        }
    }

    #[test]
    fn what_was_asked_for_is_there_and_can_be() {
        let mut conduct = asked(perplexity());
        let mut good = done(1, nll(4, 8.0, 17.0));
        assert_eq!(conduct.check(&mut good, NOW), Ok(()));
        assert!(matches!(&good, Message::Rep(done) if done.perplexity.is_some()));
        for bad in [nll(0, 1.0, 1.0), nll(4, f64::NAN, 1.0), nll(4, 1.0, -1.0)] {
            assert!(conduct.clone().check(&mut done(2, bad), NOW).is_err());
        }
        let none = conduct.clone().check(&mut rep(2, None), NOW);
        assert!(none.unwrap_err().contains("without its scores"));

        let conduct = asked(choice());
        let check = |choice| {
            let mut message = done(1, |done| done.choice = Some(choice));
            conduct.clone().check(&mut message, NOW)
        };
        assert_eq!(check(picks(2, &[0, 63])), Ok(()));
        for bad in [
            picks(3, &[0, 1]),
            picks(0, &[]),
            picks(0, &[64, 0]),
            picks(0, &[0, 0, 0]),
            ChoiceDone {
                picked_norm: vec![0],
                ..picks(0, &[0, 0])
            },
        ] {
            assert!(check(bad).is_err());
        }
    }

    #[test]
    fn what_was_not_asked_for_is_left_out() {
        let mut conduct = greeted();
        let mut message = done(1, nll(4, 8.0, 17.0));
        assert_eq!(conduct.check(&mut message, NOW), Ok(()));
        assert!(matches!(&message, Message::Rep(done) if done.perplexity.is_none()));
        // Nobody cuts a text in half.
        let mut cancelled = done(1, |done| {
            nll(4, 8.0, 17.0)(done);
            done.stop_reason = StopReason::Cancelled;
        });
        assert_eq!(asked(perplexity()).check(&mut cancelled, NOW), Ok(()));
        assert!(matches!(&cancelled, Message::Rep(done) if done.perplexity.is_none()));
    }
}
