//! Workers that misbehave, each under the real daemon: what must be out of their reach, what
//! each of them costs (one job), and what the record says of it.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

#[path = "confine/group.rs"]
mod group;
mod support;

use group::MemoryGroup;
use seccompiler::{SeccompAction, SeccompFilter};
use serde_json::{Value, json};
use support::daemon::STEADY;
use support::rig::{MODEL, Rig, endless, job, of_job, topic};
use support::tiny_gguf::{self, Damage};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/confine/runtime.py");

/// The system's own, where there is one: others are installed where a worker can't look.
fn python() -> &'static str {
    let system = "/usr/bin/python3";
    match std::fs::exists(system) {
        Ok(true) => system,
        _ => "python3",
    }
}

/// The configuration of a runtime of the script, with further keys.
fn runtime(name: &str, arguments: &[&str], keys: &str) -> String {
    let command: Vec<&str> = [python(), SCRIPT, name]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    format!("[runtime.{name}]\ncommand = {command:?}\n{keys}\n")
}

fn rig(runtimes: &[&str]) -> Rig {
    let configured: String = runtimes.iter().map(|name| runtime(name, &[], "")).collect();
    Rig::start(&format!("{STEADY}{configured}"))
}

/// A short job of a runtime, with the fields given.
fn job_of(runtime: &str, changes: Value) -> Value {
    let mut job = job(runtime, changes);
    job["runtime"] = json!(runtime);
    job["idle"] = json!({"before_s": 0, "after_s": 0});
    job
}

/// The reason for which a job of this runtime failed.
fn reason(rig: &mut Rig, runtime: &str, changes: Value) -> String {
    let result = rig.run(&job_of(runtime, changes));
    assert_eq!(result["state"], "failed", "{runtime}: {result}");
    let reason = result["reason"].as_str().unwrap().to_owned();
    println!(
        "{runtime}: {:?}",
        reason.chars().take(300).collect::<String>()
    );
    reason
}

fn good_job_runs(rig: &mut Rig) {
    assert_eq!(rig.run(&job("good", json!({})))["state"], "succeeded");
    assert!(rig.daemon.is_running());
}

/// What `info` says about the confinement.
fn sandbox(rig: &mut Rig) -> Value {
    rig.lab.wait_topic(&topic("info")).json()["sandbox"].clone()
}

/// Whether this kernel can confine at all. Where not, it is said loudly.
fn all_in_force(sandbox: &Value) -> bool {
    let missing: Vec<_> = sandbox
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, held)| *held != true)
        .collect();
    if !missing.is_empty() {
        support::skip(&format!(
            "this kernel does not confine workers: {missing:?}"
        ));
    }
    missing.is_empty()
}

#[test]
fn a_hostile_runtime_reaches_nothing_and_a_good_one_has_what_it_needs() {
    let mut rig = rig(&["reach", "needs"]);
    let sandbox = sandbox(&mut rig);
    assert_eq!(reason(&mut rig, "needs", json!({})), "it has what it needs");
    if all_in_force(&sandbox) {
        assert_eq!(reason(&mut rig, "reach", json!({})), "reached: []");
        good_job_runs(&mut rig);
    }
}

#[test]
fn each_of_these_costs_one_job() {
    let expected = [
        ("flood_stdout", "no message"),
        ("flood_stderr", "exited with code 3"),
        ("long_line", "a line of more than"),
        ("closes_stdout", "closed its output and went on"),
        ("long_reason", "that was all"),
        ("boasts", "more than 32768"),
        ("phases", "more than 32 phases"),
        ("repetitions", "repetition 2, and was asked for 1"),
        ("tokens", "more than the 16 tokens"),
        ("crashes", "SIGSEGV"),
        ("aborts", "SIGABRT"),
        ("deaf_children", "exited with code 4"),
    ];
    let names = expected.map(|(name, _)| name);
    let mut rig = rig(&names);
    for (name, wanted) in expected {
        let reason = reason(&mut rig, name, json!({}));
        assert!(reason.contains(wanted), "{name}: {reason}");
        assert!(reason.len() < 3_000, "{name}: {} bytes", reason.len());
        rig.reaches(name, "failed");
        rig.daemon.wait_until_it_runs_alone();
    }
    good_job_runs(&mut rig);
}

#[test]
fn what_a_worker_says_while_nobody_listens_takes_little_memory() {
    let mut rig = rig(&["early_tokens"]);
    let before = most_memory_kib(&rig);
    let mut job = job_of("early_tokens", json!({}));
    job["idle"] = json!({"before_s": 3, "after_s": 0});
    assert_eq!(rig.run(&job)["state"], "failed");
    let grown = most_memory_kib(&rig) - before;
    println!("a flood of unread messages took {grown} KiB");
    assert!(grown < 24 << 10, "{grown} KiB");
    good_job_runs(&mut rig);
}

/// The most that the daemon has held.
fn most_memory_kib(rig: &Rig) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", rig.daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let value = line.unwrap().trim().strip_suffix(" kB").unwrap();
    value.parse().unwrap()
}

#[test]
fn what_does_not_end_is_ended_with_everything_that_it_started() {
    let mut rig = rig(&["loops", "forks"]);
    for name in ["loops", "forks"] {
        assert_eq!(reason(&mut rig, name, json!({"timeout_s": 1})), "timeout");
        rig.daemon.wait_until_it_runs_alone();
    }
    good_job_runs(&mut rig);
}

#[test]
fn a_program_that_is_not_there_costs_one_job_and_its_path_stays_on_the_board() {
    let missing = "[runtime.missing]\ncommand = [\"/opt/secret/place/worker\"]\n";
    let mut rig = Rig::start(&format!("{STEADY}{missing}"));
    let reason = reason(&mut rig, "missing", json!({}));
    assert!(
        reason.contains("can't be started: No such file"),
        "{reason}"
    );
    assert!(!reason.contains("secret"), "{reason}");
    good_job_runs(&mut rig);
}

#[test]
fn what_the_administrator_adds_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let readable = dir.path().join("readable");
    std::fs::write(&readable, "adapter").unwrap();
    let writable = dir.path().join("writable");
    std::fs::create_dir(&writable).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let arguments = [
        readable.to_str().unwrap(),
        writable.to_str().unwrap(),
        &port,
    ];
    let keys = format!("read = [{readable:?}]\nwrite = [{writable:?}]\nnetwork = true");
    let mut rig = Rig::start(&format!("{STEADY}{}", runtime("extras", &arguments, &keys)));
    assert_eq!(
        reason(&mut rig, "extras", json!({})),
        "extras work: adapter"
    );
    // Of all runtimes it has to hold.
    assert_eq!(sandbox(&mut rig)["no-network"], false);
    good_job_runs(&mut rig);
}

#[test]
fn a_model_cut_short_while_it_is_used_costs_one_job() {
    let mut rig = Rig::start(STEADY);
    let cut = rig.daemon.models().join("cut.gguf");
    tiny_gguf::write(&cut, Damage::None).unwrap();
    rig.submit(&endless(
        "cut",
        json!({"model": "cut.gguf", "publish": {"tokens": "live", "tokens_every_ms": 50}}),
    ));
    rig.lab.wait_topic(&of_job("cut", "tokens"));
    std::fs::File::options()
        .write(true)
        .open(&cut)
        .unwrap()
        .set_len(100)
        .unwrap();
    let result = rig.result("cut");
    assert_eq!(result["state"], "failed");
    let reason = result["reason"].as_str().unwrap();
    assert!(
        reason.contains("SIGBUS: a file that it used was cut short"),
        "{reason}"
    );
    good_job_runs(&mut rig);
}

#[test]
fn what_is_no_file_of_the_model_directory_is_no_model() {
    let mut rig = Rig::start(STEADY);
    let models = rig.daemon.models();
    let at = |name: &str| models.join(name);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo.gguf"), fifo, 0o600.into(), 0).unwrap();
    std::fs::create_dir(at("folder.gguf")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("device.gguf")).unwrap();
    std::os::unix::fs::symlink("../state/jouled.db", at("queue.gguf")).unwrap();
    std::os::unix::fs::symlink("loop.gguf", at("loop.gguf")).unwrap();
    for model in [
        "fifo.gguf",
        "folder.gguf",
        "device.gguf",
        "queue.gguf",
        "loop.gguf",
    ] {
        let answer = rig.ask("submit", &job("tricky", json!({"model": model})));
        assert_eq!(
            answer["error"]["code"], "unknown-model",
            "{model}: {answer}"
        );
    }
    // Replaced after the job was accepted.
    tiny_gguf::write(&at("swapped.gguf"), Damage::None).unwrap();
    rig.submit(&endless("first", json!({})));
    rig.submit(&job("swapped", json!({"model": "swapped.gguf"})));
    std::fs::remove_file(at("swapped.gguf")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("swapped.gguf"), fifo, 0o600.into(), 0).unwrap();
    rig.ask("cancel", &json!({"id": "first"}));
    assert_eq!(rig.result("swapped")["state"], "failed");
    good_job_runs(&mut rig);
}

#[test]
fn a_worker_that_takes_all_memory_fails_with_that_reason() {
    let Some(group) = MemoryGroup::make("jouled-oom", 64 << 20) else {
        support::skip("no control group of memory can be made here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let gate = dir.path().join("gate");
    let keys = format!("read = [{:?}]", dir.path());
    let greedy = runtime("greedy", &[gate.to_str().unwrap()], &keys);
    let mut rig = Rig::start(&format!("{STEADY}{greedy}"));
    rig.submit(&job_of("greedy", json!({})));
    if !group.take(rig.daemon.worker()) {
        support::skip("this user may not put a process into a control group");
        return;
    }
    std::fs::write(&gate, "").unwrap();
    let result = rig.result("greedy");
    let reason = result["reason"].as_str().unwrap();
    println!("{reason}");
    assert!(
        reason.starts_with("the kernel killed the worker because memory ran out; it held at least"),
        "{reason}"
    );
    good_job_runs(&mut rig);
}

#[test]
fn a_worker_over_its_limit_of_memory_fails_and_the_limit_is_named() {
    let starved = runtime("starved", &[], "");
    let mut rig = Rig::start(&format!(
        "{STEADY}{starved}[worker]\nmemory_max = \"100MiB\"\n"
    ));
    let reason = reason(&mut rig, "starved", json!({}));
    assert!(reason.contains("MemoryError"), "{reason}");
    assert!(
        reason.contains("worker.memory_max allows it 100 MiB"),
        "{reason}"
    );
    good_job_runs(&mut rig);
    drop(rig);
    // The built-in runtime says it in words of its own.
    let mut tight = Rig::start(&format!("{STEADY}[worker]\nmemory_max = \"12MiB\"\n"));
    let result = tight.run(&job("tight", json!({})));
    println!("{}", result["reason"]);
    let reason = result["reason"].as_str().unwrap();
    assert!(
        reason.contains("worker.memory_max allows it 12 MiB"),
        "{reason}"
    );
    assert!(tight.daemon.is_running());
}

/// What a program says that is started as a worker is, by hand.
fn confined(policy: &Value, program: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_jouled"))
        .args(["confine", &policy.to_string(), "--"])
        .args(program)
        .output()
        .unwrap()
}

fn policy(required: bool) -> Value {
    json!({
        "run": [], "read": [], "write": [], "network": false, "data_bytes": null,
        "required": required,
    })
}

#[test]
fn the_right_to_real_time_priority_stays_with_the_daemon() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // The units give it to the daemon. Where it can't be given here, nothing is lost by it.
    let given = Rlimit {
        current: Some(20),
        maximum: Some(20),
    };
    for resource in [Resource::Rtprio, Resource::Nice] {
        if let Err(error) = setrlimit(resource, given) {
            support::skip(&format!("this user can't have the right: {error}"));
        }
    }
    let said = confined(&policy(false), &["cat", "/proc/self/limits"]);
    let said = String::from_utf8(said.stdout).unwrap();
    for limit in ["Max realtime priority", "Max nice priority"] {
        let line = said.lines().find(|line| line.starts_with(limit)).unwrap();
        let values: Vec<&str> = line[limit.len()..].split_whitespace().collect();
        assert_eq!(values, ["0", "0"], "{said}");
    }
}

/// Makes this thread, and what it starts, see a kernel without Landlock.
fn without_landlock() {
    let calls = [444, 445, 446].map(|call| (call, Vec::new()));
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(calls.into(), SeccompAction::Allow, absent, machine).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

#[test]
fn on_an_elder_kernel_it_says_what_does_not_hold_and_refuses_jobs_if_told_to() {
    // On a thread that no other test runs on.
    std::thread::spawn(on_an_elder_kernel).join().unwrap();
}

fn on_an_elder_kernel() {
    without_landlock();
    let mut rig = rig(&["reach"]);
    let said = sandbox(&mut rig);
    assert_eq!(said["state-unreadable"], false, "{said}");
    for held in [
        "no-network",
        "no-signals-out",
        "no-escape-from-group",
        "dies-with-daemon",
    ] {
        assert_eq!(said[held], true, "{held}: {said}");
    }
    good_job_runs(&mut rig);
    // Also if the kernel was another one when it was tried.
    let refused = confined(&policy(true), &["echo", "begun"]);
    let told: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(told["code"], "start-failed", "{told}");
    assert!(told["message"].as_str().unwrap().contains("Landlock"));
    assert!(!refused.status.success());
    let begun = confined(&policy(false), &["echo", "begun"]);
    assert_eq!(begun.stdout, b"begun\n");
    let said = String::from_utf8(begun.stderr).unwrap();
    assert!(said.contains("not in force: the rules on files"), "{said}");

    let reason = reason(&mut rig, "reach", json!({}));
    assert!(reason.starts_with("reached: "), "{reason}");
    for held in [
        "TCP",
        "UDP",
        "signalling",
        "stopping",
        "killing",
        "session",
        "limiting",
        "io_uring",
    ] {
        assert!(!reason.contains(held), "{reason}");
    }
    drop(rig);

    let mut strict = Rig::start(&format!("{STEADY}[worker]\nconfinement = \"required\"\n"));
    let result = strict.run(&job("refused", json!({"model": MODEL})));
    assert_eq!(result["state"], "failed");
    let reason = result["reason"].as_str().unwrap();
    assert!(
        reason.contains("state-unreadable") && reason.contains("Landlock"),
        "{reason}"
    );
}
