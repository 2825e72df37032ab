//! The command line of `joulectl tune`.

use super::board::Facts;
use super::goal::{Bounds, Goal, Objective};
use super::order::Rules;
use super::space::{Axis, Space};
use super::study::Study;
use crate::lab::LabError;
use crate::lab::collect::time;
use crate::workload::{KvType, ModelName};
use clap::builder::RangedU64ValueParser;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// A model in the board's model directory
    #[arg(value_name = "MODEL")]
    pub model: ModelName,
    /// What is to be least
    #[arg(long, value_enum, default_value_t = Objective::Energy)]
    pub objective: Objective,
    /// Tokens of the prompt that is tuned for
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = count(1, 1_000_000))]
    pub n_prompt: u32,
    /// Tokens of the output that is tuned for
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = count(1, 1_000_000))]
    pub n_gen: u32,
    /// Tokens of context
    #[arg(long, value_name = "N", default_value_t = 2048, value_parser = count(512, 1_000_000))]
    pub n_ctx: u32,
    /// Longest time that the prompt may take
    #[arg(long, value_name = "S", value_parser = positive, help_heading = "Bounds")]
    pub max_ttft: Option<f64>,
    /// Longest time from an output token to the next
    #[arg(long, value_name = "S", value_parser = positive, help_heading = "Bounds")]
    pub max_tpot: Option<f64>,
    /// Fewest output tokens a second
    #[arg(long, value_name = "X", value_parser = positive, help_heading = "Bounds")]
    pub min_tok_s: Option<f64>,
    /// Settings to explore, separated by commas [default: all]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "AXIS",
        help_heading = "Candidates"
    )]
    pub explore: Vec<Axis>,
    /// Numbers of threads to try [default: a quarter, half, three quarters, all but one of the
    /// CPUs]
    #[arg(long, short, value_delimiter = ',', value_name = "N", value_parser = count(1, 1024),
          help_heading = "Candidates")]
    pub threads: Vec<u32>,
    /// Sizes of a batch to try [default: 256,128]
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = count(1, 1_000_000),
          help_heading = "Candidates")]
    pub n_batch: Vec<u32>,
    /// Element types of the KV cache to try [default: q8_0]
    #[arg(long, value_delimiter = ',', value_name = "TYPE", value_parser = kv_type,
          help_heading = "Candidates")]
    pub kv_type: Vec<KvType>,
    /// Numbers of layers on the accelerator to try [default: all]
    #[arg(long, value_delimiter = ',', value_name = "N", value_parser = count(0, 10_000),
          help_heading = "Candidates")]
    pub gpu_layers: Vec<u32>,
    /// Governors to try [default: those that the board offers]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME",
        help_heading = "Candidates"
    )]
    pub governor: Vec<String>,
    /// Rounds of the last check, of the choice against the defaults
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = count(3, 100),
          help_heading = "Effort")]
    pub rounds: u32,
    /// Rungs of a stage; each has longer jobs and tells smaller differences
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count(1, 3),
          help_heading = "Effort")]
    pub rungs: u32,
    /// Time that all may take, such as 20min; without it nothing is left out for want of time
    #[arg(long, value_name = "TIME", help_heading = "Effort")]
    pub time: Option<String>,
    /// Least seconds of decoding in a job of the first rung; all jobs grow with it
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = positive,
          help_heading = "Effort")]
    pub seconds: f64,
    /// Count jobs that were contended or throttled, or had a setting changed meanwhile, all the same
    #[arg(long, help_heading = "Effort")]
    pub include_marked: bool,
    /// Folder of the journal, the report and every job's result; what was begun there is gone on
    /// with [default: tune-MODEL-DEVICE]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Begin anew, with jobs of their own
    #[arg(long)]
    pub fresh: bool,
    /// Print what would be tried and about how long it takes, and send nothing
    #[arg(long)]
    pub plan: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn count(least: u64, most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(least..=most)
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("not a number above 0".to_owned()),
    }
}

fn kv_type(text: &str) -> Result<KvType, String> {
    serde_json::from_value(json!(text))
        .map_err(|_| "not one of f32, f16, bf16, q8_0, q4_0".to_owned())
}

impl Options {
    pub fn study(&self, facts: &Facts) -> Result<Study, LabError> {
        let model = self.model.as_str();
        let model_sha256 = facts.model_sha256(model)?;
        let goal = self.goal();
        if goal.objective.needs_energy() && !facts.has_primary_rail() {
            return Err(LabError::Usage(format!(
                "board {} measures no power (it has no primary rail), so nothing can be tuned \
                 for energy; --objective decode or prefill tunes for speed",
                facts.board.name()
            )));
        }
        if self.n_prompt.max(self.n_gen) > self.n_ctx {
            return Err(LabError::Usage(format!(
                "--n-ctx {}: prompt and output have up to {} tokens",
                self.n_ctx,
                self.n_prompt.max(self.n_gen)
            )));
        }
        if let Some(larger) = self.n_batch.iter().find(|size| **size > self.n_ctx) {
            return Err(LabError::Usage(format!(
                "--n-batch {larger}: a batch is at most the context, {} tokens (--n-ctx)",
                self.n_ctx
            )));
        }
        let budget = match &self.time {
            Some(text) => Some(time("--time", text)?.as_secs_f64()),
            None => None,
        };
        Ok(Study {
            v: 1,
            device: facts.board.name().to_owned(),
            model: model.to_owned(),
            model_sha256,
            rules: Rules {
                goal,
                space: self.space(facts),
                seconds: self.seconds,
                n_ctx: self.n_ctx,
                rungs: self.rungs,
                rounds: self.rounds,
                budget_s: budget,
            },
            include_marked: self.include_marked,
            salt: String::new(),
        })
    }

    fn goal(&self) -> Goal {
        let by_speed = self.min_tok_s.map(f64::recip);
        let tpot_s = match (self.max_tpot, by_speed) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Goal {
            objective: self.objective,
            bounds: Bounds {
                ttft_s: self.max_ttft,
                tpot_s,
            },
            n_prompt: self.n_prompt,
            n_gen: self.n_gen,
        }
    }

    fn space(&self, facts: &Facts) -> Space {
        let usual = Space {
            governor: facts.governors(),
            ..Space::usual(facts.cpus())
        };
        let mut n_batch = or(&self.n_batch, usual.n_batch);
        // A batch as large as the prompt is as good as any larger.
        n_batch.retain(|size| self.n_batch.contains(size) || *size < self.n_prompt);
        let space = Space {
            gpu_layers: or(&self.gpu_layers, usual.gpu_layers),
            threads: or(&self.threads, usual.threads),
            n_batch,
            repack: usual.repack,
            flash_attn: usual.flash_attn,
            kv_type: or(&self.kv_type, usual.kv_type),
            governor: or(&self.governor, usual.governor),
        };
        match self.explore.is_empty() {
            true => space,
            false => space.only(&self.explore),
        }
    }

    pub fn folder(&self, device: &str) -> PathBuf {
        let model = self.model.as_str().trim_end_matches(".gguf");
        let name = format!("tune-{model}-{device}");
        self.out.clone().unwrap_or_else(|| PathBuf::from(name))
    }
}

fn or<T: Clone>(wished: &[T], usual: Vec<T>) -> Vec<T> {
    match wished.is_empty() {
        true => usual,
        false => wished.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::target::Board;
    use clap::{Args, FromArgMatches};

    fn options(words: &[&str]) -> Result<Options, String> {
        let command = Options::augment_args(clap::Command::new("tune"));
        let words = [&["tune", "m.gguf"], words].concat();
        let matches = command.try_get_matches_from(words);
        let matches = matches.map_err(|error| error.to_string())?;
        Ok(Options::from_arg_matches(&matches).unwrap())
    }

    fn study(words: &[&str], info: serde_json::Value) -> Result<Study, LabError> {
        let facts = Facts::new(Board::new("jouled", "pi5-01"), info);
        options(words).unwrap().study(&facts)
    }

    fn info() -> serde_json::Value {
        json!({"board": {"cpus": 4}, "primary_rail": "input",
            "models": [{"name": "m.gguf", "sha256": "ab"}]})
    }

    #[test]
    fn what_is_left_out_is_usual_for_the_board() {
        let study = study(&[], info()).unwrap();
        assert_eq!(study.rules.space, Space::usual(4));
        let short = self::study(&["--n-prompt", "200"], info()).unwrap();
        assert_eq!(short.rules.space.n_batch, [128]);
    }

    #[test]
    fn lists_bounds_and_axes() {
        let words = [
            "--threads",
            "1,4",
            "--explore",
            "threads,kv-type",
            "--kv-type",
            "q4_0,bf16",
            "--max-tpot",
            "0.2",
            "--min-tok-s",
            "10",
            "--time",
            "20min",
        ];
        let rules = study(&words, info()).unwrap().rules;
        assert_eq!(rules.space.threads, [1, 4]);
        assert_eq!(rules.space.kv_type, [KvType::Q4_0, KvType::Bf16]);
        assert!(rules.space.repack.is_empty() && rules.space.gpu_layers.is_empty());
        assert_eq!(rules.goal.bounds.tpot_s, Some(0.1));
        assert_eq!(rules.budget_s, Some(1200.0));
    }

    #[test]
    fn what_cannot_be_is_a_usage_error() {
        for words in [
            &["--max-ttft", "0"][..],
            &["--threads", "0"],
            &["--kv-type", "q9"],
            &["--n-gen", "0"],
            &["--rounds", "2"],
            &["--explore", "wheels"],
        ] {
            assert!(options(words).is_err(), "{words:?}");
        }
        for (words, part) in [
            (&["--n-prompt", "4096"][..], "--n-ctx"),
            (&["--n-batch", "4096"], "--n-batch"),
            (&["--time", "soon"], "--time"),
        ] {
            let error = study(words, info()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn without_a_rail_speed_alone_can_be_tuned() {
        let mut info = info();
        info["primary_rail"] = json!(null);
        let error = study(&[], info.clone()).unwrap_err().to_string();
        assert!(error.contains("--objective decode"), "{error}");
        assert!(study(&["--objective", "balanced"], info.clone()).is_err());
        assert!(study(&["--objective", "prefill"], info).is_ok());
    }
}
