//! `jouled probe` as a user runs it: on a copied tree, with a simulated sensor, a sensor
//! whose bus is not there, and a tegrastats that only prints.
#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A machine in a folder: `sys/`, `bin/` and a configuration.
struct Machine {
    folder: tempfile::TempDir,
}

const CONFIG: &str = r#"
[[sensor]]
name = "try"
kind = "simulated"
waveform = "constant:1.5"
bus_v = 5.0
shunt_ohm = 0.01
boundary = "board-input"

[[sensor]]
name = "gone"
kind = "ina219"
bus = "/dev/i2c-absent"
address = 0x44
shunt_ohm = 0.01
max_current_a = 4.0
boundary = "wall"
"#;

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { folder };
        fs::create_dir(machine.path("bin")).unwrap();
        machine.write("sys/class/hwmon/hwmon0/name", "coretemp\n");
        machine.write("sys/class/hwmon/hwmon0/temp1_input", "40000\n");
        let devicetree = "sys/firmware/devicetree/base";
        let board = "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0";
        machine.write(&format!("{devicetree}/compatible"), board);
        machine.write(&format!("{devicetree}/model"), "NVIDIA Jetson Orin Nano\0");
        let chip = "sys/class/hwmon/hwmon3";
        machine.write(&format!("{chip}/name"), "ina3221\n");
        for (channel, label, milliamperes) in [
            (1, "VDD_IN", 1200),
            (2, "VDD_CPU_GPU_CV", 300),
            (3, "VDD_SOC", 250),
        ] {
            machine.write(&format!("{chip}/in{channel}_label"), &format!("{label}\n"));
            machine.write(&format!("{chip}/in{channel}_input"), "5000\n");
            machine.write(
                &format!("{chip}/curr{channel}_input"),
                &format!("{milliamperes}\n"),
            );
        }
        machine.write("jouled.toml", CONFIG);
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn tegrastats(&self) {
        let line = "RAM 2448/7620MB (lfb 1x4MB) CPU [0%@729,0%@729] VDD_IN 4707mW/4707mW \
                    VDD_CPU_GPU_CV 500mW/500mW VDD_SOC 1426mW/1426mW";
        let script = format!("#!/bin/sh\nwhile echo '{line}'; do /bin/sleep 0.1; done\n");
        self.write("bin/tegrastats", &script);
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path("bin/tegrastats"), executable).unwrap();
    }

    fn probe(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_jouled"))
            .arg("probe")
            .args(arguments)
            .arg("--sysfs-root")
            .arg(self.path("sys"))
            .env("PATH", self.path("bin"))
            .env_remove("JOULED_LOG")
            .output()
            .unwrap()
    }

    fn configured(&self) -> String {
        self.path("jouled.toml").display().to_string()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        let output = self.probe(&arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn sensor<'a>(report: &'a Value, name: &str) -> &'a Value {
    let sensors = report["sensors"].as_array().unwrap();
    let named = sensors.iter().find(|sensor| sensor["name"] == name);
    named.unwrap_or_else(|| panic!("no sensor {name} in {report}"))
}

#[test]
fn every_source_is_listed_with_what_it_reads() {
    let machine = Machine::new();
    machine.tegrastats();
    let report = machine.json(&["--config", &machine.configured()]);
    assert_eq!(report["v"], 1);
    assert!(report["board"]["profile"].is_string());
    assert_eq!(report["sensors"].as_array().unwrap().len(), 4, "{report}");

    let simulated = sensor(&report, "try");
    assert_eq!(simulated["state"], "ok");
    assert_eq!(simulated["simulated"], true);
    assert_eq!(simulated["config"], Value::Null);
    let rail = &simulated["rails"][0];
    assert_eq!(
        (&rail["name"], &rail["boundary"]),
        (&"try".into(), &"board-input".into())
    );
    assert!(
        (rail["power_w"].as_f64().unwrap() - 7.5).abs() < 0.05,
        "{rail}"
    );
    assert!(
        (rail["voltage_v"].as_f64().unwrap() - 5.0).abs() < 0.01,
        "{rail}"
    );
    assert!(
        (rail["resolution_w"].as_f64().unwrap() - 0.01).abs() < 0.006,
        "{rail}"
    );
    assert!(rail["rate_hz"].as_f64().unwrap() > 0.0, "{rail}");

    let gone = sensor(&report, "gone");
    assert_eq!(
        (&gone["state"], &gone["kind"]),
        (&"failed".into(), &"ina219".into())
    );
    assert!(
        gone["reason"].as_str().unwrap().contains("ls /dev/i2c-*"),
        "{gone}"
    );
    assert_eq!(gone["rails"], serde_json::json!([]));

    assert_eq!(report["board"]["profile"], "jetson-orin-nano");
    let chip = sensor(&report, "ina3221");
    assert_eq!(
        (&chip["state"], &chip["kind"]),
        (&"ok".into(), &"hwmon".into())
    );
    let rail = &chip["rails"][0];
    assert_eq!(rail["name"], "ina3221.vdd_in");
    assert_eq!(
        (&rail["boundary"], &rail["contained_in"]),
        (&"module".into(), &Value::Null)
    );
    assert!(
        (rail["power_w"].as_f64().unwrap() - 6.0).abs() < 1e-6,
        "{rail}"
    );
    assert!(
        (rail["resolution_w"].as_f64().unwrap() - 0.04).abs() < 0.01,
        "{rail}"
    );
    assert_eq!(chip["rails"][1]["contained_in"], "ina3221.vdd_in");

    let tegrastats = sensor(&report, "tegrastats");
    assert_eq!(tegrastats["state"], "ok", "{tegrastats}");
    let rails = tegrastats["rails"].as_array().unwrap();
    let rail = rails
        .iter()
        .find(|rail| rail["name"] == "tegrastats.vdd_in");
    assert!((rail.unwrap()["power_w"].as_f64().unwrap() - 4.707).abs() < 1e-6);
}

#[test]
fn the_table_is_for_people_and_ends_in_what_to_paste() {
    let machine = Machine::new();
    let output = machine.probe(&["--config", &machine.configured(), "--seconds", "0.3"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "source",
        "rail",
        "boundary",
        "value",
        "rate",
        "coverage",
        "resolution",
        "warnings",
    ] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(
        !text.contains('\u{1b}'),
        "colours are for terminals: {text}"
    );
    assert!(text.contains("SIMULATED"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );

    let (_, blocks) = text.split_once("to paste").unwrap();
    let (_, blocks) = blocks.split_once('\n').unwrap();
    machine.write("jouled.toml", &format!("{CONFIG}{blocks}"));
    assert!(
        check(&machine.path("jouled.toml")).status.success(),
        "{blocks}"
    );
    let again = machine.json(&["--config", &machine.configured(), "--seconds", "0.1"]);
    assert_eq!(sensor(&again, "ina3221")["configured"], true);
    let listed = again["sensors"].as_array().unwrap().iter();
    assert_eq!(
        listed.filter(|sensor| sensor["kind"] == "hwmon").count(),
        1,
        "{again}"
    );
}

fn check(config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jouled"))
        .args(["check", "--config"])
        .arg(config)
        .output()
        .unwrap()
}

#[test]
fn nothing_found_is_no_failure() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.path("sys")).unwrap();
    let output = machine.probe(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("No power sensor can be read."),
        "{text}"
    );
    let report = machine.json(&[]);
    let mut sensors = report["sensors"].as_array().unwrap().iter();
    assert!(
        sensors.all(|sensor| sensor["state"] == "failed"),
        "{report}"
    );
}

#[test]
fn wrong_use_is_told_apart_from_a_wrong_configuration() {
    let machine = Machine::new();
    assert_eq!(
        machine.probe(&["--seconds", "never"]).status.code(),
        Some(2)
    );
    assert_eq!(
        machine.probe(&["--json", "--follow"]).status.code(),
        Some(2)
    );
    assert_eq!(
        machine.probe(&["--config", "absent.toml"]).status.code(),
        Some(1)
    );
}

#[test]
fn following_without_a_terminal_prints_a_line_per_rail() {
    let machine = Machine::new();
    let output = machine.probe(&[
        "--config",
        &machine.configured(),
        "--follow",
        "--seconds",
        "1",
    ]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let simulated = text.lines().find(|line| line.contains("  try ")).unwrap();
    assert!(
        simulated.contains("W") && simulated.ends_with("SIMULATED"),
        "{text}"
    );
    assert!(text.contains("# gone: /dev/i2c-absent"), "{text}");
}
