//! The small records as they leave the board. Results, tokens and traces are checked where
//! they are made, in `src/measure`.

use insta::assert_json_snapshot;
use jouled::board::Absence;
use jouled::power::protocol::{FreqRange, Mode, Offer};
use jouled::record::answer::{Answer, Event, Refusal};
use jouled::record::device::{
    DataInfo, Health, Info, ModelInfo, OutboxHealth, Presence, Quality, RailInfo, RailRecord,
    SensorHealth, SensorInfo, SensorState, Status,
};
use jouled::record::job::State;
use jouled::record::last_job::LastJob;
use jouled::record::model::{FetchState, ModelRecord};
use jouled::record::probe::{ProbeReport, ProbeState, ProbedBoard, ProbedRail, ProbedSensor};
use jouled::record::result::Board;
use jouled::record::{Reason, Stamp, Stamped, VERSION};
use jouled::sensor::{Boundary, BoundaryBasis};
use jouled::workload::{JobState, Limits, Phase, QueueMode};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn last_job() -> LastJob {
    LastJob {
        id: "smol-1".to_owned(),
        model: "SmolLM2-135M-Instruct.Q4_1.gguf".to_owned(),
        rail: Some("input".to_owned()),
        boundary: Some(Boundary::BoardInput),
        simulated: false,
        prefill_tok_s: Some(45.2),
        decode_tok_s: Some(26.1),
        j_per_prompt_token: Some(0.15),
        j_per_prompt_token_u95: None,
        j_per_output_token: None,
        j_per_output_token_u95: None,
        reasons: [("j_per_output_token".to_owned(), Reason::TooCoarse)].into(),
    }
}

fn on_the_wire<T: Serialize>(body: T) -> Value {
    let stamp = Stamp {
        v: VERSION,
        device: "pi5-01".to_owned(),
        time: "2026-11-21T10:00:00.000Z".to_owned(),
        mono_ns: 5_000_000_000_000,
        boot_id: "6c0f".to_owned(),
        clock_sync: true,
    };
    serde_json::from_slice(&Stamped { stamp, body }.to_json()).expect("JSON")
}

fn status(state: Presence, jobs: Option<(u32, &str)>) -> Status {
    Status {
        state,
        version: "0.1.0".to_owned(),
        machine_id: "0123456789abcdef".to_owned(),
        since: "2026-11-21T09:00:00.000Z".to_owned(),
        jobs_queued: jobs.map(|(queued, _)| queued),
        job_running: jobs.map(|(_, running)| running.to_owned()),
        queue: jobs.map(|_| QueueMode::Open),
    }
}

#[test]
fn status_online_and_as_a_last_will() {
    let online = status(Presence::Online, Some((2, "smol-1")));
    assert_json_snapshot!("status_online", on_the_wire(online));
    assert_json_snapshot!(
        "status_offline",
        on_the_wire(status(Presence::Offline, None))
    );
}

#[test]
fn states_of_a_model() {
    let record = |rev, state, bytes, reason: Option<&str>| {
        on_the_wire(ModelRecord {
            name: "m.gguf".to_owned(),
            sha256: "ab".repeat(32),
            rev,
            state,
            bytes,
            total_bytes: Some(98_362_432),
            reason: reason.map(str::to_owned),
        })
    };
    assert_json_snapshot!(
        "states_of_a_model",
        [
            record(1, FetchState::Queued, 0, None),
            record(2, FetchState::Fetching, 65_536, None),
            record(3, FetchState::Paused, 98_304, Some("a job runs")),
            record(4, FetchState::Verifying, 98_362_432, None),
            record(5, FetchState::Ready, 98_362_432, None),
            record(
                6,
                FetchState::Failed,
                0,
                Some("the catalogue's server answers 404")
            ),
        ]
    );
}

#[test]
fn info() {
    let info = Info {
        group: Some("pi5".to_owned()),
        version: "0.1.0".to_owned(),
        board: Board {
            profile: "generic-aarch64".to_owned(),
            model: Some("Raspberry Pi 5 Model B Rev 1.0".to_owned()),
            kernel: "6.12.0".to_owned(),
            os: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
            l4t: None,
            firmware: Some("bootloader 086b83e3".to_owned()),
            cpu: Some("implementer 0x41 part 0xd0b".to_owned()),
            cpus: 4,
            memory_bytes: Some(8 << 30),
            memory_bandwidth_gb_s: Some(17.1),
            memory_unified: Some(true),
            governor: Some("ondemand".to_owned()),
            governors: BTreeMap::from([
                ("cpu0-1".to_owned(), "ondemand".to_owned()),
                ("cpu2-3".to_owned(), "performance".to_owned()),
            ]),
            cpu_min_mhz: Some(1500.0),
            cpu_max_mhz: Some(2400.0),
            max_freq_khz: Some(2_400_000),
            max_freqs_khz: Default::default(),
            power_mode: None,
            end: None,
            power_mode_id: None,
            power_mode_reason: Some("not supported".to_owned()),
            reasons: BTreeMap::from([("l4t".to_owned(), Absence::NotSupported)]),
        },
        primary_rail: Some("input".to_owned()),
        rails: vec![RailInfo {
            name: "input".to_owned(),
            boundary: Boundary::BoardInput,
            boundary_basis: BoundaryBasis::Declared,
            contained_in: None,
            source: "ina219".to_owned(),
            simulated: false,
            resolution_w: Some(0.005),
        }],
        sensors: vec![
            SensorInfo {
                name: "input".to_owned(),
                kind: "ina219".to_owned(),
                state: SensorState::Ok,
                reason: None,
            },
            SensorInfo {
                name: "fan".to_owned(),
                kind: "hwmon".to_owned(),
                state: SensorState::Failed,
                reason: Some("there is no hwmon chip \"ina3221\"".to_owned()),
            },
        ],
        models: vec![
            ModelInfo {
                name: "m.gguf".to_owned(),
                size_bytes: Some(98_362_432),
                sha256: Some("ab".repeat(32)),
                arch: Some("llama".to_owned()),
                reason: None,
            },
            ModelInfo {
                name: "new.gguf".to_owned(),
                size_bytes: None,
                sha256: None,
                arch: None,
                reason: Some("model \"new.gguf\" is not hashed yet".to_owned()),
            },
        ],
        data: vec![DataInfo {
            name: "questions.jsonl".to_owned(),
            size_bytes: 51_200,
        }],
        data_left_out: 0,
        limits: Limits::default(),
        runtimes: vec!["llama.cpp".to_owned()],
        sandbox: BTreeMap::from([("own-process-group".to_owned(), true)]),
        features: vec!["generate".to_owned()],
        power: Some(Offer {
            power_modes: vec![Mode {
                id: 1,
                name: "25W".to_owned(),
            }],
            governors: vec!["ondemand".to_owned(), "performance".to_owned()],
            freq: Some(FreqRange {
                min_khz: 1_500_000,
                max_khz: 2_400_000,
                steps_khz: vec![1_500_000, 2_400_000],
            }),
        }),
        power_reason: None,
    };
    assert_json_snapshot!(on_the_wire(info));
}

#[test]
fn health() {
    let sensor = SensorHealth {
        rate_hz: Some(208.7),
        missed_deadlines: 1,
        dropped: 0,
        errors: 0,
        state: SensorState::Ok,
        reason: None,
    };
    let failed = SensorHealth {
        rate_hz: None,
        errors: 3,
        state: SensorState::Failed,
        reason: Some("/dev/i2c-1: no answer at 0x44".to_owned()),
        ..sensor.clone()
    };
    let health = Health {
        sensors: BTreeMap::from([("input".to_owned(), sensor), ("usb".to_owned(), failed)]),
        queue: 2,
        outbox: OutboxHealth {
            pending: 12,
            oldest_s: Some(3.0),
            parked: 0,
            expired: 0,
            dropped: 4,
        },
        rss_bytes: Some(9_000_000),
        disk_free_bytes: None,
        queue_mode: QueueMode::Paused,
        rate_limited: 1,
        events_left_out: 0,
        damaged_stores: 0,
        last_job: Some(Box::new(last_job())),
        temperature_c: Some(48.2),
        reasons: BTreeMap::new(),
    };
    assert_json_snapshot!(on_the_wire(&health));
    let measuring = Health {
        temperature_c: None,
        reasons: BTreeMap::from([("temperature_c".to_owned(), Reason::NotMeasured)]),
        ..health
    };
    let record = on_the_wire(&measuring);
    assert_eq!(record["temperature_c"], serde_json::Value::Null);
    assert_eq!(record["reasons"]["temperature_c"], "not-measured");
}

#[test]
fn rails_that_deliver_and_that_do_not() {
    let rail = RailRecord {
        rail: "input".to_owned(),
        simulated: true,
        power_w: Some(3.125),
        voltage_v: Some(5.0),
        current_a: Some(0.625),
        energy_wh: Some(0.5),
        quality: Quality::NearFullScale,
    };
    let stale = RailRecord {
        power_w: None,
        voltage_v: None,
        current_a: None,
        quality: Quality::Stale,
        ..rail.clone()
    };
    assert_json_snapshot!("rail", on_the_wire(rail));
    assert_json_snapshot!("rail_stale", on_the_wire(stale));
}

#[test]
fn event() {
    let event = Event {
        code: "attempt-lost".to_owned(),
        message: "attempt 1 was running when the daemon ended; the job is queued now".to_owned(),
        id: Some("smol-1".to_owned()),
    };
    assert_json_snapshot!(on_the_wire(event));
}

#[test]
fn answers() {
    let ok = Answer::ok(json!({"id": "smol-1", "state": "queued", "attempt": 0}));
    let refused = Answer::<Value>::refused(Refusal {
        code: "invalid-spec".to_owned(),
        message: "must be 1 to 10".to_owned(),
        field: Some("max_attempts".to_owned()),
    });
    let plain = |answer: &Answer<Value>| serde_json::to_value(answer).expect("JSON");
    assert_json_snapshot!("answer_ok", plain(&ok));
    assert_json_snapshot!("answer_refused", plain(&refused));
}

#[test]
fn states_of_a_life() {
    let queued = State {
        id: "smol-1".to_owned(),
        attempt: 0,
        rev: 1,
        state: JobState::Queued,
        phase: None,
        progress: None,
        reason: None,
    };
    let decoding = State {
        attempt: 1,
        rev: 9,
        state: JobState::Running,
        phase: Some(Phase::Decode),
        progress: Some(0.25),
        ..queued.clone()
    };
    let interrupted = State {
        attempt: 1,
        rev: 1_000_002,
        reason: Some("interrupted".to_owned()),
        ..queued.clone()
    };
    let states = [queued, decoding, interrupted].map(on_the_wire);
    assert_json_snapshot!(states);
}

#[test]
fn probe() {
    let rail = ProbedRail {
        name: "input".to_owned(),
        boundary: Boundary::BoardInput,
        boundary_basis: BoundaryBasis::Declared,
        contained_in: None,
        excludes: Vec::new(),
        power_w: Some(5.12),
        voltage_v: Some(5.1),
        current_a: Some(1.004),
        quality: Quality::Good,
        rate_hz: Some(208.7),
        coverage: Some(1.0),
        resolution_w: Some(0.0102),
        resolution_j: None,
        mode: Some("avg8/12bit".to_owned()),
        range_mv: Some(80),
        shunt_ohm: Some(0.01),
        duty: Some(0.889),
        warnings: Vec::new(),
    };
    let input = ProbedSensor {
        name: "input".to_owned(),
        kind: "ina219".to_owned(),
        device: Some("/dev/i2c-1 0x44".to_owned()),
        state: ProbeState::Ok,
        reason: None,
        note: None,
        configured: true,
        simulated: false,
        missed_deadlines: Some(0),
        errors: Some(0),
        warnings: Vec::new(),
        config: None,
        rails: vec![rail],
    };
    let denied = ProbedSensor {
        name: "cpu".to_owned(),
        kind: "rapl".to_owned(),
        device: None,
        state: ProbeState::Failed,
        reason: Some("/sys/class/powercap/intel-rapl:0/energy_uj: permission denied".to_owned()),
        configured: false,
        missed_deadlines: None,
        errors: None,
        config: Some("[[sensor]]\nname = \"cpu\"\nkind = \"rapl\"\n".to_owned()),
        rails: Vec::new(),
        ..input.clone()
    };
    let report = ProbeReport {
        v: VERSION,
        board: ProbedBoard {
            profile: "raspberrypi-5".to_owned(),
            model: Some("Raspberry Pi 5 Model B Rev 1.0".to_owned()),
            notes: Vec::new(),
        },
        sensors: vec![input, denied],
    };
    assert_json_snapshot!("probe", report);
}
