//! The keys that the configuration accepts, asked from its own parser: it answers an unknown
//! one with those that it knows.

use jouled::config::Config;

/// Every key, such as `mqtt.url` and `sensor.bus`.
pub fn accepted() -> Vec<String> {
    let mut found = Vec::new();
    below("", &mut found);
    found
}

fn below(table: &str, found: &mut Vec<String>) {
    for key in known(table) {
        let path = match table {
            "" => key,
            table => format!("{table}.{key}"),
        };
        let before = found.len();
        // Names that the administrator chooses.
        let inside = match path.as_str() {
            "runtime" => "runtime.NAME".to_owned(),
            "sensor.lag" => "sensor.lag.NAME".to_owned(),
            other => other.to_owned(),
        };
        below(&inside, found);
        if found.len() == before {
            found.push(path);
        }
    }
}

/// Keys that a table may have; none where it is no table.
fn known(table: &str) -> Vec<String> {
    let header = match table.strip_prefix("sensor") {
        _ if table.is_empty() => String::new(),
        // Required keys come first: a missing one is another error.
        Some(below) => {
            let sensor = "[[sensor]]\nname = \"s\"\nkind = \"modbus\"\n";
            match below {
                "" => sensor.to_owned(),
                below => format!("{sensor}[sensor{below}]\n"),
            }
        }
        None => format!("[{table}]\n"),
    };
    let Err(error) = toml::from_str::<Config>(&format!("{header}no-such-key = 1\n")) else {
        return Vec::new();
    };
    let message = error.message();
    let Some((_, expected)) = message
        .strip_prefix("unknown field `no-such-key`")
        .and_then(|rest| rest.split_once("expected "))
    else {
        return Vec::new();
    };
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Whether the document names it: whole, or where its table is described, as a word of code.
pub fn is_described(document: &str, key: &str) -> bool {
    let (table, last) = key.rsplit_once('.').unwrap_or(("", key));
    let all_of_it = format!("`{table}.*`");
    if document.contains(&format!("`{key}.*`")) {
        return true;
    }
    let is_apart = table.contains("sensor") || table.contains('.') || document.contains(&all_of_it);
    let code = || document.split('`').skip(1).step_by(2);
    if !is_apart {
        return code().any(|text| text == key);
    }
    let of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    code()
        .flat_map(|text| text.split(|character: char| !of_name(character)))
        .any(|word| word == last)
}
