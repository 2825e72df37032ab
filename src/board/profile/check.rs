//! What the types alone can't tell about a profile: that its names fit each other, and that
//! no total adds a rail to one that encloses it.

use super::super::evidence;
use super::{Profile, Rail};
use crate::strict_toml::{TomlError, line_at};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// `text` is what `profile` was read from, to tell lines.
pub(super) fn check(profile: &Profile, text: &str) -> Result<(), TomlError> {
    let wrong = |block: &str, index: usize, message: String| TomlError {
        line: line_of(text, block, index),
        message,
    };
    let name = &profile.name;
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if name.is_empty() || name == "auto" || !name.bytes().all(plain) {
        let message = format!("name: \"{name}\" is not a name of a-z, 0-9, _ and - (nor auto)");
        return Err(wrong("name", 0, message));
    }
    let detect = &profile.detect;
    let patterns = [
        ("compatible", &detect.compatible),
        ("model", &detect.model),
        ("product", &detect.product),
    ];
    for (key, patterns) in patterns {
        if let Some(bad) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
            let message = format!("detect.{key}: \"{bad}\" may have one `*`, at its end");
            return Err(wrong("detect", 0, message));
        }
    }
    for (index, rail) in profile.rail.iter().enumerate() {
        rail_fits(rail, index, &profile.rail).map_err(|message| wrong("rail", index, message))?;
    }
    total_adds_up(profile).map_err(|message| wrong("total", 0, message))?;
    let lists = [
        ("throttle", &profile.throttle),
        ("under_voltage", &profile.under_voltage),
    ];
    for (key, list) in lists {
        for (index, one) in list.iter().enumerate() {
            evidence::check(one)
                .map_err(|message| wrong(key, index, format!("{key}[{index}].{message}")))?;
        }
    }
    if let Some(modes) = &profile.power_mode
        && modes.command.is_empty()
    {
        let message = "power_mode.command: needs a program".to_owned();
        return Err(wrong("power_mode", 0, message));
    }
    if let Some(memory) = &profile.memory {
        let variants = memory.variant.iter().map(|variant| variant.bandwidth_gb_s);
        if !variants.chain([memory.bandwidth_gb_s]).all(is_positive) {
            let message = "memory: bandwidth_gb_s must be above 0".to_owned();
            return Err(wrong("memory", 0, message));
        }
    }
    Ok(())
}

/// A bare `*` would fit every board.
fn is_pattern(pattern: &str) -> bool {
    let start = pattern.strip_suffix('*').unwrap_or(pattern);
    !start.is_empty() && !start.contains('*')
}

fn is_positive(number: f64) -> bool {
    number.is_finite() && number > 0.0
}

fn rail_fits(rail: &Rail, index: usize, rails: &[Rail]) -> Result<(), String> {
    let label = &rail.label;
    if rails[..index].iter().any(|other| other.label == *label) {
        return Err(format!("rail[{index}].label: \"{label}\" is there twice"));
    }
    for (key, number) in [
        ("shunt_mohm", rail.shunt_mohm),
        ("nominal_v", rail.nominal_v),
    ] {
        if number.is_some_and(|number| !is_positive(number)) {
            return Err(format!("rail[{index}].{key}: must be above 0"));
        }
    }
    let outside = rail.contained_in.as_deref();
    let is_rail = |label: &str| rails.iter().any(|other| other.label == label);
    match outside {
        Some(outside) if !is_rail(outside) => Err(format!(
            "rail[{index}].contained_in: \"{outside}\" is no rail of this profile"
        )),
        _ if enclosing(label, rails).any(|outside| outside == label) => Err(format!(
            "rail[{index}].contained_in: \"{label}\" would contain itself"
        )),
        _ => Ok(()),
    }
}

/// The labels of the rails around `label`, from the inside out; endless in a circle no more
/// than once round.
fn enclosing<'a>(label: &'a str, rails: &'a [Rail]) -> impl Iterator<Item = &'a str> {
    let around = move |label: &&'a str| {
        let rail = rails.iter().find(|rail| rail.label == **label)?;
        rail.contained_in.as_deref()
    };
    std::iter::successors(around(&label), around).take(rails.len())
}

fn total_adds_up(profile: &Profile) -> Result<(), String> {
    let Some(total) = &profile.total else {
        return Ok(());
    };
    if total.labels.len() < 2 {
        return Err("total.labels: a total adds at least two rails".to_owned());
    }
    for (index, label) in total.labels.iter().enumerate() {
        if !profile.rail.iter().any(|rail| rail.label == *label) {
            return Err(format!(
                "total.labels: \"{label}\" is no rail of this profile"
            ));
        }
        if total.labels[..index].contains(label) {
            return Err(format!("total.labels: \"{label}\" is there twice"));
        }
        if let Some(outside) = enclosing(label, &profile.rail)
            .find(|outside| total.labels.iter().any(|other| other == outside))
        {
            return Err(format!(
                "total.labels: \"{label}\" is contained in \"{outside}\" and would count twice"
            ));
        }
    }
    Ok(())
}

/// The line of a key, or of one block of an array of tables.
fn line_of(text: &str, key: &str, index: usize) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let (name, value) = table
        .get_ref()
        .iter()
        .find(|(name, _)| name.get_ref() == key)?;
    let span = match value.get_ref() {
        DeValue::Array(blocks) => blocks.get(index).map(Spanned::span),
        _ => Some(name.span()),
    };
    Some(line_at(text, span?.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "name = \"b\"\ntitle = \"B\"\n";

    fn rail(label: &str, inside: Option<&str>) -> String {
        let inside = inside.map_or(String::new(), |label| {
            format!("contained_in = \"{label}\"\n")
        });
        format!("[[rail]]\nlabel = \"{label}\"\nboundary = \"rail\"\n{inside}")
    }

    fn checked(text: &str) -> Result<(), TomlError> {
        check(&toml::from_str(text).unwrap(), text)
    }

    #[test]
    fn a_total_never_adds_what_another_part_contains() {
        let rails = rail("A", None) + &rail("B", Some("A")) + &rail("C", Some("B"));
        let total = |labels: &str| {
            format!("{HEAD}{rails}[total]\nlabels = {labels}\nboundary = \"module\"\n")
        };
        let error = checked(&total(r#"["A", "C"]"#)).unwrap_err();
        assert_eq!(error.line, Some(14));
        assert!(
            error.message.contains("\"C\" is contained in \"A\""),
            "{error:?}"
        );
        for labels in [r#"["A", "X"]"#, r#"["A"]"#, r#"["A", "A"]"#] {
            assert!(checked(&total(labels)).is_err(), "{labels}");
        }
        let apart = rail("A", None) + &rail("B", None);
        let total = "[total]\nlabels = [\"A\", \"B\"]\nboundary = \"module\"\n";
        assert_eq!(checked(&format!("{HEAD}{apart}{total}")), Ok(()));
    }

    #[test]
    fn rails_contain_each_other_in_one_direction() {
        let circle = rail("A", Some("B")) + &rail("B", Some("A"));
        let unknown = rail("A", None) + &rail("B", Some("X"));
        let twice = rail("A", None) + &rail("A", None);
        for (rails, line) in [(circle, 3), (unknown, 6), (twice, 6)] {
            let error = checked(&format!("{HEAD}{rails}")).unwrap_err();
            assert_eq!(error.line, Some(line), "{error:?}");
        }
    }

    #[test]
    fn numbers_and_names_make_sense() {
        let shunt = rail("A", None) + "shunt_mohm = 0\n";
        assert!(checked(&format!("{HEAD}{shunt}")).is_err());
        let memory = "[memory]\nbandwidth_gb_s = -1\n";
        assert!(checked(&format!("{HEAD}{memory}")).is_err());
        for pattern in ["", "*", "a*b", "a**"] {
            let text = format!("{HEAD}[detect]\nmodel = [\"{pattern}\"]\n");
            assert_eq!(checked(&text).unwrap_err().line, Some(3), "{pattern}");
        }
        for name in ["auto", "", "My Board"] {
            let text = format!("name = \"{name}\"\ntitle = \"B\"\n");
            assert_eq!(checked(&text).unwrap_err().line, Some(1));
        }
    }
}
