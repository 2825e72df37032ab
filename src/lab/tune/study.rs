//! One tuning: what it is about, and the names and texts of its jobs. The same question to the
//! same board has the same name, so that its jobs are known again.

use super::candidate::Candidate;
use super::order::{Order, Part, Rules};
use crate::workload::Params;
use crate::workload::job::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    pub v: u32,
    pub device: String,
    pub model: String,
    pub model_sha256: String,
    pub rules: Rules,
    /// Jobs that are marked (`left_out`) count all the same.
    pub include_marked: bool,
    /// Makes names anew where the same question is asked again.
    pub salt: String,
}

impl Study {
    /// Eight hexadecimal digits.
    pub fn name(&self) -> String {
        let text = serde_json::to_string(self).expect("a study has only JSON-able fields");
        hex(&Sha256::digest(text))[..8].to_owned()
    }

    /// `tune-1a2b3c4d-threads.1-2.3`: rung 1, round 2, its third job.
    pub fn id(&self, order: &Order) -> String {
        let place = order.place;
        let part = match order.part {
            Part::First => "first".to_owned(),
            Part::Rung { stage, rung } => format!("{}.{rung}", stage.as_str()),
            Part::Check => "check".to_owned(),
        };
        let again = match place.repeated {
            0 => String::new(),
            n => format!("-again{n}"),
        };
        let (round, job) = (place.round, place.job);
        format!("tune-{}-{part}-{round}.{job}{again}", self.name())
    }

    pub fn job(&self, order: &Order) -> Value {
        let mut job = self.to_paste(&order.candidate);
        let part = match order.part {
            Part::First => "first",
            Part::Rung { stage, .. } => stage.as_str(),
            Part::Check => "check",
        };
        let sizes = order.sizes;
        let rest = json!({
            "v": 1, "id": self.id(order), "kind": "bench",
            "model": self.model, "model_sha256": self.model_sha256,
            "n_prompt": sizes.n_prompt, "n_gen": sizes.n_gen, "n_depth": sizes.n_depth,
            "repetitions": sizes.repetitions, "warmup": 1,
            "idle": {"before_s": 0, "after_s": 0},
            "publish": {"tokens": "none"},
            "tags": {"tune": self.name(), "part": part, "candidate": order.candidate.label()},
        });
        if let Value::Object(rest) = rest {
            job.extend(rest);
        }
        Value::Object(job)
    }

    /// A candidate's fields of a job.
    pub fn to_paste(&self, candidate: &Candidate) -> Map<String, Value> {
        let mut fields = candidate.job_fields();
        if self.rules.n_ctx != Params::default().n_ctx {
            fields["params"]["n_ctx"] = json!(self.rules.n_ctx);
        }
        fields
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::goal::{Bounds, Goal, Objective};
    use super::super::series::Place;
    use super::super::sizes::Sizes;
    use super::super::space::{Space, Stage};
    use super::*;
    use crate::workload::{Job, Limits};

    pub fn study() -> Study {
        Study {
            v: 1,
            device: "pi5-01".to_owned(),
            model: "smol.gguf".to_owned(),
            model_sha256: "ab".repeat(32),
            rules: Rules {
                goal: Goal {
                    objective: Objective::Energy,
                    bounds: Bounds::default(),
                    n_prompt: 512,
                    n_gen: 128,
                },
                space: Space::usual(4),
                seconds: 1.0,
                n_ctx: 2048,
                rungs: 3,
                rounds: 6,
                budget_s: None,
            },
            include_marked: false,
            salt: String::new(),
        }
    }

    fn order(part: Part, repeated: u32) -> Order {
        Order {
            part,
            place: Place {
                round: 2,
                job: 3,
                repeated,
            },
            candidate: Candidate {
                threads: Some(2),
                ..Candidate::default()
            },
            sizes: Sizes {
                n_prompt: 128,
                n_gen: 20,
                n_depth: 0,
                repetitions: 1,
            },
        }
    }

    #[test]
    fn a_job_is_one_that_a_board_takes() {
        let study = study();
        let rung = Part::Rung {
            stage: Stage::Accelerator,
            rung: 1,
        };
        let job = study.job(&order(rung, 2));
        let parsed = Job::parse(job.to_string().as_bytes(), &Limits::default()).unwrap();
        assert_eq!(parsed.params.threads, Some(2));
        assert_eq!(parsed.params.n_ctx, 2048);
        let name = study.name();
        let id = format!("tune-{name}-accelerator.1-2.3-again2");
        assert_eq!(parsed.id.as_str(), id);
        assert_eq!(job["tags"]["candidate"], "threads 2");
    }

    #[test]
    fn another_question_has_another_name() {
        let study = study();
        assert_eq!(study.name(), self::study().name());
        let mut other = study.clone();
        other.rules.goal.n_gen = 64;
        assert_ne!(study.name(), other.name());
        other = study.clone();
        other.salt = "1".to_owned();
        assert_ne!(
            study.id(&order(Part::First, 0)),
            other.id(&order(Part::First, 0))
        );
        let text = serde_json::to_string(&study).unwrap();
        assert_eq!(serde_json::from_str::<Study>(&text).unwrap(), study);
    }

    #[test]
    fn a_context_other_than_usual_is_pasted_too() {
        let mut study = study();
        study.rules.n_ctx = 4096;
        let fields = study.to_paste(&Candidate::default());
        assert_eq!(fields["params"], json!({"n_ctx": 4096}));
    }
}
