//! The source with a fake tegrastats: a shell script that prints what the test hands it
//! through a FIFO, line by line.

use super::*;
use crate::sensor::{BoundaryBasis, KnownTotal, SensorKind, Window};
use crate::units::Ohms;
use std::fs::{File, OpenOptions};
use std::io::Write;
use tempfile::TempDir;

const ORIN: &str = "RAM 1/2MB (lfb 8x2MB) CPU [15%@729,off] GPU@41C";

#[derive(Default)]
struct Collect(Vec<(usize, Window)>);

impl Sink for Collect {
    fn push(&mut self, rail: usize, window: Window) {
        self.0.push((rail, window));
    }
}

/// A program that prints each line that the test hands it.
struct Fake {
    folder: TempDir,
    hand: File,
}

impl Fake {
    fn new() -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("lines");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        // Open for both, so that neither side waits for the other to open it.
        let mut both = OpenOptions::new();
        let hand = both.read(true).write(true).open(&fifo).unwrap();
        Fake { folder, hand }
    }

    /// At the line `end` it ends and says why.
    fn config(&self, interval_ms: &str) -> SensorConfig {
        let fifo = self.folder.path().join("lines");
        let script = format!(
            "while read -r line; do\n\
             if [ \"$line\" = end ]; then echo 'the device is gone' >&2; exit 4; fi\n\
             printf '%s\\n' \"$line\"\n\
             done < '{}'",
            fifo.display()
        );
        config(&script, interval_ms)
    }

    fn says(&mut self, line: &str) {
        writeln!(self.hand, "{line}").unwrap();
    }
}

fn config(script: &str, interval_ms: &str) -> SensorConfig {
    let config = with_command(&["sh", "-c", script, "tegrastats", "--interval", interval_ms]);
    config.check().unwrap();
    config
}

fn with_command(command: &[&str]) -> SensorConfig {
    let mut config = SensorConfig::new("board", SensorKind::Tegrastats);
    config.command = Some(command.iter().map(|part| part.to_string()).collect());
    config
}

fn orin(module_mw: i32, soc_mw: i32) -> String {
    format!("{ORIN} VDD_IN {module_mw}mW/9mW VDD_SOC {soc_mw}mW/9mW")
}

/// Opens with a first line of two rails.
fn opened(fake: &mut Fake, known: &KnownRails) -> Box<dyn Source> {
    let config = fake.config("100");
    fake.says(&orin(1, 1));
    open(&config, known).unwrap()
}

fn soon() -> MonoNs {
    clock::now() + Span::from_millis(20_000)
}

/// Polls until a poll has `done` it, or fails for good.
fn poll_until(
    source: &mut dyn Source,
    sink: &mut Collect,
    mut done: impl FnMut(&Collect, &Result<MonoNs, PollError>) -> bool,
) -> Result<(), String> {
    let patience = soon();
    loop {
        let outcome = source.poll(sink);
        if done(sink, &outcome) {
            return Ok(());
        }
        if let Err(PollError::Fatal(text)) = outcome {
            return Err(text);
        }
        assert!(clock::now() < patience, "{:?}", sink.0);
        clock::sleep(Span::from_millis(1));
    }
}

fn failure(source: &mut dyn Source) -> String {
    poll_until(source, &mut Collect::default(), |_, _| false).unwrap_err()
}

/// Repeats `line` until `count` windows have come: where this machine stops between two
/// lines there is a gap.
fn windows(fake: &mut Fake, source: &mut dyn Source, line: &str, count: usize) -> Collect {
    let mut sink = Collect::default();
    let patience = soon();
    while sink.0.len() < count {
        assert!(clock::now() < patience, "{:?}", sink.0);
        fake.says(line);
        let (said, before) = (clock::now(), sink.0.len());
        poll_until(source, &mut sink, |sink, _| {
            sink.0.len() > before || clock::now() > said + Span::from_millis(20)
        })
        .unwrap();
    }
    sink
}

#[test]
fn lines_become_windows_of_each_rail() {
    let mut fake = Fake::new();
    let mut source = opened(&mut fake, &KnownRails::default());
    let names: Vec<&str> = source
        .rails()
        .iter()
        .map(|rail| rail.name.as_str())
        .collect();
    assert_eq!(names, ["board.vdd_in", "board.vdd_soc"]);
    let rail = &source.rails()[0];
    assert_eq!(rail.boundary, Boundary::Rail);
    assert_eq!(rail.boundary_basis, BoundaryBasis::Declared);
    assert_eq!((rail.source, rail.simulated), ("tegrastats", false));
    assert_eq!(rail.kind, ReadingKind::Point);
    assert_eq!(rail.nominal_rate_hz, 10.0);
    assert_eq!(rail.limits.refresh, Span::from_millis(100));
    assert_eq!(rail.limits.power_step, Watts(0.001));

    let started = clock::now();
    source.set_pace(Pace::Full).unwrap();
    fake.says(&orin(5000, -392));
    let sink = windows(&mut fake, source.as_mut(), &orin(5000, -392), 4);
    let (_, last) = sink.0[sink.0.len() - 2];
    assert_eq!(last.power, Watts(5.0));
    assert!(last.t1 > started && last.t1 < clock::now());
    assert_eq!(sink.0[sink.0.len() - 1].1.power, Watts(-0.392));
    assert_eq!(last.voltage, None);
}

#[test]
fn the_board_profile_gives_boundary_total_and_step() {
    let fact = |label: &str| KnownRail {
        label: label.to_owned(),
        boundary: Boundary::Rail,
        contained_in: None,
        excludes: Vec::new(),
        shunt: Some(Ohms(0.002)),
        nominal_voltage: Some(Volts(20.0)),
    };
    let known = KnownRails {
        rails: vec![fact("VDD_IN"), fact("VDD_SOC")],
        total: Some(KnownTotal {
            labels: vec!["VDD_IN".to_owned(), "VDD_SOC".to_owned()],
            boundary: Boundary::Module,
            excludes: Vec::new(),
        }),
    };
    let mut fake = Fake::new();
    let source = opened(&mut fake, &known);
    let total = &source.rails()[2];
    assert_eq!(total.name, "board.total");
    assert_eq!(total.boundary, Boundary::Module);
    assert_eq!(
        source.rails()[0].contained_in.as_deref(),
        Some("board.total")
    );
    let limits = &source.rails()[0].limits;
    assert!((limits.power_step.0 - 0.4).abs() < 1e-12, "{limits:?}");
    assert!((limits.power_offset.0 - 0.8).abs() < 1e-12, "{limits:?}");
}

#[test]
fn a_rail_that_is_absent_from_a_line_is_no_zero() {
    let mut fake = Fake::new();
    let mut source = opened(&mut fake, &KnownRails::default());
    let line = format!("{ORIN} VDD_OTHER 7/7 VDD_SOC 300/300");
    fake.says(&line);
    let sink = windows(&mut fake, source.as_mut(), &line, 3);
    let last = sink.0.last().unwrap();
    assert_eq!((last.0, last.1.power), (1, Watts(0.3)));
    assert!(sink.0.iter().all(|(rail, _)| *rail == 1), "{:?}", sink.0);
}

#[test]
fn other_lines_between_are_passed_over() {
    let mut fake = Fake::new();
    let mut source = opened(&mut fake, &KnownRails::default());
    for noise in ["tegrastats: step 3/4", "RAM 19", "\u{1}\u{2}", ORIN] {
        fake.says(noise);
    }
    let sink = windows(&mut fake, source.as_mut(), &orin(2000, 2000), 6);
    assert!(sink.0.iter().all(|(_, window)| window.power == Watts(2.0)));
}

#[test]
fn it_is_started_again_when_it_has_ended() {
    let mut fake = Fake::new();
    let mut source = opened(&mut fake, &KnownRails::default());
    fake.says("end");
    let text = failure(source.as_mut());
    assert!(
        text.ends_with("ended with exit status 4: the device is gone"),
        "{text}"
    );

    source.reset().unwrap();
    assert!(matches!(
        source.poll(&mut Collect::default()),
        Err(PollError::Retry(_))
    ));
    // The sampler resets until a poll succeeds; that must not start it over and over.
    source.reset().unwrap();
    source.set_pace(Pace::Full).unwrap();
    let sink = windows(&mut fake, source.as_mut(), &orin(3000, 1), 2);
    assert_eq!(sink.0[0].1.power, Watts(3.0));
}

#[test]
fn silence_ends_it() {
    let script = format!("echo '{}'; exec sleep 1000", orin(1, 1));
    let mut source = open(&config(&script, "10"), &KnownRails::default()).unwrap();
    let text = failure(source.as_mut());
    assert!(text.contains("has told no power for 1."), "{text}");
    // Started anew, it prints its line again.
    source.reset().unwrap();
    poll_until(source.as_mut(), &mut Collect::default(), |_, outcome| {
        outcome.is_ok()
    })
    .unwrap();
}

fn refused(script: &str) -> String {
    let refused = open(&config(script, "10"), &KnownRails::default());
    refused.err().unwrap().to_string()
}

#[test]
fn what_can_not_be_read_is_refused_with_the_reason() {
    let text = refused("echo 'cannot open device' >&2; exit 1");
    assert!(
        text.ends_with("ended with exit status 1: cannot open device, before it told any power"),
        "{text}"
    );
    let text = refused(&format!("echo '{ORIN}'; exit 0"));
    assert!(text.contains("the line has no power rails"), "{text}");
    let text = refused("head -c 100000 /dev/zero; echo; echo usage: tegrastats; exit 0");
    assert!(
        text.contains("`usage: tegrastats`: it is no line"),
        "{text}"
    );
    let text = refused("exec sleep 1000");
    assert!(text.contains("no line within 3.0 s"), "{text}");
    let missing = with_command(&["/no/such/tegrastats"]);
    let text = open(&missing, &KnownRails::default())
        .err()
        .unwrap()
        .to_string();
    assert!(text.contains("/no/such/tegrastats`: not found"), "{text}");
}

#[test]
fn the_idle_pace_takes_no_more_than_fifteen_lines_a_second() {
    let mut fake = Fake::new();
    let config = fake.config("10");
    fake.says(&orin(1, 1));
    let mut source = open(&config, &KnownRails::default()).unwrap();
    assert_eq!(source.rails()[0].nominal_rate_hz, 100.0);
    source.set_pace(Pace::Idle).unwrap();
    assert_eq!(source.rails()[0].nominal_rate_hz, 15.0);
    let sink = windows(&mut fake, source.as_mut(), &orin(1000, 1), 4);
    for (_, window) in &sink.0 {
        assert!(
            window.t1.since(window.t0) >= Span::from_millis(66),
            "{window:?}"
        );
    }
}

#[test]
fn a_command_is_checked_without_starting_it() {
    let key = |command: &[&str]| {
        let checked = with_command(command).check();
        checked.map_err(|error| error.key().to_owned())
    };
    assert_eq!(key(&["tegrastats"]), Ok(()));
    assert_eq!(key(&["sudo", "tegrastats", "--interval=50"]), Ok(()));
    for wrong in [
        &[] as &[&str],
        &[""],
        &["tegra\0stats"],
        &["tegrastats", "--interval"],
        &["tegrastats", "--interval", "0"],
        &["tegrastats", "--interval", "fast"],
        &["tegrastats", "--interval", "1000000"],
    ] {
        assert_eq!(key(wrong), Err("command".to_owned()), "{wrong:?}");
    }
    let default = SensorConfig::new("board", SensorKind::Tegrastats);
    assert_eq!(default.check(), Ok(()));
    assert_eq!(interval(&command(&default)), Some(Span::from_millis(100)));
}

#[test]
fn rails_of_one_name_are_told_apart_by_their_order() {
    let labels = ["A", "B", "A"].map(str::to_owned);
    let rails = |line: &'static str| line::rails(line).unwrap();
    let watts = |line| -> Vec<Option<f64>> {
        samples(&labels, &rails(line), MonoNs(1))
            .into_iter()
            .map(|sample| match sample {
                Some(Sample::Point { power, .. }) => Some(power.0),
                _ => None,
            })
            .collect()
    };
    assert_eq!(
        watts("A 1000mW/1 A 3000mW/1 B 2000mW/1"),
        [Some(1.0), Some(2.0), Some(3.0)]
    );
    assert_eq!(watts("A 1000mW/1 C 2000mW/1"), [Some(1.0), None, None]);
}
