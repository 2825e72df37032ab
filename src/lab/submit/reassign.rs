//! Takes a job away from the board that has it, so that another can run it: only once that
//! board has confirmed that it will not, or by force.

use super::Accepted;
use super::dispatch::holders;
use crate::lab::LabError;
use crate::lab::client::{ANSWER_WITHIN, Client};
use crate::lab::fleet::{self, Member};
use crate::lab::target::{Board, Target};
use crate::record::job::State;
use crate::workload::JobState;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// An attempt ends within seconds of its cancel; a board with a full disk takes longer to say so.
const CANCELLED_WITHIN: Duration = Duration::from_secs(60);

/// A board that has the job, and where that stands as far as it is known.
pub struct Holder {
    member: Member,
    known: Option<State>,
}

impl Holder {
    pub fn board(&self) -> &Board {
        &self.member.board
    }
}

/// The boards that have job `id`, which must not get it again.
pub async fn find(
    client: &mut Client,
    target: &Target,
    id: &str,
    from: Option<&str>,
) -> Result<Vec<Holder>, LabError> {
    let members = fleet::boards(client, &target.prefix).await?;
    let mut found = holders(client, &members, id).await?;
    if let Some(from) = from {
        found.retain(|(member, _)| member.name() == from);
    }
    if found.is_empty() {
        let known = members.iter().find(|member| Some(member.name()) == from);
        let Some(member) = known else {
            return Err(LabError::Usage(match from {
                Some(from) => format!("there is no board {from} on this broker"),
                None => format!(
                    "no board has told of job {id} within a day; name the one that has it with \
                     --from, or submit it as a new job"
                ),
            }));
        };
        return Ok(vec![Holder {
            member: member.clone(),
            known: None,
        }]);
    }
    let succeeded = |(_, state): &&(&Member, State)| state.state == JobState::Succeeded;
    if let Some((member, _)) = found.iter().find(succeeded) {
        return Err(has_succeeded(member.name(), id));
    }
    let holder = |(member, state): (&Member, State)| Holder {
        member: member.clone(),
        known: Some(state),
    };
    Ok(found.into_iter().map(holder).collect())
}

/// Sees to it that the board will not run the job.
pub async fn release(
    client: &mut Client,
    holder: &Holder,
    id: &str,
    force: bool,
) -> Result<(), LabError> {
    let member = &holder.member;
    let name = member.name();
    match holder.known.as_ref().map(|state| state.state) {
        Some(state) if state.is_final() => return Ok(()),
        _ => {}
    }
    let waits = if member.is_online() {
        match cancel(client, &member.board, id).await {
            Err(error @ LabError::Unreachable(_)) if force => {
                eprintln!("{error}");
                false
            }
            outcome => return outcome,
        }
    } else if !force {
        return Err(LabError::Failed(format!(
            "board {name}, which has job {id}, is offline: it may run it, now or when it comes \
             back. --force submits it elsewhere all the same, at the risk that it runs twice"
        )));
    } else {
        // The broker keeps it for the board for a day, if it still knows the board.
        let body = json!({"id": id});
        match client.send(&member.board, "cancel", &body).await {
            Ok(()) => true,
            Err(error) => {
                eprintln!("{error}");
                false
            }
        }
    };
    let cancel = match waits {
        true => "It finds a cancel waiting if it comes back within a day",
        false => "It may find no cancel waiting: cancel the job there when it comes back",
    };
    eprintln!(
        "warning: board {name} has not confirmed that it will not run job {id}: it may run twice. \
         {cancel}"
    );
    Ok(())
}

/// Cancels the job and waits until it is.
async fn cancel(client: &mut Client, board: &Board, id: &str) -> Result<(), LabError> {
    let topic = board.of_job(id, "state");
    client.subscribe(&topic).await?;
    let answer = client
        .request::<Accepted>(board, "cancel", &json!({"id": id}))
        .await?;
    let mut state = match answer {
        Ok(accepted) => accepted.state,
        // Its store is another one: it will not run what it does not know.
        Err(refusal) if refusal.code == "unknown-job" => return Ok(()),
        Err(refusal) => return Err(super::refused(board, &refusal)),
    };
    let deadline = Instant::now() + CANCELLED_WITHIN.max(ANSWER_WITHIN);
    while !state.is_final() {
        let Some(message) = client.next(deadline).await? else {
            return Err(LabError::Failed(format!(
                "board {} has not confirmed within {} s that job {id} is cancelled; try again, \
                 nothing was sent elsewhere",
                board.name(),
                CANCELLED_WITHIN.as_secs()
            )));
        };
        if message.topic == topic
            && let Ok(news) = serde_json::from_slice::<State>(&message.payload)
        {
            state = news.state;
        }
    }
    match state {
        JobState::Succeeded => Err(has_succeeded(board.name(), id)),
        _ => {
            eprintln!("{id}  {}  {}", state.as_str(), board.name());
            Ok(())
        }
    }
}

fn has_succeeded(name: &str, id: &str) -> LabError {
    LabError::Failed(format!(
        "job {id} has succeeded on board {name}, and its result is there; nothing was sent"
    ))
}
