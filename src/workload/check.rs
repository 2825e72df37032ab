//! Parsing and checking a job: strict, against the administrator's limits, with the path of
//! the offending field.

use super::Limits;
use super::job::{Job, Kind, Prompt, VERSION};
use crate::strict_json;
use serde::{Deserialize, Serialize};

/// Why a job was refused. `field` is the path of the offending field, where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    pub code: SpecErrorCode,
    pub message: String,
    pub field: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpecErrorCode {
    InvalidSpec,
    /// Declared in the contract, not built in this version.
    Unsupported,
}

impl SpecError {
    fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self {
            code: SpecErrorCode::InvalidSpec,
            message: message.into(),
            field: Some(field.to_owned()),
        }
    }

    fn unsupported(field: &str, message: impl Into<String>) -> Self {
        Self {
            code: SpecErrorCode::Unsupported,
            message: message.into(),
            field: Some(field.to_owned()),
        }
    }
}

impl Job {
    /// Parses and checks a job.
    ///
    /// Errors: `invalid-spec` with the path of the field, or `unsupported` for what the
    /// contract declares and this version does not do.
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Job, SpecError> {
        let job: Job = strict_json::read(payload).map_err(|error| SpecError {
            code: SpecErrorCode::InvalidSpec,
            message: error.message,
            field: error.field,
        })?;
        job.check(limits)?;
        Ok(job)
    }

    fn check(&self, limits: &Limits) -> Result<(), SpecError> {
        if self.v != VERSION {
            return Err(SpecError::invalid("v", "this daemon speaks version 1"));
        }
        self.check_kind(limits)?;
        self.check_params(limits)?;
        in_range("repetitions", self.repetitions, 1, limits.repetitions)?;
        in_range("warmup", self.warmup, 0, 10)?;
        in_range("timeout_s", self.timeout_s, 1, limits.timeout_s)?;
        in_range("max_attempts", self.max_attempts, 1, 10)?;
        for (field, seconds) in [
            ("idle.before_s", self.idle.before_s),
            ("idle.after_s", self.idle.after_s),
        ] {
            if !(0.0..=600.0).contains(&seconds) {
                return Err(SpecError::invalid(field, "must be 0 to 600 seconds"));
            }
        }
        in_range(
            "publish.tokens_every_ms",
            self.publish.tokens_every_ms,
            0,
            60_000,
        )?;
        self.check_tags()?;
        if let Some(sha256) = &self.model_sha256 {
            let is_hex = sha256.bytes().all(|b| b.is_ascii_hexdigit());
            if sha256.len() != 64 || !is_hex {
                return Err(SpecError::invalid("model_sha256", "must be 64 hex digits"));
            }
        }
        self.check_power()
    }

    /// What no board can have. What this one has is known to its power service.
    fn check_power(&self) -> Result<(), SpecError> {
        for (field, name, longest) in [
            ("power_mode", &self.power_mode, 64),
            ("governor", &self.governor, 32),
        ] {
            let can_be = |name: &String| {
                (1..=longest).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
            };
            if name.as_ref().is_some_and(|name| !can_be(name)) {
                let message = format!("must be a name of 1 to {longest} characters without blanks");
                return Err(SpecError::invalid(field, message));
            }
        }
        if self.max_freq_khz == Some(0) {
            return Err(SpecError::invalid("max_freq_khz", "must be 1 kHz or more"));
        }
        Ok(())
    }

    fn check_kind(&self, limits: &Limits) -> Result<(), SpecError> {
        match self.kind {
            Kind::Generate => {
                in_range("n_predict", self.n_predict, 1, limits.n_ctx)?;
                let bytes = match self.prompt() {
                    Some(Prompt::Text(text)) => text.len(),
                    Some(Prompt::Messages(messages)) => messages
                        .iter()
                        .map(|message| message.role.len() + message.content.len())
                        .sum(),
                    None => {
                        return Err(SpecError::invalid(
                            "prompt",
                            "a generate job has either prompt or messages",
                        ));
                    }
                };
                if bytes == 0 || bytes > limits.prompt_bytes {
                    return Err(SpecError::invalid(
                        if self.prompt.is_some() {
                            "prompt"
                        } else {
                            "messages"
                        },
                        format!("must be 1 to {} bytes long", limits.prompt_bytes),
                    ));
                }
                self.refuse_foreign(&BENCH_FIELDS)?;
                self.refuse_foreign(&["data", "n_chunks", "n_items"])?;
            }
            Kind::Bench => {
                in_range("n_prompt", self.n_prompt.unwrap_or(512), 0, limits.n_ctx)?;
                in_range("n_gen", self.n_gen.unwrap_or(128), 0, limits.n_ctx)?;
                in_range("n_depth", self.n_depth.unwrap_or(0), 0, limits.n_ctx)?;
                let sizes = self.bench_sizes();
                if (sizes.n_prompt, sizes.n_gen) == (0, 0) {
                    return Err(SpecError::invalid(
                        "n_prompt",
                        "n_prompt and n_gen are both 0: there is nothing to measure",
                    ));
                }
                self.refuse_foreign(&["prompt", "messages", "data", "n_chunks", "n_items"])?;
            }
            Kind::Perplexity => self.check_data("a text", self.n_chunks, "n_chunks", "n_items")?,
            Kind::Choice => {
                self.check_data("items as JSON Lines", self.n_items, "n_items", "n_chunks")?;
            }
            Kind::Idle => {
                return Err(SpecError::unsupported(
                    "kind",
                    "this version runs the kinds generate, bench, perplexity and choice",
                ));
            }
        }
        self.refuse_foreign(&["duration_s"])?;
        if self.model.is_none() {
            return Err(SpecError::invalid(
                "model",
                "missing: a name in the model directory",
            ));
        }
        Ok(())
    }

    /// A job that reads data, `n` of it under its own name.
    fn check_data(
        &self,
        what: &str,
        n: Option<u32>,
        name: &'static str,
        foreign: &'static str,
    ) -> Result<(), SpecError> {
        if self.data.is_none() {
            let message = format!("missing: {what}, a name in the board's data directory");
            return Err(SpecError::invalid("data", message));
        }
        if n == Some(0) {
            let message = "must be 1 or more; null is all of the data";
            return Err(SpecError::invalid(name, message));
        }
        self.refuse_foreign(&BENCH_FIELDS)?;
        self.refuse_foreign(&["prompt", "messages", foreign])
    }

    fn refuse_foreign(&self, fields: &[&str]) -> Result<(), SpecError> {
        for &field in fields {
            let given = match field {
                "prompt" => self.prompt.is_some(),
                "messages" => self.messages.is_some(),
                "n_prompt" => self.n_prompt.is_some(),
                "n_gen" => self.n_gen.is_some(),
                "n_depth" => self.n_depth.is_some(),
                "data" => self.data.is_some(),
                "n_chunks" => self.n_chunks.is_some(),
                "n_items" => self.n_items.is_some(),
                "duration_s" => self.duration_s.is_some(),
                _ => false,
            };
            if given {
                let message = "does not belong to a job of this kind";
                return Err(SpecError::invalid(field, message));
            }
        }
        Ok(())
    }

    fn check_params(&self, limits: &Limits) -> Result<(), SpecError> {
        let params = &self.params;
        if let Some(threads) = params.threads {
            in_range("params.threads", threads, 1, limits.threads)?;
        }
        in_range("params.n_ctx", params.n_ctx, 16, limits.n_ctx)?;
        in_range(
            "params.n_batch",
            params.n_batch,
            1,
            limits.n_batch.min(params.n_ctx),
        )?;
        in_range("params.gpu_layers", params.gpu_layers, 0, 10_000)?;
        if !(0.0..=10.0).contains(&params.temperature) {
            return Err(SpecError::invalid("params.temperature", "must be 0 to 10"));
        }
        let tokens = match self.kind {
            Kind::Bench => {
                let sizes = self.bench_sizes();
                u64::from(sizes.n_depth) + u64::from(sizes.n_prompt.max(sizes.n_gen))
            }
            Kind::Generate => u64::from(self.n_predict),
            // Of items the worker knows once they are tokens; a text is cut to fit.
            Kind::Perplexity | Kind::Choice | Kind::Idle => 0,
        };
        if tokens > u64::from(params.n_ctx) {
            return Err(SpecError::invalid(
                "params.n_ctx",
                format!("the job needs a context of {tokens} tokens or more"),
            ));
        }
        Ok(())
    }

    fn check_tags(&self) -> Result<(), SpecError> {
        let fits = |(key, value): (&String, &String)| key.len() <= 64 && value.len() <= 256;
        if self.tags.len() > 32 || !self.tags.iter().all(fits) {
            let message = "at most 32 tags, keys up to 64 and values up to 256 bytes";
            return Err(SpecError::invalid("tags", message));
        }
        Ok(())
    }
}

const BENCH_FIELDS: [&str; 3] = ["n_prompt", "n_gen", "n_depth"];

fn in_range(field: &str, value: u32, least: u32, most: u32) -> Result<(), SpecError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let message = format!("must be {least} to {most}, not {value}");
    Err(SpecError::invalid(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Params;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(job: serde_json::Value) -> Result<Job, SpecError> {
        Job::parse(job.to_string().as_bytes(), &Limits::default())
    }

    fn smol() -> serde_json::Value {
        json!({"v":1,"id":"smol-1","kind":"generate","model":"smol.gguf","prompt":"Why?"})
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> SpecError {
        let mut job = smol();
        change(&mut job);
        parse(job).expect_err("this job must be refused")
    }

    #[test]
    fn defaults_are_filled_in() {
        let job = parse(smol()).expect("a minimal job is fine");
        assert_eq!((job.n_predict, job.repetitions, job.warmup), (128, 3, 1));
        assert_eq!(job.params, Params::default());
        assert_eq!(job.prompt(), Some(Prompt::Text("Why?")));
    }

    #[test]
    fn the_job_of_the_contract_parses() {
        let text = r#"{"v":1,"id":"smol-1","kind":"generate","model":"SmolLM2-135M-Instruct.Q4_1.gguf","model_sha256":null,"runtime":"llama.cpp",
 "prompt":"Why is the sky blue?","messages":null,"n_predict":128,"ignore_eos":true,"repetitions":3,"warmup":1,
 "params":{"threads":4,"n_ctx":2048,"n_batch":512,"gpu_layers":0,"flash_attn":"auto","kv_type":"f16","mmap":true,"repack":true,"seed":42,"temperature":0.0},
 "power_mode":null,"idle":{"before_s":10,"after_s":5},"timeout_s":900,"deadline_unix_s":null,"priority":0,"max_attempts":2,
 "publish":{"tokens":"after","text":false,"trace":false},"tags":{"sweep":"fig3"},"signature":null}"#;
        assert!(Job::parse(text.as_bytes(), &Limits::default()).is_ok());
    }

    #[test]
    fn spelling_does_not_change_the_content() {
        let spelled_out = parse(
            json!({"kind":"generate","prompt":"Why?","model":"smol.gguf",
            "n_predict":128,"id":"smol-1","tags":{}}),
        )
        .expect("a valid job");
        let short = parse(smol()).expect("a valid job");
        assert_eq!(short.content_hash(), spelled_out.content_hash());
        let mut other = smol();
        other["n_predict"] = json!(127);
        let other = parse(other).expect("a valid job");
        assert_ne!(short.content_hash(), other.content_hash());
    }

    #[test]
    fn a_refusal_names_the_field() {
        let field = |error: SpecError| (error.code, error.field.expect("a field is named"));
        use SpecErrorCode::{InvalidSpec, Unsupported};
        let cases = [
            (
                refused(|job| job["nonsense"] = json!(1)),
                InvalidSpec,
                "nonsense",
            ),
            (
                refused(|job| job["n_predict"] = json!("x")),
                InvalidSpec,
                "n_predict",
            ),
            (
                refused(|job| job["n_predict"] = json!(0)),
                InvalidSpec,
                "n_predict",
            ),
            (
                refused(|job| job["params"] = json!({"n_ctx": 1_000_000})),
                InvalidSpec,
                "params.n_ctx",
            ),
            (
                refused(|job| job["params"] = json!({"n_ctx": -1})),
                InvalidSpec,
                "params.n_ctx",
            ),
            (
                refused(|job| job["params"] = json!({"n_batch": 1e9})),
                InvalidSpec,
                "params.n_batch",
            ),
            (
                refused(|job| job["prompt"] = json!(null)),
                InvalidSpec,
                "prompt",
            ),
            (
                refused(|job| job["messages"] = json!([])),
                InvalidSpec,
                "prompt",
            ),
            (
                refused(|job| job["model"] = json!("../x")),
                InvalidSpec,
                "model",
            ),
            (
                refused(|job| job["model"] = json!(null)),
                InvalidSpec,
                "model",
            ),
            (refused(|job| job["n_gen"] = json!(5)), InvalidSpec, "n_gen"),
            (
                refused(|job| job["idle"] = json!({"before_s": -1})),
                InvalidSpec,
                "idle.before_s",
            ),
            (refused(|job| job["v"] = json!(2)), InvalidSpec, "v"),
            (
                refused(|job| job["kind"] = json!("idle")),
                Unsupported,
                "kind",
            ),
            (
                refused(|job| job["power_mode"] = json!("")),
                InvalidSpec,
                "power_mode",
            ),
            (
                refused(|job| job["governor"] = json!("on demand")),
                InvalidSpec,
                "governor",
            ),
            (
                refused(|job| job["max_freq_khz"] = json!(0)),
                InvalidSpec,
                "max_freq_khz",
            ),
        ];
        for (error, code, name) in cases {
            assert_eq!(field(error), (code, name.to_owned()));
        }
    }

    #[test]
    fn bench_has_the_defaults_of_llama_bench() {
        let job = parse(json!({"id":"b","kind":"bench","model":"m.gguf"})).expect("valid");
        let sizes = job.bench_sizes();
        assert_eq!((sizes.n_prompt, sizes.n_gen, sizes.n_depth), (512, 128, 0));
    }

    #[test]
    fn a_job_of_data_names_it_and_nothing_of_other_kinds() {
        let with = |kind: &str, changes: serde_json::Value| {
            let mut job = json!({"id": "q", "kind": kind, "model": "m.gguf", "data": "wiki.txt",
                "params": {"n_ctx": 64, "n_batch": 64}});
            for (field, value) in changes.as_object().expect("an object") {
                job[field] = value.clone();
            }
            parse(job).map_err(|error| (error.field, error.message))
        };
        for kind in ["perplexity", "choice"] {
            let job = with(kind, json!({})).expect("nothing else is needed");
            assert_eq!(
                job.data.as_ref().map(|data| data.as_str()),
                Some("wiki.txt")
            );
            assert!(with(kind, json!({"params": {"n_ctx": 16, "n_batch": 16}})).is_ok());
            for (field, value) in [
                ("data", json!(null)),
                ("data", json!("../wiki.txt")),
                ("data", json!("/etc/passwd")),
                ("prompt", json!("Why?")),
                ("messages", json!([])),
                ("n_gen", json!(5)),
                ("duration_s", json!(5)),
                ("model", json!(null)),
            ] {
                let refused = with(kind, json!({field: value})).expect_err(field);
                assert_eq!(refused.0.as_deref(), Some(field), "{refused:?}");
            }
        }
        let field = |kind, field: &str, n: u32| with(kind, json!({field: n})).map_err(|e| e.0);
        assert!(
            field("perplexity", "n_chunks", 1).is_ok() && field("choice", "n_items", 1).is_ok()
        );
        for (kind, name, n) in [
            ("perplexity", "n_chunks", 0),
            ("perplexity", "n_items", 1),
            ("choice", "n_items", 0),
            ("choice", "n_chunks", 1),
        ] {
            assert_eq!(field(kind, name, n).unwrap_err().as_deref(), Some(name));
        }
        assert_eq!(
            refused(|job| job["data"] = json!("wiki.txt"))
                .field
                .as_deref(),
            Some("data")
        );
    }

    proptest! {
        #[test]
        fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Job::parse(&payload, &Limits::default());
        }

        #[test]
        fn what_was_parsed_parses_again(n_predict in 1u32..2048, seed: u32, priority: i32) {
            let mut job = smol();
            job["n_predict"] = json!(n_predict);
            job["priority"] = json!(priority);
            job["params"] = json!({"seed": seed});
            let job = parse(job).expect("a valid job");
            let again = parse(serde_json::to_value(&job).expect("serialises")).expect("valid");
            prop_assert_eq!(job.content_hash(), again.content_hash());
        }
    }
}
