//! A broker, a daemon with a simulated INA219, and a client, all of this run.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use anyhow::{Context, Result, bail, ensure};
use jouled::record::Stamped;
use jouled::record::answer::Event;
use jouled::record::device::{Presence, Status};
use jouled::record::result::{JobResult, PhaseFigures};
use jouled::workload::JobState;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

const ONLINE_WITHIN: Duration = Duration::from_secs(30);
const RESULT_WITHIN: Duration = Duration::from_secs(600);

/// Tokens per second of one repetition.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    pub prefill: f64,
    pub decode: f64,
}

/// One `bench` job.
#[derive(Debug, Clone, Copy)]
pub struct Bench<'a> {
    pub model: &'a str,
    pub n_prompt: u32,
    pub n_gen: u32,
    pub repetitions: u32,
    /// `after`, `none` or `live`.
    pub tokens: &'a str,
    pub threads: usize,
}

/// How the simulated sensor is read. Its bus takes the time that a real one does.
#[derive(Debug, Clone, Copy)]
pub enum Sampling<'a> {
    /// Resolution of shunt and bus, such as `avg8/12bit`, at the mode's own rate.
    Adc(&'a str),
    /// The finest mode that delivers so many windows a second.
    RateHz(f64),
}

/// A child that does not outlive the benchmark.
pub struct Owned(pub Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Published {
    topic: String,
    payload: String,
}

pub struct Rig {
    published: Receiver<Published>,
    port: u16,
    jobs: u32,
    contended: u32,
    last: Option<JobResult>,
    log: PathBuf,
    // Dropped in this order: first the daemon, then what it talks to, then its files.
    daemon: Owned,
    _subscriber: Owned,
    _broker: Owned,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// Returns once the daemon is online. With the `full` idle pace it samples as it does in an
    /// attempt.
    pub fn start(models: &Path, sampling: Sampling<'_>, idle_pace: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let broker = Owned(
            Command::new(mosquitto())
                .args(["-p", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .context("mosquitto did not start: run scripts/setup")?,
        );
        wait_for_broker(port)?;
        let (subscriber, published) = subscribe(port)?;

        let config = dir.path().join("jouled.toml");
        std::fs::write(
            &config,
            configuration(port, dir.path(), models, sampling, idle_pace),
        )?;
        let log = dir.path().join("jouled.log");
        let daemon = Owned(
            Command::new(env!("CARGO_BIN_EXE_jouled"))
                .args(["run", "--config"])
                .arg(&config)
                .stdout(Stdio::null())
                .stderr(File::create(&log)?)
                .spawn()?,
        );
        let mut rig = Self {
            published,
            port,
            jobs: 0,
            contended: 0,
            last: None,
            log,
            daemon,
            _subscriber: subscriber,
            _broker: broker,
            _dir: dir,
        };
        rig.wait_for(ONLINE_WITHIN, |published| {
            if !published.topic.ends_with("/status") {
                return Ok(None);
            }
            let status: Stamped<Status> = serde_json::from_str(&published.payload)?;
            Ok((status.body.state == Presence::Online).then_some(()))
        })
        .context("the daemon did not come online")?;
        Ok(rig)
    }

    /// The speed of each repetition.
    pub fn run(&mut self, bench: Bench<'_>) -> Result<Vec<Speed>> {
        self.jobs += 1;
        let id = format!("run-{}", self.jobs);
        let n_ctx = bench.n_prompt.max(bench.n_gen);
        let job = json!({
            "v": 1, "id": id, "kind": "bench", "model": bench.model,
            "n_prompt": bench.n_prompt, "n_gen": bench.n_gen,
            "repetitions": bench.repetitions, "warmup": 1,
            "params": { "threads": bench.threads, "n_ctx": n_ctx, "n_batch": bench.n_prompt },
            "idle": { "before_s": 0, "after_s": 0 }, "publish": { "tokens": bench.tokens },
        });
        let status = Command::new("mosquitto_pub")
            .args(["-V", "5", "-p", &self.port.to_string(), "-q", "1"])
            .args(["-t", "jouled/bench/cmd/submit", "-m", &job.to_string()])
            .status()
            .context("mosquitto_pub did not start: run scripts/setup")?;
        ensure!(status.success(), "mosquitto_pub ended with {status}");

        let topic = format!("jouled/bench/jobs/{id}/result");
        let result = self.wait_for(RESULT_WITHIN, |published| {
            if published.topic == topic {
                let result: Stamped<JobResult> = serde_json::from_str(&published.payload)?;
                return Ok(Some(result.body));
            }
            if published.topic.ends_with("/events") {
                let event: Stamped<Event> = serde_json::from_str(&published.payload)?;
                ensure!(
                    event.body.id.as_deref() != Some(&id),
                    "the daemon refused the job: {}",
                    event.body.message
                );
            }
            Ok(None)
        })?;
        ensure!(
            result.state == JobState::Succeeded,
            "job {id} ended as {:?}: {}",
            result.state,
            result.reason.as_deref().unwrap_or("without a reason")
        );
        let speeds = result.reps.iter().map(|rep| {
            let phase = |phase: &Option<PhaseFigures>| phase.as_ref().map(|phase| phase.tok_s);
            Ok(Speed {
                prefill: phase(&rep.prefill).context("a repetition has no prefill")?,
                decode: phase(&rep.decode).context("a repetition has no decode")?,
            })
        });
        let speeds = speeds.collect::<Result<Vec<Speed>>>()?;
        self.contended += u32::from(result.contention.contended == Some(true));
        self.last = Some(result);
        Ok(speeds)
    }

    /// Stops the daemon's process as it is.
    pub fn stop(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::STOP)?)
    }

    /// Lets a stopped daemon run on.
    pub fn go_on(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::CONT)?)
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.daemon.0.id())?).context("a process has a number")
    }

    /// Versions, and what the sampler did in the last job.
    pub fn describe(&self) -> String {
        let Some(result) = &self.last else {
            return "ran no job".to_owned();
        };
        let engine = result.engine.as_ref().map_or_else(
            || "engine unknown".to_owned(),
            |engine| format!("{} {}", engine.name, engine.revision),
        );
        let sampling: Vec<String> = result
            .rails
            .iter()
            .map(|rail| {
                format!(
                    "{} {} at {} windows/s, coverage {}, {} missed deadlines{}",
                    rail.source,
                    rail.mode.as_deref().unwrap_or(""),
                    known(rail.rate_hz, 1),
                    known(rail.coverage, 4),
                    rail.missed_deadlines,
                    if rail.simulated { ", SIMULATED" } else { "" },
                )
            })
            .collect();
        format!(
            "{}, {engine}; last job: {}; {} of {} jobs contended",
            result.jouled.version,
            sampling.join("; "),
            self.contended,
            self.jobs,
        )
    }

    /// The first message for which `wanted` has something; its errors end the wait.
    fn wait_for<T>(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&Published) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = std::time::Instant::now() + limit;
        loop {
            if let Some(status) = self.daemon.0.try_wait()? {
                bail!("jouled ended with {status}:\n{}", self.log_tail());
            }
            // A short wait, to notice a daemon that dies without a word on MQTT.
            match self.published.recv_timeout(Duration::from_millis(500)) {
                Ok(published) => {
                    if let Some(found) = wanted(&published)? {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("mosquitto_sub ended"),
            }
            ensure!(
                std::time::Instant::now() < deadline,
                "no answer in {} s:\n{}",
                limit.as_secs(),
                self.log_tail()
            );
        }
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

pub fn configuration(
    port: u16,
    dir: &Path,
    models: &Path,
    sampling: Sampling<'_>,
    idle_pace: &str,
) -> String {
    let mode = match sampling {
        Sampling::RateHz(hz) => format!("rate_hz = {hz:?}"),
        Sampling::Adc(adc) => {
            let (shunt, bus) = adc.split_once('/').unwrap_or((adc, adc));
            format!("adc_shunt = \"{shunt}\"\nadc_bus = \"{bus}\"")
        }
    };
    format!(
        r#"
[device]
name = "bench"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
[storage]
dir = "{state}"
[models]
dir = "{models}"
[energy]
idle_pace = "{idle_pace}"
[[sensor]]
name = "input"
kind = "simulated"
waveform = "constant:1.0"
bus_v = 5.1
bus_hz = 400000
shunt_ohm = 0.01
max_current_a = 4.0
boundary = "board-input"
{mode}
"#,
        state = dir.join("state").display(),
        models = models.display(),
    )
}

fn subscribe(port: u16) -> Result<(Owned, Receiver<Published>)> {
    let mut child = Command::new("mosquitto_sub")
        .args([
            "-V",
            "5",
            "-p",
            &port.to_string(),
            "-q",
            "1",
            "-F",
            r"%t\t%p",
        ])
        .args(["-t", "jouled/bench/status", "-t", "jouled/bench/events"])
        .args(["-t", "jouled/bench/jobs/+/result"])
        .stdout(Stdio::piped())
        .spawn()
        .context("mosquitto_sub did not start: run scripts/setup")?;
    let stdout = child.stdout.take().context("mosquitto_sub has no output")?;
    let (sender, published) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Some((topic, payload)) = line.split_once('\t') else {
                continue;
            };
            let message = Published {
                topic: topic.to_owned(),
                payload: payload.to_owned(),
            };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    Ok((Owned(child), published))
}

/// Debian keeps daemons where a user's PATH does not look.
pub fn mosquitto() -> PathBuf {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
        .unwrap_or_else(|| "mosquitto".into())
}

/// Free when asked; the broker fails visibly if another process takes it first.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// mosquitto_sub gives up at once when nobody listens.
pub fn wait_for_broker(port: u16) -> Result<()> {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        ensure!(
            std::time::Instant::now() < deadline,
            "mosquitto does not listen on port {port} after 10 s"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn known(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.digits$}"))
}
