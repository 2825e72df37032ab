//! The configuration that is installed: it works as it is, and each line that it offers does.

use super::support::authority::Authority;
use super::support::tool::output;
use std::path::Path;
use std::process::Command;

fn shipped() -> String {
    std::fs::read_to_string("systemd/jouled.toml").unwrap()
}

/// `jouled check`, with credentials as systemd would pass them.
fn check(config: &str, credentials: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jouled.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_jouled"));
    command.arg("check").arg("--config").arg(&file);
    let checked = output(command.env("CREDENTIALS_DIRECTORY", credentials));
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// Keys and tables that are commented out; sentences begin with "# ".
fn switched_on(config: &str) -> String {
    let lines = config.lines().map(|line| match line.strip_prefix('#') {
        Some(offer) if !offer.is_empty() && !offer.starts_with(' ') => offer,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn it_is_valid_as_it_is_and_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    check(&shipped(), dir.path());
    let stated = shipped();
    let stated = stated.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(stated.filter(|line| !line.is_empty()).count(), 0);
}

#[test]
fn every_line_that_it_offers_is_valid() {
    let authority = Authority::new();
    let board = authority.client("pi5-01");
    let credentials = authority.path();
    for (file, name) in [
        (authority.ca(), "mqtt-ca"),
        (board.cert, "mqtt-cert"),
        (board.key, "mqtt-key"),
    ] {
        std::fs::copy(file, credentials.join(name)).unwrap();
    }
    std::fs::write(credentials.join("mqtt-password"), "secret\n").unwrap();
    let config = switched_on(&shipped());
    for table in ["[mqtt]", "[[sensor]]", "[signing.keys]", "[rig]"] {
        assert!(config.lines().any(|line| line == table), "{config}");
    }
    check(&config, credentials);
}

#[cfg(feature = "llama")]
mod without_a_sensor {
    use super::shipped;
    use crate::support::rig::{Rig, job};
    use serde_json::json;

    #[test]
    fn it_runs_and_every_energy_is_missing_with_its_reason() {
        let mut rig = Rig::start_with("", |daemon| {
            let path = daemon.path().to_owned();
            let file = path.join("jouled.toml");
            let own = std::fs::read_to_string(&file).unwrap();
            let url = own
                .lines()
                .find_map(|line| line.strip_prefix("url = "))
                .unwrap();
            let url = url.trim_matches('"').to_owned();
            std::fs::write(file, shipped()).unwrap();
            daemon.variable("JOULED_DEVICE__NAME", crate::support::daemon::DEVICE);
            daemon.variable("JOULED_MQTT__URL", url);
            daemon.variable("JOULED_STORAGE__DIR", path.join("state"));
            daemon.variable("JOULED_MODELS__DIR", daemon.models());
        });
        let result = rig.run(&job("blind", json!({})));
        assert_eq!(result["state"], "succeeded", "{result}");
        assert_eq!(result["rails"], json!([]));
        assert_eq!(result["primary_rail"], json!(null));
        let rep = &result["reps"][0];
        assert_eq!(rep["output_tokens"], 16);
        for figure in ["energy_j", "energy_net_j"] {
            assert!(rep["decode"][figure].is_null(), "{figure}: {rep}");
        }
        assert!(rep["j_per_output_token"].is_null(), "{rep}");
        let warnings = result["warnings"].to_string();
        assert!(warnings.contains("no primary rail"), "{warnings}");
    }
}
