//! The unit, read by systemd's own tools; none has to run here.

use super::support::tool::output;
use std::process::Command;

#[test]
fn systemd_understands_it_and_finds_little_exposed() {
    let mut command = Command::new("scripts/check-unit");
    let checked = output(command.arg(env!("CARGO_BIN_EXE_jouled")));
    let said = String::from_utf8_lossy(&checked.stdout);
    let complaints = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}{complaints}");
}

/// A line more of the same key shares the reason of the line above it.
#[test]
fn every_hardening_key_says_why() {
    for service in ["jouled", "jouled-power"] {
        let unit = std::fs::read_to_string(format!("systemd/{service}.service")).unwrap();
        let (_, hardening) = unit.split_once("# Hardening.").unwrap();
        let (hardening, _) = hardening.split_once("[Install]").unwrap();
        let lines: Vec<&str> = hardening.lines().filter(|line| !line.is_empty()).collect();
        let key = |line: &str| line.split_once('=').map(|(key, _)| key.to_owned());
        for pair in lines.windows(2) {
            let explained = pair[0].starts_with('#') || key(pair[0]) == key(pair[1]);
            assert!(pair[1].starts_with('#') || explained, "{}", pair[1]);
        }
    }
}

/// What docs/service.md leaves unexplained would be an oversight.
#[test]
fn every_open_point_is_explained() {
    let mut command = Command::new("scripts/check-unit");
    let checked = output(command.arg(env!("CARGO_BIN_EXE_jouled")));
    let said = String::from_utf8_lossy(&checked.stdout);
    let explained = std::fs::read_to_string("docs/service.md").unwrap();
    let points: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("✗ ")?.split_whitespace().next())
        .collect();
    assert!(!points.is_empty(), "{said}");
    for point in points {
        assert!(explained.contains(&format!("`{point}`")), "{point}");
    }
}

/// The one service that runs as root is for this machine's daemon alone.
#[test]
fn what_runs_as_root_has_no_network_and_one_user() {
    let read = |name: &str| std::fs::read_to_string(format!("systemd/{name}")).unwrap();
    let service = read("jouled-power.service");
    for line in [
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
    ] {
        assert!(service.lines().any(|own| own == line), "{line}");
    }
    let socket = read("jouled-power.socket");
    for line in ["SocketUser=jouled", "SocketMode=0600"] {
        assert!(socket.lines().any(|own| own == line), "{line}");
    }
    let path = socket
        .lines()
        .find_map(|line| line.strip_prefix("ListenStream="));
    let default = jouled::config::PowerConfig::default().socket;
    assert_eq!(path, default.to_str());
}

/// Models of the catalogue come over the network into the state directory.
#[test]
fn models_can_be_fetched() {
    let unit = std::fs::read_to_string("systemd/jouled.service").unwrap();
    let words = |key: &str| -> Vec<String> {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
        lines
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    };
    assert!(words("StateDirectory=").contains(&"jouled/models".to_owned()));
    for family in ["AF_INET", "AF_INET6"] {
        assert!(words("RestrictAddressFamilies=").contains(&family.to_owned()));
    }
    assert!(!words("PrivateNetwork=").contains(&"yes".to_owned()));
}

/// A group that a system has not would keep the unit from starting, so it names none:
/// memberships come from sysusers.d, which makes the groups.
#[test]
fn memberships_come_with_groups() {
    let unit = std::fs::read_to_string("systemd/jouled.service").unwrap();
    assert!(
        !unit
            .lines()
            .any(|line| line.starts_with("SupplementaryGroups="))
    );
    let users = std::fs::read_to_string("systemd/sysusers.d/jouled.conf").unwrap();
    for member in users
        .lines()
        .filter_map(|line| line.strip_prefix("m jouled "))
    {
        assert!(users.contains(&format!("g {member} -")), "{member}");
    }
}
