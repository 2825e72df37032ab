//! A real Prometheus beside two real boards: `make integrations-test`.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::daemon::{Daemon, eventually};
use support::from_environment;
use support::mosquitto::free_port;
use support::openmetrics::Scrape;
use support::rig::{MODEL, Rig, job};
use support::tiny_gguf::{self, Damage};

/// What two boards of a lab might have: a board input and a USB rail, and a lone input.
const FIRST: &str = "[[sensor]]\nname = \"input\"\nkind = \"simulated\"\nboundary = \"board-input\"\n\
     waveform = \"constant:1.2\"\nbus_v = 5.1\nmax_current_a = 4.0\n\
     [[sensor]]\nname = \"usb\"\nkind = \"simulated\"\nboundary = \"rail\"\ncontained_in = \"input\"\n\
     waveform = \"sine:0.2,0.05,40\"\nbus_v = 5.0\n[energy]\nprimary = \"input\"\n";
const SECOND: &str = "[[sensor]]\nname = \"input\"\nkind = \"simulated\"\nboundary = \"board-input\"\n\
     waveform = \"constant:0.5\"\nbus_v = 12.0\nmax_current_a = 2.0\n";
const SECOND_DEVICE: &str = "board-2";

struct Prometheus {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes `targets`, by instance, every second.
    fn start(targets: &[(&str, u16)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut config = "global:\n  scrape_interval: 1s\nscrape_configs:\n- job_name: jouled\n  \
                          static_configs:\n"
            .to_owned();
        for (instance, port) in targets {
            config += &format!(
                "  - targets: [\"127.0.0.1:{port}\"]\n    labels: {{instance: {instance}}}\n"
            );
        }
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus is installed: apt-get install prometheus");
        Self {
            process,
            port,
            _dir: dir,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let mut question = ureq::get(format!("{}/api/v1/{path}", self.url()));
        for (name, value) in parameters {
            question = question.query(*name, *value);
        }
        let text = question.call().ok()?.body_mut().read_to_string().ok()?;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        Some(answer["data"].clone())
    }

    /// The series of an instant query: labels and value.
    fn query(&self, query: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let Some(data) = self.ask("query", &[("query", query)]) else {
            return Vec::new();
        };
        let series = data["result"].as_array().unwrap().iter();
        series
            .map(|series| {
                let labels = serde_json::from_value(series["metric"].clone()).unwrap();
                let value = series["value"][1].as_str().unwrap();
                (labels, value.parse().unwrap())
            })
            .collect()
    }

    fn value(&self, query: &str) -> Option<f64> {
        match self.query(query).as_slice() {
            [(_, value)] => Some(*value),
            _ => None,
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A board with a thermal zone, whatever this machine has.
fn configure(daemon: &Daemon, port: u16, celsius: u32) {
    let zone = daemon.path().join("sys/class/thermal/thermal_zone0");
    std::fs::create_dir_all(&zone).unwrap();
    std::fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
    std::fs::write(zone.join("temp"), format!("{celsius}000\n")).unwrap();
    let config = format!(
        "[metrics]\nlisten = \"127.0.0.1:{port}\"\n[board]\nsysfs_root = {:?}\n",
        daemon.path().join("sys")
    );
    daemon.configure("metrics.toml", &config);
}

/// The answer to a request without any wish, as promtool wants it.
fn plain(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
#[ignore = "make integrations-test"]
fn prometheus_reads_what_the_boards_say() {
    let (first, second) = (free_port(), free_port());
    let mut rig = Rig::start_with(FIRST, |daemon| configure(daemon, first, 48));
    let mut other = Daemon::prepare(&rig.broker, SECOND);
    configure(&other, second, 61);
    other.configure(
        "name.toml",
        &format!("[device]\nname = \"{SECOND_DEVICE}\"\n"),
    );
    tiny_gguf::write(&other.models().join(MODEL), Damage::None).unwrap();
    tiny_gguf::write(&other.models().join("tiny-2.gguf"), Damage::None).unwrap();
    other.spawn();
    let prometheus = Prometheus::start(&[("board", first), ("board-2", second)]);
    let began = jouled::clock::unix_seconds();
    assert!(
        eventually(|| prometheus.value("sum(up)") == Some(2.0)),
        "no scrape"
    );

    // 0.5 A at 12 V; what the daemon says itself is within a step of it.
    let power = "jouled_rail_power_watts{instance=\"board-2\",rail=\"input\"}";
    assert!(eventually(|| prometheus.value(power).is_some()));
    let watts = prometheus.value(power).unwrap();
    assert!((watts - 6.0).abs() < 0.1, "{watts} W");
    let labels = "jouled_rail_info{instance=\"board\",rail=\"usb\"}";
    let info = prometheus.query(labels).remove(0).0;
    assert_eq!(
        (info["boundary"].as_str(), info["contained_in"].as_str()),
        ("rail", "input")
    );
    assert_eq!(info["simulated"], "true");

    // The energy that Prometheus knows is the power over its own time.
    let energy = "jouled_rail_energy_joules_total{instance=\"board-2\"}";
    let over = format!("max_over_time({energy}[1h]) - min_over_time({energy}[1h])");
    assert!(eventually(|| prometheus
        .value(&over)
        .is_some_and(|joules| joules > 90.0)));
    let mean = prometheus.value(&format!("rate({energy}[10s])")).unwrap();
    assert!((mean - 6.0).abs() < 1.0, "{mean} W");

    let jobs = from_environment("DASHBOARD_JOBS", 2);
    let idle = "max_over_time(jouled_snapshot_held[15s]) == 0";
    for n in 0..jobs {
        // Three in a row, then some seconds in which power is seen.
        if n > 0 && n % 3 == 0 {
            for before in 0..n {
                rig.result(&format!("job-{before}"));
            }
            assert!(eventually(|| prometheus.query(idle).len() == 2), "no pause");
        }
        let id = format!("job-{n}");
        // Long enough that a tiny model's phases last for many windows.
        let changes = json!({
            "prompt": "Why is the sky blue? ".repeat(60), "n_predict": 1_000, "repetitions": 2,
            "params": {"threads": 1, "n_ctx": 4_096}, "idle": {"before_s": 3.0, "after_s": 1.0},
        });
        let mut elsewhere = job(&id, changes.clone());
        elsewhere["model"] = json!(["tiny-2.gguf", MODEL][n as usize % 2]);
        let submit = format!("jouled/{SECOND_DEVICE}/cmd/submit");
        rig.lab.publish(&submit, &elsewhere.to_string());
        rig.submit(&job(&id, changes));
    }
    let fails = job("bad", json!({"model": "none.gguf"}));
    assert_eq!(rig.ask("submit", &fails)["ok"], false);
    for n in 0..jobs {
        rig.result(&format!("job-{n}"));
    }
    let ended = "sum(jouled_jobs_total{state=\"succeeded\"})";
    assert!(eventually(
        || prometheus.value(ended) == Some(2.0 * jobs as f64)
    ));
    // A scrape after the last attempt, and one of health.
    assert!(eventually(|| prometheus
        .query("jouled_snapshot_held == 0")
        .len()
        == 2));

    let newest = format!("job-{}", jobs - 1);
    let result = rig.result(&newest);
    let figure = "jouled_last_job_tokens_per_second{instance=\"board\",phase=\"decode\"}";
    let said = prometheus.value(figure);
    assert_eq!(said, result["summary"]["decode_tok_s"]["median"].as_f64());

    lint(&plain(first));
    Scrape::read(&openmetrics(second));
    every_panel_has_series(&prometheus, began);
    if let Some(image) = std::env::var_os("DASHBOARD_IMAGE") {
        let drawn = Command::new("scripts/render-dashboard")
            .args([&prometheus.url(), &began.to_string()])
            .arg(image)
            .status()
            .unwrap();
        assert!(drawn.success(), "{drawn}");
    }
    other.terminate();
}

fn openmetrics(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// promtool reads the text, and finds nothing to complain of in names and units.
fn lint(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let done = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.is_empty(), "{said}\n{text}");
}

/// Asks the queries of the shipped dashboard as Grafana would, with everything selected.
fn every_panel_has_series(prometheus: &Prometheus, began: i64) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/jouled-dashboard.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let (mut panels, mut empty) = (0, Vec::new());
    let end = jouled::clock::unix_seconds().to_string();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$instance", ".*").replace("$job", ".*");
            let data = match target["instant"] == true {
                true => prometheus.ask("query", &[("query", &query)]),
                false => {
                    let start = began.to_string();
                    let range = [("start", start.as_str()), ("end", &end), ("step", "1")];
                    prometheus.ask(
                        "query_range",
                        &[&[("query", query.as_str())], &range[..]].concat(),
                    )
                }
            };
            let data = data.unwrap_or_else(|| panic!("{query} is no query"));
            panels += 1;
            if data["result"].as_array().unwrap().is_empty() {
                empty.push(format!("{}: {query}", panel["title"]));
            }
        }
    }
    assert!(empty.is_empty(), "{empty:#?}");
    println!("{panels} queries of the dashboard have series");
}
