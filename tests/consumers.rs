//! What people have reads what a board publishes: a real daemon, a real broker, and the files
//! of deploy/ as they are shipped. Node-RED comes from npm: `make integrations-test`.
#![cfg(feature = "llama")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::clients::MosquittoSub;
use support::daemon::{DEVICE, STEADY};
use support::meters::python;
use support::node_red::NodeRed;
use support::rig::{MODEL, Rig, job, of_job, topic};
use support::tool;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The metrics that deploy/telegraf/jouled.conf makes of messages.
fn metrics(messages: &[(String, Value)]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages");
    let mut file = File::create(&path).unwrap();
    for (topic, payload) in messages {
        writeln!(file, "{}", json!({"topic": topic, "payload": payload})).unwrap();
    }
    let done = Command::new(python())
        .arg(in_repository("tests/peers/telegraf.py"))
        .arg(in_repository("deploy/telegraf/jouled.conf"))
        .stdin(File::open(path).unwrap())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{complaint}");
    let lines = String::from_utf8(done.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Those of one measurement.
fn named<'a>(metrics: &'a [Value], name: &str) -> Vec<&'a Value> {
    metrics
        .iter()
        .filter(|metric| metric["name"] == name)
        .collect()
}

/// Long enough for three windows of the sensor in each repetition.
fn measured(id: &str) -> Value {
    job(id, json!({"n_predict": 1_000, "repetitions": 2}))
}

/// A field is the figure, or is not there where the figure is `null`.
fn same(field: &Value, figure: &Value) -> bool {
    field == figure || (field.as_f64().is_some() && field.as_f64() == figure.as_f64())
}

#[test]
fn telegraf_gets_every_figure_with_its_type() {
    let mut rig = Rig::start(STEADY);
    let mut sub = MosquittoSub::start(rig.broker.port, &["jouled/#"]);
    sub.wait("status", |seen| seen.topic == topic("status"));
    rig.submit(&measured("a"));
    let result = sub
        .wait("result", |seen| seen.topic == of_job("a", "result"))
        .json();
    sub.wait("rail", |seen| seen.topic == topic("rails/input"));
    let health = sub
        .wait("health", |seen| seen.topic == topic("health"))
        .json();
    let messages: Vec<(String, Value)> = sub
        .seen
        .iter()
        .map(|seen| (seen.topic.clone(), seen.json()))
        .collect();
    let of = |kind: &str| -> Vec<&Value> {
        let fits = messages.iter().filter(|(topic, _)| topic.ends_with(kind));
        fits.map(|(_, record)| record).collect()
    };
    let metrics = metrics(&messages);

    let rails = named(&metrics, "jouled_rail");
    assert_eq!(rails.len(), of("rails/input").len());
    for (metric, record) in rails.iter().zip(of("rails/input")) {
        assert_eq!(metric["time"], record["time"]);
        assert_eq!(
            metric["tags"],
            json!({"device": DEVICE, "rail": "input", "simulated": "true"})
        );
        for field in ["power_w", "voltage_v", "current_a", "energy_wh", "quality"] {
            assert!(
                same(&metric["fields"][field], &record[field]),
                "{field}: {metric}"
            );
        }
    }

    let own = named(&metrics, "jouled_health");
    assert_eq!(own.len(), of("/health").len());
    assert!(own[0]["fields"]["rss_bytes"].is_u64(), "{}", own[0]);
    let sensor = named(&metrics, "jouled_sensor").pop().unwrap();
    assert_eq!(sensor["tags"], json!({"device": DEVICE, "sensor": "input"}));
    assert_eq!(
        sensor["fields"]["state"],
        health["sensors"]["input"]["state"]
    );

    let [whole] = named(&metrics, "jouled_result")[..] else {
        panic!("one result, one metric: {metrics:#?}");
    };
    assert_eq!(
        whole["tags"],
        json!({"device": DEVICE, "id": "a", "kind": "generate", "state": "succeeded",
               "model": MODEL, "primary_rail": "input", "simulated": "true"})
    );
    let fields = &whole["fields"];
    for (field, figure) in [
        ("attempt", &result["attempt"]),
        ("repetitions", &result["summary"]["n"]),
        (
            "j_per_output_token",
            &result["summary"]["j_per_output_token"]["median"],
        ),
        ("decode_tok_s", &result["summary"]["decode_tok_s"]["median"]),
        ("idle_before_w", &result["idle"]["before"]["power_w"]),
        ("temperature_max_c", &result["thermal"]["max_c"]),
        ("contended", &result["contention"]["contended"]),
        ("rss_peak_bytes", &result["memory"]["rss_peak_bytes"]),
    ] {
        assert!(
            same(&fields[field], figure),
            "{field}: {fields}, not {figure}"
        );
    }
    let reps = named(&metrics, "jouled_rep");
    assert_eq!(reps.len(), 2);
    for (metric, rep) in reps.iter().zip(result["reps"].as_array().unwrap()) {
        assert_eq!(metric["tags"]["rep"], rep["rep"].to_string());
        assert_eq!(metric["tags"]["attempt"], "1");
        assert_eq!(metric["tags"]["simulated"], "true");
        assert!(
            same(&metric["fields"]["decode_j"], &rep["decode"]["energy_j"]),
            "{metric}"
        );
    }
    let [total] = named(&metrics, "jouled_energy")[..] else {
        panic!("one rail, one total: {metrics:#?}");
    };
    assert_eq!(total["tags"]["rail"], "input");
    assert_eq!(total["tags"]["simulated"], "true");
    assert!(same(
        &total["fields"]["energy_j"],
        &result["total"]["input"]["energy_j"]
    ));

    let tokens: Vec<(&Value, &Value)> = of("/tokens")
        .into_iter()
        .flat_map(|record| {
            record["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(move |token| (record, token))
        })
        .collect();
    let each = named(&metrics, "jouled_token");
    assert_eq!(each.len(), tokens.len());
    assert_eq!(each.len(), 2_000);
    for (metric, (record, token)) in each.iter().zip(tokens) {
        assert_eq!(metric["tags"]["i"], token["i"].to_string());
        assert_eq!(metric["tags"]["rep"], record["rep"].to_string());
        for field in ["t_s", "energy_j", "energy_j_u95", "power_w", "reason"] {
            let (field, figure) = (metric["fields"].get(field), token.get(field));
            let figure = figure.filter(|figure| !figure.is_null());
            assert_eq!(field.is_some(), figure.is_some(), "{metric} of {token}");
            assert!(
                field
                    .zip(figure)
                    .is_none_or(|(field, figure)| same(field, figure))
            );
        }
    }
}

/// Null is no field, whatever is missing: not 0, not NaN, not a text.
#[test]
fn telegraf_gets_nothing_for_what_was_not_measured() {
    let record = |path: &str| -> Value {
        let text = std::fs::read_to_string(in_repository(path)).unwrap();
        let (_, json) = text.split_once("\n---\n").unwrap();
        serde_json::from_str(json).unwrap()
    };
    let metrics = metrics(&[
        (
            topic("rails/input"),
            record("tests/snapshots/records__rail_stale.snap"),
        ),
        (
            topic("health"),
            record("tests/snapshots/records__health.snap"),
        ),
        (
            of_job("a", "result"),
            record("src/measure/snapshots/jouled__measure__tests__failed_result.snap"),
        ),
    ]);
    let rail = &named(&metrics, "jouled_rail")[0]["fields"];
    assert_eq!(*rail, json!({"energy_wh": 0.5, "quality": "stale"}));
    let health = &named(&metrics, "jouled_health")[0]["fields"];
    assert!(health.get("disk_free_bytes").is_none(), "{health}");
    let sensors = named(&metrics, "jouled_sensor");
    assert_eq!(sensors.len(), 2);
    assert!(
        sensors[1]["fields"].get("rate_hz").is_none(),
        "{}",
        sensors[1]
    );
    assert_eq!(sensors[1]["fields"]["state"], "failed");
    let failed = named(&metrics, "jouled_result")[0];
    assert_eq!(failed["tags"]["state"], "failed");
    assert!(
        failed["fields"].get("j_per_output_token").is_none(),
        "{failed}"
    );
    assert!(named(&metrics, "jouled_rep").is_empty());
}

/// Runs a client of deploy/python with a job; its output, and whether it was content.
fn client(rig: &Rig, script: &str, job: &Value) -> (String, String, bool) {
    let path = rig.daemon.path().join(format!("{script}.json"));
    std::fs::write(&path, job.to_string()).unwrap();
    let port = rig.broker.port.to_string();
    let done = tool::output(
        Command::new(python())
            .arg(in_repository(&format!("deploy/python/{script}")))
            .args(["--host", "127.0.0.1", "--port", &port, "--device", DEVICE])
            .arg(path),
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        text(&done.stdout),
        text(&done.stderr),
        done.status.success(),
    )
}

#[test]
fn python_clients_submit_and_read_tokens() {
    let mut rig = Rig::start(STEADY);
    for (script, id) in [("paho_submit.py", "paho"), ("aiomqtt_submit.py", "aiomqtt")] {
        let wanted = job(id, json!({}));
        let (out, error, content) = client(&rig, script, &wanted);
        assert!(content, "{script}: {error}");
        assert!(
            out.ends_with(&format!("{id}  succeeded\n")),
            "{script}: {out}"
        );
        let records = rig.all_records(id, "tokens");
        let tokens = records
            .iter()
            .flat_map(|record| record["tokens"].as_array().unwrap());
        for token in tokens {
            let i = &token["i"];
            let line = match token["energy_j"].as_f64() {
                Some(energy) => format!("rep 1  token {i}  {energy:.4} J"),
                None => format!(
                    "rep 1  token {i}  not measured: {}",
                    token["reason"].as_str().unwrap()
                ),
            };
            assert!(out.contains(&line), "{script}: no \"{line}\" in:\n{out}");
        }
        let refused = job("x", json!({"repetitions": 0}));
        let (_, error, content) = client(&rig, script, &refused);
        assert!(
            !content && error.starts_with("invalid-spec: "),
            "{script}: {error}"
        );
        assert!(error.contains("(repetitions)"), "{script}: {error}");
    }
    // A job that ended long ago: its tokens come again when they are asked for.
    let (out, error, content) = client(&rig, "paho_submit.py", &job("aiomqtt", json!({})));
    assert!(content && out.lines().count() == 17, "{out}{error}");
}

#[test]
#[ignore = "installs Node-RED from npm: make integrations-test"]
fn node_red_shows_power_jobs_and_joules_and_submits() {
    let mut rig = Rig::start(STEADY);
    let shipped =
        std::fs::read_to_string(in_repository("deploy/node-red/jouled-flow.json")).unwrap();
    let mut flow: Value = serde_json::from_str(&shipped).unwrap();
    // What its user sets: the broker, the board and the job.
    for node in flow.as_array_mut().unwrap() {
        match node["id"].as_str().unwrap() {
            "jouled-broker" => {
                node["broker"] = json!("127.0.0.1");
                node["port"] = json!(rig.broker.port.to_string());
            }
            "submit" => {
                let job = measured("from-node-red");
                node["payload"] = json!(json!({"device": DEVICE, "job": job}).to_string());
            }
            _ => {}
        }
    }
    let red = NodeRed::start(&flow);
    let now = |red: &NodeRed| -> Value { serde_json::from_str(&red.get("/jouled.json")).unwrap() };

    let rail = format!("{DEVICE}/input");
    let power = red.until("power", |red| now(red)["rails"][&rail]["power_w"].as_f64());
    assert!((power - 5.0).abs() < 0.1, "{power} W");

    red.press("submit");
    let answer = red.until("an answer", |red| {
        Some(now(red)["answer"].clone()).filter(Value::is_object)
    });
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(answer["text"], "from-node-red: queued");
    red.until("the job to be seen", |red| {
        let now = now(red);
        let here = now["jobs"][0]["id"] == "from-node-red" || now["results"][0].is_object();
        here.then_some(())
    });
    let median = |result: &Value| result["summary"]["j_per_output_token"]["median"].clone();
    let mut result = rig.result("from-node-red");
    // A machine that is too busy for the sampler has no energy to show.
    for n in 1..5 {
        if median(&result).is_null() {
            result = rig.run(&measured(&format!("again-{n}")));
        }
    }
    let shown = red.until("the result", |red| {
        Some(now(red)["results"][0].clone()).filter(|shown| shown["id"] == result["id"])
    });
    assert_eq!(shown["state"], "succeeded");
    assert_eq!(shown["model"], MODEL);
    assert_eq!(shown["simulated"], true);
    let median = median(&result);
    assert!(median.is_number(), "{result}");
    assert_eq!(shown["j_per_output_token"], median);
    red.until("the queue to be empty", |red| {
        now(red)["jobs"]
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    });
    // Mustache writes a slash as a character reference.
    let page = red.get("/jouled").replace("&#x2F;", "/");
    let joules = format!("{:.3} J", median.as_f64().unwrap());
    for text in [&rail, "5.0", "simulated", &joules, "from-node-red"] {
        assert!(page.contains(text), "no {text} in {page}");
    }

    // The same job once more is answered, and a wrong one refused.
    red.press("submit");
    let again = red.until("a second answer", |red| {
        Some(now(red)["answer"].clone())
            .filter(|answer| answer["text"] == "from-node-red: succeeded")
    });
    assert_eq!(again["ok"], true);
    let log = red.log();
    let (_, running) = log.split_once("Started flows").unwrap();
    assert!(
        !running.contains("[error]") && !running.contains("[warn]"),
        "{log}"
    );
}
