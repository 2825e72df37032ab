//! READY, STATUS and STOPPING, as systemd hears them.

use super::support::daemon::{Daemon, STEADY};
use super::support::mosquitto::{Mosquitto, free_port};
use super::support::systemd::Systemd;
use std::net::TcpListener;

fn nobody() -> String {
    format!("mqtt://127.0.0.1:{}", free_port())
}

#[test]
fn the_service_is_ready_without_a_broker_and_says_why_there_is_none() {
    let mut daemon = Daemon::prepare_at(&nobody(), STEADY);
    let mut systemd = Systemd::of(&mut daemon);
    daemon.spawn();
    systemd.wait_ready();
    let status = systemd.wait_status("not connected: ");
    assert!(status.contains("no job runs"), "{status}");
    assert!(daemon.terminate().0.success());
    systemd.wait("STOPPING", |line| line == "STOPPING=1");
}

#[test]
fn a_status_follows_the_connection() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::prepare(&broker, STEADY);
    let mut systemd = Systemd::of(&mut daemon);
    daemon.spawn();
    systemd.wait_ready();
    systemd.wait_status("; connected");
    drop(broker);
    systemd.wait_status("not connected: ");
}

/// A tegrastats that prints its first line once something is written to its pipe, and a meter
/// that takes the connection and never answers.
#[test]
fn slow_sensors_do_not_keep_the_service_from_being_ready() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RWXU).unwrap();
    let script = format!(
        "read go < {}; while :; do echo VDD_IN 7000mW/7000mW; sleep 0.05; done",
        go.display()
    );
    let mut daemon = Daemon::prepare_at(
        &nobody(),
        &format!(
            "{STEADY}[[sensor]]\nname = \"soc\"\nkind = \"tegrastats\"\n\
             boundary = \"module\"\ncommand = [\"sh\", \"-c\", {script:?}]\n\
             [[sensor]]\nname = \"wall\"\nkind = \"modbus\"\nboundary = \"wall\"\n\
             transport = \"tcp\"\nendpoint = \"{}\"\nmeter = \"sdm630\"\n\
             [energy]\nprimary = \"input\"\n",
            silent.local_addr().unwrap()
        ),
    );
    let mut systemd = Systemd::of(&mut daemon);
    daemon.spawn();
    let ready = systemd.wait_ready();
    assert!(ready.contains("waiting for sensors: "), "{ready}");
    assert!(ready.contains("soc"), "{ready}");
    std::fs::write(&go, "go\n").unwrap();
    systemd.wait_status("not connected: ");
    assert!(daemon.log().contains("rails=3"), "{}", daemon.log());
}

#[test]
fn a_wrong_configuration_is_told_by_its_exit_code() {
    let mut daemon = Daemon::prepare_at("http://nowhere", STEADY);
    daemon.spawn();
    assert_eq!(daemon.wait().code(), Some(78), "{}", daemon.log());
    // Whatever a new start may heal has another one.
    let mut daemon = Daemon::prepare_at(&nobody(), STEADY);
    std::fs::write(daemon.path().join("state"), "in the way").unwrap();
    daemon.spawn();
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.log());
}
