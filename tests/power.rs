//! Jobs in power modes, under governors and caps: set before anything is measured, read back,
//! and as before again whatever ends first: job, daemon or jouled-power.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

#[path = "power/board.rs"]
mod board;
mod support;

use board::{Board, before, eventually};
use rustix::process::getuid;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use support::rig::{Rig, endless, job, of_job, topic, watched};
use support::tool::output;

fn rig(board: &Board) -> Rig {
    Rig::start_with(&board.configuration(), |daemon| {
        board.write_profile(daemon.path());
    })
}

fn setting() -> Value {
    json!({"power_mode": "15W", "governor": "performance", "max_freq_khz": 1_200_000})
}

fn with(mut fields: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    fields.as_object_mut().unwrap().extend(more);
    fields
}

fn set() -> (String, String, String) {
    ["0", "performance", "1200000"].map(str::to_owned).into()
}

#[test]
fn a_job_runs_in_its_setting_and_leaves_the_board_as_it_was() {
    let board = Board::new();
    let _service = board.serve();
    let mut rig = rig(&board);
    let info = rig.lab.wait_topic(&topic("info")).json();
    let modes = &info["power"]["power_modes"];
    assert_eq!(modes[3], json!({"id": 3, "name": "MAXN_SUPER"}), "{info}");
    assert_eq!(
        info["power"]["governors"],
        json!(["performance", "schedutil"])
    );
    assert_eq!(info["power"]["freq"]["max_khz"], 2_400_000);
    for field in ["power_mode", "governor", "max_freq_khz"] {
        assert!(info["features"].as_array().unwrap().contains(&json!(field)));
    }
    let result = rig.run(&job("set", setting()));
    assert_eq!(result["state"], "succeeded", "{result}");
    for part in [&result["board"], &result["board"]["end"]] {
        assert_eq!(part["power_mode"], "15W", "{part}");
        assert_eq!(part["power_mode_id"], 0);
        assert_eq!(part["governor"], "performance");
        assert_eq!(part["max_freq_khz"], 1_200_000);
    }
    assert_eq!(result["left_out"], json!([]), "{}", result["warnings"]);
    assert!(!result["warnings"].to_string().contains("setting"));
    assert!(board.is_as_before(), "{:?}", board.is());
    // By number, and alone.
    let result = rig.run(&job("number", json!({"power_mode": "0"})));
    assert_eq!(result["board"]["power_mode"], "15W");
    assert_eq!(result["board"]["governor"], "schedutil");
    assert!(board.is_as_before(), "{:?}", board.is());
}

#[test]
fn what_is_not_in_force_is_not_measured() {
    let board = Board::new();
    let _service = board.serve();
    let mut rig = rig(&board);
    for (id, mode, code) in [
        ("reboot", "7W", "needs-reboot"),
        ("liar", "MAXN_SUPER", "did-not-take"),
    ] {
        let fields = json!({"power_mode": mode, "governor": "performance"});
        let result = rig.run(&job(id, fields));
        assert_eq!(result["state"], "failed", "{result}");
        let reason = result["reason"].as_str().unwrap();
        assert!(reason.contains(code), "{reason}");
        let nowhere = reason.contains(&*board.path("").to_string_lossy());
        assert!(!nowhere, "a path of the board: {reason}");
        assert_eq!(
            (&result["load"], &result["reps"]),
            (&json!(null), &json!([]))
        );
        assert_eq!(result["left_out"], json!(["not-succeeded"]));
        assert!(board.is_as_before(), "{:?}", board.is());
    }
    assert_eq!(rig.run(&job("next", json!({})))["state"], "succeeded");
}

#[test]
fn what_the_board_has_not_is_refused_at_once() {
    let board = Board::new();
    let service = board.serve();
    let mut rig = rig(&board);
    let mut refused = |fields: Value| {
        let answer = rig.ask("submit", &job("wrong", fields));
        assert_eq!(answer["error"]["code"], "unsupported", "{answer}");
        let text = |key: &str| answer["error"][key].as_str().unwrap().to_owned();
        (text("field"), text("message"))
    };
    let (field, message) = refused(json!({"power_mode": "40W"}));
    assert_eq!(field, "power_mode");
    assert!(
        message.contains("15W (0), 25W (1), 7W (2), MAXN_SUPER (3)"),
        "{message}"
    );
    let (field, message) = refused(json!({"governor": "ondemand"}));
    assert_eq!(field, "governor");
    assert!(message.contains("performance, schedutil"), "{message}");
    let (field, message) = refused(json!({"max_freq_khz": 9}));
    assert_eq!(field, "max_freq_khz");
    assert!(message.contains("600000 to 2400000 kHz"), "{message}");
    drop(service);
    assert!(board.is_as_before());
}

#[test]
fn a_board_without_the_service_says_how_to_enable_it() {
    let board = Board::new();
    let mut rig = rig(&board);
    let info = rig.lab.wait_topic(&topic("info")).json();
    assert_eq!(info["power"], json!(null));
    let reason = info["power_reason"].as_str().unwrap();
    assert!(
        reason.contains("systemctl enable --now jouled-power"),
        "{reason}"
    );
    let answer = rig.ask("submit", &job("early", json!({"governor": "performance"})));
    assert_eq!(answer["error"]["code"], "unsupported", "{answer}");
    assert_eq!(answer["error"]["field"], "governor");
    assert_eq!(answer["error"]["message"], reason);
    // Enabled while the daemon runs, it is found by the next one who asks.
    let _service = board.serve();
    let result = rig.run(&job("later", json!({"governor": "performance"})));
    assert_eq!(result["board"]["governor"], "performance");
    rig.lab.wait("the news", |seen| {
        seen.topic == topic("info") && seen.json()["power"].is_object()
    });
}

#[test]
fn a_daemon_that_is_killed_leaves_the_board_as_it_was() {
    let board = Board::new();
    let _service = board.serve();
    let mut rig = rig(&board);
    rig.submit(&endless("long", with(setting(), watched())));
    rig.lab.wait_topic(&of_job("long", "tokens"));
    assert_eq!(board.is(), set());
    rig.daemon.kill();
    board.comes_back();
    // The second attempt sets it again.
    rig.daemon.spawn();
    rig.state("long", "a second attempt", |seen| seen["attempt"] == 2);
    assert!(eventually(|| board.is() == set()), "{:?}", board.is());
    // By SIGTERM too the daemon goes without waiting for the board.
    rig.daemon.terminate();
    board.comes_back();
}

#[test]
fn a_service_that_is_killed_puts_back_at_its_next_start_and_the_result_says_so() {
    let board = Board::new();
    let service = board.serve();
    let mut rig = rig(&board);
    let governor = json!({"governor": "performance"});
    rig.submit(&endless("long", with(governor, watched())));
    rig.lab.wait_topic(&of_job("long", "tokens"));
    service.kill();
    assert_eq!(
        board.is().1,
        "performance",
        "nobody is there to put it back"
    );
    let _again = board.serve();
    board.comes_back();
    let answer = rig.ask("cancel", &json!({"id": "long"}));
    assert_eq!(answer["ok"], true, "{answer}");
    let result = rig.result("long");
    assert_eq!(result["board"]["governor"], "performance");
    assert_eq!(result["board"]["end"]["governor"], "schedutil");
    let left_out = result["left_out"].as_array().unwrap();
    assert!(left_out.contains(&json!("setting-changed")), "{left_out:?}");
    let warnings = result["warnings"].to_string();
    assert!(
        warnings.contains("governor was performance at the beginning"),
        "{warnings}"
    );
    rig.lab.wait_event("power-not-restored");
}

#[test]
fn a_cap_that_something_lowers_marks_the_result() {
    let board = Board::new();
    let _service = board.serve();
    let mut rig = rig(&board);
    rig.submit(&endless("hot", with(setting(), watched())));
    rig.lab.wait_topic(&of_job("hot", "tokens"));
    // The highest cap stays.
    board.set("policy0", "scaling_max_freq", "700000");
    rig.ask("cancel", &json!({"id": "hot"}));
    let result = rig.result("hot");
    let end = &result["board"]["end"];
    assert_eq!(end["max_freq_khz"], 1_200_000);
    assert_eq!(end["max_freqs_khz"]["cpu0-3"], 700_000, "{end}");
    let left_out = result["left_out"].as_array().unwrap();
    assert!(left_out.contains(&json!("setting-changed")), "{left_out:?}");
    assert!(board.is_as_before(), "{:?}", board.is());
}

#[test]
fn another_user_sets_nothing() {
    if !getuid().is_root() {
        return support::skip("only root gives a socket to another user");
    }
    let board = Board::new();
    // Whoever runs this test is another one.
    let _service = board.serve_for(getuid().as_raw() + 1);
    let mut rig = rig(&board);
    let answer = rig.ask("submit", &job("other", setting()));
    assert_eq!(answer["error"]["code"], "unsupported", "{answer}");
    assert!(board.is_as_before());
}

#[test]
fn hostile_bytes_change_nothing() {
    let board = Board::new();
    let _service = board.serve();
    let socket = board.path("power.sock");
    let endless = vec![b'['; 1 << 20];
    let hostile: [&[u8]; 8] = [
        b"\n",
        b"\x00\xff\n",
        b"{\"do\":\"apply\",\"governor\":\"performance\",\"governor\":\"x\"}\n",
        b"{\"do\":\"apply\",\"governor\":\"../../../../tmp/x\"}\n",
        b"{\"do\":\"apply\",\"power_mode\":\"0; reboot\"}\n",
        b"{\"do\":\"apply\",\"power_mode\":4294967296}\n",
        b"{\"do\":\"apply\",\"governor\":\"performance\"",
        &endless,
    ];
    for bytes in hostile {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // It hangs up on what has no end.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        assert!(said.is_empty() || said.contains("malformed"), "{said}");
        assert!(board.is_as_before());
    }
    assert!(!board.path("asked").exists(), "nvpmodel was not run");
}

/// As systemd starts it, with the socket as standard input; it ends once nobody needs it.
#[test]
fn on_demand_it_serves_what_waits_and_ends_by_itself() {
    let board = Board::new();
    let socket = board.path("power.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut early = UnixStream::connect(&socket).unwrap();
    early.write_all(b"{\"do\":\"offer\"}\n").unwrap();
    early.shutdown(std::net::Shutdown::Write).unwrap();
    let mut command = board.command("serve");
    command.arg("--user").arg(getuid().as_raw().to_string());
    command.stdin(Stdio::from(OwnedFd::from(listener)));
    let mut service = board::Service(command.spawn().unwrap());
    let mut said = String::new();
    early.read_to_string(&mut said).unwrap();
    assert!(said.contains("\"power_modes\":[{\"id\":0"), "{said}");
    let ended = eventually(|| service.0.try_wait().unwrap().is_some());
    assert!(ended, "it goes on");
    assert!(service.0.wait().unwrap().success());
}

/// The shipped units, in the hands of a real service manager.
#[test]
fn under_systemd_any_end_of_it_puts_back() {
    let board = Board::new();
    let mut command = Command::new("tests/power/under-systemd");
    command
        .arg(board.path(""))
        .arg(env!("CARGO_BIN_EXE_jouled-power"))
        .args(board.command("serve").get_args().skip(1))
        .args(["--user", "0"]);
    let done = output(&mut command);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.code() == Some(77) {
        return support::skip(&format!("no service manager of one's own: {wrong}"));
    }
    assert!(done.status.success(), "{said}{wrong}");
    for step in [
        "who connects",
        "killed: put back",
        "stopped: put back",
        "alone: ends",
        "power cut: put back",
    ] {
        assert!(said.contains(step), "{said}");
    }
    assert!(board.is_as_before(), "{:?}", board.is());
}

#[test]
fn what_a_killed_one_left_is_put_back_by_hand_too() {
    let board = Board::new();
    let service = board.serve();
    let mut stream = UnixStream::connect(board.path("power.sock")).unwrap();
    stream
        .write_all(b"{\"do\":\"apply\",\"power_mode\":0,\"governor\":\"performance\"}\n")
        .unwrap();
    assert!(eventually(|| board.is().1 == "performance"));
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"{\"is\":\"applied\"}");
    service.kill();
    assert_ne!(board.is(), before());
    let done = output(&mut board.command("restore"));
    assert!(done.status.success(), "{done:?}");
    assert!(board.is_as_before(), "{:?}", board.is());
}

#[test]
fn its_command_line_says_what_can_be_set() {
    let board = Board::new();
    let shown = output(&mut board.command("show"));
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("0 15W, 1 25W, 2 7W, 3 MAXN_SUPER"), "{text}");
    assert!(text.contains("600000 to 2400000 kHz"), "{text}");
    let program = env!("CARGO_BIN_EXE_jouled-power");
    let wrong = output(Command::new(program).args(["serve", "--path", "/"]));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--path"));
    // Not through a socket: systemd would have passed one.
    let alone = output(Command::new(program).args(["serve", "--user", "0"]));
    assert_eq!(alone.status.code(), Some(1));
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(said.contains("jouled-power.socket"), "{said}");
}
