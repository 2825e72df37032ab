//! Reads the layers. Each file is validated alone first, so that an error can name its
//! file and line; then the layers are merged, `[[sensor]]` and `[[catalogue]]` by name.

use super::Config;
use crate::board::{ProfileError, Profiles};
use crate::sensor::SensorKind;
use crate::strict_toml::{self, TomlError};
use config::builder::DefaultState;
use config::{ConfigBuilder, Environment, File, FileFormat};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Arrays whose blocks complete those of the same name in earlier files.
const BY_NAME: [&str; 2] = ["sensor", "catalogue"];
const ENV_PREFIX: &str = "JOULED";
/// The log filter and joulectl's variables are not configuration keys.
const NOT_KEYS: [&str; 7] = [
    "JOULED_LOG",
    "JOULED_BROKER",
    "JOULED_PASSWORD_FILE",
    "JOULED_CA_FILE",
    "JOULED_CERT_FILE",
    "JOULED_KEY_FILE",
    "JOULED_SIGN_KEY",
];

/// The configuration can't be used. The text says where and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {message}")]
    File { path: String, message: String },
    #[error("{path}:{line}: {message}")]
    Line {
        path: String,
        line: usize,
        message: String,
    },
    #[error("environment: {message}")]
    Environment { message: String },
    #[error("{key}: {message}")]
    Value { key: String, message: String },
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// Reads `main`, then `conf.d/*.toml` beside it in the order of their names, then the
/// environment given as (name, value) pairs. `boards/*.toml` beside it are board profiles.
pub fn load(
    main: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut files = Vec::new();
    for path in layers(main)? {
        let text = std::fs::read_to_string(&path).map_err(|error| ConfigError::File {
            path: path.display().to_string(),
            message: format!("cannot be read: {error}"),
        })?;
        files.push((path, text));
    }
    let merged = merged(&files, environment)?;
    checked(merged, Profiles::with_own(&beside(main, "boards"))?)
}

/// Reads one file alone, `text`, with the shipped board profiles. `path` is what an error
/// calls it.
pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let merged = merged(&[(path.to_owned(), text.to_owned())], [])?;
    checked(merged, Profiles::shipped())
}

fn checked(mut config: Config, profiles: Profiles) -> Result<Config, ConfigError> {
    config.board.profiles = profiles;
    config.share_sysfs_root();
    config.check()?;
    Ok(config)
}

/// The layers in one: `files`, the main one first, then the environment.
fn merged(
    files: &[(PathBuf, String)],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut builder = config::Config::builder();
    let mut lists = BY_NAME.map(|key| (key, Vec::new()));
    for (path, text) in files {
        let mut table = validated(path, text)?;
        for (key, earlier) in &mut lists {
            if let Some(Value::Array(blocks)) = table.remove(*key) {
                merge_by_name(earlier, blocks);
            }
        }
        builder = builder.add_source(File::from_str(&table.to_string(), FileFormat::Toml));
    }
    let variables: HashMap<String, String> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("JOULED_") && !NOT_KEYS.contains(&name.as_str()))
        .collect();
    let environment = Environment::with_prefix(ENV_PREFIX)
        .prefix_separator("_")
        .separator("__")
        .source(Some(variables));
    let of_variables = config::Config::builder().add_source(environment.clone());
    read(of_variables).map_err(|message| ConfigError::Environment { message })?;
    let last: Table = lists
        .into_iter()
        .map(|(key, blocks)| (key.to_owned(), Value::Array(blocks)))
        .collect();
    let last = File::from_str(&last.to_string(), FileFormat::Toml);
    read(builder.add_source(environment).add_source(last)).map_err(|message| ConfigError::File {
        path: files[0].0.display().to_string(),
        message,
    })
}

fn read(layers: ConfigBuilder<DefaultState>) -> Result<Config, String> {
    let merged = layers.build().and_then(config::Config::try_deserialize);
    strict_toml::read_layers(merged.map_err(|error| error.to_string())?)
}

fn beside(main: &Path, folder: &str) -> PathBuf {
    main.parent().unwrap_or(Path::new(".")).join(folder)
}

/// The main file and the files of `conf.d` beside it.
fn layers(main: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = vec![main.to_owned()];
    if let Ok(entries) = std::fs::read_dir(beside(main, "conf.d")) {
        let mut extra: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .collect();
        extra.sort();
        files.extend(extra);
    }
    Ok(files)
}

/// Parses one file and finds unknown keys and wrong types, with their line. A sensor block
/// may be partial here: it can complete one of the same name in an earlier file.
fn validated(path: &Path, text: &str) -> Result<Table, ConfigError> {
    let at = |error: TomlError| {
        let path = path.display().to_string();
        match error {
            TomlError {
                line: Some(line),
                message,
            } => ConfigError::Line {
                path,
                line,
                message,
            },
            TomlError { message, .. } => ConfigError::File { path, message },
        }
    };
    let table = strict_toml::parsed(text).map_err(at)?;
    let mut complete = table.clone();
    complete_sensors(&mut complete);
    strict_toml::read_parsed::<Config>(complete, text).map_err(at)?;
    Ok(table)
}

/// Gives blocks that only have a name the `kind` that another file states, so that they are
/// read to their end.
fn complete_sensors(table: &mut Table) {
    let Some(Value::Array(blocks)) = table.get_mut("sensor") else {
        return;
    };
    for block in blocks.iter_mut().filter_map(Value::as_table_mut) {
        let kind = || Value::String(SensorKind::Simulated.to_string());
        block.entry("kind").or_insert_with(kind);
    }
}

/// A block completes and overrides the one of the same name in an earlier file.
fn merge_by_name(merged: &mut Vec<Value>, blocks: Vec<Value>) {
    let of_earlier_files = merged.len();
    for block in blocks {
        let same = merged[..of_earlier_files].iter_mut().find(|earlier| {
            block.get("name").is_some() && earlier.get("name") == block.get("name")
        });
        match (same, block) {
            (Some(Value::Table(earlier)), Value::Table(later)) => earlier.extend(later),
            (_, block) => merged.push(block),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("mkdir");
        std::fs::write(&path, text).expect("write");
        path
    }

    fn load_text(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let main = write(dir.path(), "jouled.toml", text);
        load(&main, [])
    }

    fn sensor(name: &str) -> String {
        format!(
            "[[sensor]]\nname = \"{name}\"\nkind = \"simulated\"\n\
             waveform = \"constant:1\"\nbus_v = 5.0\nboundary = \"board-input\"\n"
        )
    }

    #[test]
    fn a_copied_board_holds_the_sensors_that_state_no_other_root() {
        let hwmon =
            |name: &str| format!("[[sensor]]\nname = \"{name}\"\nkind = \"hwmon\"\nchip = \"x\"\n");
        let config = load_text(&format!(
            "[board]\nsysfs_root = \"/copy/sys\"\n{}{}sysfs_root = \"/other\"\n{}",
            hwmon("a"),
            hwmon("b"),
            sensor("c")
        ))
        .expect("valid");
        let roots: Vec<Option<&str>> = config
            .sensor
            .iter()
            .map(|s| s.sysfs_root.as_deref())
            .collect();
        assert_eq!(roots, [Some("/copy/sys"), Some("/other"), None]);
    }

    #[test]
    fn later_layers_win_and_sensors_merge_by_name() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let main = write(
            dir.path(),
            "jouled.toml",
            "[device]\nname = \"a\"\ngroup = \"g\"\n\
             [[sensor]]\nname = \"input\"\nkind = \"simulated\"\nwaveform = \"constant:1\"\n\
             bus_v = 5.0\nshunt_ohm = 0.01\nboundary = \"board-input\"\n",
        );
        write(
            dir.path(),
            "conf.d/10-site.toml",
            "[device]\nname = \"b\"\n[[sensor]]\nname = \"input\"\nshunt_ohm = 0.02\n",
        );
        let environment = [
            ("JOULED_DEVICE__NAME".to_owned(), "c".to_owned()),
            ("JOULED_LOG".to_owned(), "debug".to_owned()),
            ("JOULED_BROKER".to_owned(), "mqtt://lab".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ];
        let config = load(&main, environment).expect("a valid configuration");
        assert_eq!(config.device.name.as_deref(), Some("c"));
        assert_eq!(config.device.group.as_deref(), Some("g"));
        assert_eq!(config.sensor.len(), 1);
        assert_eq!(config.sensor[0].shunt_ohm, Some(0.02));
    }

    #[test]
    fn a_later_file_adds_to_the_catalogue_and_replaces_by_name() {
        let entry = |name: &str, host: &str| {
            let sha256 = "ab".repeat(32);
            format!(
                "[[catalogue]]\nname = \"{name}\"\nurl = \"https://{host}/m\"\nsha256 = \"{sha256}\"\n"
            )
        };
        let dir = tempfile::tempdir().expect("a temporary directory");
        let main = entry("a.gguf", "old") + &entry("b.gguf", "old");
        let main = write(dir.path(), "jouled.toml", &main);
        let later = entry("c.gguf", "new") + &entry("a.gguf", "new");
        write(dir.path(), "conf.d/10.toml", &later);
        let config = load(&main, []).expect("a valid configuration");
        let found: Vec<_> = config
            .catalogue
            .iter()
            .map(|entry| (entry.name.as_str(), entry.url.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("a.gguf", "https://new/m"),
                ("b.gguf", "https://old/m"),
                ("c.gguf", "https://new/m")
            ]
        );
    }

    #[test]
    fn an_unknown_key_names_file_line_and_neighbour() {
        let error = load_text("[mqtt]\nurl = \"mqtt://localhost\"\nusernam = \"x\"\n")
            .expect_err("usernam is no key");
        let text = error.to_string();
        assert!(text.contains("jouled.toml:3"), "{text}");
        assert!(
            text.contains("`usernam`") && text.contains("`username`"),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_key_after_a_partial_sensor_is_found_in_its_own_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let main = write(dir.path(), "jouled.toml", &sensor("input"));
        let partial = "[[sensor]]\nname = \"input\"\nshunt_ohm = 0.02\n";
        let keys = [
            ("shunt_ohms = 1\n", "10.toml:4"),
            ("[mqtt]\nulr = 1\n", "10.toml:5"),
        ];
        for (key, place) in keys {
            write(dir.path(), "conf.d/10.toml", &format!("{partial}{key}"));
            let text = load(&main, []).expect_err("no such key").to_string();
            assert!(text.contains(place) && text.contains("nearest"), "{text}");
        }
        write(
            dir.path(),
            "conf.d/10.toml",
            "[[sensor]]\nshunt_ohm = 1.0\n",
        );
        let text = load(&main, []).expect_err("it has no name").to_string();
        assert!(
            text.contains("10.toml") && text.contains("`name`"),
            "{text}"
        );
    }

    #[test]
    fn two_sensors_of_one_name_in_a_file_are_an_error() {
        let text = load_text(&(sensor("input") + &sensor("input")))
            .expect_err("the same name")
            .to_string();
        assert!(text.contains("two sensors are called \"input\""), "{text}");
        let text = load_text("[[sensor]]\nname = \"input\"\n")
            .expect_err("no file says the kind")
            .to_string();
        assert!(text.contains("kind"), "{text}");
    }

    #[test]
    fn names_with_dots_stay_whole() {
        let config =
            load_text("[runtime.\"llama.cpp\"]\ncommand = [\"w\"]\n[rig]\n\"a.b\" = \"c\"\n")
                .expect("a valid configuration");
        assert_eq!(config.runtime["llama.cpp"].command, ["w"]);
        assert_eq!(config.rig["a.b"], "c");
    }

    #[test]
    fn an_unknown_variable_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let main = write(dir.path(), "jouled.toml", "");
        let environment = [("JOULED_MQTT__ULR".to_owned(), "mqtt://x".to_owned())];
        let text = load(&main, environment)
            .expect_err("ulr is no key")
            .to_string();
        assert!(
            text.starts_with("environment:") && text.contains("`url`"),
            "{text}"
        );
    }

    #[test]
    fn variables_are_read_as_what_their_key_wants() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let main = write(dir.path(), "jouled.toml", "");
        let load = |name: &str, value: &str| {
            let url = ("JOULED_MQTT__URL".to_owned(), "mqtt://lab".to_owned());
            load(&main, [url, (name.to_owned(), value.to_owned())])
        };
        let config = load("JOULED_MQTT__USERNAME", "007").expect("a name");
        assert_eq!(config.mqtt.username.as_deref(), Some("007"));
        let config = load("JOULED_MQTT__KEEP_ALIVE_S", "17").expect("seconds");
        assert_eq!(config.mqtt.keep_alive_s, 17);
        let config = load("JOULED_HOMEASSISTANT__DISCOVERY", "Yes").expect("a boolean");
        assert!(config.homeassistant.discovery);
        let text = load("JOULED_MQTT__KEEP_ALIVE_S", "soon")
            .expect_err("no number")
            .to_string();
        assert!(
            text.starts_with("environment: mqtt.keep_alive_s: invalid type: string"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_type_names_its_line() {
        let text = load_text("[device]\nname = 5\n")
            .expect_err("5 is no name")
            .to_string();
        assert!(text.contains("jouled.toml:2"), "{text}");
    }

    #[test]
    fn a_profile_is_shipped_or_lies_beside_the_main_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let main = write(
            dir.path(),
            "jouled.toml",
            "[board]\nprofile = \"my-board\"\n",
        );
        let text = load(&main, []).expect_err("no such profile").to_string();
        assert!(
            text.contains("board.profile") && text.contains("raspberrypi-5"),
            "{text}"
        );
        let own = "name = \"my-board\"\ntitle = \"Mine\"\n";
        let path = write(dir.path(), "boards/mine.toml", own);
        let config = load(&main, []).expect("a valid configuration");
        assert!(config.board.profiles.by_name("my-board").is_some());
        write(dir.path(), "boards/mine.toml", &format!("{own}nots = []\n"));
        let text = load(&main, []).expect_err("no such key").to_string();
        assert!(
            text.contains(&format!("{}:3", path.display())) && text.contains("`notes`"),
            "{text}"
        );
    }

    #[test]
    fn an_absent_file_is_named() {
        let text = load(Path::new("absent/jouled.toml"), [])
            .expect_err("there is no such file")
            .to_string();
        assert!(text.contains("absent/jouled.toml"), "{text}");
    }
}
