//! `[homeassistant]`: what Home Assistant is told of a real daemon, and what is taken back.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use support::daemon::{Daemon, STEADY};
use support::lab::{Lab, Seen};
use support::rig::{Rig, job, topic};

const CONFIG: &str = "homeassistant/device/board/config";
const TWO_RAILS: &str = "[[sensor]]\nname = \"input\"\nkind = \"simulated\"\n\
     boundary = \"board-input\"\nwaveform = \"constant:1\"\n[[sensor]]\nname = \"usb\"\n\
     kind = \"simulated\"\nboundary = \"rail\"\nwaveform = \"constant:0.1\"\n";

fn switch(daemon: &Daemon, discovery: bool, prefix: &str) {
    let config = format!("[homeassistant]\ndiscovery = {discovery}\nprefix = \"{prefix}\"\n");
    daemon.configure("homeassistant.toml", &config);
}

fn announced(rig: &Rig) -> Lab {
    Lab::connect(rig.broker.port, &["homeassistant/#", "ha/#"])
}

fn restart(rig: &mut Rig) {
    rig.daemon.terminate();
    rig.listen_anew();
    rig.daemon.spawn();
    rig.wait_online();
}

fn is_config(seen: &Seen) -> bool {
    seen.topic == CONFIG && !seen.text.is_empty()
}

#[test]
fn a_board_announces_itself_only_when_asked() {
    let rig = Rig::start(STEADY);
    let mut lab = announced(&rig);
    // Whatever the board has to say comes before the answer to this.
    let mut rig = rig;
    rig.run(&job("a", json!({})));
    lab.publish("homeassistant/mark", "end");
    lab.wait_topic("homeassistant/mark");
    assert_eq!(lab.seen.len(), 1, "{:?}", lab.seen);
}

#[test]
fn the_announcement_points_at_records_that_are_published() {
    let mut rig = Rig::start_with(TWO_RAILS, |daemon| switch(daemon, true, "homeassistant"));
    let mut lab = announced(&rig);
    let message = lab.wait("configuration", is_config);
    let message = message.json();
    assert_eq!(message["device"]["name"], "board (simulated)");
    let components = message["components"].as_object().unwrap();
    assert_eq!(components.len(), 2 * 4 + 6);
    let energy = &components["usb_energy"];
    assert_eq!(energy["device_class"], "energy");
    assert_eq!(energy["state_class"], "total_increasing");
    assert_eq!(energy["unit_of_measurement"], "Wh");
    rig.run(&job("a", json!({})));
    for component in components.values() {
        let topic = component["state_topic"].as_str().unwrap().to_owned();
        rig.lab.wait_topic(&topic);
    }
}

/// The broker keeps the announcement for a Home Assistant that comes later.
#[test]
fn what_was_announced_is_taken_back() {
    let mut rig = Rig::start_with(TWO_RAILS, |daemon| switch(daemon, true, "homeassistant"));
    announced(&rig).wait("configuration", is_config);

    // A rail less: its entities are removed, the others stay.
    rig.daemon.terminate();
    let config = rig.daemon.path().join("jouled.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (before, _) = text.split_once("[[sensor]]\nname = \"usb\"").unwrap();
    std::fs::write(&config, before).unwrap();
    rig.listen_anew();
    rig.daemon.spawn();
    rig.wait_online();
    let removed = json!({"platform": "sensor"});
    let fewer = announced(&rig).wait("configuration without usb", |seen| {
        is_config(seen) && seen.json()["components"]["usb_power"] == removed
    });
    assert!(fewer.json()["components"]["input_power"]["unique_id"].is_string());

    // Another prefix: the old message goes.
    switch(&rig.daemon, true, "ha");
    let mut lab = announced(&rig);
    restart(&mut rig);
    lab.wait("removal", |seen| {
        seen.topic == CONFIG && seen.text.is_empty()
    });
    lab.wait_topic("ha/device/board/config");

    // Off: nothing is left, also after another start.
    switch(&rig.daemon, false, "homeassistant");
    let mut lab = announced(&rig);
    restart(&mut rig);
    lab.wait("removal", |seen| {
        seen.topic == "ha/device/board/config" && seen.text.is_empty()
    });
    let mut late = announced(&rig);
    late.publish("homeassistant/mark", "end");
    late.wait_topic("homeassistant/mark");
    assert_eq!(late.seen.len(), 1, "{:?}", late.seen);
}

#[test]
fn no_answer_goes_where_announcements_are_read() {
    let mut rig = Rig::start_with(STEADY, |daemon| switch(daemon, false, "ha"));
    for forbidden in ["ha/device/x/config", "homeassistant/device/x/config"] {
        rig.lab.seen.clear();
        rig.lab.ask(&topic("cmd/jobs"), "{}", forbidden, "1");
        rig.lab.wait_event("forbidden-response-topic");
    }
}

/// Home Assistant's own code reads the announcement and real records: its Python is in
/// HOME_ASSISTANT, as tests/integrations/homeassistant sets it.
#[test]
#[ignore = "make integrations-test"]
fn home_assistant_understands_it() {
    let python = std::env::var("HOME_ASSISTANT").expect("tests/integrations/homeassistant sets it");
    let mut rig = Rig::start_with(TWO_RAILS, |daemon| {
        switch(daemon, true, "homeassistant");
        daemon.configure("primary.toml", "[energy]\nprimary = \"input\"\n");
    });
    let mut lab = announced(&rig);
    let message = lab.wait("configuration", is_config).json();
    let mut records: Vec<Value> = Vec::new();
    let mut note = |seen: Seen| records.push(json!([seen.topic, seen.text]));
    note(rig.lab.wait_topic(&topic("status")));
    note(rig.lab.wait_topic(&topic("health")));
    note(rig.lab.wait_topic(&topic("rails/input")));
    note(rig.lab.wait_topic(&topic("rails/usb")));
    rig.run(&job("a", json!({})));
    note(rig.lab.wait("status with a job", |seen| {
        seen.topic == topic("status") && seen.json()["job_running"] == "a"
    }));
    note(rig.lab.wait("health with a job", |seen| {
        seen.topic == topic("health") && !seen.json()["last_job"].is_null()
    }));
    rig.daemon.terminate();
    note(rig.lab.wait("status offline", |seen| {
        seen.topic == topic("status") && seen.json()["state"] == "offline"
    }));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("announced.json");
    let all = json!({"message": message, "records": records});
    std::fs::write(&file, all.to_string()).unwrap();
    let script =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/integrations/read_announcement.py");
    let checked = Command::new(python)
        .arg(script)
        .arg(&file)
        .status()
        .unwrap();
    assert!(checked.success(), "{checked}");
}
