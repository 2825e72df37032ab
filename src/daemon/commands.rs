//! What each command does. A refusal changes nothing.

use super::rate_limit::RateLimit;
use super::{Shared, listing};
use crate::config::ConfigError;
use crate::data;
use crate::mqtt::{Command, CommandHandler};
use crate::record::answer::{Place, Refusal, Replayed, Standing};
use crate::record::model::{Fetched, ModelsAnswer};
use crate::store::{self, Cancelled, StateRow, StoreError, Submitted};
use crate::workload::signature::{SignatureError, TrustedKeys};
use crate::workload::{Job, JobId, ModelName, QueueMode, SpecError, SpecErrorCode};
use crate::{board, clock};
use serde::Serialize;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Below this share of free disk no job is taken, no raw data kept and no model fetched: records
/// might not fit.
pub(super) const DISK_FREE_AT_LEAST: f64 = 0.05;

pub struct Commands {
    shared: Arc<Shared>,
    keys: TrustedKeys,
    /// How long ids are remembered.
    keep_s: i64,
    rate: Mutex<RateLimit>,
}

impl Commands {
    /// Errors: the configuration was not checked.
    pub fn new(shared: Arc<Shared>) -> Result<Self, ConfigError> {
        let rate = RateLimit::new(shared.config.limits.commands_per_min);
        Ok(Self {
            keys: shared.config.signing.trusted()?,
            keep_s: shared.config.storage.keep_s()?,
            shared,
            rate: Mutex::new(rate),
        })
    }

    fn submit(&self, payload: &[u8]) -> Result<Value, Refusal> {
        let shared = &self.shared;
        let job = Job::parse(payload, &shared.config.limits)?;
        let now = shared.moment();
        self.check_signature(&job, payload, now.unix_s)?;
        // A known id is answered before anything that may have changed since it came.
        if store::lock(&shared.store).state(&job.id)?.is_none() {
            self.check_new(&job, now.unix_s)?;
            self.check_rate()?;
        }
        let submitted =
            store::lock(&shared.store).submit(&job, shared.config.limits.queue, &now)?;
        match submitted {
            Submitted::Accepted(row) => {
                self.count();
                shared.queue.wake();
                tracing::info!(id = %row.id, "job accepted");
                Ok(body(place(&row)))
            }
            Submitted::Known(row) => Ok(body(place(&row))),
            Submitted::Conflict => Err(refusal(
                "conflict",
                "a job of this id with other content was submitted before; choose another id",
                Some("id"),
            )),
            Submitted::QueueFull => Err(refusal(
                "queue-full",
                "as many jobs wait as the administrator allows; try again later",
                None,
            )),
            Submitted::Draining => Err(refusal(
                "draining",
                "the queue is set to draining and takes no new jobs; cmd/queue opens it",
                None,
            )),
        }
    }

    /// Ids are remembered for `storage.keep`, so that a signature must not be good for longer.
    fn check_signature(
        &self,
        job: &Job,
        payload: &[u8],
        now_unix_s: i64,
    ) -> Result<(), SignatureError> {
        let config = &self.shared.config;
        let Some(signature) = &job.signature else {
            return match config.signing.required {
                true => Err(SignatureError::Missing),
                false => Ok(()),
            };
        };
        let latest = now_unix_s.saturating_add(self.keep_s);
        let device = &self.shared.identity.device;
        let signer = self
            .keys
            .verify(payload, signature, device, now_unix_s, latest)?;
        tracing::info!(id = %job.id, signer, "signed");
        Ok(())
    }

    /// Whether a command that writes may pass. One that then does is to [`count`](Self::count).
    fn check_rate(&self) -> Result<(), Refusal> {
        let rate = self.rate();
        rate.check(clock::now()).map_err(|wait| {
            self.shared.rate_limited.fetch_add(1, Ordering::Relaxed);
            let message = format!(
                "more than {} commands came within a minute; try again in {} s",
                rate.per_min(),
                wait.as_secs_f64().ceil()
            );
            refusal("rate-limited", message, None)
        })
    }

    fn count(&self) {
        self.rate().take(clock::now());
    }

    fn rate(&self) -> MutexGuard<'_, RateLimit> {
        // One number, never half changed.
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_new(&self, job: &Job, now_unix_s: i64) -> Result<(), Refusal> {
        let shared = &self.shared;
        if !shared.runtimes().contains(&job.runtime) {
            let message = "no runtime of this name is configured here";
            return Err(refusal("invalid-spec", message, Some("runtime")));
        }
        if job
            .deadline_unix_s
            .is_some_and(|deadline| deadline <= now_unix_s)
        {
            let message = "the deadline has passed already";
            return Err(refusal("invalid-spec", message, Some("deadline_unix_s")));
        }
        shared
            .power
            .check(job)
            .map_err(|unfit| refusal("unsupported", unfit.message, Some(unfit.field)))?;
        self.check_model(job)?;
        self.check_data(job)?;
        let max_bytes = shared
            .config
            .storage
            .max_bytes()
            .expect("checked when the configuration was loaded");
        if store::lock(&shared.store).is_full(max_bytes)? {
            let message = "records that no broker has taken fill storage.max; connect the board \
                           to a broker with a collector, or raise it";
            return Err(refusal("outbox-full", message, None));
        }
        let free = board::disk_free_share(&shared.config.storage.dir);
        if free.is_some_and(|free| free < DISK_FREE_AT_LEAST) {
            let message = "less than 5 % of the board's disk is free";
            return Err(refusal("disk-full", message, None));
        }
        Ok(())
    }

    /// Whether the model is there and, as far as that is known already, the one that is meant.
    fn check_model(&self, job: &Job) -> Result<(), Refusal> {
        let shared = &self.shared;
        let Some(model) = &job.model else {
            return Ok(());
        };
        shared.models.path(model).map_err(|error| {
            let hint = match (
                shared.catalogue.entry(model),
                shared.catalogue.under_way(model),
            ) {
                (None, _) => "",
                (Some(_), None) => "; the catalogue has it: have it fetched with cmd/models first",
                (Some(_), Some(_)) => "; it is being fetched, submit again when it is ready",
            };
            refusal("unknown-model", format!("{error}{hint}"), Some("model"))
        })?;
        let known = shared.models.glance(model).and_then(|(_, hash)| hash);
        if let (Some(actual), Some(wanted)) = (known, &job.model_sha256)
            && !wanted.eq_ignore_ascii_case(&actual)
        {
            let message = format!("the model of this name has SHA-256 {actual} here");
            return Err(refusal("wrong-model", message, Some("model_sha256")));
        }
        Ok(())
    }

    /// Whether the data is there. What is in it is read when the job runs.
    fn check_data(&self, job: &Job) -> Result<(), Refusal> {
        let Some(name) = &job.data else {
            return Ok(());
        };
        let found = data::path(&self.shared.config.data.dir, name);
        found.map(|_| ()).map_err(|error| {
            let message = format!("{error}; the board's administrator puts it there");
            refusal("unknown-data", message, Some("data"))
        })
    }

    fn models(&self) -> Value {
        let shared = &self.shared;
        let catalogue = shared.catalogue.list(&shared.models);
        let stock = listing::models(shared.inventory.models(), catalogue);
        body(ModelsAnswer::Stock(stock))
    }

    /// Has a model of the administrator's catalogue fetched, and nothing else.
    fn fetch(&self, name: &ModelName) -> Result<Value, Refusal> {
        let catalogue = &self.shared.catalogue;
        let entry = catalogue.entry(name).ok_or_else(|| {
            let known = catalogue.names();
            let message = match known.is_empty() {
                true => "this board has no catalogue; its administrator writes one".to_owned(),
                false => "the board's catalogue has no model of this name; an empty cmd/models \
                          lists it"
                    .to_owned(),
            };
            refusal("unknown-model", message, Some("fetch"))
        })?;
        let standing = match catalogue.under_way(name) {
            Some(standing) => standing,
            None => {
                self.check_rate()?;
                let asked = catalogue.ask(entry, &self.shared.queue).map_err(|error| {
                    tracing::error!(%error, %name, "its fetch can't begin");
                    let code = match error.kind() {
                        std::io::ErrorKind::StorageFull => "disk-full",
                        _ => "storage",
                    };
                    let message = "the model directory takes no file; the board's log says why";
                    refusal(code, message, None)
                })?;
                self.count();
                asked
            }
        };
        Ok(body(ModelsAnswer::Fetched(Fetched {
            name: name.to_string(),
            state: standing.state,
            bytes: standing.bytes,
            total_bytes: standing.total_bytes,
        })))
    }

    fn cancel(&self, id: &JobId) -> Result<Value, Refusal> {
        let shared = &self.shared;
        let open = store::lock(&shared.store).state(id)?;
        let open = open.filter(|row| !row.state.is_final());
        if open.is_some() {
            self.check_rate()?;
            self.count();
        }
        let cancelled = match (
            store::lock(&shared.store).cancel(id, &shared.moment()),
            open,
        ) {
            // The attempt ends also where the disk takes no mark that outlives a crash.
            (Err(error), Some(row)) if shared.queue.cancel(id) => {
                tracing::error!(%error, %id, "it is cancelled, unless the daemon crashes first");
                return Ok(body(place(&row)));
            }
            (cancelled, _) => cancelled?,
        };
        match cancelled {
            Cancelled::Done(row) => {
                shared.job_ended(row.state);
                Ok(body(place(&row)))
            }
            Cancelled::Final(row) => Ok(body(place(&row))),
            Cancelled::Running(row) => {
                shared.queue.cancel(id);
                Ok(body(place(&row)))
            }
            Cancelled::Unknown => Err(unknown(id)),
        }
    }

    fn jobs(&self, ended: u32) -> Result<Value, Refusal> {
        let store = store::lock(&self.shared.store);
        let rows = store.jobs(ended)?;
        Ok(body(listing::jobs(&rows, store.queue_mode()?)))
    }

    fn jobs_after(&self, after: u64, limit: u32) -> Result<Value, Refusal> {
        let store = store::lock(&self.shared.store);
        let (rows, newest) = store.jobs_after(after, limit)?;
        let listing = listing::arrivals(&rows, newest, store.queue_mode()?);
        Ok(body(listing))
    }

    fn job(&self, id: &JobId) -> Result<Value, Refusal> {
        let store = store::lock(&self.shared.store);
        let row = store.state(id)?.ok_or_else(|| unknown(id))?;
        let attempts = store.attempts(id, listing::MOST_ATTEMPTS)?;
        let mode = store.queue_mode()?;
        Ok(body(listing::with_attempts(&row, attempts, mode)))
    }

    fn queue(&self, wanted: Option<QueueMode>) -> Result<Value, Refusal> {
        let mut store = store::lock(&self.shared.store);
        let present = store.queue_mode()?;
        if let Some(mode) = wanted.filter(|mode| *mode != present) {
            self.check_rate()?;
            store.set_queue_mode(mode)?;
            self.count();
            tracing::info!(mode = mode.as_str(), "the queue's mode is set");
            self.shared.queue.wake();
        }
        let counts = store.counts()?;
        Ok(body(Standing {
            mode: counts.mode,
            queued: counts.queued,
            running: counts.running.map(String::from),
        }))
    }

    fn replay(
        &self,
        id: &JobId,
        attempt: Option<u32>,
        from_seq: Option<u64>,
    ) -> Result<Value, Refusal> {
        let mut store = store::lock(&self.shared.store);
        let row = store.state(id)?.ok_or_else(|| unknown(id))?;
        self.check_rate()?;
        let records = store.replay(id, attempt, from_seq)?;
        self.count();
        Ok(body(Replayed {
            place: place(&row),
            records,
        }))
    }
}

impl CommandHandler for Commands {
    fn handle(&self, command: Command<'_>) -> Result<Value, Refusal> {
        match command {
            Command::Submit { payload } => self.submit(payload),
            Command::Cancel { id } => self.cancel(&id),
            Command::Jobs { limit } => self.jobs(limit),
            Command::JobsAfter { after, limit } => self.jobs_after(after, limit),
            Command::Job { id } => self.job(&id),
            Command::Queue { mode } => self.queue(mode),
            Command::Replay {
                id,
                attempt,
                from_seq,
            } => self.replay(&id, attempt, from_seq),
            Command::Models { fetch: None } => Ok(self.models()),
            Command::Models { fetch: Some(name) } => self.fetch(&name),
        }
    }
}

/// Where a job stands, as an answer says it.
fn place(row: &StateRow) -> Place {
    Place {
        id: row.id.to_string(),
        state: row.state,
        attempt: row.attempt,
    }
}

fn body(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).expect("an answer has only JSON-able fields")
}

fn unknown(id: &JobId) -> Refusal {
    let message = format!("no job \"{id}\" was submitted here");
    refusal("unknown-job", message, Some("id"))
}

fn refusal(code: &str, message: impl Into<String>, field: Option<&str>) -> Refusal {
    Refusal {
        code: code.to_owned(),
        message: message.into(),
        field: field.map(str::to_owned),
    }
}

impl From<SpecError> for Refusal {
    fn from(error: SpecError) -> Self {
        let code = match error.code {
            SpecErrorCode::InvalidSpec => "invalid-spec",
            SpecErrorCode::Unsupported => "unsupported",
        };
        refusal(code, error.message, error.field.as_deref())
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        let code = match error {
            SignatureError::Missing => "unsigned",
            SignatureError::Expired { .. } => "signature-expired",
            _ => "bad-signature",
        };
        refusal(code, error.to_string(), Some("signature"))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a command could not be stored");
        if error.is_full() {
            return refusal("disk-full", "the board's disk is full", None);
        }
        refusal("storage", "the board's store failed; see its log", None)
    }
}
