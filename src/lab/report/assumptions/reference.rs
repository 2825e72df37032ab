//! `[[reference]]`: values of others, drawn beside the study's own and never among them.

use super::super::figure::{self, Figure};
use super::stated::{day, text};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// One value of somebody else.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "AsWritten")]
pub struct Reference {
    /// By its name in the report's CSV.
    pub figure: String,
    pub model: String,
    pub quant: Option<String>,
    pub device: String,
    /// In the figure's own unit, without a prefix.
    pub value: f64,
    /// As it was stated: `43 tok/s`.
    pub stated: String,
    pub boundary: Option<String>,
    pub source: String,
    pub date: Option<String>,
    pub basis: Basis,
    pub note: Option<String>,
}

/// How the value is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// In the source itself.
    Read,
    /// In somebody's account of the source.
    SecondHand,
}

impl Basis {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read in the source",
            Self::SecondHand => "second-hand",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AsWritten {
    #[serde(deserialize_with = "known_figure")]
    figure: &'static Figure,
    #[serde(deserialize_with = "text")]
    model: String,
    quant: Option<String>,
    #[serde(deserialize_with = "text")]
    device: String,
    value: f64,
    #[serde(deserialize_with = "text")]
    unit: String,
    /// What the energy encloses.
    boundary: Option<String>,
    #[serde(deserialize_with = "text")]
    source: String,
    #[serde(default, deserialize_with = "some_day")]
    date: Option<String>,
    basis: Basis,
    note: Option<String>,
}

impl TryFrom<AsWritten> for Reference {
    type Error = String;

    fn try_from(written: AsWritten) -> Result<Self, String> {
        let AsWritten {
            figure,
            value,
            unit,
            ..
        } = written;
        let factor = figure.unit.factor(&unit).ok_or_else(|| {
            format!(
                "{} is not in {unit}: its unit is {}",
                figure.name,
                figure.unit.base()
            )
        })?;
        if !value.is_finite() {
            return Err(format!("{value} is no value"));
        }
        Ok(Self {
            figure: figure.name.to_owned(),
            model: written.model,
            quant: written.quant,
            device: written.device,
            value: value * factor,
            stated: format!("{value} {unit}"),
            boundary: written.boundary,
            source: written.source,
            date: written.date,
            basis: written.basis,
            note: written.note,
        })
    }
}

impl Reference {
    /// `Llama 3.2 1B Q4_K_M, Raspberry Pi 5`.
    pub fn label(&self) -> String {
        let quant = self.quant.as_deref().map(|quant| format!(" {quant}"));
        format!(
            "{}{}, {}",
            self.model,
            quant.unwrap_or_default(),
            self.device
        )
    }
}

fn known_figure<'de, D: Deserializer<'de>>(from: D) -> Result<&'static Figure, D::Error> {
    let name = String::deserialize(from)?;
    if let Some(found) = figure::all().find(|figure| figure.name == name) {
        return Ok(found);
    }
    let nearest = figure::all()
        .map(|figure| figure.name)
        .min_by_key(|known| strsim::damerau_levenshtein(&name, known))
        .expect("there are figures");
    Err(Error::custom(format!(
        "\"{name}\" is no figure of a report; the nearest is \"{nearest}\""
    )))
}

fn some_day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    day(from).map(Some)
}
