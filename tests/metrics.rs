//! `[metrics]`: what a Prometheus server reads of a real daemon, and what nobody else gets.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use support::daemon::{Daemon, STEADY, eventually};
use support::mosquitto::{Mosquitto, free_port};
use support::openmetrics::Scrape;
use support::rig::{MODEL, Rig, job};

const OPENMETRICS: &str = "Accept: application/openmetrics-text;version=1.0.0\r\n";

/// A board whose metrics are at a port of this machine.
struct Board {
    rig: Rig,
    port: u16,
}

impl Board {
    fn start() -> Self {
        let port = free_port();
        let rig = Rig::start_with(STEADY, |daemon| listen(daemon, port));
        let board = Self { rig, port };
        assert!(eventually(
            || TcpStream::connect(("127.0.0.1", port)).is_ok()
        ));
        board
    }

    fn scrape(&self) -> Scrape {
        let (header, body) = self.get(&format!("GET /metrics HTTP/1.1\r\n{OPENMETRICS}\r\n"));
        assert!(header.starts_with("HTTP/1.1 200 OK\r\n"), "{header}");
        let kind = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
        assert!(header.contains(kind), "{header}");
        Scrape::read(&body)
    }

    /// The first scrape that fits.
    fn until(&self, what: &str, fits: impl Fn(&Scrape) -> bool) -> Scrape {
        let mut scrape = self.scrape();
        let found = eventually(|| {
            scrape = self.scrape();
            fits(&scrape)
        });
        assert!(found, "no {what}: {scrape:#?}");
        scrape
    }

    /// Header and body of the answer to these bytes.
    fn get(&self, request: &str) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(stream)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }
}

fn listen(daemon: &Daemon, port: u16) {
    let config = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    daemon.configure("metrics.toml", &config);
}

fn answer(mut stream: TcpStream) -> (String, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (format!("{header}\r\n"), body.to_owned())
}

#[test]
fn a_scrape_has_what_the_rails_say() {
    let board = Board::start();
    let first = board.until("power", |scrape| {
        !scrape.all("jouled_rail_power_watts").is_empty()
            && !scrape.all("jouled_sensor_rate_hertz").is_empty()
    });
    let rail = [("rail", "input")];
    // 1 A at 5 V, within the steps of the chip.
    let near = |name: &str, value: f64| {
        let said = first.get(name, &rail).unwrap();
        assert!((said - value).abs() < 0.02 * value, "{name} {said}");
    };
    near("jouled_rail_power_watts", 5.0);
    near("jouled_rail_voltage_volts", 5.0);
    near("jouled_rail_current_amperes", 1.0);
    let info = [
        ("rail", "input"),
        ("boundary", "board-input"),
        ("boundary_basis", "declared"),
        ("source", "simulated"),
        ("simulated", "true"),
    ];
    assert_eq!(first.get("jouled_rail_info", &info), Some(1.0));
    let quality = |name| {
        first.get(
            "jouled_rail_quality",
            &[("rail", "input"), ("quality", name)],
        )
    };
    assert_eq!((quality("good"), quality("stale")), (Some(1.0), Some(0.0)));
    assert_eq!(
        first.get("jouled_board_info", &[("device", "board")]),
        Some(1.0)
    );
    assert_eq!(
        first.get("jouled_sensor_up", &[("sensor", "input")]),
        Some(1.0)
    );
    assert_eq!(first.get("jouled_queue_jobs", &[]), Some(0.0));
    assert_eq!(first.get("jouled_broker_connected", &[]), Some(1.0));

    // The counter is the integral of the power, whenever it is read.
    let energy = "jouled_rail_energy_joules_total";
    let at = |scrape: &Scrape| {
        let uptime = scrape.get("jouled_uptime_seconds", &[]).unwrap();
        let age = scrape.get("jouled_snapshot_age_seconds", &[]).unwrap();
        (scrape.get(energy, &rail).unwrap(), uptime - age)
    };
    let (e0, t0) = at(&first);
    let later = board.until("later energy", |scrape| at(scrape).0 > e0 + 9.0);
    let (e1, t1) = at(&later);
    let power_w = (e1 - e0) / (t1 - t0);
    // The newest reading may be as old as the idle pace lets it be.
    assert!((power_w - 5.0).abs() < 1.0, "{power_w} W");
}

#[test]
fn an_attempt_is_left_alone_and_shows_when_it_is_over() {
    let mut board = Board::start();
    board.until("power", |scrape| {
        !scrape.all("jouled_rail_power_watts").is_empty()
    });
    let long = json!({"idle": {"before_s": 2.0, "after_s": 0.2}, "n_predict": 64});
    board.rig.submit(&job("a", long));
    let held = board.until("held snapshot", |scrape| {
        scrape.get("jouled_snapshot_held", &[]) == Some(1.0)
    });
    assert!(held.all("jouled_rail_power_watts").is_empty());
    assert_eq!(held.get("jouled_job_running", &[]), Some(1.0));
    let energy = |scrape: &Scrape| scrape.all("jouled_rail_energy_joules_total")[0].value;
    let age = |scrape: &Scrape| scrape.get("jouled_snapshot_age_seconds", &[]).unwrap();
    let older = board.until("older snapshot", |scrape| age(scrape) > age(&held));
    if older.get("jouled_snapshot_held", &[]) == Some(1.0) {
        assert_eq!(energy(&older), energy(&held));
    }
    let result = board.rig.result("a");
    let succeeded = [("state", "succeeded")];
    let after = board.until("end of the job", |scrape| {
        scrape.get("jouled_jobs_total", &succeeded) == Some(1.0)
            && scrape.get("jouled_snapshot_held", &[]) == Some(0.0)
            && energy(scrape) > energy(&held)
    });
    let summary = &result["summary"];
    for (metric, phase, field) in [
        ("joules_per_token", "decode", "j_per_output_token"),
        ("joules_per_token", "prefill", "j_per_prompt_token"),
        ("tokens_per_second", "decode", "decode_tok_s"),
        ("tokens_per_second", "prefill", "prefill_tok_s"),
    ] {
        let labels = [
            ("model", MODEL),
            ("phase", phase),
            ("rail", "input"),
            ("boundary", "board-input"),
            ("simulated", "true"),
        ];
        let name = format!("jouled_last_job_{metric}");
        // Absent where the result has `null`: a fast phase may be too short for its windows.
        let median = summary[field]["median"].as_f64();
        assert_eq!(
            after.get(&name, &labels),
            median,
            "{name} {phase}: {summary}"
        );
    }
}

#[test]
fn nothing_but_metrics_is_served() {
    let board = Board::start();
    let status = |request: &str| {
        let (header, body) = board.get(request);
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(header.contains(&length), "{header}{body}");
        assert!(header.contains("Connection: close\r\n"), "{header}");
        header.split_once(' ').unwrap().1[..3].to_owned()
    };
    assert_eq!(status("GET /metrics HTTP/1.1\r\n\r\n"), "200");
    assert_eq!(status("GET /metrics?x=1 HTTP/1.0\n\n"), "200");
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), "404");
    assert_eq!(
        status("GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n"),
        "404"
    );
    let post = "POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd";
    assert_eq!(status(post), "405");
    assert_eq!(status("\0\0\0\n\n"), "400");
    let large = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(10_000));
    assert_eq!(status(&large), "431");

    let (header, body) = board.get("HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(
        header.starts_with("HTTP/1.1 200 OK") && body.is_empty(),
        "{header}{body}"
    );
    let (header, body) = board.get("GET /metrics HTTP/1.1\r\nAccept: */*\r\n\r\n");
    let kind = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
    assert!(header.contains(kind), "{header}");
    assert!(
        body.contains("# TYPE jouled_jobs_total counter\n"),
        "{body}"
    );
    assert!(
        !body.contains("# EOF") && !body.contains("# UNIT"),
        "{body}"
    );
}

/// Clients that say nothing, or slowly, hold a few places for half a second and no more.
#[test]
fn silent_clients_keep_nobody_out_for_long() {
    let board = Board::start();
    let began = Instant::now();
    let silent: Vec<TcpStream> = (0..6).map(|_| board.connect()).collect();
    for (n, mut stream) in silent.iter().enumerate() {
        stream
            .write_all(&b"GET /metrics HTTP/1.1\r\nX: "[..n])
            .unwrap();
    }
    board.scrape();
    for mut stream in silent {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(rest.is_empty());
    }
    // Four at a time, for half a second each.
    assert!(began.elapsed() >= Duration::from_secs(1));
}

/// However many there are: the kernel keeps few of them, and Prometheus waits ten seconds.
#[test]
fn a_crowd_of_silent_clients_does_not_shut_out_a_scrape() {
    let board = Board::start();
    let address = SocketAddr::from(([127, 0, 0, 1], board.port));
    let crowd: Vec<_> = (0..200)
        .map(|_| {
            // Most of them never get through.
            let within = Duration::from_secs(5);
            std::thread::spawn(move || TcpStream::connect_timeout(&address, within))
        })
        .collect();
    board.scrape();
    for client in crowd {
        let _ = client.join().unwrap();
    }
}

#[test]
fn without_the_section_nothing_listens() {
    let mut rig = Rig::start(STEADY);
    assert_eq!(listeners(rig.daemon.pid()), 0);
    rig.daemon.terminate();
    listen(&rig.daemon, free_port());
    rig.daemon.spawn();
    let pid = rig.daemon.pid();
    assert!(eventually(|| listeners(pid) == 1));
}

/// A port that another program has costs the metrics, not the measuring.
#[test]
fn a_port_that_is_taken_is_told_of() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut rig = Rig::start_with(STEADY, |daemon| listen(daemon, port));
    let event = rig.lab.wait_event("metrics-unavailable");
    let message = event["message"].as_str().unwrap();
    assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
    rig.run(&job("a", json!({})));
}

#[test]
fn an_address_that_others_reach_has_to_be_allowed() {
    let broker = Mosquitto::start();
    let daemon = Daemon::prepare(&broker, STEADY);
    let check = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_jouled"));
        command.arg("check").arg("--config");
        let done = command.arg(daemon.path().join("jouled.toml")).output();
        let done = done.unwrap();
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    daemon.configure("m.toml", "[metrics]\nlisten = \"0.0.0.0:9187\"\n");
    let (fine, said) = check();
    assert!(
        !fine && said.contains("metrics.allow_remote = true"),
        "{said}"
    );
    daemon.configure(
        "m.toml",
        "[metrics]\nlisten = \"0.0.0.0:9187\"\nallow_remote = true\n",
    );
    let (fine, said) = check();
    assert!(fine, "{said}");
}

/// Sockets on which a process waits for connections.
fn listeners(pid: u32) -> usize {
    let tables = ["tcp", "tcp6"].map(|table| {
        std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default()
    });
    let waiting: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // Column 3 is the state, 10 the inode.
            (words[3] == "0A").then(|| format!("socket:[{}]", words[9]))
        })
        .collect();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let sockets = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    sockets
        .filter(|socket| waiting.contains(&socket.display().to_string()))
        .count()
}
