//! The boards of a broker, by what they have it keep: who is there, who belongs to which group,
//! what each can do.

use super::LabError;
use super::client::Client;
use super::target::{Board, Target};
use crate::record::device::{DataInfo, ModelInfo, Presence, Status};
use crate::workload::Limits;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A board as its retained `status` and `info` tell of it.
#[derive(Debug, Clone)]
pub struct Member {
    pub board: Board,
    pub status: Option<Status>,
    pub info: Option<Facts>,
}

/// What of `info` decides whether a job fits; fields of later versions are left alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Facts {
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub models: Vec<ModelInfo>,
    /// `None` of a board that doesn't say.
    #[serde(default)]
    pub data: Option<Vec<DataInfo>>,
    #[serde(default)]
    pub data_left_out: u64,
    #[serde(default, deserialize_with = "known_limits")]
    pub limits: Limits,
    #[serde(default)]
    pub runtimes: Vec<String>,
    #[serde(default)]
    pub features: Vec<String>,
}

/// A board of a later version may have further limits.
fn known_limits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    let mut told = Map::deserialize(deserializer)?;
    let known = serde_json::to_value(Limits::default()).expect("numbers");
    told.retain(|key, _| known.get(key).is_some());
    serde_json::from_value(Value::Object(told)).map_err(serde::de::Error::custom)
}

impl Facts {
    /// Unless the board has listed everything and this is not there.
    pub fn may_have_data(&self, name: &str) -> bool {
        let listed = |files: &Vec<DataInfo>| files.iter().any(|file| file.name == name);
        self.data_left_out > 0 || self.data.as_ref().is_none_or(listed)
    }
}

impl Member {
    pub fn name(&self) -> &str {
        self.board.name()
    }

    pub fn is_online(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.state == Presence::Online)
    }

    /// Jobs that wait or run.
    pub fn jobs(&self) -> u32 {
        let Some(status) = &self.status else {
            return 0;
        };
        status.jobs_queued.unwrap_or(0) + u32::from(status.job_running.is_some())
    }

    fn is_of(&self, group: &str) -> bool {
        let info = self.info.as_ref();
        info.is_some_and(|info| info.group.as_deref() == Some(group))
    }
}

/// Every board that the broker knows of, by name.
pub async fn boards(client: &mut Client, prefix: &str) -> Result<Vec<Member>, LabError> {
    let filters = [format!("{prefix}/+/status"), format!("{prefix}/+/info")];
    let mut boards: BTreeMap<String, Member> = BTreeMap::new();
    for message in client.kept(&filters).await? {
        let mut levels = message.topic.rsplit('/');
        let (Some(leaf), Some(name)) = (levels.next(), levels.next()) else {
            continue;
        };
        let member = boards.entry(name.to_owned()).or_insert_with(|| Member {
            board: Board::new(prefix, name),
            status: None,
            info: None,
        });
        // One that changes meanwhile comes twice: what it said last counts.
        match leaf {
            "status" => member.status = serde_json::from_slice(&message.payload).ok(),
            "info" => member.info = serde_json::from_slice(&message.payload).ok(),
            _ => {}
        }
    }
    Ok(boards.into_values().collect())
}

/// The boards of a group; there is at least one.
pub async fn group(
    client: &mut Client,
    prefix: &str,
    group: &str,
) -> Result<Vec<Member>, LabError> {
    let all = boards(client, prefix).await?;
    let names: BTreeSet<String> = all
        .iter()
        .filter_map(|member| member.info.as_ref()?.group.clone())
        .collect();
    let members: Vec<Member> = all
        .into_iter()
        .filter(|member| member.is_of(group))
        .collect();
    if !members.is_empty() {
        return Ok(members);
    }
    let known = match names.is_empty() {
        true => "no board says that it is of one".to_owned(),
        false => format!(
            "there are {}",
            names.into_iter().collect::<Vec<_>>().join(", ")
        ),
    };
    Err(LabError::Unreachable(format!(
        "no board is of group {group}: {known}; a board's group is device.group in its \
         configuration"
    )))
}

/// The board that the user named, or the only one that is online.
pub async fn one(client: &mut Client, target: &Target) -> Result<Member, LabError> {
    let board = client.board(target).await?;
    let all = boards(client, &target.prefix).await?;
    let found = all.into_iter().find(|member| member.board == board);
    found.ok_or_else(|| {
        LabError::Unreachable(format!(
            "no board named {} has ever been on this broker; `mosquitto_sub -V 5 -v -t \
             '{}/+/status'` lists the boards",
            board.name(),
            target.prefix
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_board_of_another_version_is_understood() {
        let facts: Facts = serde_json::from_value(json!({
            "group": "pi5", "novelty": 1, "features": ["generate"],
            "limits": {"n_ctx": 512, "watts": 5},
        }))
        .unwrap();
        assert_eq!((facts.limits.n_ctx, facts.limits.queue), (512, 1_000));
        let earlier: Facts = serde_json::from_value(json!({})).unwrap();
        assert_eq!(earlier.limits, Limits::default());
        assert!(earlier.features.is_empty());
    }
}
