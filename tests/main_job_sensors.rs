//! Several sensors at once, and one that is pulled out in the middle of a run.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use serde_json::{Value, json};
use std::path::Path;
use support::daemon::STEADY;
use support::meters::{Peer, Transport};
use support::rig::{Rig, job, lasting, of_job, topic};

/// A hwmon chip that tells 6 W.
fn hwmon(root: &Path) {
    let chip = root.join("class/hwmon/hwmon0");
    std::fs::create_dir_all(&chip).unwrap();
    std::fs::write(chip.join("name"), "ina226\n").unwrap();
    std::fs::write(chip.join("power1_input"), "6000000\n").unwrap();
}

/// An open file of a device that has gone gives an error on sysfs; here it gives nothing.
fn pull(root: &Path) {
    let power = root.join("class/hwmon/hwmon0/power1_input");
    std::fs::write(power, "").unwrap();
    std::fs::remove_dir_all(root.join("class")).unwrap();
}

fn names(rails: &Value) -> Vec<&str> {
    let rails = rails.as_array().unwrap();
    rails
        .iter()
        .map(|rail| rail["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_sensor_pulled_in_mid_run_leaves_a_gap_and_no_figure_that_it_cannot_carry() {
    let tree = tempfile::tempdir().unwrap();
    hwmon(tree.path());
    let mut rig = Rig::start(&format!(
        "{STEADY}[[sensor]]\nname = \"board\"\nkind = \"hwmon\"\nchip = \"ina226\"\n\
         boundary = \"module\"\nrate_hz = 100\nsysfs_root = {:?}\n\
         [energy]\nprimary = \"board\"\n",
        tree.path()
    ));
    let publish = json!({"tokens": "live", "tokens_every_ms": 50, "trace": true});
    rig.submit(&lasting(
        "pulled",
        json!({"repetitions": 10, "publish": publish}),
    ));
    rig.lab.wait_topic(&of_job("pulled", "tokens"));
    pull(tree.path());
    let event = rig.lab.wait_event("sensor-failed");
    assert!(
        event["message"].as_str().unwrap().starts_with("board: "),
        "{event}"
    );

    let result = rig.result("pulled");
    assert_eq!(result["state"], "succeeded");
    assert_eq!(names(&result["rails"]), ["input", "board"]);
    let board = &result["rails"][1];
    let coverage = board["coverage"].as_f64().unwrap();
    assert!(coverage > 0.0 && coverage < 1.0, "{board}");
    assert!(
        result["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|warning| warning.as_str().unwrap().starts_with("board: ")),
        "{}",
        result["warnings"]
    );
    assert!(
        result["total"]["board"]["energy_j"].is_null(),
        "{}",
        result["total"]
    );
    let last = result["reps"].as_array().unwrap().last().unwrap();
    assert!(last["decode"]["energy_j"].is_null(), "{last}");
    assert!(last["j_per_output_token"].is_null(), "{last}");

    let traces = of_job("pulled", "trace");
    rig.lab.wait("the last chunk of the board's trace", |seen| {
        let chunk = (seen.topic == traces).then(|| seen.json());
        chunk.is_some_and(|chunk| chunk["rail"] == "board" && chunk["last"] == true)
    });
    let chunks = rig.records("pulled", "trace");
    let gap = chunks
        .iter()
        .filter(|chunk| chunk["rail"] == "board")
        .flat_map(|chunk| chunk["power_w"].as_array().unwrap())
        .any(Value::is_null);
    assert!(gap, "the trace says where nothing was delivered");

    // The other sensor goes on.
    let input = &result["rails"][0];
    assert!(input["windows"].as_u64().unwrap() > 0);

    // Plugged in again, perhaps under another number, it measures again.
    hwmon(tree.path());
    std::fs::rename(
        tree.path().join("class/hwmon/hwmon0"),
        tree.path().join("class/hwmon/hwmon7"),
    )
    .unwrap();
    rig.lab.wait_event("sensor-recovered");
}

/// A tegrastats that tells 7 W of a Jetson's VDD_IN, and a part of it.
#[test]
fn a_sensor_plugged_in_after_the_start_measures_without_a_restart() {
    let tree = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(&format!(
        "{STEADY}[[sensor]]\nname = \"board\"\nkind = \"hwmon\"\nchip = \"ina226\"\n\
         boundary = \"module\"\nsysfs_root = {:?}\n\
         [energy]\nprimary = \"board\"\n",
        tree.path()
    ));
    rig.lab.wait_event("sensor-failed");
    let info = topic("info");
    rig.lab.wait("a primary rail that is missing", |seen| {
        seen.topic == info && seen.json()["primary_rail"].is_null()
    });
    hwmon(tree.path());
    let event = rig.lab.wait_event("sensor-recovered");
    assert_eq!(event["message"], "board: works again");
    rig.lab.wait("a primary rail", |seen| {
        seen.topic == info && seen.json()["primary_rail"] == "board"
    });
    rig.submit(&job("late", json!({})));
    let result = rig.result("late");
    assert_eq!(names(&result["rails"]), ["input", "board"]);
    assert!(result["total"]["board"]["energy_j"].is_number(), "{result}");
    let warnings = result["warnings"].to_string();
    assert!(!warnings.contains("not measured"), "{warnings}");
}

fn tegrastats(dir: &Path) -> std::path::PathBuf {
    let script = dir.join("tegrastats");
    let line = "11-21-2026 10:00:00 RAM 2400/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) CPU \
                [1%@729,0%@729] GR3D_FREQ 0% cpu@48C VDD_IN 7000mW/6000mW";
    std::fs::write(
        &script,
        format!("#!/bin/sh\nwhile :; do echo '{line}'; sleep 0.05; done\n"),
    )
    .unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    script
}

#[test]
fn four_sources_are_measured_side_by_side_and_never_added() {
    let tree = tempfile::tempdir().unwrap();
    hwmon(tree.path());
    let peer = Peer::meter("sdm630", &Transport::Tcp);
    let mut rig = Rig::start(&format!(
        "{STEADY}\
         [[sensor]]\nname = \"soc\"\nkind = \"hwmon\"\nchip = \"ina226\"\n\
         boundary = \"rail\"\ncontained_in = \"module\"\nrate_hz = 100\nsysfs_root = {:?}\n\
         [[sensor]]\nname = \"wall\"\nkind = \"modbus\"\nboundary = \"wall\"\n\
         transport = \"tcp\"\nendpoint = \"127.0.0.1:{}\"\nmeter = \"sdm630\"\nunit = 1\n\
         rate_hz = 10\ntimeout_ms = 5000\n\
         [[sensor]]\nname = \"module\"\nkind = \"tegrastats\"\nboundary = \"module\"\n\
         command = [{:?}, \"--interval\", \"50\"]\n\
         [energy]\nprimary = \"input\"\n",
        tree.path(),
        peer.port,
        tegrastats(tree.path())
    ));
    let idle = json!({"before_s": 3, "after_s": 3});
    let result = rig.run(&job("four", json!({"n_predict": 300, "idle": idle})));
    assert_eq!(result["state"], "succeeded", "{result}");
    assert_eq!(names(&result["rails"]), ["input", "soc", "wall", "module"]);
    let truth = [
        ("input", "board-input", "simulated", 5.0),
        ("soc", "rail", "hwmon", 6.0),
        ("wall", "wall", "modbus", 42.5),
        ("module", "module", "tegrastats", 7.0),
    ];
    for (rail, (name, boundary, source, power)) in
        result["rails"].as_array().unwrap().iter().zip(truth)
    {
        assert_eq!(rail["boundary"], boundary, "{rail}");
        assert_eq!(rail["boundary_basis"], "declared", "{rail}");
        assert_eq!(rail["source"], source, "{rail}");
        assert_eq!(rail["simulated"], name == "input", "{rail}");
        let timeline = result["timeline"][name].as_array().unwrap();
        let seconds = (timeline.last().unwrap()["t1_ns"].as_f64().unwrap()
            - timeline[0]["t0_ns"].as_f64().unwrap())
            * 1e-9;
        let joules = result["total"][name]["energy_j"].as_f64();
        let joules = joules.unwrap_or_else(|| panic!("{name}: {}, {rail}", result["total"]));
        let mean = joules / seconds;
        assert!((mean / power - 1.0).abs() < 0.005, "{name}: {mean} W");
    }
    assert_eq!(result["rails"][1]["contained_in"], "module");

    // The headline is the primary rail's alone.
    assert_eq!(result["primary_rail"], "input");
    let decode = &result["reps"][0]["decode"];
    match decode["energy_j"].as_f64() {
        Some(joules) => {
            let power = joules / decode["duration_s"].as_f64().unwrap();
            assert!((power / 5.0 - 1.0).abs() < 0.05, "{decode}");
        }
        // Other programs may have kept the sampler from its windows.
        None => assert!(decode["coverage"].as_f64().unwrap() < 0.99, "{decode}"),
    }
}
