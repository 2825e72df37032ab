//! What a job's result says of the board around it: temperatures, clocks, fan and memory of
//! each repetition, throttling and low supply voltage, on a Raspberry Pi 5's sysfs.
#![cfg(feature = "llama")]

#[path = "boards/tree.rs"]
mod boards;
mod support;

use boards::Tree;
use serde_json::{Value, json};
use support::daemon::STEADY;
use support::rig::{Rig, endless, job, of_job, topic};

const FIRMWARE: &str = "devices/platform/soc@107c000000/soc@107c000000:firmware";

fn write(tree: &Tree, file: &str, text: &str) {
    tree.write(&format!("sys/{file}"), format!("{text}\n").as_bytes());
}

/// Cool, at a low clock, with a good supply.
fn pi5() -> Tree {
    let tree = Tree::new();
    tree.is_board(
        &["raspberrypi,5-model-b", "brcm,bcm2712"],
        "Raspberry Pi 5 Model B Rev 1.0",
    );
    tree.write("dt/chosen/bootloader/version", b"086b83e3\0");
    for (file, text) in [
        ("class/thermal/thermal_zone0/type", "cpu-thermal"),
        ("class/thermal/thermal_zone0/temp", "48200"),
        ("devices/system/cpu/cpufreq/policy0/related_cpus", "0 1 2 3"),
        (
            "devices/system/cpu/cpufreq/policy0/affected_cpus",
            "0 1 2 3",
        ),
        (
            "devices/system/cpu/cpufreq/policy0/scaling_cur_freq",
            "1500000",
        ),
        (
            "devices/system/cpu/cpufreq/policy0/scaling_min_freq",
            "1500000",
        ),
        (
            "devices/system/cpu/cpufreq/policy0/scaling_max_freq",
            "2400000",
        ),
        (
            "devices/system/cpu/cpufreq/policy0/scaling_governor",
            "ondemand",
        ),
        ("class/hwmon/hwmon2/name", "pwmfan"),
        ("class/hwmon/hwmon2/fan1_input", "0"),
        ("class/hwmon/hwmon3/name", "rpi_volt"),
        ("class/hwmon/hwmon3/in0_lcrit_alarm", "0"),
    ] {
        write(&tree, file, text);
    }
    write(&tree, &format!("{FIRMWARE}/get_throttled"), "0");
    tree
}

fn rig(tree: &Tree) -> Rig {
    Rig::start(&format!(
        "[board]\nsysfs_root = {:?}\ndevicetree_root = {:?}\n{STEADY}",
        tree.sysfs(),
        tree.devicetree()
    ))
}

#[test]
fn a_board_that_is_throttled_for_its_supply_in_a_repetition_says_so() {
    let tree = pi5();
    let mut rig = rig(&tree);
    rig.submit(&endless(
        "hot",
        json!({"publish": {"tokens": "live", "tokens_every_ms": 50}}),
    ));
    rig.lab.wait_topic(&of_job("hot", "tokens"));
    write(&tree, "class/thermal/thermal_zone0/temp", "85400");
    write(&tree, &format!("{FIRMWARE}/get_throttled"), "50005");
    let answer = rig.ask("cancel", &json!({"id": "hot"}));
    assert_eq!(answer["ok"], true, "{answer}");
    let result = rig.result("hot");
    let thermal = &result["thermal"];
    assert_eq!(thermal["throttled"], true, "{thermal}");
    assert_eq!(thermal["under_voltage"], true, "{thermal}");
    assert_eq!(thermal["before_c"], 48.2);
    assert_eq!(thermal["max_c"], 85.4);
    let warnings = result["warnings"].as_array().expect("a list");
    for begins in ["throttled: ", "under-voltage: "] {
        let told = |warning: &Value| warning.as_str().is_some_and(|w| w.starts_with(begins));
        assert!(warnings.iter().any(told), "{begins}{warnings:?}");
    }
}

#[test]
fn a_board_that_is_well_says_that_too() {
    let tree = pi5();
    let mut rig = rig(&tree);
    let result = rig.run(&job("cool", json!({"repetitions": 2, "warmup": 1})));
    let thermal = &result["thermal"];
    assert_eq!(thermal["throttled"], false, "{thermal}");
    assert_eq!(thermal["under_voltage"], false, "{thermal}");
    let reps = result["reps"].as_array().expect("a list");
    assert_eq!(reps.len(), 2);
    for rep in reps {
        let volts = rep["supply_min_v"].as_f64().expect("the sensor tells it");
        assert!(volts > 0.0, "{rep}");
        for moment in [&rep["start"], &rep["end"]] {
            assert_eq!(moment["reasons"], json!({}), "{moment}");
            assert!(moment["mem_available_bytes"].as_u64() > Some(0));
        }
    }
    assert_eq!(reps[0]["end"], reps[1]["start"], "one reading between them");
    let start = &reps[0]["start"];
    assert_eq!(start["temperature_c"], 48.2);
    assert_eq!(start["clocks_mhz"], json!({"cpu0-3": 1500.0}));
    assert_eq!(start["fan_rpm"], json!({"pwmfan.fan1": 0.0}));
    let memory = &result["memory"];
    let bytes = |field: &str| memory[field].as_u64().expect(field);
    assert!(bytes("available_min_bytes") > 0 && bytes("available_before_bytes") > 0);
    assert_eq!(memory["unified"], true);
    let board = &result["board"];
    assert_eq!(board["firmware"], "bootloader 086b83e3");
    assert_eq!(board["governor"], "ondemand");
    assert_eq!(board["cpu_max_mhz"], 2400.0);
    assert_eq!(board["reasons"]["l4t"], "not-supported", "{board}");
    // Of what was in force at the end, an attempt alone knows.
    let mut begun = board.clone();
    assert!(begun.as_object_mut().unwrap().remove("end").is_some());
    assert_eq!(rig.lab.wait_topic(&topic("info")).json()["board"], begun);
}
