//! Signs of life: they come while every part goes on, whatever it meets, and end when one hangs.

use super::support::daemon::{Daemon, STEADY};
use super::support::lab::Lab;
use super::support::mosquitto::{Mosquitto, free_port};
use super::support::systemd::Systemd;
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// WatchdogSec of these tests: a sign of life is due every two seconds.
const WATCHDOG_S: u64 = 4;

fn watched(daemon: &mut Daemon) -> Systemd {
    let systemd = Systemd::of(daemon);
    daemon.variable("WATCHDOG_USEC", (1_000_000 * WATCHDOG_S).to_string());
    systemd
}

/// Neither a broker that is away nor a meter that takes the connection and never answers stops
/// anything.
#[test]
fn retries_and_failing_sensors_are_progress() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut daemon = Daemon::prepare_at(
        &format!("mqtt://127.0.0.1:{}", free_port()),
        &format!(
            "[[sensor]]\nname = \"wall\"\nkind = \"modbus\"\nboundary = \"wall\"\n\
             transport = \"tcp\"\nendpoint = \"{}\"\nmeter = \"sdm630\"\ntimeout_ms = 20\n",
            silent.local_addr().unwrap()
        ),
    );
    let mut systemd = watched(&mut daemon);
    daemon.spawn();
    systemd.wait_ready();
    // Longer than a meter with this timeout may be silent.
    let until = Instant::now() + Duration::from_secs(12);
    while systemd.next(until).is_some() {}
    systemd.wait_alive();
    assert!(!systemd.told.iter().any(|told| told.contains("hangs")));
}

/// Every part is overdue after a freeze; none of them hangs.
#[test]
fn a_process_that_was_frozen_goes_on() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::prepare(&broker, STEADY);
    let mut systemd = watched(&mut daemon);
    daemon.spawn();
    systemd.wait_ready();
    systemd.wait_alive();
    let pid = Pid::from_raw(daemon.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    // Longer than a sampler thread may be silent; who freezes here is the whole process.
    let thaw = Instant::now() + Duration::from_millis(10_500);
    while systemd.next(thaw).is_some() {}
    kill_process(pid, Signal::CONT).unwrap();
    systemd.wait_alive();
    assert!(!systemd.told.iter().any(|told| told.contains("hangs")));
    assert!(!daemon.log().contains("sensor-failed"), "{}", daemon.log());
}

/// A hwmon chip that tells 6 W.
fn hwmon(root: &Path) -> std::path::PathBuf {
    let chip = root.join("class/hwmon/hwmon0");
    std::fs::create_dir_all(&chip).unwrap();
    std::fs::write(chip.join("name"), "ina226\n").unwrap();
    let power = chip.join("power1_input");
    std::fs::write(&power, "6000000\n").unwrap();
    power
}

/// A board whose sensor `board` is read from a tree of files.
struct Readable {
    tree: tempfile::TempDir,
    power: std::path::PathBuf,
    lab: Lab,
    daemon: Daemon,
    systemd: Systemd,
    _broker: Mosquitto,
}

impl Readable {
    fn start() -> Self {
        let tree = tempfile::tempdir().unwrap();
        let power = hwmon(tree.path());
        let broker = Mosquitto::start();
        let lab = Lab::connect(broker.port, &["jouled/board/#"]);
        let mut daemon = Daemon::prepare(
            &broker,
            &format!(
                "{STEADY}[[sensor]]\nname = \"board\"\nkind = \"hwmon\"\nchip = \"ina226\"\n\
                 boundary = \"module\"\nsysfs_root = {:?}\n[energy]\nprimary = \"input\"\n",
                tree.path()
            ),
        );
        let mut systemd = watched(&mut daemon);
        daemon.spawn();
        systemd.wait_ready();
        systemd.wait_alive();
        Self {
            tree,
            power,
            lab,
            daemon,
            systemd,
            _broker: broker,
        }
    }

    /// A pipe without a writer holds up whoever opens it, as a driver does that never returns.
    fn block(&self) {
        let pipe = self.tree.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        std::fs::rename(&pipe, &self.power).unwrap();
    }

    /// Whoever waits for the pipe is let go, and finds a file again.
    fn release(&self) {
        let pipe = self.tree.path().join("pipe");
        std::fs::rename(&self.power, &pipe).unwrap();
        hwmon(self.tree.path());
        std::fs::File::options().write(true).open(&pipe).unwrap();
    }
}

#[test]
fn a_thread_that_hangs_ends_the_signs_of_life_and_does_not_hold_up_the_end() {
    let mut board = Readable::start();
    board.block();
    board.systemd.wait_status("hangs: reading board");
    let event = board.lab.wait_event("sensor-failed");
    let message = event["message"].as_str().unwrap();
    assert!(message.starts_with("board: nothing comes back"), "{event}");
    let silence = Instant::now() + Duration::from_secs(WATCHDOG_S / 2 + 1);
    while let Some(told) = board.systemd.next(silence) {
        assert!(!told.contains("WATCHDOG"), "{told}");
    }
    assert!(board.daemon.terminate().0.success());
}

#[test]
fn a_thread_that_comes_back_is_as_good_as_before() {
    let mut board = Readable::start();
    board.block();
    board.systemd.wait_status("hangs: reading board");
    board.release();
    board.lab.wait_event("sensor-recovered");
    board.systemd.wait_alive();
}
