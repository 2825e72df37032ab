//! `jouled calibrate lag` and `sampler-power` as a user runs them: with simulated chips, and
//! with a tegrastats whose power follows the load that the command makes, some lines late.
#![allow(clippy::unwrap_used, reason = "a test")]

use jouled::config::Config;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tells 6 W while the process that started it uses the CPU, else 2 W, two lines later.
const FOLLOWER: &str = r#"#!/bin/sh
used() {
  read -r stat < /proc/$PPID/stat || exit
  set -- ${stat##*) }
  now=${12}
}
used; before=$now; first=2000; second=2000
while sleep 0.05; do
  used
  power=2000
  [ $((now - before)) -ge 2 ] && power=6000
  before=$now
  echo "RAM 1/2MB VDD_IN ${first}mW/${first}mW" || exit
  first=$second; second=$power
done
"#;

const INPUT: &str = r#"
[[sensor]]
name = "input"
kind = "simulated"
waveform = "cpu:0.5,2.0"
bus_v = 5.0
shunt_ohm = 0.01
boundary = "board-input"
"#;

struct Rig(tempfile::TempDir);

impl Rig {
    fn new(sensors: &str) -> Rig {
        let rig = Rig(tempfile::tempdir().unwrap());
        let state = rig.path("state");
        let config = format!("[storage]\ndir = {state:?}\n{sensors}");
        fs::write(rig.path("jouled.toml"), config).unwrap();
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn calibrate(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_jouled"))
            .arg("calibrate")
            .args(arguments)
            .arg("--config")
            .arg(self.path("jouled.toml"))
            .env_remove("JOULED_LOG")
            .output()
            .unwrap()
    }

    fn config(&self) -> Config {
        jouled::config::load(&self.path("jouled.toml"), []).unwrap()
    }
}

fn script(path: &Path) -> String {
    fs::write(path, FOLLOWER).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    format!(
        "[[sensor]]\nname = \"module\"\nkind = \"tegrastats\"\nboundary = \"module\"\n\
         command = [{path:?}, \"--interval\", \"50\"]\n"
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_lag_of_every_rail_is_measured_and_stored() {
    let folder = tempfile::tempdir().unwrap();
    let module = script(&folder.path().join("tegrastats"));
    let rig = Rig::new(&format!("{INPUT}{module}"));
    let output = rig.calibrate(&["lag", "--steps", "26", "--step-s", "0.6"]);
    let (told, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told}{errors}");
    for line in ["module", "point", "yes", "input", "window", "(simulated)"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let config = rig.config();
    let sensor = |name: &str| config.sensor.iter().find(|s| s.name == name).unwrap();
    let lag = &sensor("module").lag.as_ref().unwrap()["module"];
    // Two lines of 50 ms, and what a busy machine adds.
    assert!((0.05..1.0).contains(&lag.lag_s), "{lag:?}");
    assert!((0.0..0.5).contains(&lag.lag_s_u95), "{lag:?}");
    assert!((1.0..=4.2).contains(&lag.step_w), "{lag:?}");
    assert!((20..=26).contains(&lag.steps), "{lag:?}");
    assert!(rig.path("conf.d/lag-module.toml").exists());
    // What else runs on this machine may hide the steps from the other one.
    match &sensor("input").lag {
        Some(lags) => assert!(lags["input"].lag_s.abs() < 1.0, "{lags:?}"),
        None => assert!(told.contains("not told"), "{told}"),
    }
}

#[test]
fn what_sampling_takes_is_measured_and_stored() {
    // Slow cycles, of which a busy machine costs none.
    let input = INPUT.replace("cpu:0.5,2.0", "constant:1");
    let rig = Rig::new(&format!("{input}adc_shunt = \"avg128\"\n"));
    // A daemon's lock on its state.
    fs::create_dir(rig.path("state")).unwrap();
    let lock = fs::File::create(rig.path("state/jouled.lock")).unwrap();
    lock.lock().unwrap();
    let output = rig.calibrate(&["sampler-power", "--seconds", "12"]);
    let (told, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{told}{errors}");
    for part in [
        "idle rate: ",
        "full rate: ",
        "W on input (simulated)",
        "of one CPU",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let found = rig.config().energy.sampler_power.unwrap();
    assert_eq!(found.rail, "input");
    // The simulated current is the same at both rates.
    assert!(found.power_w.abs() <= found.power_w_u95 + 1e-3, "{found:?}");
    assert!((0.0..0.1).contains(&found.power_w_u95), "{found:?}");
    assert!(told.contains("drowns in the noise"), "{told}");
    assert!(errors.contains("a jouled is running"), "{errors}");
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    let rig = Rig::new(INPUT);
    let refused = |arguments: &[&str]| {
        let output = rig.calibrate(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        text(&output.stderr)
    };
    assert!(refused(&["lag", "--steps", "19"]).contains("20..="));
    assert!(refused(&["lag", "--step-s", "0.1"]).contains("0.2 to 60"));
    assert!(refused(&["lag", "--seconds", "9"]).contains("--step-s"));
    assert!(refused(&["lag", "--sensor", "wall"]).contains("no sensor is called \"wall\""));
    assert!(refused(&["sampler-power", "--seconds", "5"]).contains("at least 12"));
    assert!(refused(&["offset"]).contains("--sensor"));
    assert!(!rig.path("conf.d").exists());
}

#[test]
fn either_order_of_the_arguments_is_understood() {
    let rig = Rig::new(INPUT);
    for arguments in [
        ["--sensor", "wall", "offset"],
        ["offset", "--sensor", "wall"],
    ] {
        let output = rig.calibrate(&arguments);
        let errors = text(&output.stderr);
        assert!(
            errors.contains("no sensor \"wall\"; there are: input"),
            "{errors}"
        );
    }
}
