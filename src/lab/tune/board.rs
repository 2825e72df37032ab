//! What the board says of itself, as far as a tuning depends on it. Read as it came: what
//! boards of other versions lack is missing here too.

use crate::lab::LabError;
use crate::lab::client::Client;
use crate::lab::fleet;
use crate::lab::target::{Board, Target};
use serde_json::Value;

pub struct Facts {
    pub board: Board,
    info: Value,
}

impl Facts {
    /// Of the board that the user named, or of the only one that is online.
    pub async fn ask(client: &mut Client, target: &Target) -> Result<Self, LabError> {
        let member = fleet::one(client, target).await?;
        let name = member.name().to_owned();
        let filter = format!("{}/{name}/info", target.prefix);
        let kept = client.kept(&[filter]).await?;
        let newest = kept.last().map(|message| message.payload.as_slice());
        let info = newest.and_then(|payload| serde_json::from_slice(payload).ok());
        if !member.is_online() {
            return Err(LabError::Unreachable(format!(
                "board {name} is offline; start jouled there"
            )));
        }
        let info = info.ok_or_else(|| {
            LabError::Unreachable(format!(
                "board {name} has published no info that this joulectl understands"
            ))
        })?;
        Ok(Self::new(member.board, info))
    }

    pub fn new(board: Board, info: Value) -> Self {
        Self { board, info }
    }

    pub fn cpus(&self) -> u32 {
        self.info["board"]["cpus"]
            .as_u64()
            .and_then(|cpus| u32::try_from(cpus).ok())
            .unwrap_or(1)
    }

    /// The model's SHA-256, by which every job of the tuning is held to one file.
    pub fn model_sha256(&self, model: &str) -> Result<String, LabError> {
        let name = self.board.name();
        let models = self.info["models"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let Some(found) = models.iter().find(|known| known["name"] == model) else {
            let names: Vec<&str> = models.iter().filter_map(|m| m["name"].as_str()).collect();
            let there = match names.is_empty() {
                true => "none".to_owned(),
                false => names.join(", "),
            };
            return Err(LabError::Usage(format!(
                "board {name} has no model {model}; there are: {there}"
            )));
        };
        match found["sha256"].as_str() {
            Some(sha256) => Ok(sha256.to_owned()),
            None => Err(LabError::Failed(format!(
                "board {name} has not hashed {model} yet, or can't ({}); try again in a moment",
                found["reason"].as_str().unwrap_or("no reason given")
            ))),
        }
    }

    pub fn has_primary_rail(&self) -> bool {
        self.info["primary_rail"].is_string()
    }

    /// Governors that a job may ask for, but for the one that is set.
    pub fn governors(&self) -> Vec<String> {
        let knows = |feature: &str| {
            let features = self.info["features"].as_array();
            features.is_some_and(|all| all.iter().any(|known| known == feature))
        };
        let offered = self.info["power"]["governors"].as_array();
        let offered = offered.filter(|_| knows("governor")).into_iter().flatten();
        let present = &self.info["board"]["governor"];
        offered
            // That one is a program's own.
            .filter(|name| *name != present && *name != "userspace")
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(info: Value) -> Facts {
        Facts::new(Board::new("jouled", "pi5-01"), info)
    }

    #[test]
    fn a_model_is_named_and_hashed() {
        let facts = facts(
            json!({"board": {"cpus": 4}, "primary_rail": null, "models": [
            {"name": "a.gguf", "sha256": "ab"}, {"name": "b.gguf", "sha256": null,
             "reason": "it is being hashed"}]}),
        );
        assert_eq!(facts.cpus(), 4);
        assert!(!facts.has_primary_rail());
        assert_eq!(facts.model_sha256("a.gguf").unwrap(), "ab");
        let error = facts.model_sha256("b.gguf").unwrap_err();
        assert!(error.to_string().contains("being hashed"), "{error}");
        let error = facts.model_sha256("c.gguf").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("a.gguf, b.gguf"), "{error}");
    }

    #[test]
    fn governors_are_tried_where_the_board_offers_them() {
        let info = json!({"board": {"governor": "ondemand"}, "features": ["governor"],
            "power": {"governors": ["ondemand", "powersave", "userspace"]}});
        assert_eq!(facts(info.clone()).governors(), ["powersave"]);
        let mut other = info;
        other["features"] = json!([]);
        assert_eq!(facts(other).governors(), [""; 0]);
        assert_eq!(facts(json!({})).governors(), [""; 0]);
    }
}
