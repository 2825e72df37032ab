//! The broker, or the way to it, fails in every way that it can, while a board runs jobs.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

mod support;

use rumqttc::v5::{Client, MqttOptions};
use serde_json::{Value, json};
use std::thread::JoinHandle;
use std::time::Duration;
use support::daemon::{Daemon, STEADY, eventually};
use support::mosquitto::Mosquitto;
use support::proxy::{
    CONNECT, Cut, Direction, Flow, PUBACK, PUBLISH, Proxy, SUBSCRIBE, packet_id, topic_of,
};
use support::rig::{Rig, job, of_job, topic};
use support::scripted::{Script, Scripted};

/// Detects a dead connection as soon as the configuration allows.
const IMPATIENT: &str = "[mqtt]\nkeep_alive_s = 5\n";

/// A board that is online, behind a cable.
fn behind_a_cable(options: &str, mqtt: &str) -> (Rig, Proxy) {
    let broker = Mosquitto::with_options(options);
    let proxy = Proxy::to(broker.port);
    let mut rig = Rig::prepare(broker, &proxy.url(), STEADY);
    rig.daemon.configure("mqtt.toml", mqtt);
    rig.daemon.spawn();
    rig.wait_online();
    (rig, proxy)
}

/// A job of some tenths of a second.
fn short(id: &str) -> Value {
    job(id, json!({"idle": {"before_s": 0, "after_s": 0}}))
}

/// The job has one result, however often it came, and one attempt. Runs another job.
fn ran_once(rig: &mut Rig, id: &str) {
    let result = rig.result(id);
    assert_eq!(
        (&result["state"], &result["attempt"]),
        (&json!("succeeded"), &json!(1))
    );
    rig.all_records(id, "tokens");
    rig.reaches(id, "succeeded");
    // Whatever still comes about it comes before the records of a later job. Answers overtake.
    let later = format!("{id}-later");
    rig.run(&short(&later));
    rig.all_records(&later, "tokens");
    assert!(
        rig.records(id, "result")
            .iter()
            .all(|other| *other == result)
    );
}

fn contains(packet: &[u8], text: &str) -> bool {
    let mut parts = packet.windows(text.len().max(1));
    text.is_empty() || parts.any(|part| part == text.as_bytes())
}

#[test]
fn a_job_of_the_last_life_goes_on_while_the_broker_is_away() {
    let mut rig = Rig::start(STEADY);
    let mut long = short("long");
    long["n_predict"] = json!(1_000);
    long["publish"] = json!({"tokens": "live", "tokens_every_ms": 20});
    rig.submit(&long);
    rig.lab.wait_topic(&of_job("long", "tokens"));
    rig.daemon.kill();
    rig.broker.kill();
    rig.daemon.spawn();
    // Its second attempt, with nobody to tell.
    rig.daemon.worker();
    rig.broker.restart();
    rig.listen_anew();
    let result = rig.result("long");
    assert_eq!(
        (&result["state"], &result["attempt"]),
        (&json!("succeeded"), &json!(2))
    );
    rig.all_records("long", "tokens");
    assert_eq!(rig.lab.wait_event("attempt-lost")["id"], "long");
    assert_eq!(rig.ask("jobs", &json!({}))["ok"], true);
}

/// Cuts the line in the middle of the first packet that fits, after a job was submitted.
fn cut_at(fits: impl FnMut(Direction, &[u8]) -> bool + Send + 'static) -> Rig {
    let (mut rig, proxy) = behind_a_cable("", IMPATIENT);
    proxy.trap(fits);
    rig.submit(&short("a"));
    proxy.wait_sprung();
    ran_once(&mut rig, "a");
    rig
}

/// The first packet of this kind with `text` in it.
fn cut_in(direction: Direction, kind: u8, text: &'static str) {
    cut_at(move |seen, packet| {
        seen == direction && packet[0] >> 4 == kind && contains(packet, text)
    });
}

#[test]
fn a_cut_in_an_answer_costs_nothing() {
    cut_in(Direction::Up, PUBLISH, "answers/");
}

#[test]
fn a_cut_in_a_state_costs_nothing() {
    cut_in(Direction::Up, PUBLISH, "/state");
}

#[test]
fn a_cut_in_a_token_record_costs_nothing() {
    cut_in(Direction::Up, PUBLISH, "/tokens");
}

#[test]
fn a_cut_in_a_result_costs_nothing() {
    cut_in(Direction::Up, PUBLISH, "/result");
}

#[test]
fn a_cut_in_a_command_costs_nothing() {
    cut_in(Direction::Down, PUBLISH, "cmd/submit");
}

#[test]
fn a_cut_in_the_acknowledgement_of_a_command_costs_nothing() {
    cut_in(Direction::Up, PUBACK, "");
}

#[test]
fn a_cut_in_the_acknowledgement_of_a_record_costs_nothing() {
    let mut result = None;
    let rig = cut_at(move |direction, packet| match (direction, packet[0] >> 4) {
        (Direction::Up, PUBLISH) if topic_of(packet).ends_with(b"/result") => {
            result = Some(packet_id(packet));
            false
        }
        (Direction::Down, PUBACK) => result == Some(packet_id(packet)),
        _ => false,
    });
    assert!(rig.records("a", "result").len() > 1, "it came once");
}

#[test]
fn a_cut_in_the_subscription_is_made_good() {
    let (mut rig, proxy) = behind_a_cable("", IMPATIENT);
    for (direction, kind) in [(Direction::Up, SUBSCRIBE), (Direction::Up, CONNECT)] {
        proxy.trap(move |seen, packet| {
            let of_the_board = kind == CONNECT || contains(packet, "/cmd/+");
            seen == direction && packet[0] >> 4 == kind && of_the_board
        });
        for cut in [Cut::Reset, Cut::Finish] {
            proxy.cut(cut);
        }
        proxy.wait_sprung();
        assert_eq!(rig.ask("jobs", &json!({}))["ok"], true);
    }
}

fn half_open(direction: Direction, flow: Flow) {
    let (mut rig, proxy) = behind_a_cable("", IMPATIENT);
    rig.submit(&short("before"));
    ran_once(&mut rig, "before");
    proxy.flow(direction, flow);
    // It waits in the broker until the board is back, or has its answer wait in the board.
    let correlation = "while-half-open";
    let during = short("during").to_string();
    rig.lab
        .ask(&topic("cmd/submit"), &during, "answers/lab", correlation);
    let noticed = || rig.daemon.log().contains("not connected");
    assert!(eventually(noticed), "it still takes the line for open");
    proxy.heal();
    assert_eq!(rig.lab.wait_answer(correlation)["ok"], true);
    ran_once(&mut rig, "during");
}

#[test]
fn a_connection_that_only_looks_open_upwards_is_given_up() {
    half_open(Direction::Up, Flow::Swallow);
}

#[test]
fn a_connection_that_only_looks_open_downwards_is_given_up() {
    half_open(Direction::Down, Flow::Swallow);
}

#[test]
fn a_broker_that_stops_reading_is_given_up() {
    half_open(Direction::Up, Flow::Block);
}

#[test]
fn a_slow_line_delivers_without_repeating_itself() {
    let (mut rig, proxy) = behind_a_cable("", "");
    let connects = proxy.packets(Direction::Up, CONNECT);
    proxy.slow(Duration::from_secs(2), 8_000);
    let mut many = short("many");
    many["n_predict"] = json!(200);
    many["repetitions"] = json!(3);
    rig.submit(&many);
    rig.all_records("many", "tokens");
    // The job that comes last may hurry.
    proxy.heal();
    ran_once(&mut rig, "many");
    assert_eq!(
        proxy.packets(Direction::Up, CONNECT),
        connects,
        "it came anew"
    );
    let result = rig.result("many");
    let tokens = rig.records("many", "tokens");
    assert_eq!(result["records"]["tokens"], tokens.len(), "some came twice");
    assert_eq!(rig.records("many", "result").len(), 1);
}

/// A client that wants the board's place, and takes it again each time it loses it. The
/// thread ends when it has learned.
fn rival(broker: &Mosquitto) -> (Client, JoinHandle<usize>) {
    let mut options = MqttOptions::new("jouled-board", "127.0.0.1", broker.port);
    options.set_clean_start(true);
    let (client, mut connection) = Client::new(options, 10);
    let losses = std::thread::spawn(move || {
        let losses = connection.iter().filter(Result::is_err).take(4);
        losses.count()
    });
    (client, losses)
}

#[test]
fn a_board_whose_place_is_taken_says_so_and_gets_it_back() {
    let (mut rig, proxy) = behind_a_cable("", IMPATIENT);
    let (_rival, losses) = rival(&rig.broker);
    let event = rig.lab.wait_event("connection-unstable");
    assert!(
        event["message"].as_str().unwrap().contains("client_id"),
        "{event}"
    );
    // Until it gives up, the rival throws away what waits in the broker for the board.
    losses.join().unwrap();
    rig.listen_anew();
    rig.wait_online();
    // The board's session is gone; it has subscribed anew.
    rig.submit(&short("a"));
    ran_once(&mut rig, "a");
    let log = rig.daemon.log();
    assert!(log.contains("client id"), "{log}");
    // Two a try: the look at `status`, and the board itself.
    let connects = proxy.packets(Direction::Up, CONNECT);
    assert!(connects <= 2 * 8, "{connects} tries against four");
}

#[test]
fn a_broker_that_takes_one_record_at_a_time_gets_all_of_them() {
    let (mut rig, _proxy) = behind_a_cable("max_inflight_messages 1", IMPATIENT);
    let mut many = short("many");
    many["repetitions"] = json!(4);
    many["publish"] = json!({"tokens": "live", "tokens_every_ms": 0});
    rig.submit(&many);
    ran_once(&mut rig, "many");
}

#[test]
fn commands_outlast_board_and_broker_and_are_carried_out_once() {
    let (mut rig, _proxy) = behind_a_cable("persistence true", IMPATIENT);
    rig.daemon.terminate();
    for (id, correlation) in [("a", "first"), ("b", "second")] {
        let text = short(id).to_string();
        rig.lab
            .ask(&topic("cmd/submit"), &text, "answers/lab", correlation);
    }
    // The broker has both once it answers what came after them.
    rig.lab.publish("answers/mark", "");
    rig.lab.wait_topic("answers/mark");
    rig.broker.terminate();
    rig.broker.restart();
    rig.listen_anew();
    rig.daemon.spawn();
    for correlation in ["first", "second"] {
        assert_eq!(rig.lab.wait_answer(correlation)["ok"], true);
    }
    for id in ["a", "b"] {
        ran_once(&mut rig, id);
    }
}

#[test]
fn what_a_broker_can_say_is_told_in_words_and_tried_again() {
    let cases = [
        (Script::Silent, "did not answer in time"),
        (Script::Old, "speak MQTT 5"),
        (Script::NoSubscription, "refuses the subscription"),
        (Script::Disconnects(0x8B), "it shuts down (0x8B)"),
        (Script::Disconnects(0x97), "a quota is used up (0x97)"),
        (Script::Disconnects(0x8E), "client id"),
    ];
    // All at a time: some of them take their time.
    let mut boards: Vec<(Scripted, Daemon, &str)> = cases
        .into_iter()
        .map(|(script, words)| {
            let broker = Scripted::start(script);
            let mut daemon = Daemon::prepare_at(&broker.url(), STEADY);
            daemon.spawn();
            (broker, daemon, words)
        })
        .collect();
    for (broker, daemon, words) in &mut boards {
        assert!(
            eventually(|| daemon.log().contains(*words)),
            "no {words:?} in {}",
            daemon.log()
        );
        let before = broker.connections();
        assert!(eventually(|| broker.connections() > before), "{words}");
        assert!(daemon.is_running());
    }
}
