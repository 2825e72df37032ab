//! What a scrape reads, from what the daemon told.

use super::*;
use crate::measure::testing::rail;
use crate::record::device::{OutboxHealth, Quality, SensorHealth, SensorState};
use crate::workload::QueueMode;

const SECOND: u64 = 1_000_000_000;

fn metrics() -> Metrics {
    let about = About {
        version: "0.1.0".to_owned(),
        device: "pi5-01".to_owned(),
        profile: "raspberrypi-5".to_owned(),
        ..About::default()
    };
    Metrics::new(about, MonoNs(0))
}

fn record(power_w: Option<f64>, quality: Quality) -> RailRecord {
    RailRecord {
        rail: "input".to_owned(),
        simulated: true,
        power_w,
        voltage_v: power_w.map(|_| 5.0),
        current_a: None,
        energy_wh: Some(0.5),
        quality,
    }
}

fn health() -> Health {
    let sensor = SensorHealth {
        rate_hz: None,
        missed_deadlines: 3,
        dropped: 0,
        errors: 1,
        state: SensorState::Failed,
        reason: Some("/dev/i2c-1: no answer".to_owned()),
    };
    Health {
        sensors: [("input".to_owned(), sensor)].into(),
        queue: 2,
        queue_mode: QueueMode::Paused,
        outbox: OutboxHealth {
            pending: 7,
            oldest_s: None,
            parked: 0,
            expired: 0,
            dropped: 4,
        },
        rss_bytes: None,
        disk_free_bytes: Some(1_000_000),
        rate_limited: 0,
        events_left_out: 0,
        damaged_stores: 0,
        last_job: None,
        temperature_c: Some(48.5),
        reasons: std::collections::BTreeMap::new(),
    }
}

fn around() -> Around {
    Around {
        unopened: vec!["wall".to_owned()],
        connected: true,
    }
}

fn told() -> Metrics {
    let metrics = metrics();
    let specs = [rail("input")];
    metrics.rails(
        &specs,
        &[record(Some(2.5), Quality::Good)],
        false,
        MonoNs(SECOND),
    );
    metrics.health(&health(), around());
    metrics
}

fn text(metrics: &Metrics) -> String {
    metrics.text(Format::OpenMetrics, MonoNs(3 * SECOND))
}

#[test]
fn what_is_known_has_its_unit_and_what_is_not_is_absent() {
    let text = text(&told());
    insta::assert_snapshot!(text);
    for missing in ["current", "rate_hertz", "resident", "oldest", "last_job"] {
        assert!(!text.contains(missing), "{missing}");
    }
}

#[test]
fn before_anything_is_known_there_is_little() {
    let text = text(&metrics());
    for missing in ["_rail_", "sensor", "outbox", "queue", "NaN", "temperature"] {
        assert!(!text.contains(missing), "{missing}: {text}");
    }
    assert!(text.contains("jouled_jobs_total{state=\"failed\"} 0\n"));
    assert!(
        text.ends_with("jouled_uptime_seconds 3.0\n# EOF\n"),
        "{text}"
    );
}

#[test]
fn an_attempt_is_told_of_with_counters_and_the_age_of_what_was_before() {
    let metrics = told();
    metrics.hold(true);
    // Neither of these may reach a scrape, nor cost it anything.
    metrics.rails(&[], &[], false, MonoNs(2 * SECOND));
    metrics.health(&health(), around());
    let during = text(&metrics);
    for line in [
        "jouled_rail_energy_joules_total{rail=\"input\"} 1800.0\n",
        "jouled_snapshot_age_seconds 2.0\n",
        "jouled_snapshot_held 1.0\n",
        "jouled_job_running 1.0\n",
    ] {
        assert!(during.contains(line), "{line}{during}");
    }
    for moment in ["power", "voltage", "quality", "temperature"] {
        assert!(!during.contains(moment), "{moment}");
    }
    metrics.hold(false);
    assert!(text(&metrics).contains("jouled_rail_power_watts{rail=\"input\"} 2.5\n"));
    assert!(text(&metrics).contains("jouled_snapshot_held 0.0\n"));
}

#[test]
fn attempts_that_follow_one_another_do_not_make_it_stand_still() {
    let metrics = told();
    for (attempt, joules) in [(2, 1_900.0), (3, 2_000.0)] {
        let now = MonoNs(attempt * SECOND);
        let mut health = health();
        health.queue = u32::try_from(attempt).unwrap();
        metrics.before_an_attempt(&[Some(Joules(joules))], &health, around(), now);
        metrics.hold(true);
        let during = text(&metrics);
        for line in [
            format!("jouled_rail_energy_joules_total{{rail=\"input\"}} {joules:.1}\n"),
            format!("jouled_queue_jobs {attempt}.0\n"),
            format!("jouled_snapshot_age_seconds {}.0\n", 3 - attempt),
        ] {
            assert!(during.contains(&line), "{line}{during}");
        }
        metrics.hold(false);
    }
}

#[test]
fn a_job_counts_once_and_its_figures_stand_until_the_next_of_its_model() {
    let metrics = metrics();
    metrics.job_ended(JobState::Succeeded);
    metrics.job_ended(JobState::Running);
    for factor in [1.0, 2.0] {
        metrics.job(last_job("a \"model\".gguf", factor));
    }
    let text = text(&metrics);
    assert!(text.contains("jouled_jobs_total{state=\"succeeded\"} 1\n"));
    let decode = "jouled_last_job_joules_per_token{model=\"a \\\"model\\\".gguf\",\
                  phase=\"decode\",rail=\"input\",boundary=\"board-input\",simulated=\"false\"} 2.0\n";
    assert!(text.contains(decode), "{text}");
    assert!(!text.contains("phase=\"prefill\""), "{text}");
}

#[test]
fn the_models_that_ran_last_are_remembered() {
    let mut snapshot = Snapshot::new(About::default(), MonoNs(0));
    for n in 0..100 {
        snapshot.take_job(last_job(&format!("m{n}"), 1.0));
    }
    assert_eq!(snapshot.last_jobs.len(), 32);
    assert_eq!(snapshot.last_jobs[31].model, "m99");
}

fn last_job(model: &str, j_per_output_token: f64) -> LastJob {
    LastJob {
        id: "a".to_owned(),
        model: model.to_owned(),
        rail: Some("input".to_owned()),
        boundary: Some(crate::sensor::Boundary::BoardInput),
        simulated: false,
        prefill_tok_s: None,
        decode_tok_s: Some(26.1),
        j_per_prompt_token: None,
        j_per_prompt_token_u95: None,
        j_per_output_token: Some(j_per_output_token),
        j_per_output_token_u95: None,
        reasons: Default::default(),
    }
}
