//! A configuration that is tried: what it changes of the defaults.

use crate::workload::{FlashAttn, KvType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What is `None` is left to the board: llama.cpp's default, or the governor as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Candidate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_layers: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_batch: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repack: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash_attn: Option<FlashAttn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_type: Option<KvType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
}

/// The only field of a candidate that is none of `params` of a job.
const GOVERNOR: &str = "governor";

/// In which a label names the fields: that of the stages.
const ORDER: [&str; 7] = [
    "gpu_layers",
    "threads",
    "n_batch",
    "repack",
    "flash_attn",
    "kv_type",
    GOVERNOR,
];

impl Candidate {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => unreachable!("a candidate serialises as an object"),
        }
    }

    /// Its `params` of a job, without those that are left to the board.
    pub fn params(&self) -> Map<String, Value> {
        let mut fields = self.fields();
        fields.remove(GOVERNOR);
        fields
    }

    /// The fields of a job to paste: `params`, and `governor` where it sets one.
    pub fn job_fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("params".to_owned(), Value::Object(self.params()));
        if let Some(governor) = &self.governor {
            fields.insert(GOVERNOR.to_owned(), json!(governor));
        }
        fields
    }

    /// `threads 2, n_batch 256`.
    pub fn label(&self) -> String {
        let fields = self.fields();
        let words = ORDER.iter().filter_map(|name| {
            Some(match fields.get(*name)? {
                Value::String(text) => format!("{name} {text}"),
                Value::Bool(true) => format!("{name} on"),
                Value::Bool(false) => format!("{name} off"),
                other => format!("{name} {other}"),
            })
        });
        let words: Vec<String> = words.collect();
        match words.is_empty() {
            true => "defaults".to_owned(),
            false => words.join(", "),
        }
    }

    /// Whether the model computes something else than with the defaults: elements of the KV
    /// cache are rounded.
    pub fn rounds_the_cache(&self) -> bool {
        self.kv_type.is_some_and(is_quantised)
    }
}

/// llama.cpp takes such values of V with flash attention only.
pub fn is_quantised(kv_type: KvType) -> bool {
    matches!(kv_type, KvType::Q8_0 | KvType::Q4_0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_said() {
        let default = Candidate::default();
        assert!(default.is_default());
        assert_eq!(default.label(), "defaults");
        assert_eq!(Value::Object(default.job_fields()), json!({"params": {}}));
        let candidate = Candidate {
            threads: Some(2),
            repack: Some(false),
            kv_type: Some(KvType::Q8_0),
            governor: Some("powersave".to_owned()),
            ..Candidate::default()
        };
        assert_eq!(
            candidate.label(),
            "threads 2, repack off, kv_type q8_0, governor powersave"
        );
        assert_eq!(
            Value::Object(candidate.job_fields()),
            json!({"params": {"threads": 2, "repack": false, "kv_type": "q8_0"},
                "governor": "powersave"})
        );
        assert!(candidate.rounds_the_cache());
        let back: Candidate = serde_json::from_value(Value::Object(candidate.fields())).unwrap();
        assert_eq!(back, candidate);
    }
}
