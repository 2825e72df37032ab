//! Does the sampler keep up? Its own thread and the INA219's driver read a simulated chip
//! over the wire time of a 400 kHz bus, 12 bit for shunt and bus (940 cycles/s): on this
//! machine as it is, then under load, as an ordinary thread and under SCHED_FIFO.
//!
//! The load is a worker that runs a model without pause, where both are there
//! (`JOULED_WORKER`, or the one built beside this benchmark; the models of the cache);
//! otherwise a thread per core that computes nothing.

#[path = "support/machine.rs"]
mod machine;

use jouled::clock;
use jouled::runtime::protocol::{Request, Work};
use jouled::sampler::Sampler;
use jouled::sensor::{Pace, SensorConfig, SensorKind, Window, simulated};
use jouled::units::Span;
use jouled::workload::BenchSizes;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BUS_HZ: u32 = 400_000;
const SETTLE: Span = Span::from_millis(2_000);
const MEASURED: Span = Span::from_millis(20_000);
/// One shunt and one bus conversion of 12 bit.
const CYCLE_S: f64 = 1.064e-3;
const TARGET: f64 = 0.99;

fn sampler() -> Sampler {
    let mut config = SensorConfig::new("input", SensorKind::Simulated);
    config.waveform = Some("constant:1.5".into());
    config.shunt_ohm = Some(0.010);
    config.max_current_a = Some(4.0);
    config.adc_shunt = Some("12bit".into());
    config.adc_bus = Some("12bit".into());
    config.bus_hz = Some(BUS_HZ);
    let source = simulated::open(&config).expect("the chip is simulated");
    Sampler::start(vec![source]).expect("a thread")
}

/// The sampler's thread in /proc/self/task, once it has its name.
fn sampler_thread() -> Option<PathBuf> {
    let deadline = clock::now() + Span::from_millis(2_000);
    while clock::now() < deadline {
        for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if name.trim() == "sampler" {
                return Some(task.path());
            }
        }
        clock::sleep(Span::from_millis(5));
    }
    None
}

fn cpu_s(thread: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    let ns: f64 = text.split(' ').next()?.parse().ok()?;
    Some(ns * 1e-9)
}

/// Takes the thread's real-time priority away.
fn make_ordinary(thread: &Path) -> bool {
    let tid = thread.file_name().unwrap_or_default();
    let status = Command::new("chrt")
        .args(["-o", "-p", "0"])
        .arg(tid)
        .status();
    status.is_ok_and(|status| status.success())
}

/// One line of the result; how much was captured.
fn measure(load: &str, is_ordinary: bool) {
    let sampler = sampler();
    sampler.set_pace(Pace::Full);
    let Some(thread) = sampler_thread() else {
        println!("{load}: the sampler's thread was not found");
        return;
    };
    clock::sleep(Span::from_millis(200));
    let policy = if is_ordinary {
        "SCHED_OTHER"
    } else {
        "SCHED_FIFO"
    };
    if is_ordinary {
        if sampler.realtime() && !make_ordinary(&thread) {
            println!("{load}, {policy}: not possible, chrt (util-linux) is missing");
            return;
        }
    } else if !sampler.realtime() {
        println!("{load}, {policy}: not permitted here (CAP_SYS_NICE or an RTPRIO limit)");
        return;
    }
    clock::sleep(SETTLE);
    let mut windows: Vec<Window> = Vec::new();
    sampler.drain(0, &mut windows);
    windows.clear();
    let missed_before = sampler.sensors()[0].missed_deadlines;
    let cpu_before = cpu_s(&thread);
    let end = clock::now() + MEASURED;
    while clock::now() < end {
        clock::sleep(Span::from_millis(500));
        sampler.drain(0, &mut windows);
    }
    let cpu = cpu_s(&thread)
        .zip(cpu_before)
        .map(|(now, before)| now - before);
    let report = &sampler.sensors()[0];
    let mode = report.rails[0].mode.clone().unwrap_or_default();
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        println!("{load}, {policy}: nothing was read: {:?}", report.reason);
        return;
    };
    let seconds = last.t1.since(first.t0).as_secs_f64();
    let captured = windows.len() as f64 / (seconds / CYCLE_S).round();
    println!(
        "{load}, {policy}: {mode}, {:.2} % of conversions captured ({}), {:.1} cycles/s, {} of CPU \
         time a sample, {} missed deadlines in {seconds:.1} s",
        captured * 100.0,
        if captured >= TARGET {
            "target met"
        } else {
            "below 99 %"
        },
        windows.len() as f64 / seconds,
        cpu.map_or("unknown".to_owned(), |cpu| {
            format!("{:.1} us", cpu * 1e6 / windows.len() as f64)
        }),
        report.missed_deadlines - missed_before,
    );
}

/// What keeps the cores busy until it is dropped.
enum Load {
    Worker(Child),
    Threads(Arc<AtomicBool>),
}

impl Load {
    fn start(cores: usize) -> (Load, String) {
        match inference() {
            Some((child, text)) => (Load::Worker(child), text),
            None => {
                let stop = Arc::new(AtomicBool::new(false));
                for _ in 0..cores {
                    let stop = stop.clone();
                    std::thread::spawn(move || {
                        let mut x = 1_u64;
                        while !stop.load(Ordering::Relaxed) {
                            x = std::hint::black_box(x.wrapping_mul(0x5851_f42d_4c95_7f2d));
                        }
                    });
                }
                (
                    Load::Threads(stop),
                    format!("{cores} busy threads, no model"),
                )
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        match self {
            Self::Worker(child) => {
                // It may have ended by itself, which is as good.
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Threads(stop) => stop.store(true, Ordering::Relaxed),
        }
    }
}

/// A worker under the daemon's niceness, once it has loaded the model.
fn inference() -> Option<(Child, String)> {
    let beside = Path::new(env!("CARGO_BIN_EXE_jouled")).with_file_name("jouled-worker");
    let worker = std::env::var_os("JOULED_WORKER").map_or(beside, PathBuf::from);
    let model = PathBuf::from(std::env::var_os("HOME")?)
        .join(".cache/jouled/models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if !worker.exists() || !model.exists() {
        return None;
    }
    let mut child = Command::new("nice")
        .args(["-n", "10"])
        .arg(&worker)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let load = Request::Load {
        path: model.display().to_string(),
        n_outputs: 1,
        params: Default::default(),
    };
    let run = Request::Run {
        work: Work::Bench(BenchSizes {
            n_prompt: 256,
            n_gen: 128,
            n_depth: 0,
        }),
        warmup: 0,
        repetitions: 10_000,
        text: false,
    };
    // Kept open by the child's handle: the worker ends with its input.
    let input = child.stdin.as_mut()?;
    for request in [load, run] {
        let line = serde_json::to_string(&request).ok()?;
        writeln!(input, "{line}").ok()?;
    }
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    let loaded = lines
        .by_ref()
        .map_while(Result::ok)
        .any(|line| line.contains("\"type\":\"load\""));
    if !loaded {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    std::thread::spawn(move || lines.for_each(drop));
    Some((
        child,
        "SmolLM2-135M Q4_1, bench 256+128 on all cores, nice 10".to_owned(),
    ))
}

fn main() {
    // cargo test builds and runs benchmarks too; this one takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}", machine::describe(cores));
    for is_ordinary in [true, false] {
        measure("no load of our own", is_ordinary);
    }
    let (_load, text) = Load::start(cores);
    for is_ordinary in [true, false] {
        measure(&text, is_ordinary);
    }
    println!("{}", machine::describe(cores));
}
