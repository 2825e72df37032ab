//! Values that a person states: within their range, with where they come from and of which day.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// 0 or more.
pub fn not_negative<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(from, |value| value >= 0.0, "0 or more")
}

/// More than 0.
pub fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    within(from, |value| value > 0.0, "more than 0")
}

/// More than 0, at most 1.
pub fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let fits = |value| value > 0.0 && value <= 1.0;
    within(from, fits, "more than 0 and at most 1")
}

fn within<'de, D: Deserializer<'de>>(
    from: D,
    fits: impl Fn(f64) -> bool,
    range: &str,
) -> Result<f64, D::Error> {
    let value = f64::deserialize(from)?;
    match value.is_finite() && fits(value) {
        true => Ok(value),
        false => Err(Error::custom(format!("{value} is not {range}"))),
    }
}

/// A text that says something.
pub fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.trim().is_empty() {
        false => Ok(text),
        true => Err(Error::custom("an empty text says nothing")),
    }
}

/// A day as `2026-11-22`.
pub fn day<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    match text.parse::<jiff::civil::Date>() {
        Ok(_) if text.len() == 10 => Ok(text),
        _ => Err(Error::custom(format!(
            "\"{text}\" is no day; write it as \"2026-11-22\""
        ))),
    }
}
