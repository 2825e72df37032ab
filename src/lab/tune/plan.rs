//! What a tuning would do, before anything has run: candidates, jobs, about how long.

use super::candidate::Candidate;
use super::measured::{EngineFacts, Measured};
use super::order::Rules;
use super::sizes::{Pace, Purpose, RUNGS};
use super::space::{Resolved, Stage};
use serde::Serialize;

/// What is taken for the board's pace until its first job tells.
pub const ASSUMED_PREFILL_TOK_S: f64 = 100.0;
pub const ASSUMED_DECODE_TOK_S: f64 = 20.0;
pub const ASSUMED_BESIDES_S: f64 = 3.0;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    pub stages: Vec<Planned>,
    /// Where each stage is decided after its first rung, and where nothing goes before its last.
    pub least: Effort,
    pub most: Effort,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    pub stage: Stage,
    /// Beside the defaults, and the best of the stages before.
    pub candidates: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Effort {
    pub jobs: u32,
    pub seconds: f64,
}

/// As though the defaults had one thread for each of `cpus`.
pub fn plan(rules: &Rules, cpus: u32) -> Plan {
    let resolved = Resolved {
        threads: cpus,
        flash_attn: None,
    };
    let pace = assumed(rules);
    let seconds = |purpose| {
        let sizes = pace.sizes(&rules.goal, purpose, rules.seconds, rules.n_ctx);
        pace.estimate_s(&sizes)
    };
    let mut stages = Vec::new();
    let (mut least, mut most) = (Effort::default(), Effort::default());
    least.add(1, ASSUMED_BESIDES_S);
    most.add(1, ASSUMED_BESIDES_S);
    for stage in Stage::ALL {
        let tried = rules.space.around(stage, &Candidate::default(), &resolved);
        if tried.is_empty() {
            continue;
        }
        let alone = tried.len() as u32 + 2;
        let before = u32::from(!stages.is_empty());
        for (rung, (rounds, _)) in (1..=rules.rungs).zip(RUNGS) {
            let job_s = seconds(Purpose::Rung(stage, rung));
            if rung == 1 {
                least.add(rounds * alone, job_s);
            }
            most.add(rounds * (alone + before), job_s);
        }
        stages.push(Planned {
            stage,
            candidates: tried.iter().map(Candidate::label).collect(),
        });
    }
    if !stages.is_empty() {
        most.add(2 * rules.rounds, seconds(Purpose::Check));
    }
    Plan {
        stages,
        least,
        most,
    }
}

fn assumed(rules: &Rules) -> Pace {
    let measured = Measured {
        prefill_tok_s: Some(ASSUMED_PREFILL_TOK_S),
        decode_tok_s: Some(ASSUMED_DECODE_TOK_S),
        engine: EngineFacts::default(),
        ..Measured::default()
    };
    let warmup_s = f64::from(rules.goal.n_prompt) / ASSUMED_PREFILL_TOK_S;
    Pace::of(&rules.goal, &measured, ASSUMED_BESIDES_S + warmup_s).expect("it has both speeds")
}

impl Effort {
    fn add(&mut self, jobs: u32, seconds: f64) {
        self.jobs += jobs;
        self.seconds += f64::from(jobs) * seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::super::study::tests::study;
    use super::*;

    #[test]
    fn stages_with_something_to_try_are_planned() {
        let mut rules = study().rules;
        let all = plan(&rules, 4);
        let names: Vec<&str> = all.stages.iter().map(|s| s.stage.as_str()).collect();
        assert_eq!(names, ["accelerator", "threads", "batch", "attention"]);
        assert_eq!(
            all.stages[1].candidates,
            ["threads 1", "threads 2", "threads 3"]
        );
        assert!(all.least.jobs < all.most.jobs && all.least.seconds < all.most.seconds);

        rules.space = rules.space.only(&[super::super::space::Axis::Threads]);
        let threads = plan(&rules, 4);
        // The first job; five in each of three rounds.
        assert_eq!(threads.least.jobs, 1 + 3 * 5);
        assert_eq!(threads.most.jobs, 1 + (3 + 4 + 6) * 5 + 2 * 6);
        rules.space = rules.space.only(&[]);
        assert_eq!(plan(&rules, 4).most.jobs, 1);
    }
}
