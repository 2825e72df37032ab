//! A record holds at most 128 KiB. A result with many repetitions or rails gives up detail
//! that raw data can bring back (`joulectl recompute --write`), in a fixed order, and says so.

use crate::record::Reason;
use crate::record::result::{JobResult, Moment, Reasons};

/// What the result itself may take. The rest is for the stamp and for what is only known
/// once the result is made: the name of its raw data, or why there is none. So the same figures
/// always fit the same.
const MOST_BYTES: usize = 128 * 1024 - 2048;

/// What is left out at once.
struct Step {
    /// Under this name in `reasons`.
    field: &'static str,
    /// In the warning.
    what: &'static str,
    leave_out: fn(&mut JobResult),
}

/// What repeats something comes first, what nothing else in the record tells last.
const STEPS: [Step; 11] = [
    Step {
        field: "start",
        // The end of the repetition before says the same.
        what: "start, but of the first repetition",
        leave_out: |result| {
            for rep in result.reps.iter_mut().skip(1) {
                leave_out(&mut rep.start, "start", &mut rep.reasons);
            }
        },
    },
    Step {
        field: "text",
        what: "text",
        leave_out: |result| {
            for rep in &mut result.reps {
                leave_out(&mut rep.text, "text", &mut rep.reasons);
            }
        },
    },
    Step {
        field: "budget",
        what: "budget",
        leave_out: |result| result.reps.iter_mut().for_each(|rep| rep.budget.clear()),
    },
    Step {
        field: "timeline",
        what: "timeline of every rail but the primary",
        leave_out: |result| {
            let primary = result.primary_rail.clone();
            let timeline = &mut result.timeline;
            timeline.retain(|rail, _| Some(rail) == primary.as_ref());
        },
    },
    Step {
        field: "tpot_distribution_s",
        what: "tpot_distribution_s",
        leave_out: |result| {
            for rep in &mut result.reps {
                let distribution = &mut rep.tpot_distribution_s;
                leave_out(distribution, "tpot_distribution_s", &mut rep.reasons);
            }
        },
    },
    Step {
        field: "hardware",
        what: "hardware",
        leave_out: |result| {
            let phases = result.reps.iter_mut().flat_map(|rep| {
                let phases = [&mut rep.prefill, &mut rep.decode];
                phases.into_iter().flatten()
            });
            for counters in phases.map(|phase| &mut phase.counters) {
                leave_out(&mut counters.hardware, "hardware", &mut counters.reasons);
            }
        },
    },
    Step {
        field: "end",
        what: "end",
        leave_out: |result| {
            for rep in &mut result.reps {
                leave_out::<Moment>(&mut rep.end, "end", &mut rep.reasons);
            }
        },
    },
    Step {
        field: "timeline",
        what: "timeline of the primary rail",
        leave_out: |result| result.timeline.clear(),
    },
    // Each rail's total stays, and the summary over the repetitions.
    Step {
        field: "comparisons",
        what: "comparisons",
        leave_out: |result| result.comparisons.clear(),
    },
    // Shares and counts stay.
    Step {
        field: "picked",
        what: "picked",
        leave_out: |result| {
            if let Some(choice) = &mut result.choice {
                leave_out(&mut choice.picked, "picked", &mut choice.reasons);
                leave_out(&mut choice.picked_norm, "picked_norm", &mut choice.reasons);
            }
        },
    },
    Step {
        field: "reps",
        what: "reps",
        leave_out: |result| result.reps.clear(),
    },
];

/// Leaves out what has to be left out, so that the record can leave the board.
pub fn fitted(mut result: JobResult) -> JobResult {
    for step in &STEPS {
        if bytes(&result) <= MOST_BYTES {
            break;
        }
        (step.leave_out)(&mut result);
        result
            .reasons
            .insert(step.field.to_owned(), Reason::TooLarge);
        result.warnings.push(format!(
            "{}: left out, since the record would be larger than 128 KiB",
            step.what
        ));
    }
    result
}

fn bytes(result: &JobResult) -> usize {
    let json = serde_json::to_vec(result).expect("a record has only JSON-able fields");
    json.len()
}

fn leave_out<T>(value: &mut Option<T>, field: &str, reasons: &mut Reasons) {
    if value.take().is_some() {
        reasons.insert(field.to_owned(), Reason::TooLarge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing::{Play, context, counted, job, late_rail, real_rail};
    use crate::measure::{Ending, Recorded, TokenBatches};
    use crate::record::Stamped;
    use crate::units::Span;
    use crate::workload::{Limits, Phase};
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::LazyLock;

    /// A `bench` with depth on three rails, as large as a worker, a board and sensors make it,
    /// before anything is left out.
    fn deep_bench(reps: u32) -> JobResult {
        let mut play = Play::begin();
        for rep in 1..=reps {
            let odd = 0.1 + f64::from(rep) / 7.0;
            play.phase(Phase::Depth, Some(rep), Span(300_123_457), 9.0 + odd);
            play.bench(rep, 512, 128);
            play.phase(Phase::Depth, Some(rep), Span(300_123_457), 9.0 + odd);
            play.phase(Phase::Other, None, Span(1_000_003), 4.0 + odd);
            for phase in [Phase::Prefill, Phase::Decode] {
                play.observed.count(phase, Some(rep), counted(512));
            }
        }
        play.worked();
        play.idle_after();
        let play = play.end(Ending::Succeeded);
        let mut job = job(|job| {
            *job = json!({"id": "deep-bench", "kind": "bench", "model": "m.gguf", "n_prompt": 512,
                "n_gen": 128, "n_depth": 1024, "repetitions": 1});
        });
        job.repetitions = reps;
        let rails: Vec<Recorded> = [
            real_rail("input"),
            real_rail("module.vdd_cpu_gpu_cv"),
            late_rail("module.vdd_in"),
        ]
        .map(|spec| play.recorded(spec))
        .into();
        let context = context(job);
        let whole = super::super::whole(&context, &play.observed, &rails, TokenBatches::default());
        whole.result.body
    }

    static ONE_REP: LazyLock<JobResult> = LazyLock::new(|| deep_bench(1));

    fn of_wire(result: JobResult) -> usize {
        let stamped: Stamped<JobResult> = context(job(|_| ())).stamped(result);
        stamped.to_json().len()
    }

    #[test]
    fn a_deep_bench_of_all_repetitions_fits_without_giving_up_its_figures() {
        let whole = deep_bench(Limits::default().repetitions);
        assert!(bytes(&whole) > 2 * MOST_BYTES);
        let result = fitted(whole.clone());
        assert!(of_wire(result.clone()) < 128 * 1024);
        assert_eq!(result.reps.len(), whole.reps.len());
        for (rep, whole) in result.reps.iter().zip(&whole.reps) {
            assert_eq!(rep.figures, whole.figures);
        }
        assert_eq!(
            (&result.total, &result.summary),
            (&whole.total, &whole.summary)
        );
        assert_eq!(result.reasons["timeline"], Reason::TooLarge);
    }

    /// It costs its own place, not that of what was measured.
    #[test]
    fn a_long_text_is_left_out_and_says_so() {
        let mut whole = deep_bench(2);
        whole.reps[1].text = Some("\u{1}".repeat(40_000));
        let result = fitted(whole.clone());
        assert!(of_wire(result.clone()) < 128 * 1024);
        assert_eq!(result.reps[1].text, None);
        assert_eq!(result.reps[1].reasons["text"], Reason::TooLarge);
        assert!(!result.reps[0].reasons.contains_key("text"));
        assert_eq!(result.reps[1].budget, whole.reps[1].budget);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        /// Whatever an administrator allows: repetitions, rails, texts.
        #[test]
        fn whatever_was_measured_fits(
            reps in 0_usize..150,
            rails in 0_usize..24,
            text in prop::option::of(0_usize..4_000),
        ) {
            let mut result = ONE_REP.clone();
            let rep = result.reps[0].clone();
            result.reps = vec![rep; reps];
            for rep in &mut result.reps {
                rep.text = text.map(|length| "\"ü\n".repeat(length));
            }
            let intervals = result.timeline["input"].clone();
            let all = result.timeline.values_mut();
            all.for_each(|rail| *rail = intervals.iter().cycle().take(5 + 6 * reps).cloned().collect());
            for k in 0..rails {
                let rail = &result.rails[1];
                let name = format!("{}_{k}", rail.name);
                let timeline = result.timeline[&rail.name].clone();
                let total = result.total[&rail.name].clone();
                result.rails.push(rail.clone());
                result.timeline.insert(name.clone(), timeline);
                result.total.insert(name, total);
            }
            let fits = bytes(&result) <= MOST_BYTES;
            let fitted = fitted(result.clone());
            prop_assert!(of_wire(fitted.clone()) < 128 * 1024);
            if fits {
                prop_assert_eq!(fitted, result);
            }
        }
    }
}
