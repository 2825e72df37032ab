//! Runs the queue, one job at a time, on a thread that lives as long as the daemon: the
//! worker asks the kernel to be killed when the thread that spawned it ends.

use super::Shared;
use super::keeping::{self, Limits, keep_raw};
use super::live::Live;
use super::metrics;
use super::sensors::{BEFORE_A_JOB, IDLE};
use super::trouble::Trouble;
use crate::data::{self, FoundData};
use crate::measure::{
    Attempt, AttemptRecords, Context, Control, Ending, Observed, Recorded, Stop, TokenBatches,
    archive, records,
};
use crate::mqtt::MqttHandle;
use crate::power::client::Lease;
use crate::record::answer::Event;
use crate::record::result::{Build, Data, LostAttempt, Model};
use crate::runtime::{gguf, oom};
use crate::store::{self, AttemptRow, Begun, StateRow, StoreError};
use crate::units::Span;
use crate::workload::{Job, JobState};
use crate::{board, clock};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// A broker on the lab's network takes a record in a few milliseconds.
const LEAVE_WITHIN: Span = Span::from_millis(300);
const LOOK_WHILE_LEAVING: Span = Span::from_millis(5);
/// A result names the newest of many; `cmd/jobs` tells more.
const MOST_LOST: u32 = 32;
/// Commands, records and a model's next piece take less, also from a slow card.
const STEP: Span = Span::from_millis(120_000);
/// Making the records of a long attempt and storing them may take minutes on a small board.
const RECORDING: Span = Span::from_millis(600_000);
/// A waiting job can pass its deadline without anything else happening.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The runner's thread.
pub struct Running {
    pub thread: JoinHandle<()>,
    /// Closed when the thread ends, also by a panic.
    pub ended: oneshot::Receiver<Infallible>,
}

/// Starts the runner's thread.
pub fn start(shared: Arc<Shared>, mqtt: Arc<MqttHandle>) -> std::io::Result<Running> {
    let (alive, ended) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("runner".to_owned())
        .spawn(move || {
            let _alive: oneshot::Sender<Infallible> = alive;
            let runner = Runner {
                shared,
                mqtt,
                trouble: Trouble::default(),
            };
            runner.announce();
            loop {
                runner.goes_on(STEP);
                let wait = match runner.run_next() {
                    Ok(true) => continue,
                    Ok(false) => LOOK_EVERY,
                    Err(wait) => wait,
                };
                runner.goes_on(Span::from_secs_f64(wait.as_secs_f64()) + STEP);
                if !runner.shared.queue.wait(wait) {
                    return;
                }
            }
        })?;
    Ok(Running { thread, ended })
}

/// What a worker is started with.
struct Ready {
    model: Model,
    path: PathBuf,
    data: Option<FoundData>,
    worker: Vec<String>,
}

struct Runner {
    shared: Arc<Shared>,
    mqtt: Arc<MqttHandle>,
    trouble: Trouble,
}

impl Runner {
    /// Runs the next job of the queue. `false` when none waits or the daemon is stopping; the
    /// error is how long to leave the store alone.
    fn run_next(&self) -> Result<bool, Duration> {
        let shared = &self.shared;
        if shared.queue.is_stopping() {
            return Ok(false);
        }
        // Here no attempt is recorded.
        shared.open_late_sensors(BEFORE_A_JOB);
        let control = Arc::new(Control::default());
        // Of a retained topic only the newest record leaves: `queued` before `running`, and
        // `running` before the attempt holds everything back.
        self.let_states_leave();
        match self.take(&control) {
            Ok(Some((job, begun))) => {
                // A model that is being fetched lets go of disk and network.
                shared.queue.settle();
                shared.catalogue.pause();
                self.trouble.over(&self.mqtt);
                self.announce();
                self.let_states_leave();
                self.run(&job, begun, &control);
                shared.queue.end();
                self.announce();
                Ok(true)
            }
            Ok(None) => {
                self.trouble.over(&self.mqtt);
                shared.open_late_sensors(IDLE);
                Ok(false)
            }
            Err(error) => {
                let what = "the next job can't begin";
                Err(self.trouble.failed(&error, what, &self.mqtt))
            }
        }
    }

    /// Waits a moment for the broker to take the states in the outbox.
    fn let_states_leave(&self) {
        let give_up = clock::now() + LEAVE_WITHIN;
        let waits = || {
            let states = store::lock(&self.shared.store).has_waiting_states();
            self.mqtt.connected() && states.unwrap_or(false)
        };
        while waits() && clock::now() < give_up && !self.shared.queue.is_stopping() {
            clock::sleep(LOOK_WHILE_LEAVING);
        }
    }

    /// Begins the next attempt. Whoever reads in the store that the job runs can reach it
    /// through `control`: both change under the store's lock.
    fn take(&self, control: &Arc<Control>) -> Result<Option<(Job, Begun)>, StoreError> {
        let now = self.shared.moment();
        let mut store = store::lock(&self.shared.store);
        let next = store.next_queued(&now)?;
        if let Some((job, _)) = next.job
            && let Some(begun) = store.begin_attempt(&job.id, &now)?
        {
            self.shared.queue.begin(&job.id, control);
            return Ok(Some((job, begun)));
        }
        drop(store);
        if !next.failed.is_empty() {
            for row in &next.failed {
                self.shared.job_ended(row.state);
            }
            self.announce();
        }
        Ok(None)
    }

    /// Runs one attempt and commits what came of it.
    fn run(&self, job: &Job, begun: Begun, control: &Arc<Control>) {
        tracing::info!(id = %job.id, attempt = begun.attempt, "attempt begins");
        let mut outcome = self.attempt(job, begun, control);
        match self.store(job, begun, &mut outcome) {
            Ok(row) => {
                let row = row.as_ref();
                self.count(row, outcome.as_ref());
                tracing::info!(
                    id = %job.id, attempt = begun.attempt,
                    state = row.map(|row| row.state.as_str()),
                    reason = row.and_then(|row| row.reason.as_deref()),
                    "attempt ended"
                );
            }
            Err(error) => tracing::error!(%error, id = %job.id, "the attempt is not stored"),
        }
        self.mqtt.wake_outbox();
    }

    /// For `health` and the metrics.
    fn count(&self, row: Option<&StateRow>, outcome: Option<&AttemptRecords>) {
        if let Some(row) = row {
            self.shared.job_ended(row.state);
        }
        if let Some(records) = outcome {
            self.shared.attempt_ended(&records.result.body);
        }
    }

    /// Stores the end of an attempt. While the disk takes nothing, what was measured waits in
    /// memory: no other job could begin meanwhile.
    ///
    /// Errors: the daemon ends before the disk works, or since the store is damaged, and the
    /// attempt counts as lost; or the records can never be stored, and the job failed without
    /// them.
    fn store(
        &self,
        job: &Job,
        begun: Begun,
        outcome: &mut Option<AttemptRecords>,
    ) -> Result<Option<StateRow>, StoreError> {
        loop {
            let now = self.shared.moment();
            let mut store = store::lock(&self.shared.store);
            let stored = match outcome {
                None => store.requeue(&job.id, begun.attempt, &now),
                Some(records) => keeping::commit(&mut store, &job.id, records, &now),
            };
            let error = match stored {
                Ok(stored) => {
                    drop(store);
                    self.trouble.over(&self.mqtt);
                    return Ok(stored);
                }
                Err(error) => error,
            };
            if matches!(error, StoreError::Damaged { .. }) {
                return Err(error);
            }
            if !error.may_pass() {
                keeping::commit_without_records(&mut store, &job.id, begun.attempt, &now)?;
                self.shared.job_ended(JobState::Failed);
                return Err(error);
            }
            drop(store);
            // The attempt is over: expiry, which may make room, need not wait for it any more.
            self.shared.queue.end();
            let what = "the end of an attempt can't be stored";
            let wait = self.trouble.failed(&error, what, &self.mqtt);
            self.goes_on(Span::from_secs_f64(wait.as_secs_f64()) + RECORDING);
            if !self.shared.queue.wait(wait) {
                return Err(error);
            }
        }
    }

    /// `None` when the end of the daemon interrupted it: the job will run again.
    fn attempt(&self, job: &Job, begun: Begun, control: &Arc<Control>) -> Option<AttemptRecords> {
        let shared = &self.shared;
        let primary = shared.primary_rail();
        let rails = shared.meter.sampler().rails();
        let context = Context {
            jouled: Build::this(),
            device: shared.identity.device.clone(),
            job: job.clone(),
            attempt: begun.attempt,
            board: shared.refreshed_board(),
            rig: shared.config.rig.clone(),
            primary,
            simulated: primary
                .is_some_and(|index| rails.get(index).is_some_and(|rail| rail.simulated)),
            sampler_power: shared.config.energy.sampler_power.clone(),
            model: None,
            data: None,
            warnings: shared.warnings(),
            lost_attempts: self.lost_attempts(job),
        };
        let held = self.prepare(job, control).and_then(|ready| {
            self.goes_on(STEP);
            let held = shared.power.hold(job, &shared.host);
            Ok((ready, held.map_err(Ending::Failed)?))
        });
        let (ready, held) = match held {
            Ok(ready) => ready,
            Err(Ending::Stopped(Stop::Interrupted)) => return None,
            Err(ending) => {
                let mut observed = Observed::new(clock::now());
                observed.ending = ending;
                return Some(self.record(&context, &observed, &[], TokenBatches::default()));
            }
        };
        let mut context = Context {
            model: Some(ready.model),
            data: ready.data.as_ref().map(|data| Data {
                sha256: data.sha256.clone(),
                size_bytes: data.size_bytes,
            }),
            ..context
        };
        let lease = held.map(|(lease, board)| {
            context.board = board;
            lease
        });
        // The attempt keeps to its own time, whatever the worker does.
        self.goes_on(Span::from_secs_f64(f64::from(job.timeout_s)) + RECORDING);
        metrics::note_before_an_attempt(shared, &self.mqtt);
        shared.meter.start_recording();
        let live = Live::new(shared, &self.mqtt, &context, begun.rev);
        let mut observed = Attempt {
            job,
            model: &ready.path,
            data: ready.data.as_ref(),
            worker: &ready.worker,
            meter: &shared.meter,
            control,
            watcher: &live,
            primary: context.primary,
            host: &shared.host,
        }
        .run();
        if let Some(limit) = shared.config.worker.memory_max_bytes().ok().flatten() {
            observed.ending = match observed.ending {
                Ending::Failed(reason) => Ending::Failed(oom::with_limit(reason, limit)),
                other => other,
            };
        }
        self.goes_on(RECORDING);
        let interrupted = observed.ending == Ending::Stopped(Stop::Interrupted);
        if !interrupted {
            shared.meter.wait_for(observed.t1);
            let board = board::Board::read(&shared.host);
            observed.setting_after = Some(board::Setting::of(&board));
        }
        // An interrupted attempt has no time to wait for it: the end of the lease does it.
        let not_back = match interrupted {
            true => None,
            false => lease.and_then(|lease| self.give_back(lease)),
        };
        let rails = shared.meter.stop_recording();
        let batches = live.into_batches();
        context.warnings.extend(not_back);
        (!interrupted).then(|| self.record(&context, &observed, &rails, batches))
    }

    /// Puts back what was in force before a job's setting. Where that failed, a warning.
    fn give_back(&self, lease: Lease) -> Option<String> {
        let error = lease.give_back().err()?;
        let message = format!("what was set before the job is not back in force: {error}");
        tracing::error!("{message}");
        self.mqtt.event(Event {
            code: "power-not-restored".to_owned(),
            message: message.clone(),
            id: None,
        });
        Some(format!("setting: {message}"))
    }

    /// Earlier attempts of the job that left nothing behind.
    fn lost_attempts(&self, job: &Job) -> Vec<LostAttempt> {
        let earlier = store::lock(&self.shared.store).attempts(&job.id, MOST_LOST);
        match earlier {
            Ok(rows) => rows
                .into_iter()
                .filter(AttemptRow::left_nothing)
                .map(|row| LostAttempt {
                    attempt: row.attempt,
                    reason: row.reason,
                })
                .collect(),
            Err(error) => {
                tracing::error!(%error, id = %job.id, "earlier attempts can't be read");
                Vec::new()
            }
        }
    }

    /// Makes the records of an attempt, and keeps what they were made of if the job asks.
    fn record(
        &self,
        context: &Context,
        observed: &Observed,
        rails: &[Recorded],
        batches: TokenBatches,
    ) -> AttemptRecords {
        let live = batches.extents().to_vec();
        let mut records = records(context, observed, rails, batches);
        let job = &context.job;
        if job.publish.trace {
            let shared = &self.shared;
            let raw = store::lock(&shared.store).raw();
            let limits = Limits {
                disk_free_share: board::disk_free_share(&shared.config.storage.dir),
                stopping: &|| shared.queue.is_stopping(),
            };
            let kept = keep_raw(&raw, &job.id, context.attempt, &limits, |out| {
                archive::write(out, context, observed, rails, &live).map(|_| ())
            });
            if let Err(error) = &kept {
                tracing::error!(error, id = %job.id, "raw data is not kept");
            }
            records.note_raw(kept);
        }
        records
    }

    /// Everything that can be found out before a worker is spawned.
    fn prepare(&self, job: &Job, control: &Control) -> Result<Ready, Ending> {
        let shared = &self.shared;
        let failed = |reason: String| Ending::Failed(reason);
        let name = job.model.as_ref();
        let name = name.ok_or_else(|| failed("the job names no model".to_owned()))?;
        let wanted = job.model_sha256.as_deref();
        let found = shared
            .models
            .find(name, wanted, &|| {
                self.goes_on(STEP);
                control.stopped().is_none()
            })
            .map_err(|error| match control.stopped() {
                Some(stop) => Ending::Stopped(stop),
                None => failed(error.to_string()),
            })?;
        let available = board::available_bytes();
        let header = gguf::preflight(&found.path, &job.params, job.n_outputs(), available)
            .map_err(|error| failed(error.to_string()))?
            .header;
        let worker = shared.worker(&job.runtime).map_err(failed)?;
        let dir = &shared.config.data.dir;
        let data = job
            .data
            .as_ref()
            .map(|name| data::find(dir, name, job.kind));
        let data = data
            .transpose()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Ready {
            model: Model {
                name: name.to_string(),
                sha256: found.sha256,
                params: header.params(),
                step_bytes: header.step_bytes(),
                kv_token_bytes: Some(header.kv_token_bytes(job.params.kv_type)),
                encoder_token_bytes: header.encoder_token_bytes(),
                arch: header.architecture,
                quant: Some(header.quant),
                size_bytes: found.size_bytes,
            },
            path: found.path,
            data,
            worker,
        })
    }

    /// The next step ends within this time.
    fn goes_on(&self, longest: Span) {
        self.shared.runner.back_within(longest);
    }

    /// Tells `status` about the queue and lets the outbox go.
    fn announce(&self) {
        self.mqtt.wake_outbox();
        match store::lock(&self.shared.store).counts() {
            Ok(counts) => self.mqtt.set_jobs(counts),
            Err(error) => tracing::error!(%error, "the queue can't be counted"),
        }
    }
}
