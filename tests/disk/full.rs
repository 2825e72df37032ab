//! A file system that is really full: a small one in memory, mounted for the daemon alone.

use crate::restless;
use crate::support::daemon::{Daemon, STEADY, eventually};
use crate::support::mosquitto::Mosquitto;
use crate::support::rig::{Rig, job, lasting, watched};
use crate::support::skip;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const BYTES: u64 = 16 << 20;

/// Whether this user may mount a file system of its own.
fn may_mount() -> bool {
    Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn on_a_disk_of_its_own(daemon: &mut Daemon, options: &str) {
    let state = daemon.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let mount = format!(
        "mount -t tmpfs -o {options} none '{}' && exec \"$@\"",
        state.display()
    );
    daemon.prefix = ["unshare", "-rm", "sh", "-c", &mount, "sh"]
        .map(str::to_owned)
        .to_vec();
}

/// The rest of the disk, all but `free` bytes of it, in one file.
struct Ballast(PathBuf);

impl Ballast {
    fn fill(rig: &Rig, free: u64) -> Self {
        // The mount is seen by the daemon alone.
        let root = PathBuf::from(format!("/proc/{}/root", rig.daemon.pid()));
        let state = rig.daemon.path().join("state");
        let path = root.join(state.strip_prefix("/").unwrap()).join("ballast");
        let mut file = File::create(&path).unwrap();
        let full = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let used = file.metadata().unwrap().len();
        file.set_len(used - free).unwrap();
        Self(path)
    }

    fn remove(self) {
        std::fs::remove_file(self.0).unwrap();
    }
}

#[test]
fn a_full_file_system_refuses_jobs_and_loses_none() {
    if !may_mount() {
        skip("this user may not mount a file system (unshare -rm)");
        return;
    }
    let small = format!("size={BYTES}");
    let mut rig = Rig::start_with(STEADY, |daemon| on_a_disk_of_its_own(daemon, &small));
    let first = restless(job("first", json!({})));
    rig.run(&first);

    let nearly = Ballast::fill(&rig, BYTES / 25);
    let answer = rig.ask("submit", &restless(job("refused", json!({}))));
    assert_eq!(answer["error"]["code"], "disk-full", "{answer}");
    let known = rig.ask("submit", &first);
    let facts = (&known["ok"], &known["state"]);
    assert_eq!(facts, (&json!(true), &json!("succeeded")));
    nearly.remove();

    rig.submit(&restless(lasting("long", watched())));
    rig.state("long", "decodes", |state| state["phase"] == "decode");
    let all = Ballast::fill(&rig, 0);
    let event = rig.lab.wait_event("storage-failed");
    assert!(!event["message"].as_str().unwrap().contains('/'), "{event}");
    assert!(rig.records("long", "result").is_empty());
    all.remove();
    let result = rig.result("long");
    assert_eq!(result["state"], "succeeded");
    assert_ne!(result["records"]["tokens"], Value::from(0), "{result}");
    rig.lab.wait_event("storage-recovered");
    let refused = rig.run(&restless(job("refused", json!({}))));
    assert_eq!(refused["state"], "succeeded");
}

#[test]
fn a_read_only_file_system_is_said_at_the_start() {
    if !may_mount() {
        skip("this user may not mount a file system (unshare -rm)");
        return;
    }
    let broker = Mosquitto::start();
    let mut daemon = Daemon::prepare(&broker, STEADY);
    on_a_disk_of_its_own(&mut daemon, "ro");
    daemon.spawn();
    assert!(eventually(|| !daemon.is_running()));
    assert_eq!(daemon.wait().code(), Some(1));
    let said = daemon.log();
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(
        said.contains("state") && said.contains("[storage] dir"),
        "{said}"
    );
}
