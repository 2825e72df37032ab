//! Models of the administrator's catalogue: `models/<model>/state`, and the answers to `cmd/models`.

use super::device::ModelInfo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a model has come that is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelRecord {
    pub name: String,
    /// What the catalogue says that the file has.
    pub sha256: String,
    /// Rises with each state of each model, also over a restart.
    pub rev: u64,
    pub state: FetchState,
    /// On the board so far; while it is verified, those that were looked at.
    pub bytes: u64,
    /// `null` while neither the catalogue nor the server has said how many there are.
    pub total_bytes: Option<u64>,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FetchState {
    /// It waits for its turn, or for the next try.
    Queued,
    Fetching,
    /// An attempt runs, which nothing may disturb.
    Paused,
    /// Its hash is being made.
    Verifying,
    Ready,
    Failed,
}

/// The answer to `models`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ModelsAnswer {
    Fetched(Fetched),
    Stock(Stock),
}

/// The answer to `models` with `fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fetched {
    pub name: String,
    pub state: FetchState,
    pub bytes: u64,
    pub total_bytes: Option<u64>,
}

/// The answer to `models` without: what is there, and what could be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stock {
    pub models: Vec<ModelInfo>,
    pub catalogue: Vec<Offered>,
    /// Models and entries that did not fit into one message.
    pub left_out: u64,
}

/// An entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offered {
    pub name: String,
    pub sha256: String,
    /// As the catalogue says.
    pub size_bytes: Option<u64>,
    pub state: OfferState,
    pub bytes: u64,
    pub total_bytes: Option<u64>,
    pub reason: Option<String>,
}

/// How far a fetch is, or what lies there without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OfferState {
    Absent,
    /// It is there and not hashed yet.
    Unverified,
    /// Another file has the name.
    Differs,
    Queued,
    Fetching,
    Paused,
    Verifying,
    Ready,
    Failed,
}

impl From<FetchState> for OfferState {
    fn from(state: FetchState) -> Self {
        match state {
            FetchState::Queued => Self::Queued,
            FetchState::Fetching => Self::Fetching,
            FetchState::Paused => Self::Paused,
            FetchState::Verifying => Self::Verifying,
            FetchState::Ready => Self::Ready,
            FetchState::Failed => Self::Failed,
        }
    }
}

impl FetchState {
    /// Nothing more comes of itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Failed)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Fetching => "fetching",
            Self::Paused => "paused",
            Self::Verifying => "verifying",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}
