//! Which runs are of one configuration: those that differ in nothing that their figures depend
//! on and a user chooses. Runs of two boards, two boundaries or two power modes never are.

use crate::record::Stamped;
use crate::record::result::{JobResult, Model, StopReason};
use crate::workload::{FlashAttn, Kind};
use std::collections::HashMap;
use std::fmt;

/// What tells configurations apart, in the order in which they are named and sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    Model,
    Quant,
    Kind,
    Data,
    PromptTokens,
    OutputTokens,
    Depth,
    Threads,
    Context,
    GpuLayers,
    Batch,
    FlashAttention,
    KvType,
    Mmap,
    Repack,
    Temperature,
    PowerMode,
    Governor,
    FrequencyCap,
    Engine,
    Board,
    Rail,
    Boundary,
    Power,
    Sha256,
    DataSha256,
}

impl Dimension {
    /// The heading of its column.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Quant => "quant",
            Self::Sha256 => "SHA-256",
            Self::Kind => "kind",
            Self::Data => "data",
            Self::DataSha256 => "SHA-256 of the data",
            Self::PromptTokens => "prompt tokens",
            Self::OutputTokens => "output tokens",
            Self::Depth => "n_depth",
            Self::Threads => "threads",
            Self::Context => "n_ctx",
            Self::GpuLayers => "gpu_layers",
            Self::Batch => "n_batch",
            Self::FlashAttention => "flash_attn",
            Self::KvType => "kv_type",
            Self::Mmap => "mmap",
            Self::Repack => "repack",
            Self::Temperature => "sampling temperature",
            Self::PowerMode => "power mode",
            Self::Governor => "governor",
            Self::FrequencyCap => "max_freq_khz",
            Self::Engine => "engine",
            Self::Board => "board",
            Self::Rail => "rail",
            Self::Boundary => "boundary",
            Self::Power => "power",
        }
    }

    /// In columns of a table of values: `gpu_layers`, `power_mode`.
    pub fn name(self) -> String {
        self.heading().to_lowercase().replace([' ', '-'], "_")
    }

    /// The value as it is named in running text, where a bare number would say nothing.
    pub fn phrase(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Unknown) => format!("{} unknown", self.heading()),
            (Self::Threads, Value::Number(1)) => "1 thread".to_owned(),
            (Self::Threads, value) => format!("{value} threads"),
            (Self::PromptTokens, value) => format!("{value} prompt"),
            (Self::OutputTokens, Value::Number(tokens)) => format!("{tokens} output"),
            (Self::OutputTokens, value) => value.to_string(),
            (
                Self::Model
                | Self::Quant
                | Self::Kind
                | Self::Data
                | Self::Board
                | Self::Boundary
                | Self::Power,
                value,
            ) => value.to_string(),
            (dimension, value) => format!("{} {value}", dimension.heading()),
        }
    }
}

/// The value of a dimension. Numbers sort as numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Number(u64),
    Text(String),
    /// This kind of job has no such thing.
    Nothing,
    /// The record does not tell.
    Unknown,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Nothing => f.write_str("none"),
            Self::Unknown => f.write_str("–"),
        }
    }
}

impl Value {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn number(number: Option<impl Into<u64>>) -> Self {
        number.map_or(Self::Unknown, |number| Self::Number(number.into()))
    }

    /// A configuration value by its name on the wire.
    fn wire(value: impl serde::Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(text)) => Self::Text(text),
            Ok(serde_json::Value::Null) | Err(_) => Self::Unknown,
            Ok(other) => Self::Text(other.to_string()),
        }
    }
}

/// A configuration, by its value in each dimension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<(Dimension, Value)>);

impl Key {
    pub fn of(record: &Stamped<JobResult>) -> Self {
        let result = &record.body;
        let model = result.model.as_ref();
        let engine = result.engine.as_ref();
        let rail = result
            .primary_rail
            .as_ref()
            .and_then(|name| result.rails.iter().find(|rail| rail.name == *name));
        let params = &result.params;
        let prompt = result.reps.first().map(|rep| {
            let prefill = rep.prefill.as_ref();
            prefill.map_or(Value::Nothing, |phase| Value::Number(phase.tokens.into()))
        });
        let layers = match (engine, params.gpu_layers) {
            (Some(engine), _) => Value::Number(engine.layers_offloaded.into()),
            (None, 0) => Value::Number(0),
            // How many a model has, only its loading tells.
            (None, _) => Value::Unknown,
        };
        let batch = engine.map_or(params.n_batch, |engine| engine.n_batch);
        let power = rail.map(|rail| {
            if rail.simulated {
                "SIMULATED"
            } else {
                "measured"
            }
        });
        let text = |text: Option<&str>| text.map_or(Value::Unknown, Value::text);
        Self(vec![
            (Dimension::Model, text(model.map(base_name))),
            (
                Dimension::Quant,
                text(model.and_then(|model| model.quant.as_deref())),
            ),
            (Dimension::Kind, Value::wire(result.kind)),
            (Dimension::Data, data(result, |name, _| name)),
            (Dimension::PromptTokens, prompt.unwrap_or(Value::Unknown)),
            (Dimension::OutputTokens, output_tokens(result)),
            (Dimension::Depth, depth(result)),
            (
                Dimension::Threads,
                Value::number(engine.map(|engine| engine.threads).or(params.threads)),
            ),
            (
                Dimension::Context,
                Value::Number(engine.map_or(params.n_ctx, |engine| engine.n_ctx).into()),
            ),
            (Dimension::GpuLayers, layers),
            (Dimension::Batch, Value::Number(batch.into())),
            (Dimension::FlashAttention, flash_attention(result)),
            (Dimension::KvType, Value::wire(params.kv_type)),
            (Dimension::Mmap, Value::wire(params.mmap)),
            (Dimension::Repack, Value::wire(params.repack)),
            (Dimension::Temperature, Value::wire(params.temperature)),
            (
                Dimension::PowerMode,
                text(result.board.power_mode.as_deref()),
            ),
            (Dimension::Governor, text(result.board.governor.as_deref())),
            (
                Dimension::FrequencyCap,
                Value::number(result.board.max_freq_khz),
            ),
            (
                Dimension::Engine,
                engine.map_or(Value::Unknown, |engine| {
                    Value::Text(format!("{} {}", engine.name, engine.revision))
                }),
            ),
            (Dimension::Board, Value::text(&record.stamp.device)),
            (Dimension::Rail, text(rail.map(|rail| rail.name.as_str()))),
            (
                Dimension::Boundary,
                rail.map_or(Value::Unknown, |rail| {
                    Value::Text(rail.boundary.to_string())
                }),
            ),
            (Dimension::Power, text(power)),
            (
                Dimension::Sha256,
                text(model.map(|model| short(&model.sha256))),
            ),
            (
                Dimension::DataSha256,
                data(result, |_, sha256| short(sha256)),
            ),
        ])
    }

    pub fn value(&self, dimension: Dimension) -> &Value {
        let found = self.0.iter().find(|(own, _)| *own == dimension);
        &found.expect("a key has every dimension").1
    }

    pub fn values(&self) -> impl Iterator<Item = (Dimension, &Value)> {
        self.0.iter().map(|(dimension, value)| (*dimension, value))
    }

    /// Whether both could be one configuration: a run that ended early leaves much unknown.
    pub fn could_be(&self, other: &Self) -> bool {
        let both = self.0.iter().zip(&other.0);
        both.map(|(a, b)| (&a.1, &b.1))
            .all(|(a, b)| a == b || *a == Value::Unknown || *b == Value::Unknown)
    }

    /// Its name among configurations that differ in `dimensions`.
    pub fn label(&self, dimensions: &[Dimension]) -> String {
        let has = |d: &&Dimension| *self.value(**d) != Value::Nothing;
        let phrases = dimensions.iter().filter(has);
        let phrases = phrases.map(|d| d.phrase(self.value(*d)));
        let phrases: Vec<String> = phrases.collect();
        match phrases.is_empty() {
            true => self.value(Dimension::Model).to_string(),
            false => phrases.join(" · "),
        }
    }
}

/// Dimensions in which not all of `keys` agree.
pub fn varying<'a>(keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Dimension> {
    let Some(first) = keys.clone().next() else {
        return Vec::new();
    };
    let differs = |dimension: &Dimension| {
        keys.clone()
            .any(|key| key.value(*dimension) != first.value(*dimension))
    };
    first
        .values()
        .map(|(dimension, _)| dimension)
        .filter(differs)
        .collect()
}

/// The model's name without what its quant says: `SmolLM2-135M-Instruct` of
/// `SmolLM2-135M-Instruct.Q4_1.gguf`.
pub fn base_name(model: &Model) -> &str {
    let name = model.name.strip_suffix(".gguf").unwrap_or(&model.name);
    let quant = model.quant.as_deref().unwrap_or_default();
    let at = name.len().saturating_sub(quant.len());
    match (name.get(..at), name.get(at..)) {
        (Some(base), Some(end))
            if !base.is_empty() && !quant.is_empty() && end.eq_ignore_ascii_case(quant) =>
        {
            base.trim_end_matches(['.', '-', '_'])
        }
        _ => name,
    }
}

/// Those of `varying` that name a configuration: without what the others imply, as a board
/// implies its sensor.
pub fn naming<'a>(
    varying: &[Dimension],
    keys: impl Iterator<Item = &'a Key> + Clone,
) -> Vec<Dimension> {
    let mut naming: Vec<Dimension> = Vec::new();
    let mut varying = varying.to_vec();
    // Boards go by their names, not by the governors that they differ in too.
    varying.sort_by_key(|dimension| match dimension {
        Dimension::Board => (Dimension::PowerMode, 0),
        other => (*other, 1),
    });
    for dimension in &varying {
        let mut seen: HashMap<Vec<&Value>, &Value> = HashMap::new();
        let tells_more = keys.clone().any(|key| {
            let so_far = naming.iter().map(|named| key.value(*named)).collect();
            let value = key.value(*dimension);
            *seen.entry(so_far).or_insert(value) != value
        });
        if tells_more {
            naming.push(*dimension);
        }
    }
    naming
}

/// How many tokens each repetition made, where the job's limit ended it: what the model ended
/// itself has a length of its own each time.
fn output_tokens(result: &JobResult) -> Value {
    let Some(first) = result.reps.first() else {
        return Value::Unknown;
    };
    let limit = |rep: &crate::record::result::Rep| {
        rep.stop_reason == StopReason::Length && rep.output_tokens == first.output_tokens
    };
    match result.reps.iter().all(limit) {
        true => Value::Number(first.output_tokens.into()),
        false => Value::text("until it ends"),
    }
}

/// As the engine resolved it, where it tells; `auto` of a run without an engine is open.
fn flash_attention(result: &JobResult) -> Value {
    let engine = result.engine.as_ref();
    match (
        engine.map(|engine| engine.flash_attn),
        result.params.flash_attn,
    ) {
        (Some(Some(true)), _) => Value::text("on"),
        (Some(Some(false)), _) => Value::text("off"),
        (None, FlashAttn::Auto) => Value::Unknown,
        (_, asked) => Value::wire(asked),
    }
}

/// Tokens of context before prefill. A request begins with an empty one.
fn depth(result: &JobResult) -> Value {
    match result.kind {
        Kind::Bench => Value::number(result.work.n_depth),
        Kind::Generate => Value::Number(0),
        Kind::Perplexity | Kind::Choice | Kind::Idle => Value::Nothing,
    }
}

/// Of the file that was scored: its name or its hash.
fn data(result: &JobResult, of: for<'a> fn(&'a str, &'a str) -> &'a str) -> Value {
    let perplexity = result.perplexity.as_ref();
    let choice = result.choice.as_ref();
    let perplexity = perplexity.map(|found| of(&found.data, &found.data_sha256));
    let found = perplexity.or(choice.map(|found| of(&found.data, &found.data_sha256)));
    match (result.kind, found) {
        (_, Some(found)) => Value::text(found),
        (Kind::Perplexity | Kind::Choice, None) => Value::Unknown,
        (Kind::Generate | Kind::Bench | Kind::Idle, None) => Value::Nothing,
    }
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::testing;

    #[test]
    fn what_differs_names_a_configuration() {
        let one = testing::result();
        let mut two = one.clone();
        two.body.params.threads = Some(4);
        two.body.engine.as_mut().unwrap().threads = 10;
        two.stamp.device = "orin-03".to_owned();
        let mut three = two.clone();
        three.body.engine.as_mut().unwrap().threads = 4;
        let mut keys = [Key::of(&two), Key::of(&three), Key::of(&one)];
        let dimensions = varying(keys.iter());
        assert_eq!(dimensions, [Dimension::Threads, Dimension::Board]);
        keys.sort();
        let labels: Vec<String> = keys.iter().map(|key| key.label(&dimensions)).collect();
        assert_eq!(
            labels,
            [
                "2 threads · pi5-01",
                "4 threads · orin-03",
                "10 threads · orin-03"
            ]
        );
        assert_eq!(keys[0].label(&[]), "SmolLM2-135M-Instruct");
    }

    /// `auto` and what it came to are one configuration, and a batch is as long as the engine's.
    #[test]
    fn what_the_engine_resolved_counts() {
        let mut one = testing::result();
        one.body.params.flash_attn = FlashAttn::Auto;
        one.body.engine.as_mut().unwrap().flash_attn = Some(true);
        let mut two = one.clone();
        two.body.params.flash_attn = FlashAttn::On;
        two.body.params.n_batch += 1;
        assert_eq!(Key::of(&one), Key::of(&two));
        two.body.engine.as_mut().unwrap().flash_attn = Some(false);
        assert_ne!(Key::of(&one), Key::of(&two));
        // Ended before it had an engine.
        one.body.params.gpu_layers = 999;
        one.body.engine = None;
        assert!(Key::of(&one).could_be(&Key::of(&two)));
    }

    #[test]
    fn what_follows_from_the_rest_is_not_in_the_name() {
        let all = testing::studied();
        let keys: Vec<Key> = all.iter().map(Key::of).collect();
        let varying = varying(keys.iter());
        assert!(varying.contains(&Dimension::Sha256) && varying.contains(&Dimension::Power));
        let naming = naming(&varying, keys.iter());
        assert_eq!(
            naming,
            [Dimension::Quant, Dimension::Threads, Dimension::Board]
        );
        assert_eq!(keys[0].label(&naming), "Q4_1 · 2 threads · pi5-01");
    }

    #[test]
    fn a_model_s_name_ends_before_its_quant() {
        let mut model = testing::result().body.model.unwrap();
        for (name, base) in [
            ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
            ("gemma-3-270m-q4_1.gguf", "gemma-3-270m"),
            ("Q4_1.gguf", "Q4_1"),
            ("é.gguf", "é"),
            ("other", "other"),
        ] {
            name.clone_into(&mut model.name);
            assert_eq!(base_name(&model), base);
        }
    }

    #[test]
    fn a_run_that_ended_early_could_be_of_its_configuration_and_of_no_other() {
        let one = testing::result();
        let mut early = one.clone();
        early.body.reps.clear();
        early.body.engine = None;
        early.body.model = None;
        assert!(Key::of(&early).could_be(&Key::of(&one)));
        early.stamp.device = "orin-03".to_owned();
        assert!(!Key::of(&early).could_be(&Key::of(&one)));
    }

    #[test]
    fn depth_makes_a_configuration() {
        let mut shallow = testing::result();
        shallow.body.kind = Kind::Bench;
        shallow.body.work.n_depth = Some(0);
        let mut deep = shallow.clone();
        deep.body.work.n_depth = Some(4096);
        let keys = [&shallow, &deep].map(Key::of);
        let found = varying(keys.iter());
        assert_eq!(found, [Dimension::Depth]);
        assert_eq!(keys[1].label(&found), "n_depth 4096");
        // A record of before doesn't tell: it is neither.
        let mut old = shallow.clone();
        old.body.work.n_depth = None;
        assert_ne!(Key::of(&old), keys[0]);
    }

    #[test]
    fn boards_go_by_their_names() {
        let mut one = testing::result();
        one.body.board.governor = Some("ondemand".to_owned());
        let mut two = one.clone();
        two.stamp.device = "orin-03".to_owned();
        two.body.board.governor = Some("schedutil".to_owned());
        let mut three = two.clone();
        three.body.board.governor = Some("powersave".to_owned());
        let keys = [&one, &two, &three].map(Key::of);
        let varying = varying(keys.iter());
        let found = naming(&varying, keys.iter());
        assert_eq!(found, [Dimension::Board, Dimension::Governor]);
        let found = naming(&varying, keys[..2].iter());
        assert_eq!(keys[0].label(&found), "pi5-01");
    }

    #[test]
    fn a_seed_and_tags_make_no_configuration() {
        let one = testing::result();
        let mut two = one.clone();
        two.body.params.seed = 7;
        two.body.tags.insert("sweep".to_owned(), "fig3".to_owned());
        assert_eq!(Key::of(&one), Key::of(&two));
    }
}
