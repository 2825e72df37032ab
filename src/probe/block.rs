//! The `[[sensor]]` block of a source that was found, ready to paste.
//!
//! Keys whose values only the user knows are comments: pasted as it stands such a block is
//! refused, and the message names the key.

use crate::sensor::{SensorConfig, SensorKind};

/// The block of `config`. `boundary_known` says that something else states what its rails
/// enclose.
pub fn block(config: &SensorConfig, boundary_known: bool) -> String {
    let keys = toml::to_string(config).expect("every key is a plain TOML value");
    let mut block = "[[sensor]]\n".to_owned();
    for line in keys.lines() {
        match config.address {
            Some(address) if line.starts_with("address = ") => {
                block.push_str(&format!("address = {address:#04x}\n"));
            }
            _ => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    let missing = missing(config, boundary_known);
    match missing.len() {
        0 => {}
        1 => block.push_str("# Only you know this: state it and remove the #.\n"),
        _ => block.push_str("# Only you know these: state them and remove the #.\n"),
    }
    for (key, example, meaning) in missing {
        block.push_str(&format!("# {key} = {example:<14} # {meaning}\n"));
    }
    block
}

type Key = (&'static str, &'static str, &'static str);

const SHUNT: Key = (
    "shunt_ohm",
    "0.010",
    "printed on the shunt: R010 is 0.010, R100 is 0.1",
);
const MAX_CURRENT: Key = (
    "max_current_a",
    "4.0",
    "the largest current, which selects the range",
);
const BOUNDARY: Key = (
    "boundary",
    "\"board-input\"",
    "wall, board-input, module, package, rail, partial",
);

fn missing(config: &SensorConfig, boundary_known: bool) -> Vec<Key> {
    let mut missing = Vec::new();
    let is_chip = matches!(
        config.kind,
        SensorKind::Ina219 | SensorKind::Ina226 | SensorKind::Ina228 | SensorKind::Ina3221
    );
    if is_chip && config.shunt_ohm.is_none() {
        missing.push(SHUNT);
    }
    if is_chip && config.kind != SensorKind::Ina3221 && config.max_current_a.is_none() {
        missing.push(MAX_CURRENT);
    }
    if !boundary_known && config.boundary.is_none() {
        missing.push(BOUNDARY);
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        sensor: Vec<SensorConfig>,
    }

    fn parsed(text: &str) -> SensorConfig {
        let mut file: File = toml::from_str(text).unwrap();
        file.sensor.remove(0)
    }

    fn found() -> SensorConfig {
        let mut config = SensorConfig::new("ina219-1-44", SensorKind::Ina219);
        config.bus = Some("/dev/i2c-1".to_owned());
        config.address = Some(0x44);
        config
    }

    #[test]
    fn what_only_the_user_knows_is_refused_until_it_is_stated() {
        let text = block(&found(), false);
        assert!(text.contains("address = 0x44\n"), "{text}");
        let config = parsed(&text);
        assert_eq!(config, found());
        assert_eq!(config.check().unwrap_err().key(), "boundary");
        let mut completed = text.replace("# boundary", "boundary");
        assert_eq!(parsed(&completed).check().unwrap_err().key(), "shunt_ohm");
        completed = completed
            .replace("# shunt_ohm", "shunt_ohm")
            .replace("# max_current_a", "max_current_a");
        parsed(&completed).check().unwrap();
    }

    #[test]
    fn a_complete_block_has_no_comment() {
        let config = SensorConfig::new("cpu", SensorKind::Rapl);
        assert_eq!(
            block(&config, true),
            "[[sensor]]\nname = \"cpu\"\nkind = \"rapl\"\n"
        );
    }
}
