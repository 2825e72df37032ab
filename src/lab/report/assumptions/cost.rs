//! `[cost]`: what electricity and hardware cost, how they are used, and what others charge.
//! Nothing has a default: a price that nobody states enters no sum.

use super::stated::{day, not_negative, positive, share, text};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Of every price here: `EUR`.
    #[serde(deserialize_with = "text")]
    pub currency: String,
    pub electricity: Option<Electricity>,
    pub supply: Option<Supply>,
    #[serde(default, deserialize_with = "one_a_board")]
    pub hardware: Vec<Hardware>,
    pub life: Option<Life>,
    pub utilisation: Option<Utilisation>,
    #[serde(default, deserialize_with = "one_a_name")]
    pub api: Vec<Api>,
}

/// At the socket.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Electricity {
    #[serde(deserialize_with = "not_negative")]
    pub price_per_kwh: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

/// The power supply between the socket and the board's input.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supply {
    /// Energy at the board's input ÷ energy at the socket.
    #[serde(deserialize_with = "share")]
    pub efficiency: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

/// A board with all that it takes to run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    #[serde(deserialize_with = "not_negative")]
    pub price: f64,
    /// Devices or board profiles that it is the price of; empty: of every other.
    #[serde(default)]
    pub boards: Vec<String>,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

/// How long hardware is used.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    #[serde(deserialize_with = "positive")]
    pub years: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

/// How much of that time it works.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utilisation {
    /// Time in which tokens are made ÷ all time.
    #[serde(deserialize_with = "share")]
    pub share: f64,
    pub between_uses: Option<BetweenUses>,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

/// What the board does while it doesn't work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BetweenUses {
    /// It stays on with the model loaded, and takes its idle power.
    Idle,
    /// It takes nothing.
    Off,
}

/// What a service charges for the same tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    #[serde(deserialize_with = "text")]
    pub name: String,
    #[serde(deserialize_with = "not_negative")]
    pub input_per_million: f64,
    #[serde(deserialize_with = "not_negative")]
    pub output_per_million: f64,
    #[serde(deserialize_with = "text")]
    pub source: String,
    #[serde(deserialize_with = "day")]
    pub date: String,
}

impl Cost {
    /// What a board costs: the entry that names its device, else its profile, else the one for
    /// every other.
    pub fn hardware_of(&self, device: &str, profile: &str) -> Option<&Hardware> {
        let naming = |name: &str| {
            let mut all = self.hardware.iter();
            all.find(|one| one.boards.iter().any(|board| board == name))
        };
        let other = || self.hardware.iter().find(|one| one.boards.is_empty());
        naming(device).or_else(|| naming(profile)).or_else(other)
    }
}

fn one_a_board<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hardware>, D::Error> {
    let all = Vec::<Hardware>::deserialize(from)?;
    if all.iter().filter(|one| one.boards.is_empty()).count() > 1 {
        return Err(Error::custom(
            "two prices of hardware name no boards: say which boards each is of, as \
             boards = [\"raspberrypi-5\"]",
        ));
    }
    let names = all.iter().flat_map(|one| &one.boards);
    match twice(names) {
        None => Ok(all),
        Some(board) => Err(Error::custom(format!(
            "the board \"{board}\" has two prices of hardware"
        ))),
    }
}

fn one_a_name<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Api>, D::Error> {
    let all = Vec::<Api>::deserialize(from)?;
    match twice(all.iter().map(|one| &one.name)) {
        None => Ok(all),
        Some(name) => Err(Error::custom(format!(
            "\"{name}\" is the name of two APIs: add what tells them apart"
        ))),
    }
}

fn twice<'a>(names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let mut seen = BTreeSet::new();
    let mut names = names;
    names.find(|name| !seen.insert(*name))
}
