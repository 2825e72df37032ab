//! One attempt, from spawning the worker to the end of `idle_after`: what happens when, and
//! what is observed. Figures are made afterwards, from the observations alone.

use super::control::{Control, Stop};
use super::discretion;
use super::meter::Meter;
use super::observed::{Ending, Observed, OwnCpu};
use crate::board::{BoardWatch, CpuTimes, Host};
use crate::clock;
use crate::data::FoundData;
use crate::energy::{Settling, settling as idle_settling};
use crate::runtime::confine::START_FAILED;
use crate::runtime::protocol::{self, Message, Request, Work};
use crate::runtime::spawn::WorkerLimits;
use crate::runtime::supervisor::{Worker, WorkerError};
use crate::units::{MonoNs, Span};
use crate::workload::{Job, Kind, Phase};
use std::path::Path;
use std::time::Duration;

/// How often an idle phase asks whether power has settled.
const SETTLE_CHECK: Span = Span::from_millis(250);
/// A program that is no worker is found out soon.
const HELLO_WITHIN: Span = Span::from_millis(20_000);
/// Niceness of a worker whose sampler has no real-time priority: on busy cores the sampler
/// would otherwise wake too late for its cycles (measured: coverage 0.85 at 0, 0.99 at 10).
const YIELDING: u8 = 10;
/// Loading can't be asked to stop: a stop is looked for this often, and kills.
const LOAD_CHECK: Duration = Duration::from_millis(50);
/// A worker that is asked to stop is watched this often, and killed after `CANCEL_WITHIN`.
/// It answers within 50 ms on a CPU. The daemon itself has two seconds to end.
const WORK_CHECK: Duration = Duration::from_millis(250);
const CANCEL_WITHIN: Span = Span::from_millis(1_000);

/// What an attempt needs.
pub struct Attempt<'a> {
    pub job: &'a Job,
    pub model: &'a Path,
    /// What a job of data reads.
    pub data: Option<&'a FoundData>,
    pub worker: &'a [String],
    pub meter: &'a Meter,
    pub control: &'a Control,
    pub watcher: &'a dyn Watcher,
    /// Index of the primary rail among the meter's.
    pub primary: Option<usize>,
    pub host: &'a Host,
}

/// Hears what an attempt does while it does it.
pub trait Watcher {
    fn phase(&self, phase: Phase, progress: Option<f64>);
    /// More output tokens have become known.
    fn tokens(&self, observed: &Observed);
    /// The attempt begins (`true`) or has ended: in between nothing may leave.
    fn quiet(&self, on: bool);
}

impl Attempt<'_> {
    /// Runs the attempt. Never fails: what went wrong is in [`Observed::ending`].
    pub fn run(&self) -> Observed {
        let (mut board, before) = BoardWatch::begin(self.host);
        let mut observed = Observed::new(clock::now());
        observed.moments.before = Some(before);
        let mut cpu = OwnCpu::start();
        self.watcher.quiet(true);
        observed.ending = match self.steps(&mut observed, &mut cpu, &mut board) {
            Ok(()) => Ending::Succeeded,
            Err(Ending::Failed(reason)) => {
                Ending::Failed(discretion::told(self.job, self.model, &reason))
            }
            Err(ending) => ending,
        };
        self.watcher.quiet(false);
        observed.t1 = clock::now();
        cpu.note();
        observed.own_cpu_s = cpu.by_phase(&observed.phases);
        let (throttling, under_voltage) = board.end();
        observed.throttling = Some(throttling);
        observed.under_voltage = Some(under_voltage);
        observed
    }

    fn steps(
        &self,
        observed: &mut Observed,
        cpu: &mut OwnCpu,
        board: &mut BoardWatch,
    ) -> Result<(), Ending> {
        let deadline = observed.t0 + Span::from_secs_f64(f64::from(self.job.timeout_s));
        let mut worker = self.load(observed, board, deadline)?;
        cpu.note();
        let idle = self.job.idle;
        self.idle(observed, cpu, Phase::IdleBefore, idle.before_s, deadline)?;
        self.work(&mut worker, observed, cpu, board, deadline)?;
        self.idle(observed, cpu, Phase::IdleAfter, idle.after_s, deadline)?;
        Ok(())
    }

    /// Spawns the worker and loads the model.
    fn load(
        &self,
        observed: &mut Observed,
        board: &mut BoardWatch,
        deadline: MonoNs,
    ) -> Result<Worker, Ending> {
        self.watcher.phase(Phase::Load, None);
        let limits = WorkerLimits {
            nice: if self.meter.sampler().realtime() {
                0
            } else {
                YIELDING
            },
        };
        let mut worker = Worker::spawn(self.worker, &limits)?;
        let t0 = worker.spawned();
        let hello = self.expect(&mut worker, deadline.min(t0 + HELLO_WITHIN));
        if self.control.stopped() == Some(Stop::Timeout) && clock::now() < deadline {
            let silent = "the worker did not say hello: is its command a jouled worker?";
            return Err(Ending::Failed(silent.to_owned()));
        }
        match hello? {
            Message::Hello { protocol, .. } if protocol == protocol::VERSION => {}
            other => return Err(unexpected("hello", &other)),
        }
        worker.send(&Request::Load {
            path: self.model.display().to_string(),
            params: self.job.params.clone(),
            n_outputs: self.job.n_outputs(),
        });
        let loaded = match self.expect(&mut worker, deadline)? {
            Message::Load(loaded) => loaded,
            other => return Err(unexpected("load", &other)),
        };
        observed.push(Phase::Load, None, t0, loaded.t1_ns);
        observed.count(Phase::Load, None, loaded.counters);
        observed.loaded = Some(*loaded);
        observed.moments.loaded = Some(board.look());
        Ok(worker)
    }

    /// The next message of a worker that is loading.
    fn expect(&self, worker: &mut Worker, deadline: MonoNs) -> Result<Message, Ending> {
        loop {
            match worker.recv(LOAD_CHECK)? {
                Some(Message::Error { code, message }) => {
                    if code == START_FAILED {
                        tracing::error!(command = ?self.worker, "{message}");
                    }
                    return Err(Ending::Failed(message));
                }
                Some(message) => return Ok(message),
                None => self.go_on(deadline)?,
            }
        }
    }

    fn go_on(&self, deadline: MonoNs) -> Result<(), Ending> {
        if clock::now() >= deadline {
            self.control.stop(Stop::Timeout);
        }
        match self.control.stopped() {
            Some(stop) => Err(Ending::Stopped(stop)),
            None => Ok(()),
        }
    }

    /// Waits until power has settled, at least for `minimum_s`. 0 leaves the phase out.
    fn idle(
        &self,
        observed: &mut Observed,
        cpu: &mut OwnCpu,
        phase: Phase,
        minimum_s: f64,
        deadline: MonoNs,
    ) -> Result<(), Ending> {
        if minimum_s == 0.0 {
            return Ok(());
        }
        self.watcher.phase(phase, None);
        let t0 = observed.phases.last().map_or(observed.t0, |last| last.t1);
        let minimum = Span::from_secs_f64(minimum_s);
        let mut next = t0 + minimum;
        let settled = loop {
            self.control.sleep_until(next.min(deadline));
            cpu.note();
            self.go_on(deadline)?;
            let now = clock::now();
            let settling = self.meter.with_traces(|traces| match self.primary {
                Some(primary) => idle_settling(&traces[primary], t0, now, minimum),
                // Nothing can be said to settle without a rail to look at.
                None => Settling::GivenUp,
            });
            match settling {
                Settling::Settled => break true,
                Settling::GivenUp => break false,
                Settling::Waiting => next = now + SETTLE_CHECK,
            }
        };
        observed.push(phase, None, t0, clock::now());
        observed.settled.insert(phase, settled);
        Ok(())
    }

    /// Warm-up and repetitions.
    fn work(
        &self,
        worker: &mut Worker,
        observed: &mut Observed,
        cpu: &mut OwnCpu,
        board: &mut BoardWatch,
        deadline: MonoNs,
    ) -> Result<(), Ending> {
        let cancel = worker.canceller();
        self.control
            .on_stop(Box::new(move |why| cancel(why.for_worker())));
        self.watcher.phase(Phase::Warmup, Some(0.0));
        // Of a worker that is gone nothing is known: its own use must not count as foreign.
        let used = |worker: &Worker| Some(worker.usage()?.cpu_s + OwnCpu::now());
        observed.moments.reps.insert(0, board.look());
        let (before, used_before) = (CpuTimes::read(), used(worker));
        worker.send(&self.request());
        let done = self.follow(worker, observed, cpu, board, deadline);
        let (after, used_after) = (CpuTimes::read(), used(worker));
        observed.moments.worked = Some(board.look());
        self.control.forget_worker();
        observed.process_memory = worker.memory();
        observed.contention = before
            .zip(after)
            .zip(used_before.zip(used_after))
            .and_then(|((before, after), (from, to))| before.until(&after, to - from));
        done
    }

    /// Takes in what the worker reports until it is done. A stop reaches the worker by
    /// itself; here it is given a moment to say how far it came.
    fn follow(
        &self,
        worker: &mut Worker,
        observed: &mut Observed,
        cpu: &mut OwnCpu,
        board: &mut BoardWatch,
        deadline: MonoNs,
    ) -> Result<(), Ending> {
        let mut patience = None;
        loop {
            // Before each message: a worker that never pauses must not outlast its time.
            if let Err(stopped) = self.go_on(deadline) {
                let until = *patience.get_or_insert(clock::now() + CANCEL_WITHIN);
                if clock::now() >= until {
                    return Err(stopped);
                }
            }
            cpu.note();
            let Some(message) = worker.recv(WORK_CHECK)? else {
                continue;
            };
            match message {
                Message::Phase {
                    phase,
                    rep,
                    t0_ns,
                    t1_ns,
                    counters,
                    ..
                } => {
                    observed.push(phase, rep, t0_ns, t1_ns);
                    observed.count(phase, rep, counters);
                    // A worker may tell of the warm-up only after the first repetition.
                    if phase == Phase::Warmup && observed.tokens.is_empty() {
                        observed.moments.reps.insert(0, board.look());
                    }
                }
                Message::Tokens {
                    rep, t0_ns, t_ns, ..
                } => {
                    observed.push_tokens(rep, t0_ns, t_ns);
                    self.watcher.tokens(observed);
                }
                Message::Rep(done) => {
                    observed.moments.reps.insert(done.rep, board.look());
                    observed.reps.push(done);
                }
                Message::Done { memory, .. } => {
                    observed.worker_memory = memory;
                    return self
                        .control
                        .stopped()
                        .map_or(Ok(()), |stop| Err(Ending::Stopped(stop)));
                }
                Message::Error { message, .. } => return Err(Ending::Failed(message)),
                other @ (Message::Hello { .. } | Message::Load(_)) => {
                    return Err(unexpected("phase, tokens, rep or done", &other));
                }
            }
        }
    }

    fn request(&self) -> Request {
        let job = self.job;
        let found = self.data.map(|data| {
            let path = data.path.display().to_string();
            (path, data.sha256.clone())
        });
        let (data, data_sha256) = found.unwrap_or_default();
        let work = match job.kind {
            Kind::Bench => Work::Bench(job.bench_sizes()),
            Kind::Perplexity => Work::Perplexity {
                data,
                data_sha256,
                n_ctx: job.params.n_ctx,
                n_chunks: job.n_chunks,
            },
            Kind::Choice => Work::Choice {
                data,
                data_sha256,
                n_items: job.n_items,
            },
            Kind::Generate | Kind::Idle => Work::Generate {
                prompt: job.prompt.clone(),
                messages: job.messages.clone(),
                n_predict: job.n_predict,
                ignore_eos: job.ignore_eos,
            },
        };
        Request::Run {
            work,
            warmup: job.warmup,
            repetitions: job.repetitions,
            text: job.publish.text,
        }
    }
}

fn unexpected(wanted: &str, got: &Message) -> Ending {
    let got = serde_json::to_value(got)
        .ok()
        .and_then(|message| Some(message.get("type")?.as_str()?.to_owned()))
        .unwrap_or_default();
    Ending::Failed(format!(
        "the worker broke the protocol: it sent \"{got}\" where {wanted} was due"
    ))
}

impl From<WorkerError> for Ending {
    fn from(error: WorkerError) -> Self {
        Ending::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{BoardIdentity, Profile};
    use crate::sampler::Sampler;
    use crate::sensor::Pace;
    use crate::workload::Limits;

    struct Nobody;

    impl Watcher for Nobody {
        fn phase(&self, _: Phase, _: Option<f64>) {}
        fn tokens(&self, _: &Observed) {}
        fn quiet(&self, _: bool) {}
    }

    #[test]
    fn a_worker_that_talks_on_and_heeds_no_cancel_is_given_up() {
        let job = br#"{"id":"a","kind":"generate","model":"m.gguf","prompt":"p","timeout_s":1}"#;
        let job = Job::parse(job, &Limits::default()).expect("a valid job");
        let sampler = Sampler::start(Vec::new()).expect("no thread to start");
        let script = concat!(
            r#"echo '{"type":"hello","protocol":1,"pid":1,"name":"sh","revision":"0"}'; "#,
            r#"while echo '{"type":"tokens","rep":1,"t0_ns":0,"first":0,"t_ns":[]}'; do sleep 0.02; done"#,
        );
        let command = ["sh", "-c", script].map(str::to_owned);
        let attempt = Attempt {
            job: &job,
            model: Path::new("m.gguf"),
            data: None,
            worker: &command,
            meter: &Meter::new(sampler, Pace::Idle),
            control: &Control::default(),
            watcher: &Nobody,
            primary: None,
            host: &Host {
                profile: Profile::unknown("generic"),
                identity: BoardIdentity::default(),
                sysfs: "/nonexistent".into(),
            },
        };
        let mut worker = Worker::spawn(&command, &WorkerLimits::default()).expect("sh starts");
        let hello = attempt.expect(&mut worker, clock::now() + HELLO_WITHIN);
        assert!(matches!(hello, Ok(Message::Hello { .. })), "{hello:?}");
        worker.send(&attempt.request());
        let mut observed = Observed::new(clock::now());
        let deadline = clock::now();
        let (mut board, _) = BoardWatch::begin(attempt.host);
        let mut cpu = OwnCpu::start();
        let ended = attempt.follow(&mut worker, &mut observed, &mut cpu, &mut board, deadline);
        assert_eq!(ended, Err(Ending::Stopped(Stop::Timeout)));
    }
}
