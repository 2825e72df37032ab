//! Records of invented boards, and a fleet that has run for a minute.

use super::fleet::Fleet;
use crate::lab::client::Message;
use crate::lab::testing;
use crate::units::MonoNs;
use serde_json::{Value, json};

pub const DEVICE: &str = "pi5-01";
/// When the recorded fleet is looked at, in seconds.
pub const NOW_S: u64 = 160;

/// Seconds of an invented clock.
pub fn at(s: u64) -> MonoNs {
    MonoNs((1_000 + s) * 1_000_000_000)
}

/// A record of [`DEVICE`], as it arrives.
pub fn send(leaf: &str, record: &Value) -> Message {
    Message {
        topic: format!("jouled/{DEVICE}/{leaf}"),
        payload: record.to_string().into_bytes(),
        correlation: None,
        retained: false,
    }
}

pub fn status(running: Option<&str>) -> Value {
    json!({"time": "2026-11-21T10:00:00.000Z", "state": "online", "version": "0.1.0",
        "machine_id": "m", "since": "2026-11-21T09:12:00.000Z", "jobs_queued": 0,
        "job_running": running, "queue": "open"})
}

pub fn rail(power_w: f64) -> Value {
    json!({"rail": "input", "simulated": false, "power_w": power_w, "voltage_v": 5.08,
        "current_a": power_w / 5.08, "energy_wh": 12.34, "quality": "good"})
}

pub fn info(profile: &str, group: Option<&str>) -> Value {
    json!({"group": group, "version": "0.1.0",
        "board": {"profile": profile, "model": "Raspberry Pi 5 Model B Rev 1.0",
            "kernel": "6.12.47", "os": "Debian GNU/Linux 13 (trixie)", "cpu": "Cortex-A76",
            "cpus": 4, "memory_bytes": 8_454_000_000_u64, "governor": "performance",
            "power_mode": null, "power_mode_reason": "not supported"},
        "primary_rail": "input",
        "rails": [{"name": "input", "boundary": "board-input", "boundary_basis": "declared",
            "contained_in": null, "source": "ina219", "simulated": false, "resolution_w": 0.005}],
        "sensors": [{"name": "input", "kind": "ina219", "state": "ok", "reason": null}],
        "models": [{"name": "SmolLM2-135M-Instruct.Q4_1.gguf", "size_bytes": 98_362_432,
            "sha256": "b179", "arch": "llama", "reason": null}],
        "limits": {"threads": 4, "n_ctx": 2048, "n_batch": 512, "repetitions": 40,
            "timeout_s": 900, "prompt_bytes": 65536, "queue": 100, "commands_per_min": 1200},
        "runtimes": ["llama.cpp"], "sandbox": {}, "features": []})
}

pub fn health(pending: u64, temperature_c: Option<f64>) -> Value {
    json!({"sensors": {"input": {"rate_hz": 208.7, "missed_deadlines": 0, "dropped": 0,
            "errors": 0, "state": "ok", "reason": null}},
        "queue": 0, "outbox": {"pending": pending, "oldest_s": null, "parked": 0, "expired": 0,
            "dropped": 0}, "rss_bytes": 9_000_000, "disk_free_bytes": 21_400_000_000_u64,
        "temperature_c": temperature_c})
}

pub fn state(id: &str, rev: u64, state: &str, phase: Option<&str>, progress: Option<f64>) -> Value {
    json!({"time": format!("2026-11-21T09:{rev:02}:00.000Z"), "id": id,
        "attempt": u32::from(state != "queued"), "rev": rev, "state": state, "phase": phase,
        "progress": progress, "reason": (state == "failed").then_some("the worker was killed")})
}

pub fn tokens(id: &str, rep: u32, count: u32, energy_j: f64) -> Value {
    let tokens: Vec<Value> = (0..count)
        .map(|i| match i {
            0 => json!({"i": 0, "t_s": 0.3, "energy_j": null, "energy_j_u95": null,
                "u_ran_j": null, "power_w": null, "reason": "in-prefill"}),
            _ => json!({"i": i, "t_s": 0.3 + f64::from(i) / 26.1, "energy_j": energy_j,
                "energy_j_u95": 0.02, "u_ran_j": 0.01, "power_w": 6.8}),
        })
        .collect();
    json!({"id": id, "attempt": 1, "rep": rep, "seq": 0, "resolved": true,
        "u_sys_rel": 0.0073, "tokens": tokens})
}

/// A result whose power is measured by a real sensor, or by a simulated one.
pub fn result(device: &str, id: &str, simulated: bool) -> Value {
    let mut result = serde_json::to_value(testing::result()).expect("JSON");
    result["device"] = json!(device);
    result["id"] = json!(id);
    result["time"] = json!("2026-11-21T09:59:00.000Z");
    result["rails"][0]["simulated"] = json!(simulated);
    if !simulated {
        result["left_out"] = json!([]);
        result["thermal"]["max_c"] = json!(64.3);
    }
    result
}

/// A fleet in the making.
pub struct Recorded {
    pub fleet: Fleet,
}

impl Recorded {
    pub fn new() -> Self {
        Self {
            fleet: Fleet::new("jouled", "mqtts://lab-broker", at(0)),
        }
    }

    pub fn say(&mut self, s: u64, device: &str, leaf: &str, record: &Value) {
        let topic = format!("jouled/{device}/{leaf}");
        let payload = record.to_string();
        let retained = s <= 2 && matches!(leaf, "status" | "info");
        self.fleet.take(&topic, payload.as_bytes(), retained, at(s));
        assert_eq!(self.fleet.not_understood, None, "{leaf}");
    }

    /// Rails once a second, up to and with `end`.
    pub fn power(&mut self, device: &str, end: u64, power: impl Fn(f64) -> f64) {
        for s in 90..=end {
            self.say(s, device, "rails/input", &rail(power(s as f64)));
        }
    }

    /// A board that came online, idle.
    pub fn board(&mut self, device: &str, profile: &str, group: Option<&str>) {
        self.say(1, device, "status", &status(None));
        self.say(1, device, "info", &info(profile, group));
    }
}

/// Boards in every state that there is, at [`NOW_S`].
pub fn lab() -> Fleet {
    let mut lab = Recorded::new();
    live(&mut lab);
    silent(&mut lab);
    paused(&mut lab);
    offline(&mut lab);
    simulated(&mut lab);
    in_trouble(&mut lab);
    lab.fleet
}

/// It publishes its tokens while they come.
fn live(lab: &mut Recorded) {
    let name = "pi5-01";
    lab.board(name, "raspberrypi-5", Some("pi5"));
    let mut about = info("raspberrypi-5", Some("pi5"));
    about["rails"] = json!([about["rails"][0],
        {"name": "pmic.vdd_core", "boundary": "rail", "boundary_basis": "profile",
        "contained_in": "input", "source": "pmic", "simulated": false, "resolution_w": null}]);
    lab.say(1, name, "info", &about);
    for (rev, (id, end)) in ["warm-1", "warm-2", "fig3-q8"]
        .iter()
        .zip(["succeeded", "failed", "succeeded"])
        .enumerate()
    {
        lab.say(
            1,
            name,
            &format!("jobs/{id}/state"),
            &state(id, 10 + rev as u64, end, None, None),
        );
    }
    lab.say(
        2,
        name,
        "jobs/fig3-q8/result",
        &result(name, "fig3-q8", false),
    );
    let mut running = status(Some("fig3-q4"));
    running["jobs_queued"] = json!(2);
    lab.say(118, name, "status", &running);
    lab.say(
        118,
        name,
        "jobs/fig3-q4/state",
        &state("fig3-q4", 41, "running", Some("load"), None),
    );
    for id in ["fig3-q5", "fig3-q6"] {
        lab.say(
            119,
            name,
            &format!("jobs/{id}/state"),
            &state(id, 30, "queued", None, None),
        );
    }
    let work = |t: f64| {
        if t < 120.0 {
            3.1
        } else {
            6.7 + (t / 2.0).sin() * 0.5
        }
    };
    lab.power(name, 160, work);
    for s in 90..=160 {
        let mut core = rail(work(s as f64) * 0.61);
        core["rail"] = json!("pmic.vdd_core");
        core["voltage_v"] = json!(0.91);
        core["current_a"] = json!(work(s as f64) * 0.61 / 0.91);
        lab.say(s, name, "rails/pmic.vdd_core", &core);
    }
    let event = json!({"time": "2026-11-21T09:58:12.000Z", "code": "invalid-spec", "id": "fig3-q7",
        "message": "n_predict: 100000 is more than n_ctx has room for, which is 2048"});
    lab.say(120, name, "events", &event);
    lab.say(150, name, "health", &health(3, Some(61.2)));
    lab.say(
        160,
        name,
        "jobs/fig3-q4/state",
        &state("fig3-q4", 42, "running", Some("decode"), Some(0.428)),
    );
    lab.say(
        160,
        name,
        "jobs/fig3-q4/tokens",
        &tokens("fig3-q4", 2, 57, 0.2603),
    );
}

/// Undisturbed: nothing leaves it.
fn silent(lab: &mut Recorded) {
    lab.board("pi5-02", "raspberrypi-5", Some("pi5"));
    lab.say(
        2,
        "pi5-02",
        "jobs/night-16/state",
        &state("night-16", 7, "succeeded", None, None),
    );
    lab.say(
        2,
        "pi5-02",
        "jobs/night-16/result",
        &result("pi5-02", "night-16", false),
    );
    lab.say(90, "pi5-02", "health", &health(0, Some(48.2)));
    lab.power("pi5-02", 117, |t| 2.9 + (t * 1.7).sin() * 0.05);
    lab.say(118, "pi5-02", "status", &status(Some("night-17")));
}

/// Its queue is paused, its sensor near full scale, its outbox fills.
fn paused(lab: &mut Recorded) {
    lab.board("orin-01", "jetson-agx-orin", Some("jetson"));
    let mut waiting = status(None);
    waiting["jobs_queued"] = json!(3);
    waiting["queue"] = json!("paused");
    lab.say(3, "orin-01", "status", &waiting);
    lab.power("orin-01", 159, |t| 14.0 + (t / 9.0).cos() * 4.0);
    let mut near = rail(17.9);
    near["quality"] = json!("near-full-scale");
    lab.say(160, "orin-01", "rails/input", &near);
    for (tick, pending) in [120, 340, 610, 1204].into_iter().enumerate() {
        lab.say(
            120 + 10 * tick as u64,
            "orin-01",
            "health",
            &health(pending, Some(54.0)),
        );
    }
}

fn offline(lab: &mut Recorded) {
    lab.board("orin-02", "jetson-orin-nano", Some("jetson"));
    lab.power("orin-02", 101, |_| 5.2);
    let mut gone = status(None);
    gone["state"] = json!("offline");
    gone["jobs_queued"] = json!(null);
    lab.say(101, "orin-02", "status", &gone);
}

fn simulated(lab: &mut Recorded) {
    lab.board("sim-01", "generic-x86-64", None);
    for s in 90..=160 {
        let mut power = rail(if s / 8 % 2 == 0 { 2.8 } else { 6.5 });
        power["simulated"] = json!(true);
        lab.say(s, "sim-01", "rails/input", &power);
    }
    lab.say(155, "sim-01", "health", &health(0, None));
    lab.say(
        2,
        "sim-01",
        "jobs/smol-1/state",
        &state("smol-1", 4, "succeeded", None, None),
    );
    lab.say(
        2,
        "sim-01",
        "jobs/smol-1/result",
        &result("sim-01", "smol-1", true),
    );
}

/// A sensor has failed and its disk is nearly full.
fn in_trouble(lab: &mut Recorded) {
    lab.board("rock5-01", "rock-5b", Some("rock"));
    let mut poor = health(0, Some(71.9));
    poor["disk_free_bytes"] = json!(812_000_000);
    poor["sensors"]["usb"] = json!({"rate_hz": null, "missed_deadlines": 0, "dropped": 0,
        "errors": 3, "state": "failed", "reason": "/dev/i2c-1: no answer at 0x44"});
    lab.say(155, "rock5-01", "health", &poor);
    lab.power("rock5-01", 160, |_| 4.4);
}

/// Forty boards, every third of which runs a job.
pub fn forty() -> Fleet {
    let mut lab = Recorded::new();
    for n in 1..=40_u64 {
        let name = format!("pi5-{n:02}");
        lab.board(
            &name,
            "raspberrypi-5",
            Some(if n <= 20 { "left" } else { "right" }),
        );
        if n % 3 == 0 {
            lab.say(150, &name, "status", &status(Some("sweep-7")));
            let decode = state(
                "sweep-7",
                9,
                "running",
                Some("decode"),
                Some(n as f64 / 40.0),
            );
            lab.say(151, &name, "jobs/sweep-7/state", &decode);
        }
        lab.power(&name, 160, |t| {
            3.0 + (n as f64 / 7.0) + (t / 3.0 + n as f64).sin()
        });
        lab.say(
            155,
            &name,
            "health",
            &health(0, Some(40.0 + n as f64 / 2.0)),
        );
    }
    lab.fleet
}
