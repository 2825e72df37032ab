//! `make bench-outbox`: how a backlog of a million records leaves.
//!
//! A store is filled as the daemon fills it, with the broker away. Then mosquitto, a
//! subscriber that counts, and the daemon are started, and the time runs from the first record
//! that arrives to the last. Records are told apart by job, attempt, kind and `seq`.
//!
//! It fails unless every record arrives and is marked, and the daemon's memory stays small:
//! [`RSS_MOST_KIB`].
//!
//! After `--`: `records=N` and `per_job=N`; `limits=default` leaves mosquitto the limits that
//! it comes with (20 messages in flight, 1,000 queued for a slow subscriber, the rest dropped,
//! which are counted as missing); `nobody` subscribes to results only, and tells what waiting for a listener of the tokens
//! costs.

#[path = "../support/args.rs"]
#[allow(dead_code, reason = "models play no part here")]
mod args;
mod daemon;
#[path = "../support/machine.rs"]
mod machine;
#[path = "../support/rig.rs"]
mod rig;
mod subscriber;

use anyhow::{Context, Result, ensure};
use daemon::Daemon;
use jouled::store::{Finished, Moment, Outgoing, Store};
use jouled::workload::{Job, Limits};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use subscriber::Subscriber;

/// Of a token record with three tokens.
const PAYLOAD_BYTES: usize = 300;
const ONLINE_WITHIN: Duration = Duration::from_secs(60);
/// Longest time without a new record in mid-drain.
const SILENCE: Duration = Duration::from_secs(20);
const NOBODY_FOR: Duration = Duration::from_secs(60);
/// 32 MB, however long the backlog is.
const RSS_MOST_KIB: u64 = 32_000_000 / 1024;

fn main() -> Result<()> {
    // cargo test builds and runs benchmarks too; this one takes minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let records: usize = args::value("records=").map_or(Ok(1_000_000), |n| n.parse())?;
    let per_job: usize = args::value("per_job=").map_or(Ok(1_000), |n| n.parse())?;
    let limited = args::value("limits=").as_deref() == Some("default");
    let nobody = std::env::args().any(|argument| argument == "nobody");
    let jobs = records.div_ceil(per_job);

    let dir = tempfile::tempdir()?;
    let state = dir.path().join("state");
    let began = Instant::now();
    fill(&state, jobs, per_job)?;
    println!(
        "filled      {} records in {jobs} jobs, {PAYLOAD_BYTES} bytes each, in {:.1} s; {}",
        jobs * per_job,
        began.elapsed().as_secs_f64(),
        sizes(&state)?
    );

    let port = rig::free_port()?;
    let broker = broker(dir.path(), port, limited)?;
    let filters: &[&str] = match nobody {
        false => &["jouled/bench/status", "jouled/bench/jobs/#"],
        true => &["jouled/bench/status", "jouled/bench/jobs/+/result"],
    };
    let mut subscriber = Subscriber::connect(port, filters)?;
    subscriber.give_up_after(ONLINE_WITHIN)?;
    let daemon = Daemon::start(dir.path(), port)?;
    let mut seen = Seen::new(jobs, per_job);
    let wanted = match nobody {
        false => jobs * per_job + jobs,
        true => jobs,
    };
    let begun = Instant::now();
    while seen.first.is_none() {
        ensure!(begun.elapsed() < ONLINE_WITHIN, "no record came");
        subscriber.read(|topic, payload| seen.take(topic, payload))?;
    }
    subscriber.give_up_after(SILENCE)?;
    while seen.distinct < wanted {
        // The board's status comes also when no record does.
        let silence = seen
            .last
            .or(seen.first)
            .is_some_and(|last| last.elapsed() > SILENCE);
        let read = subscriber.read(|topic, payload| seen.take(topic, payload));
        if silence || read.is_err() {
            let seconds = SILENCE.as_secs();
            println!("no new record came for {seconds} s: {read:?}");
            break;
        }
    }
    seen.report(jobs * per_job + jobs);
    let drained = daemon.usage()?;
    println!("daemon      {drained}");
    println!(
        "per record  {:.1} µs CPU of the daemon, {:.1} µs of the broker",
        drained.cpu_s / seen.messages as f64 * 1e6,
        daemon::usage(broker.0.id())?.cpu_s / seen.messages as f64 * 1e6
    );
    if nobody {
        std::thread::sleep(NOBODY_FOR);
        let waited = daemon.usage()?;
        println!(
            "nobody      {:.2} % of one CPU while the rest waits for a listener, over {} s",
            100.0 * (waited.cpu_s - drained.cpu_s) / NOBODY_FOR.as_secs_f64(),
            NOBODY_FOR.as_secs()
        );
    }
    let in_the_end = daemon.usage()?;
    println!("daemon      {in_the_end}");
    println!("database    {}", sizes(&state)?);
    daemon.stop()?;
    let backlog = Store::open(&state)?.backlog()?;
    println!("left        {} records not marked", backlog.pending);
    println!("broker      {}", broker_version(limited)?);
    println!("jouled      {}", env!("CARGO_PKG_VERSION"));
    let threads = std::thread::available_parallelism()?.get();
    println!("{}", machine::describe(threads));
    ensure!(
        in_the_end.rss_most_kib <= RSS_MOST_KIB,
        "the daemon took more than 32 MB"
    );
    // A broker that drops, and a listener that does not listen, miss what they miss.
    if !limited && !nobody {
        ensure!(seen.distinct == wanted, "records are missing");
        ensure!(backlog.pending == 0, "records are not marked as delivered");
    }
    Ok(())
}

/// What `jobs` jobs leave behind that ran while no broker was there.
fn fill(state: &Path, jobs: usize, per_job: usize) -> Result<()> {
    let mut store = Store::open(state)?;
    for n in 0..jobs {
        let now = Moment::now("bench");
        let id = name(n);
        let spec = json!({"id": id, "kind": "generate", "model": "m.gguf", "prompt": "Why?"});
        let job = Job::parse(spec.to_string().as_bytes(), &Limits::default())
            .map_err(|error| anyhow::anyhow!("{}", error.message))?;
        store.submit(&job, 1_000_000, &now)?;
        let begun = store.begin_attempt(&job.id, &now)?.context("it waits")?;
        let mut records: Vec<Outgoing> = (0..per_job)
            .map(|seq| Outgoing::tokens(seq as u64, payload(&id, seq)))
            .collect();
        records.push(Outgoing::result(payload(&id, 0)));
        store.finish_attempt(
            &job.id,
            begun.attempt,
            Finished::Succeeded,
            None,
            &records,
            &now,
        )?;
    }
    Ok(())
}

fn name(n: usize) -> String {
    format!("job-{n:06}")
}

fn payload(id: &str, seq: usize) -> Vec<u8> {
    let start = json!({"v": 1, "device": "bench", "id": id, "attempt": 1, "rep": 1, "seq": seq});
    let mut text = start.to_string();
    text.truncate(text.len() - 1);
    let pad = PAYLOAD_BYTES.saturating_sub(text.len() + 12);
    format!("{text},\"tokens\":\"{}\"}}", "x".repeat(pad)).into_bytes()
}

/// What arrived of each job: its token records by `seq`, then its result.
struct Seen {
    per_job: usize,
    arrived: Vec<bool>,
    distinct: usize,
    duplicates: usize,
    messages: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Seen {
    fn new(jobs: usize, per_job: usize) -> Self {
        Self {
            per_job,
            arrived: vec![false; jobs * (per_job + 1)],
            distinct: 0,
            duplicates: 0,
            messages: 0,
            first: None,
            last: None,
        }
    }

    fn take(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        let Some(rest) = topic.strip_prefix("jouled/bench/jobs/job-") else {
            return Ok(());
        };
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.messages += 1;
        let (job, kind) = rest.split_once('/').context("a topic of a job")?;
        let job: usize = job.parse()?;
        let at = match kind {
            "tokens" => {
                #[derive(serde::Deserialize)]
                struct Record {
                    seq: usize,
                }
                serde_json::from_slice::<Record>(payload)?.seq
            }
            "result" => self.per_job,
            _ => return Ok(()),
        };
        let arrived = &mut self.arrived[job * (self.per_job + 1) + at];
        if std::mem::replace(arrived, true) {
            self.duplicates += 1;
        } else {
            self.distinct += 1;
            self.last = Some(now);
        }
        Ok(())
    }

    fn report(&self, all: usize) {
        let took = match (self.first, self.last) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => f64::NAN,
        };
        println!(
            "drained     {} records in {took:.1} s: {:.0} records/s; {} duplicates, {} missing, \
             {} messages with states",
            self.distinct,
            self.distinct as f64 / took,
            self.duplicates,
            all - self.distinct,
            self.messages,
        );
    }
}

fn broker(dir: &Path, port: u16, limited: bool) -> Result<rig::Owned> {
    let config = dir.join("mosquitto.conf");
    let limits = match limited {
        false => "max_queued_messages 0\nmax_inflight_messages 0\n",
        true => "",
    };
    let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n{limits}");
    std::fs::write(&config, text)?;
    let broker = Command::new(rig::mosquitto())
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("mosquitto did not start: run scripts/setup")?;
    let broker = rig::Owned(broker);
    rig::wait_for_broker(port)?;
    Ok(broker)
}

fn broker_version(limited: bool) -> Result<String> {
    // It says it with the help, and ends with an error.
    let help = Command::new(rig::mosquitto()).arg("-h").output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let limits = match limited {
        false => "max_queued_messages 0, max_inflight_messages 0",
        true => "its default limits",
    };
    Ok(format!(
        "{}, {limits}",
        help.lines().next().unwrap_or("unknown")
    ))
}

fn sizes(state: &Path) -> Result<String> {
    let mib = |name: &str| -> Result<f64> {
        let size = std::fs::metadata(state.join(name)).map_or(0, |about| about.len());
        Ok(size as f64 / f64::from(1 << 20))
    };
    Ok(format!(
        "{:.1} MiB and {:.1} MiB of log",
        mib("jouled.db")?,
        mib("jouled.db-wal")?
    ))
}
