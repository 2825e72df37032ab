//! Modbus meters as a user meets them: real peers over TCP and over a pair of serial lines,
//! those that behave and those that don't. Whatever a peer does, a window holds the value of
//! the register that was asked for, or there is no window and an error says why.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use jouled::clock::{Clock, Monotonic};
use jouled::sampler::Sampler;
use jouled::sensor::{self, KnownRails, Pace, PollError, Sink, Source, Window};
use jouled::units::{Amps, Span, Volts, Watts};
use std::time::{Duration, Instant};
use support::meters::{Peer, SerialPair, Transport};

/// Longest time that anything here may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A sensor driven the way the sampler drives it, and what came of it.
struct Driven {
    source: Box<dyn Source>,
    windows: Windows,
    errors: Vec<String>,
}

#[derive(Default)]
struct Windows(Vec<Window>);

impl Sink for Windows {
    fn push(&mut self, rail: usize, window: Window) {
        assert_eq!(rail, 0, "a meter has one rail");
        self.0.push(window);
    }
}

impl Driven {
    fn open(transport: &Transport, port: &str, rest: &str) -> Driven {
        let line = match transport {
            Transport::Tcp => {
                format!("transport = \"tcp\"\nendpoint = \"127.0.0.1:{port}\"")
            }
            Transport::Rtu(pair) => {
                format!("transport = \"rtu\"\ndevice = {:?}", pair.ours())
            }
        };
        let text =
            format!("name = \"wall\"\nkind = \"modbus\"\nboundary = \"wall\"\n{line}\n{rest}");
        let config = toml::from_str(&text).unwrap();
        Driven {
            source: sensor::open(&config, &KnownRails::default()).unwrap(),
            windows: Windows::default(),
            errors: Vec::new(),
        }
    }

    /// Polls until `done`, resetting after a fatal error as the sampler does.
    fn drive(&mut self, what: &str, done: impl Fn(&[Window], &[String]) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !done(&self.windows.0, &self.errors) {
            assert!(
                Instant::now() < give_up,
                "{what}: {} windows, errors: {:#?}",
                self.windows.0.len(),
                self.errors
            );
            match self.source.poll(&mut self.windows) {
                Ok(deadline) => Monotonic.sleep_until(deadline),
                Err(PollError::Retry(text)) => self.errors.push(text),
                Err(PollError::Fatal(text)) => {
                    self.errors.push(text);
                    // What is wrong stays wrong for some peers: the next poll says so.
                    let _ = self.source.reset();
                }
            }
        }
    }

    fn windows(&mut self, what: &str, count: usize) -> &[Window] {
        self.drive(what, |windows, _| windows.len() >= count);
        &self.windows.0
    }
}

fn assert_close(name: &str, value: f64, expected: f64) {
    let error = (value - expected).abs();
    assert!(
        error <= 1e-6 * expected.abs(),
        "{name}: {value}, not {expected}"
    );
}

fn assert_values(windows: &[Window], power: Watts, voltage: Volts, current: Amps) {
    for window in windows {
        assert_close("power", window.power.0, power.0);
        assert_close("voltage", window.voltage.unwrap().0, voltage.0);
        assert_close("current", window.current.unwrap().0, current.0);
        assert!(window.t1 > window.t0);
    }
}

#[test]
fn an_sdm630_over_tcp() {
    let peer = Peer::meter("sdm630", &Transport::Tcp);
    let mut meter = Driven::open(
        &Transport::Tcp,
        &peer.port,
        "meter = \"sdm630\"\nrate_hz = 10\ntimeout_ms = 5000",
    );
    let rail = &meter.source.rails()[0];
    assert_eq!((rail.name.as_str(), rail.source), ("wall", "modbus"));
    assert_eq!(rail.limits.refresh, Span::from_millis(1000));
    assert_eq!(rail.limits.scale, [("meter-class", 0.01)]);
    assert_eq!(meter.source.rails().len(), 1);
    let windows = meter.windows("sdm630", 3);
    assert_values(windows, Watts(42.5), Volts(231.5), Amps(0.26));
}

#[test]
fn a_pzem_004t_over_a_serial_line() {
    let line = Transport::Rtu(SerialPair::start());
    let peer = Peer::meter("pzem-004t", &line);
    let mut meter = Driven::open(&line, &peer.port, "meter = \"pzem-004t\"\nrate_hz = 10");
    assert_close("step", meter.source.rails()[0].limits.power_step.0, 0.1);
    // Values above 16 bits: low word first.
    let windows = meter.windows("pzem-004t", 3);
    assert_values(windows, Watts(16_100.0), Volts(230.1), Amps(70.0));
}

#[test]
fn an_iem3155_over_tcp_tells_kilowatts() {
    let peer = Peer::meter("iem3155", &Transport::Tcp);
    let mut meter = Driven::open(
        &Transport::Tcp,
        &peer.port,
        "meter = \"iem3155\"\nrate_hz = 10\ntimeout_ms = 5000",
    );
    let windows = meter.windows("iem3155", 3);
    assert_values(windows, Watts(42.5), Volts(229.5), Amps(0.25));
}

#[test]
fn a_sunspec_meter_is_found() {
    let peer = Peer::meter("sunspec", &Transport::Tcp);
    let mut meter = Driven::open(
        &Transport::Tcp,
        &peer.port,
        "meter = \"sunspec\"\nrate_hz = 10\ntimeout_ms = 5000",
    );
    assert_close("step", meter.source.rails()[0].limits.power_step.0, 0.1);
    let windows = meter.windows("sunspec", 3);
    assert_values(windows, Watts(42.5), Volts(230.5), Amps(0.25));
}

#[test]
fn a_wrong_unit_and_a_meter_that_goes_away_are_told() {
    let peer = Peer::meter("sdm630", &Transport::Tcp);
    let rest = "meter = \"sdm630\"\nunit = 9\ntimeout_ms = 300";
    let mut meter = Driven::open(&Transport::Tcp, &peer.port, rest);
    meter.drive("wrong unit", |_, errors| !errors.is_empty());
    assert!(meter.errors[0].contains("unit 9"), "{:?}", meter.errors);

    drop(peer);
    meter.drive("gone", |_, errors| {
        errors.iter().any(|error| error.contains("can't be opened"))
    });
    assert!(meter.windows.0.is_empty());
}

#[test]
fn a_meter_that_comes_up_later_is_read_from_then_on() {
    let line = Transport::Rtu(SerialPair::start());
    let mut meter = Driven::open(&line, "", &format!("timeout_ms = 400\n{HOSTILE}"));
    meter.drive("nobody there", |_, errors| {
        errors
            .iter()
            .any(|error| error.contains("no answer within 400 ms"))
    });
    let _peer = Peer::hostile("ok", &line);
    let windows = meter.windows("a late peer", 3);
    assert_values(windows, Watts(42.5), Volts(230.0), Amps(0.25));
}

/// Two meters on one serial line, as RS-485 is meant to be used, and only one of them there.
#[test]
fn meters_share_a_serial_line() {
    let line = Transport::Rtu(SerialPair::start());
    let _peer = Peer::hostile("ok", &line);
    let mut there = Driven::open(&line, "", &format!("timeout_ms = 400\n{HOSTILE}"));
    let mut absent = Driven::open(&line, "", &format!("unit = 7\ntimeout_ms = 400\n{HOSTILE}"));
    assert_eq!(there.source.bus(), absent.source.bus());
    for count in 1..4 {
        absent.drive("absent", |_, errors| errors.len() >= count);
        there.windows("there", count);
    }
    assert!(absent.windows.0.is_empty());
    assert_values(&there.windows.0, Watts(42.5), Volts(230.0), Amps(0.25));
}

/// In the thread that reads it in the daemon, with that thread's small stack.
#[test]
fn the_sampler_reads_a_meter_that_breaks_off() {
    let peer = Peer::hostile("ok,ok,ok,disconnect", &Transport::Tcp);
    let driven = Driven::open(&Transport::Tcp, &peer.port, HOSTILE);
    let sampler = Sampler::start(vec![driven.source]).unwrap();
    sampler.set_pace(Pace::Full);
    let mut windows = Vec::new();
    let give_up = Instant::now() + PATIENCE;
    let gap = |windows: &[Window]| windows.windows(2).any(|pair| pair[0].t1 < pair[1].t0);
    while !gap(&windows) {
        assert!(Instant::now() < give_up, "{:#?}", sampler.sensors());
        // The sampler tells nobody that it has read something.
        std::thread::sleep(Duration::from_millis(5));
        sampler.drain(0, &mut windows);
    }
    assert_values(&windows, Watts(42.5), Volts(230.0), Amps(0.25));
    assert!(sampler.sensors()[0].errors > 0);
}

/// The map of the hostile peer's registers.
const HOSTILE: &str = "rate_hz = 50\n[map]\nfunction = 4\nrefresh_ms = 20\n\
    power = { address = 12, type = \"f32\", unit = \"W\" }\n\
    voltage = { address = 0, type = \"f32\", unit = \"V\" }\n\
    current = { address = 6, type = \"f32\", unit = \"A\" }\n";

/// A peer that answers well, then does `behaviour` to one request, then answers well again.
/// What it did must be told in an error that holds one of `told`; no window may hold another
/// value than the right one, and afterwards there are windows again.
fn survives(transport: &Transport, behaviour: &str, timeout_ms: u32, told: &[&str]) {
    // Opening takes one request that can be answered badly, then each sweep takes one.
    let peer = Peer::hostile(&format!("ok,ok,ok,{behaviour}"), transport);
    let mut meter = Driven::open(
        transport,
        &peer.port,
        &format!("timeout_ms = {timeout_ms}\n{HOSTILE}"),
    );
    let says = |error: &String| told.iter().any(|part| error.contains(part));
    meter.drive(behaviour, |_, errors| errors.iter().any(says));
    let before = meter.windows.0.len();
    let windows = meter.windows(behaviour, before + 2);
    assert_values(windows, Watts(42.5), Volts(230.0), Amps(0.25));
    let gaps = windows
        .windows(2)
        .filter(|pair| pair[0].t1 < pair[1].t0)
        .count();
    assert!(
        gaps > 0 || before == 0,
        "{behaviour}: no gap where nothing was read"
    );
}

const SLOW: u32 = 5000;

/// Behaviours that are noticed without waiting for a timeout, and what must be told.
const NOTICED: &[(&str, &[&str])] = &[
    ("shorter", &["14 registers were asked for and 13 came"]),
    ("longer", &["14 registers were asked for and 15 came"]),
    ("unit", &["belongs to another question"]),
    ("function", &["belongs to another question"]),
    ("nan", &["not a finite number"]),
    (
        "exception:1",
        &["refused registers 0 to 13: illegal function (code 1)"],
    ),
    ("exception:2", &["illegal data address (code 2)"]),
    ("exception:3", &["illegal data value (code 3)"]),
    ("exception:4", &["server device failure (code 4)"]),
    ("exception:5", &["acknowledge (code 5)"]),
    ("exception:6", &["server device busy (code 6)"]),
    ("exception:8", &["memory parity error (code 8)"]),
    ("exception:10", &["gateway path unavailable (code 10)"]),
    (
        "exception:11",
        &["gateway target device failed to respond (code 11)"],
    ),
    ("exception:99", &["exception code 99"]),
];

#[test]
fn a_hostile_peer_over_tcp_gives_right_values_or_errors() {
    for (behaviour, told) in NOTICED {
        survives(&Transport::Tcp, behaviour, SLOW, told);
    }
    for behaviour in ["half", "disconnect"] {
        survives(
            &Transport::Tcp,
            behaviour,
            SLOW,
            &["the connection broke off"],
        );
    }
    let foreign = ["nobody asked", "before it was asked", "another question"];
    survives(&Transport::Tcp, "flood", SLOW, &foreign);
    survives(
        &Transport::Tcp,
        "garbage",
        400,
        &["no answer", "broke off", "another question"],
    );
    survives(&Transport::Tcp, "silent", 400, &["no answer within 400 ms"]);
    survives(
        &Transport::Tcp,
        "late:0.5",
        400,
        &["no answer within 400 ms"],
    );
}

/// The answer to an old question in the place of a new one's, even on a new connection and
/// with the new question's transaction.
#[test]
fn a_stale_answer_is_never_taken_for_the_next_one() {
    let lines = [Transport::Tcp, Transport::Rtu(SerialPair::start())];
    for transport in &lines {
        survives(
            transport,
            "hold",
            1500,
            &["registers were asked for and 14 came"],
        );
    }
}

#[test]
fn a_hostile_peer_on_a_serial_line_gives_right_values_or_errors() {
    // Each return to order takes a response time of silence, so these stand for all codes.
    let noticed = [
        "shorter",
        "longer",
        "unit",
        "function",
        "nan",
        "exception:2",
        "exception:6",
    ];
    for (behaviour, told) in NOTICED {
        if noticed.contains(behaviour) {
            survives(&Transport::Rtu(SerialPair::start()), behaviour, 400, told);
        }
    }
    let lost = ["no answer", "broke off", "another question"];
    for behaviour in ["half", "garbage", "silent", "late:0.5", "late:0.7"] {
        survives(&Transport::Rtu(SerialPair::start()), behaviour, 400, &lost);
    }
    let foreign = [
        "before it was asked",
        "another question",
        "registers were asked for",
    ];
    survives(
        &Transport::Rtu(SerialPair::start()),
        "flood",
        1000,
        &foreign,
    );
}
