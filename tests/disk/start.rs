//! A daemon that can't use its storage directory says so and ends; it changes nothing.

use crate::support::daemon::{Daemon, STEADY, eventually};
use crate::support::disk::Disk;
use crate::support::mosquitto::Mosquitto;
use crate::support::rig::{Rig, endless, job};
use crate::{count, restless};
use jouled::store::Store;
use rustix::io::Errno;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Starts the daemon, which has to end by itself, and returns what it said.
fn refused(daemon: &mut Daemon) -> String {
    let before = daemon.log().len();
    daemon.spawn();
    let ended = eventually(|| !daemon.is_running());
    assert!(ended, "it runs: {}", daemon.log());
    assert_eq!(daemon.wait().code(), Some(1));
    let said = daemon.log().split_off(before);
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_read_only_disk_is_said_and_nothing_is_changed() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::prepare(&broker, STEADY);
    let disk = Disk::of(&mut daemon);
    disk.fail(1..=u64::MAX, Errno::ROFS);
    let said = refused(&mut daemon);
    assert!(
        said.contains("state") && said.contains("Read-only"),
        "{said}"
    );
    assert!(said.contains("[storage] dir"), "{said}");
    assert!(!daemon.path().join("state").exists());
}

#[test]
fn a_file_where_the_directory_should_be_is_said() {
    let broker = Mosquitto::start();
    let mut daemon = Daemon::prepare(&broker, STEADY);
    let state = daemon.path().join("state");
    std::fs::write(&state, "mine").unwrap();
    let said = refused(&mut daemon);
    assert!(
        said.contains("state") && said.contains("[storage] dir"),
        "{said}"
    );
    assert_eq!(std::fs::read(&state).unwrap(), b"mine");
}

/// A board that comes up with a job to end, on a disk that is full or broken from some call on.
#[test]
fn a_disk_that_fails_at_the_start_costs_no_job() {
    let mut disk = None;
    let mut rig = Rig::start_with(STEADY, |daemon| disk = Some(Disk::of(daemon)));
    let disk = disk.unwrap();
    disk.only_pretend_to_sync();
    rig.submit(&restless(endless("first", json!({}))));
    rig.reaches("first", "running");
    rig.submit(&restless(job("second", json!({}))));
    rig.daemon.kill();
    let state = rig.daemon.path().join("state");
    let left = contents(&state);
    let last = count(4, 40) as u64;
    let mut ended = 0;
    let errors = [Errno::NOSPC, Errno::IO];
    for (first, error) in (1..=last).flat_map(|first| errors.map(|error| (first, error))) {
        disk.fail(first..=u64::MAX, error);
        let before = rig.daemon.log().len();
        rig.daemon.spawn();
        let came = eventually(|| !rig.daemon.is_running() || disk.calls() > first + 20);
        assert!(came, "call {first}: it neither ends nor goes on");
        if rig.daemon.is_running() {
            rig.daemon.kill();
        } else {
            assert_eq!(rig.daemon.wait().code(), Some(1));
            ended += 1;
        }
        let said = rig.daemon.log().split_off(before);
        assert!(!said.contains("panicked"), "call {first}: {said}");
        rig.daemon.wait_until_nothing_runs();
        // Nothing was lost, and nothing taken for damaged.
        let store = Store::open(&state).unwrap();
        assert_eq!(store.damage(), [], "call {first}, {error:?}");
        for id in ["first", "second"] {
            let found = store.state(&id.parse().unwrap()).unwrap();
            assert!(found.is_some(), "call {first}, {error:?}: {id}");
        }
        drop(store);
        // As it was: the next start meets the same board.
        std::fs::remove_dir_all(&state).unwrap();
        std::fs::create_dir(&state).unwrap();
        for (path, content) in &left {
            std::fs::write(path, content).unwrap();
        }
    }
    println!("of {} starts {ended} ended with an error", 2 * last);
    disk.heal();
    rig.listen_anew();
    rig.daemon.spawn();
    rig.lab.wait_event("attempt-lost");
    rig.state("first", "running again", |state| state["attempt"] == 2);
    assert_eq!(rig.ask("cancel", &json!({"id": "first"}))["ok"], true);
    assert_eq!(rig.result("second")["state"], "succeeded");
}
