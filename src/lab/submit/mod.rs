//! `joulectl submit`: jobs from flags or a file, sent to a board or to one of a group, followed
//! if wished.
//!
//! - `spec`: the jobs, as flags and files give them
//! - `choice`: which board of a group a job goes to
//! - `dispatch`: sending it there; `reassign`: taking it away from where it is
//! - `together`: several jobs awaited at once

mod choice;
mod dispatch;
mod reassign;
mod spec;
mod together;

pub(in crate::lab) use choice::{Unfit, lacks};
pub(in crate::lab) use spec::no_limits;
pub use spec::{Options, made_up_id};
pub(in crate::lab) use together::aligned;

use super::client::Client;
use super::follow::{self, Collected, Display, Until};
use super::interrupt::interrupted;
use super::sheet::Sheet;
use super::sign::Signing;
use super::target::{Board, Target};
use super::{LabError, table};
use crate::record::answer::Refusal;
use crate::workload::{Job, JobState};
use dispatch::{Dispatch, Listen, Placed};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What happens after the board has accepted the job.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct After {
    /// Follow the job and print its result
    #[arg(long, short)]
    pub wait: bool,
    /// Write the result to DIR/<id>.json (implies --wait)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the answer, or with --wait the result record, as JSON
    #[arg(long)]
    pub json: bool,
}

/// Which board gets the job.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Placement {
    /// Send it to the board of this group that is online and has the fewest jobs
    #[arg(long, short, value_name = "NAME", conflicts_with = "device")]
    pub group: Option<String>,
    /// Check the job against what the boards say of themselves, show it with its defaults and
    /// where it would go, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take job ID away from the board that has it, once that has confirmed the cancel, and send
    /// it to another; the job itself is given again
    #[arg(long, value_name = "ID")]
    pub reassign: Option<String>,
    /// The board that has it [default: the one that told of it last]
    #[arg(long, value_name = "DEVICE", requires = "reassign")]
    pub from: Option<String>,
    /// Send it elsewhere even if the board that has it does not answer: it may run twice
    #[arg(long, requires = "reassign")]
    pub force: bool,
}

impl Placement {
    /// What clap can't tell: it drops `requires` where something conflicts.
    fn check(&self, id: Option<&str>) -> Result<(), LabError> {
        let Some(reassign) = self.reassign.as_deref() else {
            return Ok(());
        };
        let wrong = match (self.dry_run, id) {
            (true, _) => "--reassign with --dry-run: a cancel can't be tried out",
            (_, Some(id)) if id != reassign => "--reassign with another --id: a job keeps its id",
            _ => return Ok(()),
        };
        Err(LabError::Usage(wrong.to_owned()))
    }
}

/// A board's answer to `submit`.
#[derive(Debug, Clone, Deserialize)]
pub struct Accepted {
    pub id: String,
    pub state: JobState,
}

pub async fn run(
    target: &Target,
    options: &Options,
    placement: &Placement,
    signing: &Signing,
    after: &After,
) -> Result<(), LabError> {
    placement.check(options.id.as_deref())?;
    let options = Options {
        id: placement.reassign.clone().or_else(|| options.id.clone()),
        ..options.clone()
    };
    let jobs = spec::jobs(&options)?;
    let mut client = Client::connect(target).await?;
    let group = placement.group.as_deref();
    if placement.dry_run {
        return try_out(&mut client, target, group, &jobs, after.json).await;
    }
    let mut dispatch = Dispatch::to(&mut client, target, group).await?;
    if let Some(id) = &placement.reassign {
        let holders = reassign::find(&mut client, target, id, placement.from.as_deref()).await?;
        // Before anything is cancelled: somebody else can take it.
        for holder in &holders {
            dispatch.without(holder.board())?;
        }
        for job in &jobs {
            dispatch.check(&mut client, target, job).await?;
        }
        for holder in &holders {
            reassign::release(&mut client, holder, id, placement.force).await?;
        }
    }
    match jobs.as_slice() {
        [job] => send_one(&mut client, &mut dispatch, job, signing, after).await,
        jobs => together::send_all(&mut client, &mut dispatch, jobs, signing, after).await,
    }
}

async fn send_one(
    client: &mut Client,
    dispatch: &mut Dispatch,
    job: &Value,
    signing: &Signing,
    after: &After,
) -> Result<(), LabError> {
    let wait = after.wait || after.out.is_some();
    let listen = match wait {
        true => Listen::Everything,
        false => Listen::Nothing,
    };
    let placed = dispatch.place(client, job, signing, listen).await?;
    if !wait {
        println!("{}", told(&placed, dispatch, after.json));
        return Ok(());
    }
    let Placed {
        id,
        board,
        accepted,
    } = placed;
    if matches!(dispatch, Dispatch::Group { .. }) {
        eprintln!("{id}: on {}", board.name());
    }
    let display = if after.json {
        Display::nowhere()
    } else {
        Display::on_stderr()
    };
    let collected = tokio::select! {
        // First, so that the signal is caught before anything is shown.
        biased;
        () = interrupted() => return Err(goes_on(&board, &id)),
        collected = of_accepted(client, &board, &accepted, &display) => collected?,
    };
    if let Some(result) = &collected.result {
        if let Some(dir) = &after.out {
            let path = save(dir, &id, &collected.result_json)?;
            eprintln!("wrote {}", path.display());
        }
        if after.json {
            println!("{}", collected.result_json);
        } else {
            let sheet = Sheet::new(&result.stamp, &result.body);
            print!("{}", table::render(&sheet, table::width()));
        }
    }
    follow::outcome(&collected, &board, &id)
}

/// What became of a job that the board has taken now, or had before.
async fn of_accepted(
    client: &mut Client,
    board: &Board,
    accepted: &Accepted,
    display: &Display,
) -> Result<Collected, LabError> {
    let id = &accepted.id;
    if accepted.state.is_final() {
        return follow::ended_before(client, board, id, accepted.state).await;
    }
    // A board that has lost its store runs a known id again, and the broker still has the
    // result of the first time.
    client.forget_retained();
    follow::follow(client, board, id, Until::Result, display).await
}

/// A job that a board has taken, in a line.
fn told(placed: &Placed, dispatch: &Dispatch, as_json: bool) -> String {
    let Placed {
        board, accepted, ..
    } = placed;
    if as_json {
        let answer = json!({"device": board.name(), "id": accepted.id, "state": accepted.state});
        return answer.to_string();
    }
    let line = format!("{}  {}", accepted.id, accepted.state.as_str());
    match dispatch {
        Dispatch::One(_) => line,
        Dispatch::Group { .. } => format!("{line}  {}", board.name()),
    }
}

/// Shows the jobs with their defaults, and where they would go.
async fn try_out(
    client: &mut Client,
    target: &Target,
    group: Option<&str>,
    jobs: &[Value],
    as_json: bool,
) -> Result<(), LabError> {
    let chosen = dispatch::try_out(client, target, group, jobs).await?;
    for (job, (member, left_out)) in jobs.iter().zip(chosen) {
        let parsed = Job::parse(job.to_string().as_bytes(), &spec::no_limits());
        let whole = match parsed {
            Ok(parsed) => serde_json::to_value(&parsed).expect("a job has only JSON-able fields"),
            // What this version does not know, the board does.
            Err(_) => job.clone(),
        };
        if as_json {
            let line = json!({"device": member.name(), "jobs": member.jobs(), "job": whole,
                "left_out": left_out});
            println!("{line}");
            continue;
        }
        println!("{whole:#}");
        for left_out in left_out {
            eprintln!("left out {}: {}", left_out.device, left_out.reason);
        }
        let presence = match member.is_online() {
            true => format!("which has {} jobs", member.jobs()),
            false => "which is offline and gets it when it comes back".to_owned(),
        };
        eprintln!(
            "{} would go to {}, {presence}; nothing was sent",
            whole["id"].as_str().unwrap_or_default(),
            member.name()
        );
    }
    Ok(())
}

/// Submits `job` and returns the board's consent.
pub async fn send(client: &mut Client, board: &Board, job: &Value) -> Result<Accepted, LabError> {
    client
        .request(board, "submit", job)
        .await?
        .map_err(|refusal| refused(board, &refusal))
}

/// The end of a command that the board refused: a wrong job is the caller's mistake, a full
/// queue is not.
pub fn refused(board: &Board, refusal: &Refusal) -> LabError {
    let field = match &refusal.field {
        Some(field) => format!(" ({field})"),
        None => String::new(),
    };
    let text = format!(
        "board {} refused: {}{field}: {}",
        board.name(),
        refusal.code,
        refusal.message
    );
    match refusal.code.as_str() {
        "invalid-spec" | "unsigned" | "bad-signature" | "signature-expired" | "unsupported"
        | "conflict" | "unknown-model" | "wrong-model" | "unknown-job" => LabError::Usage(text),
        _ => LabError::Failed(text),
    }
}

fn goes_on(board: &Board, id: &str) -> LabError {
    LabError::Interrupted(format!(
        "stopped waiting; job {id} goes on. Cancel it with `joulectl cancel {id} --device {}`, \
         or run the same submit again with --id {id} --wait to see its result",
        board.name()
    ))
}

/// Writes `DIR/<id>.json`, byte for byte what the board published.
fn save(dir: &Path, id: &str, result: &str) -> Result<PathBuf, LabError> {
    let path = dir.join(format!("{id}.json"));
    let failed = |error: std::io::Error| LabError::Failed(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(&path, format!("{result}\n")).map_err(failed)?;
    Ok(path)
}
