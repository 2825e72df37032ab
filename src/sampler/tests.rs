//! Sources that tell the test what is asked of them: the test waits for that, never for time.

use super::*;
use crate::clock;
use crate::sensor::testing::Tree;
use crate::sensor::{KnownRails, PollError, Quality, SensorConfig, SensorKind, Sink, open};
use crate::units::{MonoNs, Span, Watts};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

#[derive(Debug, PartialEq)]
enum Call {
    Pace(Pace),
    Poll(std::thread::ThreadId),
    Reset,
}

type Script = Box<dyn FnMut(&mut dyn Sink) -> Result<MonoNs, PollError> + Send>;

struct Scripted {
    rails: Vec<RailSpec>,
    bus: Option<&'static str>,
    calls: Sender<Call>,
    script: Script,
}

impl Source for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }
    fn bus(&self) -> Option<&str> {
        self.bus
    }
    fn rails(&self) -> &[RailSpec] {
        &self.rails
    }
    fn set_pace(&mut self, pace: Pace) -> Result<(), PollError> {
        self.rails[0].nominal_rate_hz = if pace == Pace::Full { 100.0 } else { 10.0 };
        let _ = self.calls.send(Call::Pace(pace));
        Ok(())
    }
    fn poll(&mut self, sink: &mut dyn Sink) -> Result<MonoNs, PollError> {
        let result = (self.script)(sink);
        let _ = self.calls.send(Call::Poll(std::thread::current().id()));
        result
    }
    fn reset(&mut self) -> Result<(), PollError> {
        let _ = self.calls.send(Call::Reset);
        Ok(())
    }
}

fn simulated() -> Box<dyn Source> {
    let mut config = SensorConfig::new("input", SensorKind::Simulated);
    config.boundary = Some(crate::sensor::Boundary::BoardInput);
    config.waveform = Some("constant:1.5".into());
    open(&config, &KnownRails::default()).unwrap()
}

fn scripted(
    bus: Option<&'static str>,
    script: impl FnMut(&mut dyn Sink) -> Result<MonoNs, PollError> + Send + 'static,
) -> (Box<dyn Source>, Receiver<Call>) {
    let (calls, log) = channel();
    let source = Scripted {
        rails: vec![simulated().rails()[0].clone()],
        bus,
        calls,
        script: Box::new(script),
    };
    (Box::new(source), log)
}

fn window(index: u64) -> Window {
    Window {
        t0: MonoNs(index),
        t1: MonoNs(index + 1),
        power: Watts(1.0),
        voltage: None,
        current: None,
        quality: Quality::Good,
        lost: 0,
    }
}

fn soon() -> MonoNs {
    clock::now() + Span::from_millis(1)
}

fn next(log: &Receiver<Call>) -> Call {
    log.recv_timeout(Duration::from_secs(20))
        .expect("the thread runs")
}

#[test]
fn windows_arrive_in_order_and_a_full_ring_counts() {
    let (source, log) = scripted(None, |sink| {
        for index in 0..5000 {
            sink.push(0, window(index));
        }
        Ok(clock::now() + Span::from_millis(60_000))
    });
    let sampler = Sampler::start(vec![source]).unwrap();
    assert_eq!(next(&log), Call::Pace(Pace::Idle));
    assert!(matches!(next(&log), Call::Poll(_)));
    let mut windows = Vec::new();
    sampler.drain(0, &mut windows);
    assert!(windows.len() >= RING_LEAST);
    assert!(
        windows
            .iter()
            .enumerate()
            .all(|(i, w)| w.t0 == MonoNs(i as u64))
    );
    let report = &sampler.sensors()[0];
    assert_eq!(report.dropped + windows.len() as u64, 5000);
}

#[test]
fn one_that_is_added_later_shares_the_thread_of_its_bus() {
    let again = |_: &mut dyn Sink| Ok(soon());
    let (first, first_log) = scripted(Some("/dev/i2c-1"), again);
    let sampler = Sampler::start(vec![first]).unwrap();
    assert_eq!(next(&first_log), Call::Pace(Pace::Idle));
    let (late, late_log) = scripted(Some("/dev/i2c-1"), |sink| {
        sink.push(0, window(7));
        Ok(soon())
    });
    let (elsewhere, elsewhere_log) = scripted(None, again);
    sampler.add(late).unwrap();
    sampler.add(elsewhere).unwrap();
    for log in [&late_log, &elsewhere_log] {
        assert_eq!(next(log), Call::Pace(Pace::Idle));
    }
    let threads = [&first_log, &late_log, &elsewhere_log].map(next);
    assert_eq!(threads[0], threads[1]);
    assert_ne!(threads[0], threads[2]);
    assert_eq!(sampler.rails().len(), 3);
    let mut windows = Vec::new();
    sampler.drain(1, &mut windows);
    assert_eq!(windows[0].t0, MonoNs(7));
}

#[test]
fn the_pace_reaches_the_source_and_the_rails_follow() {
    let (source, log) = scripted(None, |_| Ok(clock::now() + Span::from_millis(60_000)));
    let sampler = Sampler::start(vec![source]).unwrap();
    assert_eq!(next(&log), Call::Pace(Pace::Idle));
    assert!(matches!(next(&log), Call::Poll(_)));
    assert_eq!(sampler.rails()[0].nominal_rate_hz, 10.0);
    let rate = |rail: &Option<RailSpec>| rail.as_ref().map(|rail| rail.nominal_rate_hz);
    assert_eq!(rate(&sampler.rails_at_pace()[0]), Some(10.0));
    sampler.set_pace(Pace::Full);
    // Not known, or that of the new pace: never that of the old one.
    assert_ne!(rate(&sampler.rails_at_pace()[0]), Some(10.0));
    assert_eq!(next(&log), Call::Pace(Pace::Full));
    assert!(matches!(next(&log), Call::Poll(_)));
    assert_eq!(sampler.rails()[0].nominal_rate_hz, 100.0);
    assert_eq!(rate(&sampler.rails_at_pace()[0]), Some(100.0));
    // The same again is no change.
    sampler.set_pace(Pace::Full);
    assert_eq!(rate(&sampler.rails_at_pace()[0]), Some(100.0));
}

#[test]
fn there_and_back_is_followed_anew() {
    let (source, log) = scripted(None, |_| Ok(clock::now() + Span::from_millis(60_000)));
    let sampler = Sampler::start(vec![source]).unwrap();
    sampler.set_pace(Pace::Full);
    while next(&log) != Call::Pace(Pace::Full) {}
    while sampler.rails_at_pace()[0].is_none() {
        std::thread::yield_now();
    }
    sampler.set_pace(Pace::Idle);
    sampler.set_pace(Pace::Full);
    // Whether or not the thread has seen the idle pace in between.
    while sampler.rails_at_pace()[0].is_none() {
        std::thread::yield_now();
    }
    let again = std::iter::from_fn(|| log.try_recv().ok());
    assert_eq!(
        again.filter(|call| matches!(call, Call::Pace(_))).last(),
        Some(Call::Pace(Pace::Full))
    );
}

#[test]
fn sources_of_one_bus_share_a_thread() {
    let (a, log_a) = scripted(Some("/dev/i2c-1"), |_| Ok(soon()));
    let (b, log_b) = scripted(Some("/dev/i2c-1"), |_| Ok(soon()));
    let (c, log_c) = scripted(None, |_| Ok(soon()));
    let sampler = Sampler::start(vec![a, b, c]).unwrap();
    let thread = |log: &Receiver<Call>| loop {
        if let Call::Poll(id) = next(log) {
            break id;
        }
    };
    assert_eq!(thread(&log_a), thread(&log_b));
    assert_ne!(thread(&log_a), thread(&log_c));
    assert_eq!(sampler.rails().len(), 3);
}

#[test]
fn a_failure_is_told_and_ends() {
    let mut polls = 0;
    let (source, log) = scripted(None, move |_| {
        polls += 1;
        match polls {
            1 => Err(PollError::Retry("a glitch".into())),
            2 => Err(PollError::Fatal("unplugged".into())),
            _ => Ok(soon()),
        }
    });
    let sampler = Sampler::start(vec![source]).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 9 {
        seen.push(match next(&log) {
            Call::Poll(_) => "poll",
            Call::Reset => "reset",
            Call::Pace(_) => "pace",
        });
    }
    assert_eq!(seen[..6], ["pace", "poll", "poll", "reset", "pace", "poll"]);
    let report = &sampler.sensors()[0];
    assert_eq!(report.errors, 2);
    assert_eq!(report.state, SensorState::Ok);
    assert_eq!(report.reason, None);
}

#[test]
fn a_failure_stands_while_it_lasts() {
    let (source, log) = scripted(None, |_| Err(PollError::Fatal("unplugged".into())));
    let sampler = Sampler::start(vec![source]).unwrap();
    while next(&log) != Call::Reset {}
    let report = &sampler.sensors()[0];
    assert_eq!(report.state, SensorState::Failed);
    assert_eq!(report.reason.as_deref(), Some("unplugged"));
}

#[test]
fn the_simulated_sensor_delivers_and_stops() {
    let sampler = Sampler::start(vec![simulated()]).unwrap();
    sampler.set_pace(Pace::Full);
    let mut windows = Vec::new();
    let patience = Instant::now();
    while windows.len() < 20 {
        assert!(patience.elapsed() < Duration::from_secs(30), "no windows");
        sampler.drain(0, &mut windows);
        std::thread::yield_now();
    }
    assert!(windows.windows(2).all(|pair| pair[0].t1 <= pair[1].t0));
    assert!(windows.iter().all(|w| (w.power.0 - 7.5).abs() < 0.01));
    let rail = &sampler.rails()[0];
    assert!(rail.simulated);
    drop(sampler);
}

#[test]
fn a_chip_that_is_pulled_and_comes_back_elsewhere_is_read_again() {
    let tree = Tree::new();
    let files = [("power1_input", "6000000")];
    tree.hwmon(0, "ina226", "1-0040", &files);
    let mut config = SensorConfig::new("board", SensorKind::Hwmon);
    config.chip = Some("ina226".into());
    config.sysfs_root = tree.sysfs_root();
    let source = open(&config, &KnownRails::default()).unwrap();
    let sampler = Sampler::start(vec![source]).unwrap();
    let wait_for = |state| {
        let patience = Instant::now();
        while sampler.sensors()[0].state != state {
            assert!(patience.elapsed() < Duration::from_secs(60), "{state:?}");
            std::thread::yield_now();
        }
    };
    tree.remove("class/hwmon/hwmon0");
    wait_for(SensorState::Failed);
    let mut windows = Vec::new();
    sampler.drain(0, &mut windows);
    let before = windows.len();
    tree.hwmon(7, "ina226", "1-0040", &files);
    wait_for(SensorState::Ok);
    let patience = Instant::now();
    while windows.len() == before {
        assert!(patience.elapsed() < Duration::from_secs(60), "no windows");
        sampler.drain(0, &mut windows);
        std::thread::yield_now();
    }
    assert!(windows.iter().all(|window| window.power == Watts(6.0)));
}
