//! Several sensors at once, and one that is pulled out in the middle of a run.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use serde_json::{Value, json};
use std::path::Path;
use support::daemon::STEADY;
use support::rig::{Rig, endless, of_job};

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
    let mut pulled = endless(
        "pulled",
        json!({"publish": {"tokens": "live", "tokens_every_ms": 50, "trace": true}}),
    );
    pulled["repetitions"] = json!(20);
    rig.submit(&pulled);
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

    // The other sensor has not suffered.
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
