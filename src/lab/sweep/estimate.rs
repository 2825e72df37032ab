//! How long a job will take and what it will cost: from results of the same point, else from the
//! speeds of the same model with as many threads on the board, else from what the user expects.
//! Where none of them tells, nothing is known. Seconds and joules of whole jobs, from the spawning
//! of the worker to the end of `idle_after`; cool-down is in none of them.

use super::manifest::Rates;
use super::study::Point;
use crate::record::Stamped;
use crate::record::result::JobResult;
use crate::workload::{Job, JobState, Kind};
use serde::Serialize;

/// What an estimate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    SamePoint,
    Similar,
    Rates,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    pub time_s: Option<f64>,
    pub energy_j: Option<f64>,
    pub basis: Basis,
    /// Results behind it.
    pub results: usize,
    /// Whether its joules are those of no real board.
    pub simulated: bool,
}

impl Estimate {
    const UNKNOWN: Self = Self {
        time_s: None,
        energy_j: None,
        basis: Basis::Unknown,
        results: 0,
        simulated: false,
    };
}

/// What one job has taken.
#[derive(Debug, Clone, PartialEq)]
struct Shown {
    device: String,
    /// Of the point that it was.
    content: Option<String>,
    like: Like,
    time_s: f64,
    energy_j: Option<f64>,
    simulated: bool,
    speeds: Speeds,
}

/// What speeds depend on most.
#[derive(Debug, Clone, PartialEq)]
struct Like {
    model: Option<String>,
    threads: Option<u32>,
    gpu_layers: u32,
}

/// Of the parts of a job; `None` where nothing told.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Speeds {
    load_s: Option<f64>,
    load_j: Option<f64>,
    idle_w: Option<f64>,
    prefill_tok_s: Option<f64>,
    decode_tok_s: Option<f64>,
    j_per_prompt_token: Option<f64>,
    j_per_output_token: Option<f64>,
}

/// Everything that is known before a study.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    shown: Vec<Shown>,
    rates: Rates,
}

impl Knowledge {
    pub fn new(rates: Rates) -> Self {
        Self {
            shown: Vec::new(),
            rates,
        }
    }

    /// Learns from a result; `content` is that of the point that it was, where that is known.
    pub fn learn(&mut self, result: &Stamped<JobResult>, content: Option<String>) {
        let body = &result.body;
        let ends = body
            .timeline
            .values()
            .flatten()
            .map(|interval| interval.t1_ns);
        let Some(end_ns) = ends.max().filter(|_| body.state == JobState::Succeeded) else {
            return;
        };
        let total = body
            .primary_rail
            .as_ref()
            .and_then(|rail| body.total.get(rail));
        let summary = body.summary.as_ref();
        let median = |of: fn(
            &crate::record::result::Summary,
        ) -> &Option<crate::record::result::Statistic>| {
            summary
                .and_then(|summary| of(summary).as_ref())
                .map(|statistic| statistic.median)
        };
        self.shown.push(Shown {
            device: result.stamp.device.clone(),
            content,
            like: Like {
                model: body.model.as_ref().map(|model| model.name.clone()),
                threads: body.params.threads,
                gpu_layers: body.params.gpu_layers,
            },
            time_s: end_ns as f64 * 1e-9,
            energy_j: total.and_then(|total| total.energy_j),
            simulated: body.rails.iter().any(|rail| rail.simulated),
            speeds: Speeds {
                load_s: body.load.as_ref().map(|load| load.duration_s),
                load_j: body.load.as_ref().and_then(|load| load.energy_j),
                idle_w: body.idle.before.as_ref().and_then(|idle| idle.power_w),
                prefill_tok_s: median(|summary| &summary.prefill_tok_s),
                decode_tok_s: median(|summary| &summary.decode_tok_s),
                j_per_prompt_token: median(|summary| &summary.j_per_prompt_token),
                j_per_output_token: median(|summary| &summary.j_per_output_token),
            },
        });
    }

    /// A job of the point on this board.
    pub fn estimate(&self, device: &str, point: &Point) -> Estimate {
        let here = || self.shown.iter().filter(|shown| shown.device == device);
        let same: Vec<&Shown> = here()
            .filter(|shown| shown.content.as_ref() == Some(&point.content))
            .collect();
        if !same.is_empty() {
            return Estimate {
                time_s: mean(same.iter().map(|shown| Some(shown.time_s))),
                energy_j: mean(same.iter().map(|shown| shown.energy_j)),
                basis: Basis::SamePoint,
                results: same.len(),
                simulated: same.iter().any(|shown| shown.simulated),
            };
        }
        let Some(job) = point.parsed() else {
            return Estimate::UNKNOWN;
        };
        let like = Like {
            model: job.model.as_ref().map(ToString::to_string),
            threads: job.params.threads,
            gpu_layers: job.params.gpu_layers,
        };
        let similar: Vec<&Shown> = here().filter(|shown| shown.like == like).collect();
        let of = |field: fn(&Speeds) -> Option<f64>| {
            mean(similar.iter().map(|shown| field(&shown.speeds)))
        };
        let speeds = Speeds {
            load_s: of(|speeds| speeds.load_s),
            load_j: of(|speeds| speeds.load_j),
            idle_w: of(|speeds| speeds.idle_w),
            prefill_tok_s: of(|speeds| speeds.prefill_tok_s),
            decode_tok_s: of(|speeds| speeds.decode_tok_s),
            j_per_prompt_token: of(|speeds| speeds.j_per_prompt_token),
            j_per_output_token: of(|speeds| speeds.j_per_output_token),
        };
        if let Some(time_s) = time_s(&job, &speeds) {
            return Estimate {
                time_s: Some(time_s),
                energy_j: energy_j(&job, &speeds),
                basis: Basis::Similar,
                results: similar.len(),
                simulated: similar.iter().any(|shown| shown.simulated),
            };
        }
        let expected = Speeds {
            load_s: self.rates.load_s,
            prefill_tok_s: self.rates.prefill_tok_s,
            decode_tok_s: self.rates.decode_tok_s,
            ..Speeds::default()
        };
        match time_s(&job, &expected) {
            None => Estimate::UNKNOWN,
            Some(time_s) => Estimate {
                time_s: Some(time_s),
                energy_j: self.rates.power_w.map(|power_w| power_w * time_s),
                basis: Basis::Rates,
                results: 0,
                simulated: false,
            },
        }
    }
}

/// Of those that are known; `None` where none is.
pub fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Tokens of prompt and output in one repetition. How many a text has is only known to the
/// model; a quarter of its bytes is usual for English.
fn tokens(job: &Job) -> Option<(f64, f64)> {
    match job.kind {
        Kind::Bench => {
            let sizes = job.bench_sizes();
            let prompt = f64::from(sizes.n_depth) + f64::from(sizes.n_prompt);
            Some((prompt, f64::from(sizes.n_gen)))
        }
        Kind::Generate => {
            let bytes = match job.prompt()? {
                crate::workload::Prompt::Text(text) => text.len(),
                crate::workload::Prompt::Messages(messages) => {
                    messages.iter().map(|message| message.content.len()).sum()
                }
            };
            Some(((bytes as f64 / 4.0).ceil(), f64::from(job.n_predict)))
        }
        // All of that is asked for: a text may be shorter.
        Kind::Perplexity => {
            let chunks = f64::from(job.n_chunks?);
            Some((chunks * f64::from(job.params.n_ctx), 0.0))
        }
        // How long its items are, the board's file says.
        Kind::Choice | Kind::Idle => None,
    }
}

/// `count` of something at a rate; nothing takes no time at any rate.
fn at(count: f64, rate: Option<f64>) -> Option<f64> {
    match count > 0.0 {
        true => rate.map(|rate| count / rate),
        false => Some(0.0),
    }
}

fn time_s(job: &Job, speeds: &Speeds) -> Option<f64> {
    let idle_s = job.idle.before_s + job.idle.after_s;
    if job.kind == Kind::Idle {
        return job.duration_s.map(|duration_s| duration_s + idle_s);
    }
    let (prompt, output) = tokens(job)?;
    let each = at(prompt, speeds.prefill_tok_s)? + at(output, speeds.decode_tok_s)?;
    Some(speeds.load_s? + idle_s + runs(job) * each)
}

fn energy_j(job: &Job, speeds: &Speeds) -> Option<f64> {
    let (prompt, output) = tokens(job)?;
    let times = |count: f64, figure: Option<f64>| match count > 0.0 {
        true => figure.map(|figure| figure * count),
        false => Some(0.0),
    };
    let each =
        times(prompt, speeds.j_per_prompt_token)? + times(output, speeds.j_per_output_token)?;
    let idle_s = job.idle.before_s + job.idle.after_s;
    Some(speeds.load_j? + speeds.idle_w? * idle_s + runs(job) * each)
}

/// Repetitions, those before that are not measured among them: of a text only a chunk each.
fn runs(job: &Job) -> f64 {
    let chunks = job.n_chunks.map_or(1.0, f64::from);
    f64::from(job.warmup) / chunks + f64::from(job.repetitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::testing::of;
    use crate::lab::testing::{self, DEVICE};

    const MODEL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

    /// 100 tokens of prompt and 50 of output, four times, and 15 s of idling.
    fn point(model: &str) -> Point {
        let study = of(&format!(
            "name = 'a'\n[[matrix]]\nkind = 'bench'\nmodel = '{model}'\nthreads = 2\n\
             n_prompt = 100\nn_gen = 50\n"
        ));
        study.points[0].clone()
    }

    #[test]
    fn nothing_is_made_up() {
        let knowledge = Knowledge::default();
        assert_eq!(knowledge.estimate(DEVICE, &point(MODEL)), Estimate::UNKNOWN);
        let half = Knowledge::new(Rates {
            prefill_tok_s: Some(100.0),
            load_s: Some(1.0),
            ..Rates::default()
        });
        assert_eq!(half.estimate(DEVICE, &point(MODEL)).time_s, None);
    }

    #[test]
    fn what_the_user_expects_counts_where_no_result_tells() {
        let mut rates = Rates {
            load_s: Some(1.0),
            prefill_tok_s: Some(100.0),
            decode_tok_s: Some(10.0),
            power_w: None,
        };
        let estimate = Knowledge::new(rates).estimate(DEVICE, &point(MODEL));
        assert_eq!(estimate.time_s, Some(1.0 + 15.0 + 4.0 * 6.0));
        assert_eq!((estimate.energy_j, estimate.basis), (None, Basis::Rates));
        rates.power_w = Some(5.0);
        let estimate = Knowledge::new(rates).estimate(DEVICE, &point(MODEL));
        assert_eq!(estimate.energy_j, Some(200.0));
    }

    #[test]
    fn chunks_of_a_text_are_prompts_and_a_warmup_is_one_of_them() {
        let study = of(
            "name = 'a'\n[job]\nrepetitions = 2\n[[matrix]]\nkind = 'perplexity'\n\
             model = 'x.gguf'\ndata = 'text'\nn_ctx = 512\nn_chunks = [4]\n\
             [[matrix]]\nkind = 'choice'\nmodel = 'x.gguf'\ndata = 'items'\n",
        );
        let rates = Rates {
            load_s: Some(1.0),
            prefill_tok_s: Some(100.0),
            ..Rates::default()
        };
        let of = |at: usize| Knowledge::new(rates).estimate(DEVICE, &study.points[at]);
        let job = study.points[0].parsed().unwrap();
        let idle_s = job.idle.before_s + job.idle.after_s;
        let expected = 1.0 + idle_s + (2.0 * 4.0 + f64::from(job.warmup)) * 5.12;
        assert!(
            (of(0).time_s.unwrap() - expected).abs() < 1e-9,
            "{:?}",
            of(0)
        );
        assert_eq!(of(1), Estimate::UNKNOWN);
    }

    #[test]
    fn results_of_the_same_point_come_before_those_of_the_same_model() {
        let mut result = testing::result();
        let (time_s, energy_j) = {
            let last = result.body.timeline["input"].last().unwrap();
            (
                last.t1_ns as f64 * 1e-9,
                result.body.total["input"].energy_j,
            )
        };
        let this = point(MODEL);
        let mut knowledge = Knowledge::default();
        knowledge.learn(&result, Some(this.content.clone()));
        let same = knowledge.estimate(DEVICE, &this);
        assert_eq!(same.time_s, Some(time_s));
        assert_eq!(
            (same.energy_j, same.basis, same.results),
            (energy_j, Basis::SamePoint, 1)
        );
        assert_eq!(knowledge.estimate("other", &this).basis, Basis::Unknown);
        assert_eq!(
            knowledge.estimate(DEVICE, &point("x")).basis,
            Basis::Unknown
        );

        let mut knowledge = Knowledge::default();
        knowledge.learn(&result, None);
        let similar = knowledge.estimate(DEVICE, &this);
        assert_eq!((similar.basis, similar.results), (Basis::Similar, 1));
        let each = 100.0 / 422.1 + 50.0 / 138.12;
        let expected = 0.4 + 15.0 + 4.0 * each;
        assert!(
            (similar.time_s.unwrap() - expected).abs() < 1e-6,
            "{similar:?}"
        );
        // Its prompt tokens had too few windows for an energy.
        assert_eq!(similar.energy_j, None);
        result.body.state = JobState::Failed;
        let mut knowledge = Knowledge::default();
        knowledge.learn(&result, None);
        assert_eq!(knowledge.estimate(DEVICE, &this), Estimate::UNKNOWN);
    }
}
