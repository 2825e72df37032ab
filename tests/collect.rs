//! `joulectl collect`: boards publish through a real mosquitto, collectors are killed, kept away
//! and out of room, and in the end the dataset has what the boards' own stores have, once.
//!
//! `COLLECT_JOBS` and `COLLECT_SEED` set the run of [`chaos`]: `make collect-chaos`.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(all(feature = "llama", feature = "lab"))]

#[path = "common/canned.rs"]
mod canned;
#[path = "collect/chaos.rs"]
mod chaos;
#[path = "collect/ledger.rs"]
mod ledger;
#[path = "collect/process.rs"]
mod process;
mod support;

use ledger::{compare, count, of_board, of_dataset};
use process::Collect;
use rustix::io::Errno;
use serde_json::{Value, json};
use support::daemon::{DEVICE, Daemon, STEADY};
use support::disk::Disk;
use support::rig::{Rig, job, of_job};

/// A job with a record of tokens or more for each of six repetitions, and a trace.
fn talkative(id: &str) -> Value {
    let publish = json!({"tokens": "live", "tokens_every_ms": 0, "trace": true});
    job(id, json!({"repetitions": 6, "publish": publish}))
}

/// With little time for what is on its way, and an end.
const TO_THE_END: [&str; 4] = ["--grace", "1s", "--until-idle", "2s"];

fn of(daemon: &Daemon) -> ledger::Ledger {
    of_board(DEVICE, &daemon.path().join("state"))
}

#[test]
fn a_board_is_collected_live_and_a_second_run_adds_nothing() {
    let mut rig = Rig::start(STEADY);
    let out = rig.daemon.path().join("dataset");
    let mut collect = Collect::start(rig.broker.port, &out, &["--roll", "1s"]);
    collect.wait_for("connected");
    for id in ["one", "two"] {
        rig.run(&talkative(id));
    }
    let rolled = collect.wait_for("rolled");
    assert!(rolled["records"].as_u64() > Some(0), "{rolled}");
    let stopped = collect.stop();
    assert_eq!(stopped["unreadable"], 0, "{stopped}");
    let again = Collect::start(rig.broker.port, &out, &TO_THE_END).finish();
    assert_eq!(
        (&again["gaps_open"], &again["gaps_lost"]),
        (&json!(0), &json!(0))
    );
    let dataset = of_dataset(&out);
    compare(&dataset, &of(&rig.daemon));
    assert_eq!(count(&dataset, "result"), 2);
    assert!(count(&dataset, "tokens") >= 12 && count(&dataset, "trace") >= 2);
}

#[test]
fn who_comes_late_gets_everything_that_the_board_keeps() {
    let mut rig = Rig::start(STEADY);
    // Their results are retained, their tokens are long gone.
    for id in ["one", "two"] {
        rig.run(&talkative(id));
    }
    // And the result of this one is not even retained.
    rig.run(&talkative("cleared"));
    rig.lab.publish_retained(&of_job("cleared", "result"), "");
    rig.lab.publish_retained(&of_job("cleared", "state"), "");
    let out = rig.daemon.path().join("dataset");
    let summary = Collect::start(rig.broker.port, &out, &TO_THE_END).finish();
    assert!(summary["replays"].as_u64() >= Some(3), "{summary}");
    let dataset = of_dataset(&out);
    compare(&dataset, &of(&rig.daemon));
    assert_eq!(count(&dataset, "result"), 3);
}

#[test]
fn a_disk_without_room_delays_records_and_loses_none() {
    let mut rig = Rig::start(STEADY);
    let out = rig.daemon.path().join("dataset");
    std::fs::create_dir(&out).unwrap();
    let disk = Disk::below(&out);
    let mut collect = Collect::start_with(
        rig.broker.port,
        &out,
        &["--roll", "1s", "--grace", "1s"],
        &disk.environment(),
    );
    collect.wait_for("connected");
    rig.run(&talkative("before"));
    collect.wait_for("rolled");
    disk.fail(1..=u64::MAX, Errno::NOSPC);
    rig.run(&talkative("without-room"));
    let trouble = collect.wait_for("trouble");
    let said = trouble["message"].as_str().unwrap();
    assert!(said.contains("full") && said.contains(".collect"), "{said}");
    disk.heal();
    collect.wait_for("recovered");
    collect.stop();
    Collect::start(rig.broker.port, &out, &TO_THE_END).finish();
    compare(&of_dataset(&out), &of(&rig.daemon));
}

#[test]
fn a_kill_while_the_disk_is_full_loses_nothing_that_was_acknowledged() {
    let mut rig = Rig::start(STEADY);
    let out = rig.daemon.path().join("dataset");
    std::fs::create_dir(&out).unwrap();
    let disk = Disk::below(&out);
    let environment = disk.environment();
    let mut collect = Collect::start_with(rig.broker.port, &out, &["--roll", "1h"], &environment);
    collect.wait_for("connected");
    rig.run(&talkative("before"));
    disk.fail(1..=u64::MAX, Errno::NOSPC);
    rig.run(&talkative("without-room"));
    collect.wait_for("trouble");
    collect.kill();
    disk.heal();
    Collect::start(rig.broker.port, &out, &TO_THE_END).finish();
    compare(&of_dataset(&out), &of(&rig.daemon));
}

#[test]
fn strangers_payloads_are_set_aside_and_what_no_board_has_is_lost() {
    let mut rig = Rig::start(STEADY);
    let out = rig.daemon.path().join("dataset");
    let mut collect = Collect::start(rig.broker.port, &out, &["--grace", "1s"]);
    collect.wait_for("connected");
    for payload in ["{", "null", "{\"v\":1}", "\u{1b}]0;x\u{7}"] {
        for kind in ["tokens", "trace", "result", "state"] {
            let topic = format!("jouled/stranger/jobs/x/{kind}");
            rig.lab.publish(&topic, payload);
        }
    }
    rig.lab.publish("jouled/UPPER/jobs/x/tokens", "{}");
    // Well made, but its board has never heard of it.
    let mut invented = canned::result(DEVICE, "invented");
    invented.body.records.tokens = u64::MAX;
    let invented = String::from_utf8(invented.to_json()).unwrap();
    rig.lab.publish(&of_job("invented", "result"), &invented);
    let lost = collect.wait_for("lost");
    assert_eq!(
        (&lost["id"], &lost["here"]),
        (&json!("invented"), &json!(0))
    );
    rig.run(&talkative("true"));
    collect.stop();
    let summary = Collect::start(rig.broker.port, &out, &TO_THE_END).finish();
    assert_eq!(summary["gaps_lost"], 1, "{summary}");
    let mut dataset = of_dataset(&out);
    dataset.retain(|name, _| name.1 != "invented");
    compare(&dataset, &of(&rig.daemon));
    let staging = rusqlite::Connection::open(out.join(".collect/staging.db")).unwrap();
    let set_aside: i64 = staging
        .query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0))
        .unwrap();
    assert_eq!(set_aside, 17);
}

#[test]
fn two_collectors_of_one_name_are_one_too_many() {
    let rig = Rig::start(STEADY);
    let out = rig.daemon.path().join("dataset");
    let mut first = Collect::start(rig.broker.port, &out, &[]);
    first.wait_for("connected");
    let mut second = Collect::start(rig.broker.port, &out, &[]);
    assert_eq!(second.end().code(), Some(2));
    let said = second.last_words();
    assert!(
        said.contains("--name") && said.contains("--share"),
        "{said}"
    );
    let mut other = Collect::start(rig.broker.port, &out, &["--name", "other", "--share", "g"]);
    other.wait_for("connected");
    other.stop();
    first.stop();
}

#[test]
fn without_a_broker_it_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let port = support::mosquitto::free_port();
    let mut collect = Collect::start(port, &folder.path().join("dataset"), &[]);
    assert_eq!(collect.end().code(), Some(3));
    let said = collect.last_words();
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
}

#[test]
fn what_a_killed_run_left_is_written_also_without_a_broker() {
    let mut rig = Rig::start(STEADY);
    let out = rig.daemon.path().join("dataset");
    let mut collect = Collect::start(
        rig.broker.port,
        &out,
        &["--roll", "1h", "--until-idle", "2s"],
    );
    collect.wait_for("connected");
    rig.run(&talkative("one"));
    collect.kill();
    let port = support::mosquitto::free_port();
    let mut alone = Collect::start(port, &out, &[]);
    assert_eq!(alone.end().code(), Some(3));
    let staging = rusqlite::Connection::open(out.join(".collect/staging.db")).unwrap();
    let staged = staging.query_row("SELECT count(*) FROM staged", [], |row| {
        row.get::<_, i64>(0)
    });
    assert_eq!(staged.unwrap(), 0);
}

#[test]
fn a_dataset_without_its_memory_is_not_collected_into_again() {
    let mut rig = Rig::start(STEADY);
    let out = rig.daemon.path().join("dataset");
    rig.run(&talkative("one"));
    Collect::start(rig.broker.port, &out, &TO_THE_END).finish();
    std::fs::remove_dir_all(out.join(".collect")).unwrap();
    let mut again = Collect::start(rig.broker.port, &out, &TO_THE_END);
    assert_eq!(again.end().code(), Some(2));
    let said = again.last_words();
    assert!(
        said.contains(".collect") && said.contains("--out"),
        "{said}"
    );
    assert!(!out.join(".collect").exists());
}
