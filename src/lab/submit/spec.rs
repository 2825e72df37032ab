//! Jobs as the command line and files give them.

use crate::lab::LabError;
use crate::lab::client::random_hex;
use crate::workload::{Job, Limits, SpecErrorCode};
use serde_json::{Map, Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The job, field by field. What is left out keeps the board's default.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// Read the job from a JSON file, or several as JSON Lines; `-` is standard input. Flags
    /// override their fields
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name of the job [default: made of model, time and a random number]
    #[arg(long)]
    pub id: Option<String>,
    /// `generate` (from a prompt), `bench` (as llama-bench does), `perplexity` (of a text) or
    /// `choice` (right answers to items) [default: generate]
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// A model in the board's model directory
    #[arg(long, short, value_name = "FILE_NAME")]
    pub model: Option<String>,
    /// Run it only with this very file
    #[arg(long, value_name = "HEX")]
    pub model_sha256: Option<String>,
    /// The text to go on from, as it is
    #[arg(long, short, value_name = "TEXT", conflicts_with = "message")]
    pub prompt: Option<String>,
    /// What a user says to the model, through the model's own chat template
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Tokens to generate [default: 128]
    #[arg(long, short, value_name = "N")]
    pub n_predict: Option<u32>,
    /// Go on after the model's end of text, so that each repetition has the same length
    #[arg(long)]
    pub ignore_eos: bool,
    /// bench: tokens of the prompt [default: 512]
    #[arg(long, value_name = "N")]
    pub n_prompt: Option<u32>,
    /// bench: tokens to generate [default: 128]
    #[arg(long, value_name = "N")]
    pub n_gen: Option<u32>,
    /// bench: tokens in the context before [default: 0]
    #[arg(long, value_name = "N")]
    pub n_depth: Option<u32>,
    /// perplexity, choice: a file in the board's data directory
    #[arg(long, value_name = "FILE_NAME")]
    pub data: Option<String>,
    /// perplexity: chunks of --n-ctx tokens [default: all of the text]
    #[arg(long, value_name = "N")]
    pub n_chunks: Option<u32>,
    /// choice: the first N items [default: all of them]
    #[arg(long, value_name = "N")]
    pub n_items: Option<u32>,
    /// How often the work is measured [default: 3]
    #[arg(long, short, value_name = "N")]
    pub repetitions: Option<u32>,
    /// How often it runs before, unmeasured [default: 1]
    #[arg(long, value_name = "N")]
    pub warmup: Option<u32>,
    /// Threads of the engine [default: one for each CPU]
    #[arg(long, short, value_name = "N")]
    pub threads: Option<u32>,
    /// Tokens of context [default: 2048]
    #[arg(long, value_name = "N")]
    pub n_ctx: Option<u32>,
    /// Tokens evaluated at a time in prefill [default: 512]
    #[arg(long, value_name = "N")]
    pub n_batch: Option<u32>,
    /// Layers on the GPU [default: 0]
    #[arg(long, value_name = "N")]
    pub gpu_layers: Option<u32>,
    /// Seed of the sampler [default: 42]
    #[arg(long, value_name = "N")]
    pub seed: Option<u32>,
    /// Power mode of the board for this job, by name or number
    #[arg(long, value_name = "MODE")]
    pub power_mode: Option<String>,
    /// Governor of the CPUs for this job
    #[arg(long, value_name = "NAME")]
    pub governor: Option<String>,
    /// Highest clock of the CPUs for this job, in kHz
    #[arg(long, value_name = "KHZ")]
    pub max_freq_khz: Option<u32>,
    /// Least seconds of idling before the work [default: 10]
    #[arg(long, value_name = "S")]
    pub idle_before: Option<f64>,
    /// Least seconds of idling after the work [default: 5]
    #[arg(long, value_name = "S")]
    pub idle_after: Option<f64>,
    /// Seconds that one attempt may take [default: 900]
    #[arg(long, value_name = "S")]
    pub timeout: Option<u32>,
    /// Higher runs first [default: 0]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub priority: Option<i32>,
    /// When token records leave the board: after, live or none [default: after]
    #[arg(long, value_name = "WHEN")]
    pub tokens: Option<String>,
    /// Publish the generated text with the result
    #[arg(long)]
    pub text: bool,
    /// Publish the power trace, and keep raw data on the board for recompute and export
    #[arg(long)]
    pub trace: bool,
    /// A label that comes back with the result (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
}

fn read(file: &Path) -> Result<String, LabError> {
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|content| text = content)
    };
    outcome.map_err(|error| LabError::Usage(format!("{}: {error}", file.display())))?;
    Ok(text)
}

/// The jobs to send, one or, from a file, several.
pub fn jobs(options: &Options) -> Result<Vec<Value>, LabError> {
    let Some(file) = &options.file else {
        return Ok(vec![job(options, Map::new())?]);
    };
    let all = parsed(&read(file)?)?;
    let several = all.len() > 1;
    if several && options.id.is_some() {
        let message = "--id: the file holds several jobs, which need an id each";
        return Err(LabError::Usage(message.to_owned()));
    }
    let one = |(n, fields)| {
        job(options, fields).map_err(|error| match error {
            LabError::Usage(text) if several => LabError::Usage(format!("job {}: {text}", n + 1)),
            other => other,
        })
    };
    let jobs: Vec<Value> = all
        .into_iter()
        .enumerate()
        .map(one)
        .collect::<Result<_, _>>()?;
    let mut ids = std::collections::BTreeSet::new();
    match jobs.iter().find(|job| !ids.insert(job["id"].to_string())) {
        Some(twice) => Err(LabError::Usage(format!(
            "two jobs have the id {}",
            twice["id"]
        ))),
        None => Ok(jobs),
    }
}

/// The JSON objects of a text, one after the other.
fn parsed(text: &str) -> Result<Vec<Map<String, Value>>, LabError> {
    let jobs = serde_json::Deserializer::from_str(text).into_iter();
    let jobs: Vec<Map<String, Value>> = jobs
        .collect::<Result<_, _>>()
        .map_err(|error| LabError::Usage(format!("the job is no JSON object: {error}")))?;
    match jobs.is_empty() {
        true => Err(LabError::Usage("the file holds no job".to_owned())),
        false => Ok(jobs),
    }
}

/// One job to send: the file's fields, then the flags, then an id, and nothing else, so that
/// a board of another version fills in its own defaults. It is checked here as far as that is
/// possible without knowing the board.
fn job(options: &Options, mut job: Map<String, Value>) -> Result<Value, LabError> {
    apply(options, &mut job)?;
    job.entry("v")
        .or_insert(json!(crate::workload::job::VERSION));
    job.entry("kind").or_insert(json!("generate"));
    if !job.contains_key("id") {
        let model = job.get("model").and_then(Value::as_str).unwrap_or("job");
        job.insert("id".to_owned(), json!(made_up_id(model)));
    }
    let job = Value::Object(job);
    match Job::parse(job.to_string().as_bytes(), &no_limits()) {
        Err(error) if error.code == SpecErrorCode::InvalidSpec => {
            let field = error.field.as_deref().unwrap_or("the job");
            Err(LabError::Usage(format!("{field}: {error}")))
        }
        // What this version does not know, the board's may.
        _ => Ok(job),
    }
}

fn apply(options: &Options, job: &mut Map<String, Value>) -> Result<(), LabError> {
    let messages = options
        .message
        .as_ref()
        .map(|text| json!([{"role": "user", "content": text}]));
    let is_set = |flag: bool| flag.then_some(json!(true));
    let fields = [
        ("id", options.id.as_ref().map(|v| json!(v))),
        ("kind", options.kind.as_ref().map(|v| json!(v))),
        ("model", options.model.as_ref().map(|v| json!(v))),
        (
            "model_sha256",
            options.model_sha256.as_ref().map(|v| json!(v)),
        ),
        ("prompt", options.prompt.as_ref().map(|v| json!(v))),
        ("messages", messages),
        ("n_predict", options.n_predict.map(|v| json!(v))),
        ("ignore_eos", is_set(options.ignore_eos)),
        ("n_prompt", options.n_prompt.map(|v| json!(v))),
        ("n_gen", options.n_gen.map(|v| json!(v))),
        ("n_depth", options.n_depth.map(|v| json!(v))),
        ("data", options.data.as_ref().map(|v| json!(v))),
        ("n_chunks", options.n_chunks.map(|v| json!(v))),
        ("n_items", options.n_items.map(|v| json!(v))),
        ("repetitions", options.repetitions.map(|v| json!(v))),
        ("warmup", options.warmup.map(|v| json!(v))),
        ("params.threads", options.threads.map(|v| json!(v))),
        ("params.n_ctx", options.n_ctx.map(|v| json!(v))),
        ("params.n_batch", options.n_batch.map(|v| json!(v))),
        ("params.gpu_layers", options.gpu_layers.map(|v| json!(v))),
        ("params.seed", options.seed.map(|v| json!(v))),
        ("power_mode", options.power_mode.as_ref().map(|v| json!(v))),
        ("governor", options.governor.as_ref().map(|v| json!(v))),
        ("max_freq_khz", options.max_freq_khz.map(|v| json!(v))),
        ("idle.before_s", options.idle_before.map(|v| json!(v))),
        ("idle.after_s", options.idle_after.map(|v| json!(v))),
        ("timeout_s", options.timeout.map(|v| json!(v))),
        ("priority", options.priority.map(|v| json!(v))),
        ("publish.tokens", options.tokens.as_ref().map(|v| json!(v))),
        ("publish.text", is_set(options.text)),
        ("publish.trace", is_set(options.trace)),
    ];
    for (path, value) in fields {
        if let Some(value) = value {
            set(job, path, value)?;
        }
    }
    for tag in &options.tag {
        let (key, value) = tag
            .split_once('=')
            .ok_or_else(|| LabError::Usage(format!("--tag {tag}: expected KEY=VALUE")))?;
        let tags = job.entry("tags").or_insert_with(|| json!({}));
        let tags = tags.as_object_mut().ok_or_else(|| no_object("tags"))?;
        tags.insert(key.to_owned(), json!(value));
    }
    Ok(())
}

fn set(job: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), LabError> {
    match path.split_once('.') {
        None => job.insert(path.to_owned(), value),
        Some((group, field)) => job
            .entry(group)
            .or_insert_with(|| json!({}))
            .as_object_mut()
            .ok_or_else(|| no_object(group))?
            .insert(field.to_owned(), value),
    };
    Ok(())
}

fn no_object(field: &str) -> LabError {
    LabError::Usage(format!("{field}: must be an object"))
}

pub(in crate::lab) fn no_limits() -> Limits {
    Limits {
        n_ctx: u32::MAX,
        n_batch: u32::MAX,
        threads: u32::MAX,
        prompt_bytes: usize::MAX,
        repetitions: u32::MAX,
        timeout_s: u32::MAX,
        queue: u32::MAX,
        commands_per_min: u32::MAX,
    }
}

/// Readable and unique: the model's first two words, the moment, four random digits.
pub fn made_up_id(model: &str) -> String {
    let safe: String = model
        .trim_end_matches(".gguf")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let words: Vec<&str> = safe
        .split('-')
        .filter(|word| !word.is_empty())
        .take(2)
        .collect();
    let mut name = words.join("-").to_ascii_lowercase();
    name.truncate(24);
    if name.is_empty() {
        name.push_str("job");
    }
    let moment = crate::clock::wall().strftime("%m%d-%H%M%S");
    format!("{name}-{moment}-{}", random_hex(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::JobId;
    use proptest::prelude::*;

    fn from(options: &Options, file: Option<&str>) -> Result<Value, LabError> {
        let fields = match file {
            Some(text) => parsed(text)?.remove(0),
            None => Map::new(),
        };
        job(options, fields)
    }

    fn minimal() -> Options {
        Options {
            model: Some("smol.gguf".to_owned()),
            prompt: Some("Why?".to_owned()),
            ..Options::default()
        }
    }

    #[test]
    fn only_what_was_said_is_sent() {
        let job = from(&minimal(), None).unwrap();
        let keys: Vec<&String> = job.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "kind", "model", "prompt", "v"]);
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = r#"{"id":"a","model":"m.gguf","messages":[{"role":"user","content":"x"}],
            "n_predict":5,"params":{"threads":4,"n_ctx":1024},"tags":{"a":"1"}}"#;
        let options = Options {
            n_predict: Some(7),
            threads: Some(2),
            trace: true,
            tag: vec!["b=2=3".to_owned()],
            ..Options::default()
        };
        let job = from(&options, Some(file)).unwrap();
        assert_eq!((&job["n_predict"], &job["id"]), (&json!(7), &json!("a")));
        assert_eq!(job["params"], json!({"threads": 2, "n_ctx": 1024}));
        assert_eq!(job["tags"], json!({"a": "1", "b": "2=3"}));
        assert_eq!(job["publish"], json!({"trace": true}));
    }

    #[test]
    fn a_wrong_job_is_a_usage_error_that_names_the_field() {
        let wrong = Options {
            n_gen: Some(3),
            ..minimal()
        };
        let error = from(&wrong, None).expect_err("n_gen belongs to bench");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with("n_gen"), "{error}");
        assert!(from(&minimal(), Some("[1]")).is_err());
        assert!(from(&minimal(), Some(r#"{"tags": 1}"#)).is_err());
    }

    #[test]
    fn what_another_version_may_know_is_left_to_the_board() {
        let idle = r#"{"id":"i","kind":"idle","duration_s":5}"#;
        assert!(from(&Options::default(), Some(idle)).is_ok());
    }

    #[test]
    fn a_file_holds_one_job_or_several() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jobs");
        let with = |text: &str, id: Option<&str>| {
            std::fs::write(&file, text).unwrap();
            let options = Options {
                file: Some(file.clone()),
                id: id.map(str::to_owned),
                n_predict: Some(7),
                ..Options::default()
            };
            jobs(&options).map_err(|error| error.to_string())
        };
        let pretty = "{\n \"id\": \"a\",\n \"model\": \"m.gguf\", \"prompt\": \"x\"}\n";
        assert_eq!(with(pretty, None).unwrap().len(), 1);
        assert_eq!(with(pretty, Some("b")).unwrap()[0]["id"], "b");
        let line = |id: &str| format!(r#"{{"id":"{id}","model":"m.gguf","prompt":"x"}}"#);
        let two = format!("{}\n\n{}\n", line("a"), line("b"));
        let jobs = with(&two, None).unwrap();
        assert_eq!((&jobs[0]["id"], &jobs[1]["id"]), (&json!("a"), &json!("b")));
        assert_eq!(jobs[1]["n_predict"], 7);
        assert!(with(&two, Some("c")).unwrap_err().contains("--id"));
        let twice = format!("{}\n{}\n", line("a"), line("a"));
        assert!(with(&twice, None).unwrap_err().contains("two jobs"));
        let bad = format!("{}\n{}\n", line("a"), line("b/"));
        let error = with(&bad, None).unwrap_err();
        assert!(error.starts_with("job 2: id"), "{error}");
        let error = with(&format!("{}\nx", line("a")), None).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        assert!(with(" \n", None).unwrap_err().contains("no job"));
    }

    proptest! {
        #[test]
        fn a_made_up_id_is_a_job_id(model in ".*") {
            prop_assert!(made_up_id(&model).parse::<JobId>().is_ok());
        }
    }
}
