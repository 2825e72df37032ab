//! `[usability]`: what a configuration must reach to be of use to somebody. A bound that is not
//! stated judges nothing.

use super::stated::{day, positive, share, text};
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usability {
    /// Text must come at least as fast as it is read.
    pub reading: Option<Reading>,
    /// Time to first token.
    pub ttft: Option<AtMost>,
    /// Loading a model of which nothing is in memory.
    pub load_cold: Option<AtMost>,
    /// Loading a model that is in memory already.
    pub load_warm: Option<AtMost>,
    /// Share of right answers of a `choice` job.
    pub acc: Option<Accuracy>,
    /// The same by length.
    pub acc_norm: Option<Accuracy>,
    pub perplexity: Option<Perplexity>,
    pub battery: Option<Battery>,
}

/// How fast somebody reads.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "ReadingAsWritten")]
pub struct Reading {
    pub tokens_per_s: f64,
    /// How it was stated.
    pub stated: String,
    pub source: String,
    pub date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadingAsWritten {
    tokens_per_s: Option<f64>,
    words_per_minute: Option<f64>,
    tokens_per_word: Option<f64>,
    #[serde(deserialize_with = "text")]
    source: String,
    #[serde(deserialize_with = "day")]
    date: String,
}

impl TryFrom<ReadingAsWritten> for Reading {
    type Error = &'static str;

    fn try_from(written: ReadingAsWritten) -> Result<Self, Self::Error> {
        let (tokens_per_s, stated) = match (
            written.tokens_per_s,
            written.words_per_minute,
            written.tokens_per_word,
        ) {
            (Some(rate), None, None) => (rate, format!("{rate} tok/s")),
            (None, Some(words), Some(tokens)) => (
                words * tokens / 60.0,
                format!("{words} words/min of {tokens} tokens"),
            ),
            _ => {
                return Err(
                    "give reading either tokens_per_s, or words_per_minute and tokens_per_word",
                );
            }
        };
        if !(tokens_per_s.is_finite() && tokens_per_s > 0.0) {
            return Err("a reading speed is more than 0");
        }
        Ok(Self {
            tokens_per_s,
            stated,
            source: written.source,
            date: written.date,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtMost {
    #[serde(deserialize_with = "positive")]
    pub at_most_s: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// File of the data directory, as the job names it.
    #[serde(deserialize_with = "text")]
    pub data: String,
    #[serde(deserialize_with = "share")]
    pub at_least: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perplexity {
    /// File of the data directory, as the job names it.
    #[serde(deserialize_with = "text")]
    pub data: String,
    #[serde(deserialize_with = "positive")]
    pub at_most: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

/// What answers are counted per charge of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Battery {
    /// Energy that it gives at the boundary of the primary rail.
    #[serde(deserialize_with = "positive")]
    pub wh: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}
