//! `joulectl models`: what models the boards have, what their catalogues offer, and having it
//! fetched.

mod fetch;
mod list;

use super::LabError;
use super::client::Client;
use super::fleet;
use super::submit::refused;
use super::target::{Board, Target};
use crate::record::device::ModelInfo;
use crate::workload::ModelName;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// List the models of boards, and what their catalogues offer
    List {
        #[command(flatten)]
        boards: Boards,
        /// Print one line of JSON a board
        #[arg(long)]
        json: bool,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Have boards fetch models of their catalogues
    ///
    /// A fetch waits while a job runs, and goes on after a restart of the board.
    Fetch {
        /// Names of the catalogue
        #[arg(required = true, value_name = "NAME")]
        names: Vec<ModelName>,
        #[command(flatten)]
        boards: Boards,
        /// Come back when each is there and verified, or has failed
        #[arg(long, short)]
        wait: bool,
        /// Print one line of JSON for each model of each board
        #[arg(long)]
        json: bool,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Compare the SHA-256 of the boards' models with their catalogues
    ///
    /// Exit code 1 when a model is another one, or its hash is not known yet.
    Verify {
        #[command(flatten)]
        boards: Boards,
        /// Print one line of JSON for each model of each board
        #[arg(long)]
        json: bool,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
}

/// Which boards are meant.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Boards {
    /// The boards of this group that are online
    #[arg(long, short, value_name = "NAME", conflicts_with_all = ["device", "all"])]
    pub group: Option<String>,
    /// Every board that is online
    #[arg(long, conflicts_with = "device")]
    pub all: bool,
}

pub async fn run(action: &Action) -> Result<(), LabError> {
    match action {
        Action::List {
            boards,
            json,
            target,
        } => list::list(target, boards, *json).await,
        Action::Fetch {
            names,
            boards,
            wait,
            json,
            target,
        } => fetch::run(target, boards, names, *wait, *json).await,
        Action::Verify {
            boards,
            json,
            target,
        } => list::verify(target, boards, *json).await,
    }
}

/// A board's answer to an empty `models`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stock {
    models: Vec<ModelInfo>,
    #[serde(default)]
    catalogue: Vec<Entry>,
    /// What did not fit into the answer.
    #[serde(default)]
    left_out: u32,
}

/// A model of the catalogue, and what is there of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    name: String,
    sha256: String,
    size_bytes: Option<u64>,
    state: String,
    bytes: u64,
    total_bytes: Option<u64>,
    reason: Option<String>,
}

impl Boards {
    /// The boards that are meant, at least one.
    async fn find(&self, client: &mut Client, target: &Target) -> Result<Vec<Board>, LabError> {
        let members = match &self.group {
            Some(group) => fleet::group(client, &target.prefix, group).await?,
            None if self.all => fleet::boards(client, &target.prefix).await?,
            None => return Ok(vec![client.board(target).await?]),
        };
        let (online, offline): (Vec<_>, Vec<_>) =
            members.into_iter().partition(fleet::Member::is_online);
        for member in offline {
            eprintln!("left out {}: it is offline", member.name());
        }
        match online.is_empty() {
            true => Err(LabError::Unreachable(
                "none of these boards is online".to_owned(),
            )),
            false => Ok(online.into_iter().map(|member| member.board).collect()),
        }
    }
}

async fn stock(client: &mut Client, board: &Board) -> Result<Stock, LabError> {
    let answer = client.request(board, "models", &json!({})).await?;
    answer.map_err(|refusal| refused(board, &refusal))
}

/// `98.4 MB`, in the units of those who sell and publish files.
fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}
