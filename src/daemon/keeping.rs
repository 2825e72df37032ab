//! What an attempt leaves behind reaches the disk: its raw data where there is room and time
//! for it, its records in any case, as many of them as there is room for.

use crate::measure::AttemptRecords;
use crate::record::result::Raw;
use crate::store::{Finished, Moment, Outgoing, RawDirectory, StateRow, Store, StoreError};
use crate::workload::{JobId, JobState};
use std::io::{self, Write};

/// Keeps what `write` writes as the raw data of an attempt, unless the disk or the time is
/// short. The error is a sentence for the result.
pub fn keep_raw<E: From<io::Error> + std::fmt::Display>(
    raw: &RawDirectory,
    id: &JobId,
    attempt: u32,
    limits: &Limits<'_>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Raw, String> {
    let free_at_least = super::commands::DISK_FREE_AT_LEAST;
    if limits
        .disk_free_share
        .is_some_and(|free| free < free_at_least)
    {
        return Err("less than 5 % of the board's disk is free".to_owned());
    }
    let kept = raw.keep(id, attempt, |out| {
        let mut out = UntilStop {
            out,
            stopping: limits.stopping,
        };
        write(&mut out)?;
        // What follows waits for the disk.
        Ok(out.flush()?)
    });
    kept.map_err(|error: E| error.to_string())
}

/// What raw data must not get in the way of.
pub struct Limits<'a> {
    /// `None` where it is not known.
    pub disk_free_share: Option<f64>,
    /// Whether the daemon has to end soon.
    pub stopping: &'a dyn Fn() -> bool,
}

/// A writer that fails once the daemon is stopping.
struct UntilStop<'a> {
    out: &'a mut dyn Write,
    stopping: &'a dyn Fn() -> bool,
}

impl UntilStop<'_> {
    fn check(&self) -> io::Result<()> {
        match (self.stopping)() {
            true => Err(io::Error::other("the daemon was stopped meanwhile")),
            false => Ok(()),
        }
    }
}

impl Write for UntilStop<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.out.write(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.out.flush()
    }
}

/// Commits the end of an attempt. Where the disk has no room for all, it gives up the raw
/// data, then the traces, then the tokens.
///
/// Errors: nothing is stored. The records are whole again, but for raw data that made room.
pub fn commit(
    store: &mut Store,
    id: &JobId,
    records: &mut AttemptRecords,
    now: &Moment,
) -> Result<Option<StateRow>, StoreError> {
    let full = match finish(store, id, records, now) {
        Err(error) if error.is_full() => error,
        done => return done,
    };
    let mut error = full;
    if records.result.body.raw.is_some() {
        discard_raw(&store.raw(), id, records);
        error = match finish(store, id, records, now) {
            Err(error) if error.is_full() => error,
            done => return done,
        };
    }
    let result = records.result.clone();
    let traces = records.without_traces();
    if !traces.is_empty() {
        tracing::error!(%error, %id, "there is no room for the traces");
        match finish(store, id, records, now) {
            Ok(stored) => return Ok(stored),
            Err(again) => error = again,
        }
    }
    let tokens = records.without_tokens();
    if !tokens.is_empty() && error.is_full() {
        tracing::error!(%error, %id, "there is no room for the tokens");
        match finish(store, id, records, now) {
            Ok(stored) => return Ok(stored),
            Err(again) => error = again,
        }
    }
    *records = AttemptRecords {
        tokens,
        traces,
        result,
    };
    Err(error)
}

fn discard_raw(raw: &RawDirectory, id: &JobId, records: &mut AttemptRecords) {
    if let Err(error) = raw.discard(id, records.result.body.attempt) {
        tracing::error!(%error, %id, "raw data that nothing names stays");
    }
    records.without_raw("there was no room for it beside the records");
}

/// Ends an attempt whose records can never be stored, without them.
pub fn commit_without_records(
    store: &mut Store,
    id: &JobId,
    attempt: u32,
    now: &Moment,
) -> Result<Option<StateRow>, StoreError> {
    let reason = Some("its records could not be stored; see the board's log");
    store.finish_attempt(id, attempt, Finished::Failed, reason, &[], now)
}

fn finish(
    store: &mut Store,
    id: &JobId,
    records: &AttemptRecords,
    now: &Moment,
) -> Result<Option<StateRow>, StoreError> {
    let result = &records.result.body;
    let how = match result.state {
        JobState::Succeeded => Finished::Succeeded,
        JobState::Cancelled => Finished::Cancelled,
        _ => Finished::Failed,
    };
    let reason = result.reason.as_deref();
    let records = outgoing(records);
    store.finish_attempt(id, result.attempt, how, reason, &records, now)
}

/// The attempt's records on their way to the outbox.
fn outgoing(records: &AttemptRecords) -> Vec<Outgoing> {
    let tokens = records
        .tokens
        .iter()
        .map(|record| Outgoing::tokens(record.body.seq, record.to_json()));
    let traces = records
        .traces
        .iter()
        .map(|record| Outgoing::trace(record.body.seq, record.to_json()));
    tokens
        .chain(traces)
        .chain([Outgoing::result(records.result.to_json())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::testing::{Play, context, job, rail};
    use crate::measure::{Ending, TokenBatches, records};
    use crate::record::Reason;
    use crate::runtime::protocol::StopReason;
    use crate::store::testing::{at, leave_pages, new_store};
    use crate::store::{Kept, RecordKind};
    use serde_json::{Value, json};
    use std::cell::Cell;

    const ROOM: Limits<'static> = Limits {
        disk_free_share: Some(0.5),
        stopping: &|| false,
    };

    fn windows(out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&[7; 1000])
    }

    /// A store in which a long attempt runs, and what it leaves behind.
    fn measured() -> (tempfile::TempDir, Store, JobId, AttemptRecords) {
        let mut play = Play::begin();
        play.generate(1, 800, StopReason::Length);
        let play = play.end(Ending::Succeeded);
        let job = job(|job| job["publish"] = json!({"trace": true}));
        let id = job.id.clone();
        let (dir, mut store) = new_store();
        store.submit(&job, 100, &at(1)).unwrap();
        let begun = store.begin_attempt(&id, &at(1)).unwrap().unwrap();
        let mut context = context(job);
        context.attempt = begun.attempt;
        let rails = [play.recorded(rail("input"))];
        let mut records = records(&context, &play.observed, &rails, TokenBatches::default());
        records.note_raw(keep_raw(&store.raw(), &id, begun.attempt, &ROOM, windows));
        (dir, store, id, records)
    }

    fn bytes<T: serde::Serialize>(records: &[crate::record::Stamped<T>]) -> usize {
        records.iter().map(|record| record.to_json().len()).sum()
    }

    /// The state of the job, its published result, and what else is stored of tokens and traces.
    fn stored(
        dir: &tempfile::TempDir,
        store: &Store,
        id: &JobId,
    ) -> (JobState, Option<Value>, [usize; 2]) {
        let kept = Kept::open(dir.path()).unwrap();
        let state = store.state(id).unwrap().unwrap().state;
        let result = kept.result(id, 1).unwrap();
        let count = |kind| kept.records(id, 1, kind).unwrap().len();
        (
            state,
            result.map(|json| serde_json::from_slice(&json).unwrap()),
            [count(RecordKind::Tokens), count(RecordKind::Trace)],
        )
    }

    #[test]
    fn with_room_everything_is_stored() {
        let (dir, mut store, id, mut records) = measured();
        commit(&mut store, &id, &mut records, &at(2)).unwrap();
        let (state, result, counts) = stored(&dir, &store, &id);
        let result = result.unwrap();
        assert_eq!(state, JobState::Succeeded);
        assert_eq!(result["raw"]["size_bytes"], 1000);
        assert_eq!(counts, [records.tokens.len(), records.traces.len()]);
        assert_eq!(store.raw().files().unwrap().len(), 1);
    }

    #[test]
    fn a_full_store_costs_raw_data_then_traces_then_tokens() {
        let (_dir, _store, _id, records) = measured();
        let page = |bytes: usize| bytes as u32 / 4096;
        let [result, tokens, traces] = [
            page(records.result.to_json().len()),
            page(bytes(&records.tokens)),
            page(bytes(&records.traces)),
        ];
        assert!(
            result > 0 && tokens > 10 && traces > 10,
            "{result} {tokens} {traces}"
        );

        let full_with = |pages| {
            let (dir, mut store, id, mut records) = measured();
            leave_pages(&store, pages);
            let outcome = commit(&mut store, &id, &mut records, &at(2));
            assert_eq!(store.raw().files().unwrap(), []);
            let (state, result, counts) = stored(&dir, &store, &id);
            assert_eq!(outcome.is_ok(), result.is_some());
            (state, result, counts)
        };
        let room_beside = 6;
        let (state, published, counts) = full_with(result + tokens + room_beside);
        let published = published.unwrap();
        assert_eq!(state, JobState::Succeeded);
        assert_eq!(published["raw"], Value::Null);
        assert_eq!(published["reasons"]["raw"], json!(Reason::NotStored));
        assert_eq!(published["records"]["trace"], 0);
        assert_eq!(published["records"]["tokens"], json!(counts[0]));
        assert_eq!(counts, [records.tokens.len(), 0]);
        let warnings = published["warnings"].to_string();
        assert!(warnings.contains("raw data: not kept"), "{warnings}");
        assert!(warnings.contains("trace: not stored"), "{warnings}");

        let (state, published, counts) = full_with(result + room_beside);
        let published = published.unwrap();
        assert_eq!((state, counts), (JobState::Succeeded, [0, 0]));
        assert_eq!(published["records"], json!({"tokens": 0, "trace": 0}));
        assert_eq!(published["reps"][0]["rep"], 1);

        let (state, published, _) = full_with(1);
        assert_eq!((state, published), (JobState::Running, None));
    }

    /// A card that was full for an hour has room again: the result is as if nothing had been.
    #[test]
    fn what_a_full_disk_did_not_take_is_whole_when_it_does() {
        let (dir, mut store, id, mut records) = measured();
        let before = records.clone();
        leave_pages(&store, 1);
        let error = commit(&mut store, &id, &mut records, &at(2)).unwrap_err();
        assert!(error.is_full() && error.may_pass(), "{error}");
        assert_eq!(
            (&records.tokens, &records.traces),
            (&before.tokens, &before.traces)
        );
        leave_pages(&store, 100_000);
        commit(&mut store, &id, &mut records, &at(3)).unwrap();
        let (state, result, counts) = stored(&dir, &store, &id);
        assert_eq!(state, JobState::Succeeded);
        assert_eq!(counts, [before.tokens.len(), before.traces.len()]);
        assert_eq!(
            result.unwrap()["records"]["tokens"],
            json!(before.tokens.len())
        );
    }

    #[test]
    fn an_attempt_whose_records_can_t_be_stored_ends_without_them() {
        let (dir, mut store, id, _) = measured();
        commit_without_records(&mut store, &id, 1, &at(2)).unwrap();
        let (state, result, counts) = stored(&dir, &store, &id);
        assert_eq!((state, result, counts), (JobState::Failed, None, [0, 0]));
    }

    #[test]
    fn a_nearly_full_disk_gets_no_raw_data() {
        let (_dir, store) = new_store();
        let limits = Limits {
            disk_free_share: Some(0.049),
            ..ROOM
        };
        let id = "a".parse().unwrap();
        let why = keep_raw(&store.raw(), &id, 1, &limits, windows).unwrap_err();
        assert!(why.contains("5 %"), "{why}");
        assert_eq!(store.raw().files().unwrap(), []);
    }

    #[test]
    fn a_stop_of_the_daemon_cuts_the_writing_short() {
        let (_dir, store) = new_store();
        let stopped = Cell::new(false);
        let limits = Limits {
            stopping: &|| stopped.get(),
            ..ROOM
        };
        let id = "a".parse().unwrap();
        for parts_before in 0..3 {
            stopped.set(false);
            let kept = keep_raw(&store.raw(), &id, 1, &limits, |out| {
                for part in 0..=parts_before {
                    stopped.set(part == parts_before);
                    // The last part is written before the stop in one case.
                    if part < 2 {
                        windows(out)?;
                    }
                }
                Ok::<_, io::Error>(())
            });
            assert!(kept.unwrap_err().contains("stopped"));
            assert_eq!(store.raw().files().unwrap(), []);
        }
    }
}
