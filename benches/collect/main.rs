//! `make bench-collect`: `joulectl collect` beside a script of paho-mqtt and pandas.
//!
//! A mosquitto on one CPU holds a backlog of token records and results for the collector's
//! session. Then the collector is started, alone on another CPU, and the time runs until all of
//! it is in Parquet files and it has ended, less the second without messages after which both
//! end. Each round has one run of `joulectl collect` and one of each form of the script
//! (`with_pandas.py`): `plain` acknowledges at once and loses on a kill what it has in memory;
//! `durable` syncs a journal before it acknowledges, as `joulectl collect` does with its
//! staging store. Rows are counted in the Parquet files of each.
//!
//! After `--`: `rounds=N`, `records=N` and `tokens=N` of each record, `in_flight=N` messages that
//! the broker sends before the first is acknowledged (20: mosquitto's default; 64: that of
//! deploy/mosquitto).

#[path = "../support/args.rs"]
#[allow(dead_code, reason = "models play no part here")]
mod args;
#[path = "../../tests/common/canned.rs"]
#[allow(dead_code, reason = "the result alone")]
mod canned;
mod load;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/rig.rs"]
mod rig;
#[path = "../outbox/daemon.rs"]
#[allow(dead_code, reason = "only what a process takes")]
mod usage;

use anyhow::{Context, Result, ensure};
use load::Load;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BROKER_CPU: usize = 1;
const COLLECTOR_CPU: usize = 0;
/// Both end after this long without messages.
const IDLE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

/// Who collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Joulectl,
    Durable,
    Plain,
}

const ALL: [Who; 3] = [Who::Joulectl, Who::Durable, Who::Plain];

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Joulectl => "joulectl collect",
            Self::Durable => "script, durable",
            Self::Plain => "script, plain",
        }
    }

    fn command(self, python: &str, port: u16, out: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &COLLECTOR_CPU.to_string()]);
        match self {
            Self::Joulectl => {
                command.arg(env!("CARGO_BIN_EXE_joulectl"));
                command.args(["collect", "--roll", "1h", "--until-idle", "1s", "--broker"]);
                command.arg(format!("mqtt://127.0.0.1:{port}"));
                command.arg("--out").arg(out);
            }
            Self::Durable | Self::Plain => {
                command.arg(python);
                command.arg(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/benches/collect/with_pandas.py"
                ));
                command.arg(port.to_string()).arg(out);
                command.arg(if self == Self::Durable {
                    "durable"
                } else {
                    "plain"
                });
            }
        }
        command.stdout(Stdio::null());
        command
    }
}

#[derive(Debug, Clone, Copy)]
struct Run {
    seconds: f64,
    cpu_s: f64,
    rss_mib: f64,
}

fn main() -> Result<()> {
    // cargo test builds and runs benchmarks too; this one takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let number = |name: &str, default: usize| -> Result<usize> {
        Ok(args::value(name).map_or(Ok(default), |n| n.parse())?)
    };
    let rounds = number("rounds=", 3)?;
    let in_flight = number("in_flight=", 64)?;
    let load = Load {
        records: number("records=", 6_000)?,
        tokens: number("tokens=", 128)?,
        boards: 20,
        per_job: 3,
    };
    let python = Command::new("scripts/test-peers").arg("collect").output()?;
    ensure!(python.status.success(), "no Python for the script");
    let python = String::from_utf8(python.stdout)?.trim().to_owned();
    println!("{}", machine::describe(1));
    println!(
        "load        {} token records of {} tokens and {} results, {} boards; {in_flight} in flight",
        load.records,
        load.tokens,
        load.records / load.per_job,
        load.boards
    );
    println!("round  collector          token rows/s  messages/s   CPU s  peak RSS MiB  wall s");
    let mut runs: Vec<(Who, Run)> = Vec::new();
    for round in 1..=rounds {
        for turn in 0..ALL.len() {
            // Nobody always comes first.
            let who = ALL[(round + turn) % ALL.len()];
            let run = run(who, &python, load, in_flight as u32)?;
            show(&round.to_string(), who, load, run);
            runs.push((who, run));
        }
    }
    println!();
    for who in ALL {
        let of: Vec<Run> = runs
            .iter()
            .filter(|(w, _)| *w == who)
            .map(|(_, run)| *run)
            .collect();
        let median = |value: fn(&Run) -> f64| {
            let mut values: Vec<f64> = of.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let middle = Run {
            seconds: median(|run| run.seconds),
            cpu_s: median(|run| run.cpu_s),
            rss_mib: median(|run| run.rss_mib),
        };
        show("median", who, load, middle);
    }
    Ok(())
}

fn show(round: &str, who: Who, load: Load, run: Run) {
    let rows = (load.records * load.tokens) as f64;
    let messages = (load.records + load.records / load.per_job) as f64;
    println!(
        "{round:<6} {:<18} {:>12.0} {:>11.0} {:>7.2} {:>13.1} {:>7.2}",
        who.name(),
        rows / run.seconds,
        messages / run.seconds,
        run.cpu_s,
        run.rss_mib,
        run.seconds
    );
}

fn run(who: Who, python: &str, load: Load, in_flight: u32) -> Result<Run> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("dataset");
    let port = rig::free_port()?;
    let _broker = load::broker(dir.path(), port, in_flight, BROKER_CPU)?;
    // Makes the session for which the broker keeps what comes.
    let first = who.command(python, port, &out).status()?;
    ensure!(first.success(), "{} ended with {first}", who.name());
    let template = serde_json::to_value(canned::result("bench-00", "job"))?;
    load::publish(port, load, &template)?;
    let began = Instant::now();
    let mut child = rig::Owned(who.command(python, port, &out).spawn()?);
    let mut last = None;
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        last = usage::usage(child.0.id()).ok().or(last);
        std::thread::sleep(LOOK);
    };
    let seconds = (began.elapsed() - IDLE).as_secs_f64();
    ensure!(status.success(), "{} ended with {status}", who.name());
    let rows = rows(&out.join("tokens"))?;
    ensure!(
        rows == (load.records * load.tokens) as i64,
        "{} wrote {rows} rows",
        who.name()
    );
    let usage = last.context("it ended at once")?;
    Ok(Run {
        seconds,
        cpu_s: usage.cpu_s,
        rss_mib: usage.rss_most_kib as f64 / 1024.0,
    })
}

/// Of all Parquet files below a folder.
fn rows(folder: &Path) -> Result<i64> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            count += rows(&path)?;
        } else if path.extension().is_some_and(|end| end == "parquet") {
            let file = SerializedFileReader::new(File::open(&path)?)?;
            count += file.metadata().file_metadata().num_rows();
        }
    }
    Ok(count)
}
