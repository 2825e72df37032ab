//! Sends jobs where they belong: to the board that is named, or to one of a group.

use super::choice::{LeftOut, Unfit, lacks, order, unfit};
use super::{Accepted, refused};
use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::fleet::{self, Member};
use crate::lab::sign::{Signing, sign};
use crate::lab::target::{Board, Target};
use crate::record::answer::Refusal;
use crate::record::job::State;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A job that a board has taken.
#[derive(Debug, Clone)]
pub struct Placed {
    pub id: String,
    pub board: Board,
    pub accepted: Accepted,
}

/// What of a job is listened to before it is sent, so that nothing is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    Nothing,
    /// State and result.
    Outcome,
    /// Tokens and trace too.
    Everything,
}

pub enum Dispatch {
    One(Board),
    Group {
        members: Vec<Member>,
        sent: BTreeMap<String, u32>,
        told: BTreeSet<LeftOut>,
    },
}

impl Dispatch {
    /// To `group` where one is named, else to the target's board.
    pub async fn to(
        client: &mut Client,
        target: &Target,
        group: Option<&str>,
    ) -> Result<Self, LabError> {
        Ok(match group {
            None => Self::One(client.board(target).await?),
            Some(group) => Self::Group {
                members: fleet::group(client, &target.prefix, group).await?,
                sent: BTreeMap::new(),
                told: BTreeSet::new(),
            },
        })
    }

    /// Leaves a board out, which must not get the job.
    pub fn without(&mut self, board: &Board) -> Result<(), LabError> {
        match self {
            Self::One(only) if only == board => Err(LabError::Usage(format!(
                "board {} has the job already; name another with --device, or a --group",
                board.name()
            ))),
            Self::One(_) => Ok(()),
            Self::Group { members, .. } => {
                members.retain(|member| member.board != *board);
                Ok(())
            }
        }
    }

    /// Whether somebody is there who can take the job, by what the boards say of themselves.
    pub async fn check(
        &self,
        client: &mut Client,
        target: &Target,
        job: &Value,
    ) -> Result<(), LabError> {
        let id = job["id"].as_str().unwrap_or_default();
        match self {
            Self::One(board) => {
                let all = fleet::boards(client, &target.prefix).await?;
                let member = all.into_iter().find(|member| member.board == *board);
                let why = match member {
                    Some(member) => unfit(&member, job),
                    None => Some(Unfit::Away("it has never been on this broker".to_owned())),
                };
                why.map_or(Ok(()), |why| Err(cannot(board, &why)))
            }
            Self::Group { members, sent, .. } => match order(members, job, sent) {
                (fit, left_out) if fit.is_empty() => Err(nobody(id, &left_out)),
                _ => Ok(()),
            },
        }
    }

    /// Sends the job to the first board that takes it.
    pub async fn place(
        &mut self,
        client: &mut Client,
        job: &Value,
        signing: &Signing,
        listen: Listen,
    ) -> Result<Placed, LabError> {
        let id = job["id"].as_str().unwrap_or_default().to_owned();
        let (members, sent, told) = match self {
            Self::One(board) => {
                let board = board.clone();
                let accepted = offer(client, &board, job, signing, listen).await?;
                let accepted = accepted.map_err(|refusal| refused(&board, &refusal))?;
                return Ok(Placed {
                    id,
                    board,
                    accepted,
                });
            }
            Self::Group {
                members,
                sent,
                told,
            } => (members, sent, told),
        };
        // An id that a board knows is its own: sent again it answers, and runs nothing twice.
        let holders = holders(client, members, &id).await?;
        let (fit, mut left_out) = match holders.first() {
            Some((holder, _)) => (vec![*holder], Vec::new()),
            None => order(members, job, sent),
        };
        for (member, why) in &left_out {
            let news = LeftOut {
                device: member.name().to_owned(),
                reason: why.reason().to_owned(),
            };
            if told.insert(news) {
                eprintln!("left out {}: {}", member.name(), why.reason());
            }
        }
        for member in fit {
            match offer(client, &member.board, job, signing, listen).await? {
                Ok(accepted) => {
                    *sent.entry(member.name().to_owned()).or_insert(0) += 1;
                    return Ok(Placed {
                        id,
                        board: member.board.clone(),
                        accepted,
                    });
                }
                Err(refusal) if holders.is_empty() && another_may_take_it(&refusal) => {
                    eprintln!("{} refused {id}: {}", member.name(), refusal.code);
                    let why = format!("it refused: {}: {}", refusal.code, refusal.message);
                    left_out.push((member, Unfit::Away(why)));
                }
                Err(refusal) => return Err(refused(&member.board, &refusal)),
            }
        }
        Err(nobody(&id, &left_out))
    }
}

/// Refusals that are about the board as it is now, and not about the job.
fn another_may_take_it(refusal: &Refusal) -> bool {
    matches!(
        refusal.code.as_str(),
        "queue-full"
            | "rate-limited"
            | "draining"
            | "disk-full"
            | "outbox-full"
            | "storage"
            | "unknown-model"
            | "wrong-model"
            | "unsupported"
    )
}

async fn offer(
    client: &mut Client,
    board: &Board,
    job: &Value,
    signing: &Signing,
    listen: Listen,
) -> Result<Result<Accepted, Refusal>, LabError> {
    let id = job["id"].as_str().unwrap_or_default();
    match listen {
        Listen::Nothing => {}
        Listen::Outcome => {
            for leaf in ["state", "result"] {
                client.subscribe(&board.of_job(id, leaf)).await?;
            }
        }
        Listen::Everything => client.subscribe(&board.job_filter(id)).await?,
    }
    // The signature is for one board.
    let mut signed = job.clone();
    sign(&mut signed, board, signing)?;
    client.request(board, "submit", &signed).await
}

/// Boards that have told of a job of this id, with what they said last.
pub async fn holders<'m>(
    client: &mut Client,
    members: &'m [Member],
    id: &str,
) -> Result<Vec<(&'m Member, State)>, LabError> {
    let Some(first) = members.first() else {
        return Ok(Vec::new());
    };
    let filter = first.board.everywhere().of_job(id, "state");
    let mut found = BTreeMap::new();
    for message in client.kept(&[filter]).await? {
        let holder = members
            .iter()
            .find(|member| member.board.of_job(id, "state") == message.topic);
        if let Some(holder) = holder
            && let Ok(state) = serde_json::from_slice::<State>(&message.payload)
        {
            found.insert(holder.name(), (holder, state));
        }
    }
    Ok(found.into_values().collect())
}

fn cannot(board: &Board, why: &Unfit) -> LabError {
    let text = format!("board {}: {}", board.name(), why.reason());
    match why {
        Unfit::Lacks(_) => LabError::Usage(text),
        Unfit::Away(_) => LabError::Failed(text),
    }
}

/// Nobody can have the job.
fn nobody(id: &str, left_out: &[(&Member, Unfit)]) -> LabError {
    let reasons: Vec<String> = left_out
        .iter()
        .map(|(member, why)| format!("\n  {}: {}", member.name(), why.reason()))
        .collect();
    let reasons = match reasons.is_empty() {
        true => " each has had it already".to_owned(),
        false => reasons.concat(),
    };
    let text = format!("no board of the group can take job {id}:{reasons}");
    let all_lack = left_out
        .iter()
        .all(|(_, why)| matches!(why, Unfit::Lacks(_)));
    match all_lack && !left_out.is_empty() {
        true => LabError::Usage(text),
        false => LabError::Failed(text),
    }
}

/// Where the job would go, by what the boards say of themselves. Nothing is sent.
pub async fn try_out(
    client: &mut Client,
    target: &Target,
    group: Option<&str>,
    jobs: &[Value],
) -> Result<Vec<(Member, Vec<LeftOut>)>, LabError> {
    let Some(group) = group else {
        let member = fleet::one(client, target).await?;
        for job in jobs {
            if let Some(why) = lacks(&member, job) {
                return Err(cannot(&member.board, &why));
            }
        }
        return Ok(jobs.iter().map(|_| (member.clone(), Vec::new())).collect());
    };
    let members = fleet::group(client, &target.prefix, group).await?;
    let mut sent: BTreeMap<String, u32> = BTreeMap::new();
    let mut chosen = Vec::new();
    for job in jobs {
        let id = job["id"].as_str().unwrap_or_default();
        let (fit, left_out) = order(&members, job, &sent);
        let Some(first) = fit.first() else {
            return Err(nobody(id, &left_out));
        };
        *sent.entry(first.name().to_owned()).or_insert(0) += 1;
        let told = left_out.iter().map(|(member, why)| LeftOut {
            device: member.name().to_owned(),
            reason: why.reason().to_owned(),
        });
        chosen.push(((*first).clone(), told.collect()));
    }
    Ok(chosen)
}
